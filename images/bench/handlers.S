// SPDX-License-Identifier: MIT
// The shortest handlers that can be: count and EOI, by x2APIC MSR or by xAPIC page; count alone; and
// EOI with an interrupt to CPU 0 as the answer, by MSR or by page. And of #UD: behind the UD2.

#define APIC_EOI_MSR  0x80b
#define APIC_EOI_PAGE 0xfee000b0
#define APIC_ICR_MSR  0x830
#define APIC_ICR_PAGE 0xfee00300
#define ICR_ANSWER    0x4060                  // assert, VECTOR_BENCH

    .text
    .globl bench_handler_x2apic, bench_handler_xapic, bench_handler_no_eoi
    .globl bench_handler_answer, bench_handler_answer_xapic, bench_handler_ud2
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

bench_handler_no_eoi:
    incq bench_taken
    iretq

bench_handler_answer:
    push %rax
    push %rcx
    push %rdx
    mov $APIC_ICR_MSR, %ecx
    mov $ICR_ANSWER, %eax
    xor %edx, %edx                          // CPU 0's APIC ID
    wrmsr
    mov $APIC_EOI_MSR, %ecx
    xor %eax, %eax
    wrmsr
    pop %rdx
    pop %rcx
    pop %rax
    iretq

bench_handler_answer_xapic:
    push %rax
    mov $APIC_ICR_PAGE, %eax
    movl $0, 0x10(%rax)                     // CPU 0's APIC ID
    movl $ICR_ANSWER, (%rax)
    mov $APIC_EOI_PAGE, %eax
    movl $0, (%rax)
    pop %rax
    iretq

bench_handler_ud2:
    addq $2, (%rsp)
    iretq

    .section .note.GNU-stack, "", @progbits
