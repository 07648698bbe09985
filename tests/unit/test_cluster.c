// SPDX-License-Identifier: MIT
// What comes after a write to an index register, as compilers write it, and what must not count.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "assembly.h"
#include "x86/alu.h"
#include "x86/cluster.h"

static struct cluster f;

// Finds the cluster that the code begins. Returns the access that ends it.
static enum cluster_end find(enum code_size size, struct code c)
{
    struct instruction first;
    u8 code[32];
    memset(code, 0xcc, sizeof(code));
    memcpy(code, c.bytes, c.length);
    memset(&f, 0xff, sizeof(f));
    assert_int_equal(decode(code, sizeof(code), size, &first), OK);
    cluster_find(&first, code + first.length, 16u - first.length, &f);
    if (f.access != CLUSTER_NONE)
        assert_int_equal(f.length + first.length, c.length);
    return f.access;
}

#define FIND(text) find(CODE_64, ASM(CODE_64, text))

static void a_load_or_store_follows_a_store(void **state)
{
    (void)state;
    assert_int_equal(FIND("mov [rax], esi; mov eax, [rax + 0x10]"), CLUSTER_LOAD);
    assert_int_equal(f.reg, RAX);
    assert_int_equal(f.where, 0x10);
    assert_int_equal(f.steps, 0);
    assert_int_equal(f.before, 0);
    assert_int_equal(FIND("mov [r9], r9d; mov [r9 - 0x10], r8d"), CLUSTER_STORE);
    assert_int_equal(f.reg, 8);
    assert_int_equal(f.where, -0x10);
    assert_int_equal(FIND("mov dword ptr [rdi + 7], 5; mov [rdi], eax"), CLUSTER_STORE);
    assert_int_equal(f.where, -7);
    assert_int_equal(FIND("mov [rax], ecx; mov r8d, 0x10000; mov [rax + 0x10], r8d"),
                     CLUSTER_STORE);
    assert_int_equal(f.steps, 1);
    assert_int_equal(f.before, 6);
    u64 gpr[GPR_COUNT] = {[8] = UINT64_MAX}, rflags = 0x8d7;
    cluster_steps(&f, gpr, &rflags);
    assert_int_equal(gpr[8], 0x10000);
    assert_int_equal(rflags, 0x8d7);
    assert_int_equal(FIND("mov [rax], ecx; xor edx, edx; mov [rax + 0x10], edx"), CLUSTER_STORE);
    gpr[RDX] = 0x123456789;
    cluster_steps(&f, gpr, &rflags);
    assert_int_equal(gpr[RDX], 0);
    assert_int_equal(rflags, 2 | RFLAGS_ZF | RFLAGS_PF);
}

static void an_in_follows_an_out(void **state)
{
    (void)state;
    assert_int_equal(FIND("out 0x70, al; in al, 0x71"), CLUSTER_IN);
    assert_int_equal(f.size, 1);
    assert_int_equal(f.where, 0x71);
    assert_int_equal(FIND("out 0x70, al; in al, 0xf1"), CLUSTER_IN);
    assert_int_equal(f.where, 0xf1); // without a sign
    assert_int_equal(FIND("out dx, eax; mov edx, 0xcfc; in eax, dx"), CLUSTER_IN);
    assert_int_equal(f.size, 4);
    assert_int_equal(f.where, -1);
    assert_int_equal(f.before, 5);
    assert_int_equal(FIND("out dx, eax; and ecx, 2; lea edx, [rcx + 0xcfc]; in ax, dx"),
                     CLUSTER_IN);
    assert_int_equal(f.size, 2);
    assert_int_equal(f.before, 9);
    u64 gpr[GPR_COUNT] = {[RCX] = 0xffffffff00000006, [RDX] = UINT64_MAX}, rflags = 0x8d7;
    cluster_steps(&f, gpr, &rflags);
    assert_int_equal(gpr[RCX], 2);
    assert_int_equal(gpr[RDX], 0xcfe);
    assert_int_equal(rflags, 2);
}

