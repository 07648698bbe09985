// SPDX-License-Identifier: MIT
// Where a start-up IPI may begin: copied to a page below 1 MiB, it writes what it finds there
// (struct started of startup.c) and spins.

#define STARTED 0xf00

    .section .rodata
    .code16
    .globl start_page, start_page_end
start_page:
    cli
    mov %cs, %ax
    mov %ax, %ds
    mov %edx, STARTED + 4
    mov %cr0, %eax
    mov %eax, STARTED + 8
    mov $0x1b, %ecx // IA32_APIC_BASE
    rdmsr
    mov %eax, STARTED + 12
    xor %eax, %eax
    mov %cs, %ax
    mov %eax, STARTED + 16
    lock incl STARTED
1:  jmp 1b // it wants its core
start_page_end:

    .section .note.GNU-stack, "", @progbits
