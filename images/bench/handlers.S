// SPDX-License-Identifier: MIT
// The shortest handlers that can be: count and EOI, by x2APIC MSR or by xAPIC page.

#define APIC_EOI_MSR  0x80b
#define APIC_EOI_PAGE 0xfee000b0

    .text
    .globl bench_handler_x2apic, bench_handler_xapic
bench_handler_x2apic:
    push %rax
    push %rcx
    push %rdx
    incq bench_taken
    mov $APIC_EOI_MSR, %ecx
    xor %eax, %eax
    xor %edx, %edx
    wrmsr
    pop %rdx
    pop %rcx
    pop %rax
    iretq

bench_handler_xapic:
    push %rax
    incq bench_taken
    mov $APIC_EOI_PAGE, %eax
    movl $0, (%rax)
    pop %rax
    iretq

    .section .note.GNU-stack, "", @progbits