static void nothing_else_follows(void **state)
{
    (void)state;
#define AFTER_MOV(text) ASM(CODE_64, "mov [rax], esi; " text)
#define AFTER_OUT(text) ASM(CODE_64, "out 0x70, al; " text)
    const struct code codes[] = {
        AFTER_MOV("mov eax, [rbx + 0x10]"),                     // by another register
        AFTER_MOV("mov eax, [rax + rcx + 0x10]"),               // and an index
        AFTER_MOV("mov eax, gs:[rax + 0x10]"),                  // another segment
        AFTER_MOV("mov eax, [eax + 0x10]"),                     // an address of 32 bits
        AFTER_MOV("mov rax, [rax + 0x10]"),                     // other sizes
        AFTER_MOV("mov ax, [rax + 0x10]"),                      //
        AFTER_MOV("mov al, [rax + 0x10]"),                      //
        AFTER_MOV("mov esp, [rax + 0x10]"),                     // to ESP
        AFTER_MOV("add eax, [rax + 0x10]"),                     // other instructions
        AFTER_MOV("movzx eax, byte ptr [rax + 0x10]"),          //
        AFTER_MOV("in al, 0x71"),                               //
        AFTER_MOV("mov eax, [rax + 0x1000]"),                   // a page further
        AFTER_MOV("ret; mov eax, [rax + 0x10]"),                // what may not stand between
        AFTER_MOV("xor eax, eax; mov eax, [rax + 0x10]"),       // it changes the base
        AFTER_MOV("xor eax, [rdx]; mov eax, [rax + 0x10]"),     // it loads
        AFTER_MOV("lock; xor edx, edx; mov eax, [rax + 0x10]"), // it is #UD
        AFTER_MOV("xor esp, edx; mov eax, [rax + 0x10]"),       //
        AFTER_MOV("xor edx, esp; mov eax, [rax + 0x10]"),       //
        AFTER_MOV("xor rdx, rdx; mov eax, [rax + 0x10]"),       //
        AFTER_MOV("add edx, edx; mov eax, [rax + 0x10]"),       //
        AFTER_MOV("xor edx, edx; xor edx, edx; xor edx, edx; mov eax, [rax + 0x10]"), // too much
        AFTER_MOV("mov ecx, 0; mov edx, 0; mov eax, [rax + 0x100]"), // it goes on after 16 bytes
        AFTER_OUT("mov eax, [rax + 0x10]"),                          //
        AFTER_OUT("out 0x71, al"),                                   //
        AFTER_OUT("insb"),                                           //
        AFTER_OUT(".byte 0x0f, 0x04"),                               // no instruction
        ASM(CODE_64, "mov eax, [rsi]; mov eax, [rax + 0x10]"),       // the first is a load
        ASM(CODE_64, "mov [rax + rcx], esi; mov eax, [rax + 0x10]"), // it has an index
        ASM(CODE_64, "mov [rax + 0x7fffffff], esi; mov eax, [rax - 2]"), // 32 bits would wrap
        ASM(CODE_64, "in al, 0x70; in al, 0x71"),                        // the first is an IN
    };
    for (unsigned n = 0; n < ARRAY_SIZE(codes); n++) {
        if (find(CODE_64, codes[n]) != CLUSTER_NONE)
            fail_msg("code %u", n);
        assert_int_equal(f.length, 0);
    }
    const struct code code_32 = ASM(CODE_32, "mov [esi], eax; mov eax, [esi + 0x10]"),
                      code_16 = ASM(CODE_16, "out 0x70, al; in al, 0x71");
    assert_int_equal(find(CODE_32, code_32), CLUSTER_NONE);
    assert_int_equal(find(CODE_16, code_16), CLUSTER_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_or_store_follows_a_store),
        cmocka_unit_test(an_in_follows_an_out),
        cmocka_unit_test(nothing_else_follows),
    };
    return cmocka_run_group_tests_name("cluster", tests, NULL, NULL);
}
