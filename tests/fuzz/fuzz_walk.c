// SPDX-License-Identifier: MIT
// Guest page walks over arbitrary registers and tables. The input: paging_state, an access, an
// address, then the guest's RAM (32 KiB at 0, the rest of it zero).
// clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc tests/fuzz/fuzz_walk.c src/x86/walk.c
//       src/x86/guest_memory.c
#include <stdlib.h>
#include <string.h>

#include "x86/walk.h"

static u8 ram[32 * KiB] ALIGNED(4096);

static void check(bool condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct {
        u64 cr0, cr3, cr4, efer, rflags, pdpte[4], gva;
        u8 cpl, maxphyaddr, flags, access;
        u16 len;
    } in;
    if (size < sizeof(in))
        return 0;
    memcpy(&in, data, sizeof(in));
    size_t rest = MIN(size - sizeof(in), sizeof(ram));
    memcpy(ram, data + sizeof(in), rest);
    memset(ram + rest, 0, sizeof(ram) - rest);

    struct guest_memory mem = {.region = {{{0}, sizeof(ram), ram}}, .count = 1};
    struct paging_state ps = {.cr0 = in.cr0,
                              .cr3 = in.cr3,
                              .cr4 = in.cr4,
                              .efer = in.efer,
                              .rflags = in.rflags,
                              .cpl = in.cpl & 3,
                              .maxphyaddr = in.maxphyaddr,
                              .no_1gb_pages = in.flags & 1,
                              .use_pdpte = in.flags & 2};
    memcpy(ps.pdpte, in.pdpte, sizeof(ps.pdpte));

    struct walk_result r, again;
    enum error e = guest_walk(&ps, &mem, GVA(in.gva), in.access, &r);
    check(r.count <= WALK_LEVELS);
    check(e == OK || e == ERR_FAULT || e == ERR_INVALID || e == ERR_NOT_FOUND);
    if (e == OK) {
        check((r.gpa.v & (PAGE_SIZE - 1)) == (in.gva & (PAGE_SIZE - 1)));
        check((r.gpa.v & (r.page_size - 1)) == (in.gva & (r.page_size - 1)));
        check(r.gpa.v < BIT(52));
        check(r.error_code == 0);
        // Whoever may, may also without checks, and then gets to the same place.
        if (!(in.access & WALK_SET_AD)) {
            check(guest_walk(&ps, &mem, GVA(in.gva), 0, &again) == OK);
            check(again.gpa.v == r.gpa.v && again.count == r.count);
        }
    }

    // What was written can be read back, unless the write hit the tables themselves.
    static u8 buf[3 * PAGE_SIZE];
    u64 len = in.len % sizeof(buf);
    struct walk_fault f;
    u32 access = in.access & ~(u32)WALK_SET_AD;
    static u8 before[sizeof(ram)];
    memcpy(before, ram, sizeof(ram));
    memset(buf, in.access, sizeof(buf));
    e = guest_write_linear(&ps, &mem, GVA(in.gva), buf, len, access, &f);
    if (e != OK && memcmp(before, ram, sizeof(ram)) != 0)
        check(f.gva.v != in.gva); // an earlier page was one of the tables
    (void)guest_read_linear(&ps, &mem, GVA(in.gva), buf, len, in.access, &f);
    return 0;
}
