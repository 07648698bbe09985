// SPDX-License-Identifier: MIT
// 256 interrupt entries, 8 bytes each, and the common path to trap_dispatch().

    .macro push_register name
    push %\name
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset \name, 0
    .endm

    .macro pop_register name
    pop %\name
    .cfi_adjust_cfa_offset -8
    .cfi_restore \name
    .endm

    // Who looks at the stack from trap_dispatch() goes on with the code that was interrupted.
    .macro start_frame_of_interrupt
    .cfi_startproc simple
    .cfi_signal_frame
    .cfi_def_cfa rsp, 40 // behind SS, RSP, RFLAGS, CS and RIP
    .cfi_offset rip, -40
    .cfi_offset rsp, -16
    .endm

    .text
    .balign 16
    .globl vector_stubs
vector_stubs:
    start_frame_of_interrupt
    .set vector, 0
    .rept 256
    .balign 8
    // #DF #TS #NP #SS #GP #PF #AC #CP push an error code.
    .set has_error_code, vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21
    .if has_error_code
    .cfi_def_cfa_offset 48
    .else
    .cfi_def_cfa_offset 40
    .endif
    .byte 0x6a, vector // PUSH imm8, of whose sign trap_frame.vector sees nothing
    .cfi_adjust_cfa_offset 8
    .if has_error_code
    jmp with_error_code
    .else
    jmp without_error_code
    .endif
    .set vector, vector + 1
    .endr
    .cfi_endproc

    .macro push_registers
    push_register rcx
    push_register rdx
    push_register rbx
    push_register rbp
    push_register rsi
    push_register rdi
    push_register r8
    push_register r9
    push_register r10
    push_register r11
    push_register r12
    push_register r13
    push_register r14
    push_register r15
    .endm

with_error_code:
    start_frame_of_interrupt
    .cfi_adjust_cfa_offset 16
    xchg %rax, (%rsp)   // the vector and RAX
    .cfi_rel_offset rax, 0
    xchg %rax, 8(%rsp)  // the vector to the error code's place
    push_registers
    push %rax
    jmp dispatch
    .cfi_endproc

without_error_code:
    start_frame_of_interrupt
    .cfi_adjust_cfa_offset 8
    push_register rax
    push_registers
    push $0
    .cfi_adjust_cfa_offset 8
dispatch:
    cld
    mov %rsp, %rdi
    mov %rsp, %rbp
    .cfi_def_cfa_register rbp
    and $-16, %rsp
    call trap_dispatch
    lea 8(%rbp), %rsp
    .cfi_def_cfa rsp, 168
    pop_register r15
    pop_register r14
    pop_register r13
    pop_register r12
    pop_register r11
    pop_register r10
    pop_register r9
    pop_register r8
    pop_register rdi
    pop_register rsi
    pop_register rbp
    pop_register rbx
    pop_register rdx
    pop_register rcx
    pop_register rax
    add $8, %rsp
    .cfi_adjust_cfa_offset -8
    iretq
    .cfi_endproc

    .section .note.GNU-stack, "", @progbits
