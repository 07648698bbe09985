// SPDX-License-Identifier: MIT
// Where a start-up IPI begins: real mode at AP_START_PAGE, to which ap_trampoline is copied, then
// the same way as the boot CPU.
#include "segments.h"

#define AP_STACK_SIZE 8192
#define AP_STACKS     64 // MAX_CPUS

    .section .rodata
    .code16
    .globl ap_trampoline, ap_trampoline_end
ap_trampoline:
    cli
    cld
    xor %ax, %ax
    mov %ax, %ds
    lgdtl AP_START_PAGE + (ap_gdt_pointer - ap_trampoline)
    mov %cr0, %eax
    or $CR0_PE, %eax
    mov %eax, %cr0
    ljmpl $SEL_CODE32, $ap_start32
ap_gdt_pointer:
    .word SEL_DATA16 + 7
    .long gdt
ap_trampoline_end:

    .text
    .code32
ap_start32:
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $ap_start64, %edi
    jmp enter_long_mode

    .code64
ap_start64:
    mov $1, %edi
    lock xadd %edi, ap_next
    mov %edi, %eax
    imul $AP_STACK_SIZE, %eax
    lea ap_stacks(%rax), %rsp
    xor %ebp, %ebp
    call ap_main

    .data
    .balign 4
    .globl ap_next
ap_next: // the number of the CPU that starts next
    .long 0

    .bss
    .balign 16
ap_stacks:
    .skip AP_STACK_SIZE * AP_STACKS

    .section .note.GNU-stack, "", @progbits
