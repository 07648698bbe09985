// SPDX-License-Identifier: MIT
// What comes after a write to an index register, as compilers write it, and what must not count.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "x86/alu.h"
#include "x86/cluster.h"

static struct cluster f;

// Finds the cluster that the code begins. Returns the access that ends it.
static enum cluster_end find(const char *bytes, unsigned n, enum code_size code_size)
{
    struct instruction first;
    u8 code[32];
    memset(code, 0xcc, sizeof(code));
    memcpy(code, bytes, n);
    memset(&f, 0xff, sizeof(f));
    assert_int_equal(decode(code, sizeof(code), code_size, &first), OK);
    cluster_find(&first, code + first.length, 16u - first.length, &f);
    if (f.access != CLUSTER_NONE)
        assert_int_equal(f.length + first.length, n);
    return f.access;
}

#define FIND(bytes) find(bytes, sizeof(bytes) - 1, CODE_64)

static void a_load_or_store_follows_a_store(void **state)
{
    (void)state;
    // MOV [rax], esi; MOV eax, [rax + 10H]
    assert_int_equal(FIND("\x89\x30\x8b\x40\x10"), CLUSTER_LOAD);
    assert_int_equal(f.reg, RAX);
    assert_int_equal(f.where, 0x10);
    assert_int_equal(f.steps, 0);
    assert_int_equal(f.before, 0);
    // MOV [r9], r9d; MOV [r9 - 10H], r8d
    assert_int_equal(FIND("\x45\x89\x09\x45\x89\x41\xf0"), CLUSTER_STORE);
    assert_int_equal(f.reg, 8);
    assert_int_equal(f.where, -0x10);
    // MOV DWORD [rdi + 7], 5; MOV [rdi], eax
    assert_int_equal(FIND("\xc7\x47\x07\5\0\0\0\x89\x07"), CLUSTER_STORE);
    assert_int_equal(f.where, -7);
    // MOV [rax], ecx; MOV r8d, 10000H; MOV [rax + 10H], r8d
    assert_int_equal(FIND("\x89\x08\x41\xb8\0\0\1\0\x44\x89\x40\x10"), CLUSTER_STORE);
    assert_int_equal(f.steps, 1);
    assert_int_equal(f.before, 6);
    u64 gpr[GPR_COUNT] = {[8] = UINT64_MAX}, rflags = 0x8d7;
    cluster_steps(&f, gpr, &rflags);
    assert_int_equal(gpr[8], 0x10000);
    assert_int_equal(rflags, 0x8d7);
    // MOV [rax], ecx; XOR edx, edx; MOV [rax + 10H], edx
    assert_int_equal(FIND("\x89\x08\x31\xd2\x89\x50\x10"), CLUSTER_STORE);
    gpr[RDX] = 0x123456789;
    cluster_steps(&f, gpr, &rflags);
    assert_int_equal(gpr[RDX], 0);
    assert_int_equal(rflags, 2 | RFLAGS_ZF | RFLAGS_PF);
}

static void an_in_follows_an_out(void **state)
{
    (void)state;
    // OUT 70H, al; IN al, 71H
    assert_int_equal(FIND("\xe6\x70\xe4\x71"), CLUSTER_IN);
    assert_int_equal(f.size, 1);
    assert_int_equal(f.where, 0x71);
    assert_int_equal(FIND("\xe6\x70\xe4\xf1"), CLUSTER_IN);
    assert_int_equal(f.where, 0xf1); // without a sign
    // OUT dx, eax; MOV edx, CFCH; IN eax, dx
    assert_int_equal(FIND("\xef\xba\xfc\x0c\0\0\xed"), CLUSTER_IN);
    assert_int_equal(f.size, 4);
    assert_int_equal(f.where, -1);
    assert_int_equal(f.before, 5);
    // OUT dx, eax; AND ecx, 2; LEA edx, [rcx + CFCH]; IN ax, dx
    assert_int_equal(FIND("\xef\x83\xe1\x02\x8d\x91\xfc\x0c\0\0\x66\xed"), CLUSTER_IN);
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
    static const struct {
        const char *bytes;
        unsigned n;
    } codes[] = {
#define CODE(bytes) {bytes, sizeof(bytes) - 1}
        CODE("\x8b\x06\x8b\x40\x10"),                             // the first is a load
        CODE("\x89\x30\x8b\x43\x10"),                             // by another register
        CODE("\x89\x30\x8b\x44\x08\x10"),                         // and an index
        CODE("\x89\x34\x08\x8b\x40\x10"),                         // the first has one
        CODE("\x89\x30\x65\x8b\x40\x10"),                         // another segment
        CODE("\x89\x30\x67\x8b\x40\x10"),                         // an address of 32 bits
        CODE("\x89\x30\x48\x8b\x40\x10"),                         // 8 bytes
        CODE("\x89\x30\x66\x8b\x40\x10"),                         // 2 bytes
        CODE("\x89\x30\x8a\x40\x10"),                             // 1 byte
        CODE("\x89\x30\x8b\x60\x10"),                             // to ESP
        CODE("\x89\x30\x03\x40\x10"),                             // ADD
        CODE("\x89\x30\x0f\xb6\x40\x10"),                         // MOVZX
        CODE("\x89\x30\x8b\x80\0\x10\0\0"),                       // a page further
        CODE("\x89\xb0\xff\xff\xff\x7f\x8b\x80\xfe\xff\xff\xff"), // where 32 bits would wrap
        CODE("\x89\x30\xc3\x8b\x40\x10"),                         // RET between
        CODE("\x89\x30\x31\xc0\x8b\x40\x10"),                     // XOR of the base between
        CODE("\x89\x30\x33\x02\x8b\x40\x10"),                     // a load between
        CODE("\x89\x30\xf0\x31\xd2\x8b\x40\x10"),                 // LOCK, which is #UD there
        CODE("\x89\x30\x31\xd4\x8b\x40\x10"),                     // XOR of ESP
        CODE("\x89\x30\x31\xe2\x8b\x40\x10"),                     // with ESP
        CODE("\x89\x30\x48\x31\xd2\x8b\x40\x10"),                 // of 64 bits
        CODE("\x89\x30\x01\xd2\x8b\x40\x10"),                     // ADD
        CODE("\x89\x30\x31\xd2\x31\xd2\x31\xd2\x8b\x40\x10"),     // too much between
        CODE("\x89\x30\xb9\0\0\0\0\xba\0\0\0\0\x8b\x80\0\0\0\0"), // that goes on after 16 bytes
        CODE("\x89\x30\xe4\x71"),                                 // IN after a MOV
        CODE("\xe6\x70\x8b\x40\x10"),                             // MOV after an OUT
        CODE("\xe6\x70\xe6\x71"),                                 // OUT after it
        CODE("\xe6\x70\x6c"),                                     // INS
        CODE("\xe4\x70\xe4\x71"),                                 // the first is an IN
        CODE("\xe6\x70\x0f\x04"),                                 // no instruction
#undef CODE
    };
    for (unsigned n = 0; n < ARRAY_SIZE(codes); n++) {
        if (find(codes[n].bytes, codes[n].n, CODE_64) != CLUSTER_NONE)
            fail_msg("code %u", n);
        assert_int_equal(f.length, 0);
    }
    assert_int_equal(find("\x89\x06\x8b\x46\x10", 5, CODE_32), CLUSTER_NONE);
    assert_int_equal(find("\xe6\x70\xe4\x71", 4, CODE_16), CLUSTER_NONE);
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
