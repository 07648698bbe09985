// SPDX-License-Identifier: MIT
// The instruction decoder over arbitrary bytes in all code sizes. The input is copied to the end of
// an allocation of its own size, so that one byte read too many is seen.
// clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc tests/fuzz/fuzz_decode.c src/x86/decode.c
#include <stdlib.h>
#include <string.h>

#include "x86/decode.h"

static void check(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static const enum code_size sizes[] = {CODE_16, CODE_32, CODE_64};
    static const u64 gpr[GPR_COUNT] = {1, 2, 3, UINT64_MAX};
    u8 *code = malloc(size);
    if (code == NULL)
        return 0;
    memcpy(code, data, size);
    for (unsigned n = 0; n < ARRAY_SIZE(sizes); n++) {
        struct instruction i, again;
        enum error e = decode(code, (unsigned)size, sizes[n], &i);
        if (e == ERR_TRUNCATED)
            check(size < INSTRUCTION_MAX);
        if (e != OK)
            continue;
        check(i.length >= 1 && i.length <= INSTRUCTION_MAX && i.length <= size);
        check(i.reg < GPR_COUNT && i.rm < GPR_COUNT);
        check(i.address_size == 2 || i.address_size == 4 || i.address_size == 8);
        if (i.encoding == ENCODING_LEGACY)
            check(i.operand_size == 1 || i.operand_size == 2 || i.operand_size == 4 ||
                  i.operand_size == 8);
        else
            check((i.operand_size == 4 || i.operand_size == 8) && !i.lock && i.rex == 0);
        check(i.vvvv < (sizes[n] == CODE_64 ? GPR_COUNT : 8) && i.vex_l < 2);
        if (i.has_memory) {
            check(i.memory.segment <= SEG_GS);
            check(i.memory.base < GPR_COUNT || i.memory.base == NO_REGISTER);
            check(i.memory.index < GPR_COUNT || i.memory.index == NO_REGISTER);
            u64 offset = memory_offset(&i, gpr, 0x1000);
            check(i.address_size == 8 || offset >> (i.address_size * 8) == 0);
        }
        // Bytes behind the instruction do not matter; without its last one it is cut short.
        check(decode(code, i.length, sizes[n], &again) == OK);
        check(memcmp(&i, &again, sizeof(i)) == 0);
        check(decode(code, i.length - 1u, sizes[n], &again) == ERR_TRUNCATED);
    }
    free(code);
    return 0;
}
