// SPDX-License-Identifier: MIT
// What the loaders' tests share: guest RAM, a request, and the two ways it can end.
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "vm/load.h"

#define RAM_SIZE (32 * MiB)

static u8 *ram; // RAM_SIZE bytes at guest-physical 0, in two regions that meet at 2 MiB
static struct guest_memory memory;
static struct load_request request;
static struct entry_state entry;
static struct load_failure why;

static inline void load_setup(void)
{
    if (ram == NULL)
        ram = malloc(RAM_SIZE);
    memset(ram, 0xa5, RAM_SIZE);
    memory = (struct guest_memory){
        .region = {{GPA(0), 2 * MiB, ram}, {GPA(2 * MiB), RAM_SIZE - 2 * MiB, ram + 2 * MiB}},
        .count = 2};
    request = (struct load_request){.cmdline = "", .memory = RAM_SIZE};
    why = (struct load_failure){0};
    memset(&entry, 0xcc, sizeof(entry));
}

// A copy in a block of its own size, so that the sanitizer sees a byte read too many.
static inline struct image copy_image(const char *name, const u8 *data, u64 size)
{
    u8 *copy = malloc(size == 0 ? 1 : size);
    memcpy(copy, data, size);
    return (struct image){name, copy, size};
}

static inline void free_image(struct image *i)
{
    free((void *)(uintptr_t)i->data);
    *i = (struct image){0};
}

// Checked and loaded alike.
static inline void load_ok(void)
{
    struct entry_state checked;
    why.text[0] = '\0';
    enum error e = load_image(&request, NULL, &checked, &why);
    assert_string_equal(why.text, "");
    assert_int_equal(e, OK);
    assert_int_equal(load_image(&request, &memory, &entry, &why), OK);
    assert_memory_equal(&checked, &entry, sizeof(entry));
}

static inline void load_refused(enum error e, const char *key, const char *text)
{
    why = (struct load_failure){0};
    enum error got = load_image(&request, NULL, &entry, &why);
    assert_string_equal(why.text, text);
    assert_string_equal(why.key, key);
    assert_int_equal(got, e);
    why = (struct load_failure){0};
    assert_int_equal(load_image(&request, &memory, &entry, &why), e);
    assert_string_equal(why.text, text);
}

static inline u32 ram32(u64 gpa)
{
    u32 v;
    memcpy(&v, ram + gpa, sizeof(v));
    return v;
}

static inline u64 ram64(u64 gpa)
{
    u64 v;
    memcpy(&v, ram + gpa, sizeof(v));
    return v;
}

static inline void set32(u8 *p, u32 v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void set64(u8 *p, u64 v)
{
    memcpy(p, &v, sizeof(v));
}

// 32-bit protected mode with flat segments out of a GDT that is there: Linux's, or the one that
// QEMU has for Multiboot.
static inline void assert_protected(u64 rip)
{
    const struct vcpu_regs *r = &entry.regs;
    const unsigned code = entry.format == FORMAT_LINUX ? 0x10 : 0x08, data = code + 8;
    assert_int_equal(entry.mode, ENTRY_PROTECTED);
    assert_int_equal(r->rip, rip);
    assert_int_equal(r->cr0, 0x11);
    assert_int_equal(r->cr4, 0);
    assert_int_equal(r->efer, 0);
    assert_int_equal(r->rflags, 0x2);
    for (unsigned s = SEG_ES; s <= SEG_GS; s++) {
        assert_int_equal(r->seg[s].base, 0);
        assert_int_equal(r->seg[s].limit, 0xffffffff);
        assert_int_equal(r->seg[s].selector, s == SEG_CS ? code : data);
        assert_int_equal(r->seg[s].access, s == SEG_CS ? 0xc09b : 0xc093);
    }
    assert_true(r->gdtr.limit >= 0x1f);
    assert_true(ram64(r->gdtr.base + code) == 0x00cf9b000000ffff);
    assert_true(ram64(r->gdtr.base + data) == 0x00cf93000000ffff);
}
