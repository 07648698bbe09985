// SPDX-License-Identifier: MIT
// Where a started core begins: real mode at the start of a page below 1 MiB, to which smp_start()
// copies this text. It runs from a read-only, executable identity mapping of that page.

#include "x86/bits.h"
#include "x86/msr_numbers.h"

#define CORE_STACK_TOP 8

    .section .rodata
    .balign 16
    .globl trampoline_start, trampoline_end
    .code16
trampoline_start:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    mov $(parameters - trampoline_start), %si
    mov 0(%si), %eax                        // cr3
    mov 4(%si), %edi                        // EFER.NXE or 0
    mov %eax, %cr3
    mov $(CR4_PAE | CR4_PGE), %eax
    mov %eax, %cr4
    mov $MSR_EFER, %ecx
    mov $EFER_LME, %eax
    or %edi, %eax
    xor %edx, %edx
    wrmsr
    // Protection and paging at once: straight into compatibility mode.
    lgdtl parameters - trampoline_start + 14
    mov $(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE), %eax
    mov %eax, %cr0
    ljmpl *(parameters - trampoline_start + 8)

    .code64
long_mode:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    movabs $start_core64, %rax
    jmp *%rax

    .balign 8
    // struct trampoline_parameters
parameters:
    .skip 48
trampoline_end:
    .globl trampoline_long_mode
    .set trampoline_long_mode, long_mode - trampoline_start

    .text
    .globl start_core64
start_core64:
    .cfi_startproc simple
    .cfi_undefined rip                      // ends backtraces
    // Which core is this? By x2APIC ID where the CPU tells it, else by the initial APIC ID.
    xor %eax, %eax
    cpuid
    cmp $0xb, %eax
    jb 1f
    mov $0xb, %eax
    xor %ecx, %ecx
    cpuid
    test %ebx, %ebx
    jnz 2f
1:  mov $1, %eax
    cpuid
    shr $24, %ebx
    mov %ebx, %edx
2:  xor %ecx, %ecx
3:  cmp start_count(%rip), %ecx
    jae 5f
    lea start_apic_id(%rip), %rax
    cmp %edx, (%rax,%rcx,4)
    je 4f
    inc %ecx
    jmp 3b
4:  lea start_core(%rip), %rax
    mov (%rax,%rcx,8), %rdi
    mov CORE_STACK_TOP(%rdi), %rsp
    call start_core_main
5:  cli
    hlt
    jmp 5b
    .cfi_endproc

    .section .note.GNU-stack, "", @progbits
