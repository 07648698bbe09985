// SPDX-License-Identifier: MIT
// Runs code with chosen registers, in 64-bit or in 32-bit mode.
#include "segments.h"

// Offsets in struct run of instructions.h.
#define RFLAGS   128
#define HOST_RSP 136
#define ENTRY    144

    .macro each op
    \op %rax, 0
    \op %rcx, 1
    \op %rdx, 2
    \op %rbx, 3
    \op %rbp, 5
    \op %rsi, 6
    \op %rdi, 7
    \op %r8, 8
    \op %r9, 9
    \op %r10, 10
    \op %r11, 11
    \op %r12, 12
    \op %r13, 13
    \op %r14, 14
    \op %r15, 15
    \op %rsp, 4
    .endm
    .macro load reg, n
    mov run + 8 * \n(%rip), \reg
    .endm
    .macro store reg, n
    mov \reg, run + 8 * \n(%rip)
    .endm

    .text
    .code64
    .globl run_code, run_return64, run_return32
run_code:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, run + HOST_RSP(%rip)
    push run + RFLAGS(%rip)
    popfq
    each load
    ljmp *run + ENTRY(%rip)

    .code32
run_return32:
    ljmp $SEL_CODE64, $run_return64

    .code64
run_return64:
    each store
    mov run + HOST_RSP(%rip), %rsp
    pushfq
    pop run + RFLAGS(%rip)
    cld
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret
