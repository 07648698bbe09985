// SPDX-License-Identifier: MIT
// 256 interrupt entries, 8 bytes each, and the common path to trap_dispatch().

    .text
    .balign 16
    .globl vector_stubs
vector_stubs:
    .set vector, 0
    .rept 256
    .balign 8
    .byte 0x6a, vector // PUSH imm8, of whose sign trap_frame.vector sees nothing
    // #DF #TS #NP #SS #GP #PF #AC #CP push an error code.
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
    jmp with_error_code
    .else
    jmp without_error_code
    .endif
    .set vector, vector + 1
    .endr

    .macro push_registers
    push %rcx
    push %rdx
    push %rbx
    push %rbp
    push %rsi
    push %rdi
    push %r8
    push %r9
    push %r10
    push %r11
    push %r12
    push %r13
    push %r14
    push %r15
    .endm

with_error_code:
    xchg %rax, (%rsp)   // the vector and RAX
    xchg %rax, 8(%rsp)  // the vector to the error code's place
    push_registers
    push %rax
    jmp dispatch

without_error_code:
    push %rax
    push_registers
    push $0
dispatch:
    cld
    mov %rsp, %rdi
    mov %rsp, %rbp
    and $-16, %rsp
    call trap_dispatch
    lea 8(%rbp), %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %r11
    pop %r10
    pop %r9
    pop %r8
    pop %rdi
    pop %rsi
    pop %rbp
    pop %rbx
    pop %rdx
    pop %rcx
    pop %rax
    add $8, %rsp
    iretq

    .section .note.GNU-stack, "", @progbits
