// SPDX-License-Identifier: MIT
// void clear_sse(void *at, u64 bytes), clear_avx, clear_avx512: zero memory with the widest stores
// the CPU has. bytes is a multiple of 4096. They use vector register 0.

    .text
    .macro clear name, zero:vararg
    .globl \name
\name:
    .cfi_startproc
    shr $9, %rsi
    \zero
    .endm

    .balign 16
clear clear_sse, pxor %xmm0, %xmm0
1:
    .set offset, 0
    .rept 32
    movdqa %xmm0, offset(%rdi)
    .set offset, offset + 16
    .endr
    add $512, %rdi
    dec %rsi
    jnz 1b
    ret
    .cfi_endproc

    .balign 16
clear clear_avx, vpxor %xmm0, %xmm0, %xmm0
1:
    .set offset, 0
    .rept 16
    vmovdqa %ymm0, offset(%rdi)
    .set offset, offset + 32
    .endr
    add $512, %rdi
    dec %rsi
    jnz 1b
    ret
    .cfi_endproc

    .balign 16
clear clear_avx512, vpxor %xmm0, %xmm0, %xmm0
1:
    .set offset, 0
    .rept 8
    vmovdqa64 %zmm0, offset(%rdi)
    .set offset, offset + 64
    .endr
    add $512, %rdi
    dec %rsi
    jnz 1b
    ret
    .cfi_endproc

    .section .note.GNU-stack, "", @progbits
