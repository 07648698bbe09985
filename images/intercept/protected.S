// SPDX-License-Identifier: MIT
// Ways into user mode and compatibility mode and back, and code that runs there.
#include "segments.h"

#define SEL_USER_CODE 0x30
#define SEL_USER_DATA 0x38

    .text
    .code64
    .globl protected_call, protected_back, protected_user
protected_call:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    sub $8, %rsp
    mov %rsp, protected_rsp
    mov %rdi, %rax
    mov %rsi, %rdi
    call *%rax
protected_back:
    mov protected_rsp, %rsp
    add $8, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

// void protected_user(u64 entry): goes there in user mode; RDI and RFLAGS from memory, no stack.
protected_user:
    push $(SEL_USER_DATA | 3)
    push $0
    push user_rflags
    push $(SEL_USER_CODE | 3)
    push %rdi
    mov user_rdi, %rdi
    iretq

// u32 compatibility_call(routine, eax)
    .globl compatibility_call
compatibility_call:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %esi, %eax
    ljmp *to_compatibility
compatibility_back:
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

    .code32
compatibility:
    call *%edi
    ljmp $SEL_CODE64, $compatibility_back

// EAX: flags to have when INTO comes
    .globl into32, into32_after, bound32, bound32_at, bound32_after
into32:
    push %eax
    popfl
    into
into32_after:
    push $2
    popfl
    ret

// EAX: an index, to be from 10 to 20
bound32:
bound32_at:
    bound %eax, bounds
bound32_after:
    ret

// Paging off and on, EAX times; returns how often CR0.PG was seen to be off.
    .globl paging32
paging32:
    mov %eax, %ecx
    xor %edx, %edx
1:  mov %cr0, %eax
    and $~CR0_PG, %eax
    mov %eax, %cr0
    mov %cr0, %eax
    test $CR0_PG, %eax
    jnz 2f
    inc %edx
2:  mov %cr0, %eax // no change of it
    mov %eax, %cr0
    or $CR0_PG, %eax
    mov %eax, %cr0
    dec %ecx
    jnz 1b
    mov %edx, %eax
    ret

    .code64
// One access by instructions of three bytes, for a handler that skips them.
    .globl touch_read, touch_write
touch_read: // u64 (u64 address)
    mov (%rdi), %rax
    ret
touch_write: // void (u64 address, u64 value)
    mov %rsi, (%rdi)
    ret

    .section .rodata
    .balign 8
bounds:
    .long 10, 20

    .data
    .balign 8
to_compatibility:
    .long compatibility
    .word SEL_CODE32
    .balign 8
    .globl user_rflags, user_rdi
protected_rsp:
    .quad 0
user_rflags:
    .quad 0
user_rdi:
    .quad 0

    .section .note.GNU-stack, "", @progbits
