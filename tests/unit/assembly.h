/* SPDX-License-Identifier: MIT */
/* Machine code in tests, as text: GNU as makes the bytes. */
#pragma once

#include "lib/types.h"

struct code {
    const u8 *bytes;
    unsigned length;
};

// The code of instructions in Intel's syntax, separated by `;`. `size` is CODE_16, CODE_32 or
// CODE_64, by that name. The operands' sizes are said (`dword ptr`) where no register tells them.
// What refers to the place of the code itself does so by `.`, as in `call .+5`.
#define ASM(size, text)                                                            \
    ({                                                                             \
        struct code code_;                                                         \
        const u8 *end_;                                                            \
        __asm__(".pushsection .rodata.assembly, \"a\"\n"                           \
                ".intel_syntax noprefix\n" ASM_##size                              \
                "\n771: " text "\n772: .code64\n.att_syntax prefix\n.popsection\n" \
                "lea 771b(%%rip), %0; lea 772b(%%rip), %1"                         \
                : "=r"(code_.bytes), "=r"(end_));                                  \
        code_.length = (unsigned)(end_ - code_.bytes);                             \
        code_;                                                                     \
    })
#define ASM_CODE_16 ".code16"
#define ASM_CODE_32 ".code32"
#define ASM_CODE_64 ".code64"

// Code that no assembler writes, as a string of its bytes.
#define BYTES(string) ((struct code){(const u8 *)(string), sizeof(string) - 1})
