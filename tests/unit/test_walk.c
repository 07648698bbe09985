// SPDX-License-Identifier: MIT
// E8: guest page walks: every paging mode, permissions, reserved bits, flags.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "x86/bits.h"
#include "x86/walk.h"

#define PG   BIT(31)
#define WP   BIT(16)
#define PSE  BIT(4)
#define PAE  BIT(5)
#define LA57 BIT(12)
#define SMEP BIT(20)
#define SMAP BIT(21)
#define LMA  BIT(10)
#define NXE  BIT(11)
#define AC   BIT(18)
#define P    1ull
#define RW   2ull
#define US   4ull
#define A    0x20ull
#define D    0x40ull
#define PS   0x80ull
#define XD   BIT(63)

// RAM: 64 KiB at 0x10000 for tables and pages, 16 KiB at 0x240000000 for PSE-36 and wide addresses.
static u8 low[64 * KiB] ALIGNED(4096);
static u8 high[16 * KiB] ALIGNED(4096);
static struct guest_memory mem = {
    .region = {{{0x10000}, sizeof(low), low}, {{0x240000000}, sizeof(high), high}},
    .count = 2,
};
static struct walk_result r;

static u64 *entry64(u64 gpa)
{
    return guest_ptr_untracked(&mem, GPA(gpa), 8);
}

static u32 *entry32(u64 gpa)
{
    return guest_ptr_untracked(&mem, GPA(gpa), 4);
}

static int clear(void **state)
{
    (void)state;
    memset(low, 0, sizeof(low));
    memset(high, 0, sizeof(high));
    return 0;
}

static enum error walk(const struct paging_state *ps, u64 gva, u32 access)
{
    memset(&r, 0xa5, sizeof(r));
    return guest_walk(ps, &mem, GVA(gva), access, &r);
}

#define EXPECT_FAULT(ps, gva, access, code)                 \
    do {                                                    \
        assert_int_equal(walk(ps, gva, access), ERR_FAULT); \
        assert_int_equal(r.error_code, code);               \
    } while (0)

#define EXPECT_GPA(ps, gva, access, address)         \
    do {                                             \
        assert_int_equal(walk(ps, gva, access), OK); \
        assert_int_equal(r.gpa.v, address);          \
    } while (0)

static void without_paging_addresses_are_physical(void **state)
{
    (void)state;
    struct paging_state ps = {.cr0 = 1, .cr4 = PAE | PSE, .cpl = 3};
    EXPECT_GPA(&ps, 0xfedcba98, WALK_WRITE | WALK_EXEC, 0xfedcba98);
    assert_int_equal(r.count, 0);
    assert_int_equal(r.page_size, PAGE_SIZE);
    assert_true(r.writable && r.executable && r.user);
    assert_int_equal(walk(&ps, 0x100000000, WALK_READ), ERR_INVALID);
}

static void paging_of_32_bits_has_two_levels(void **state)
{
    (void)state;
    struct paging_state ps = {.cr0 = PG | WP, .cr3 = 0xffffffff00010018, .maxphyaddr = 40};
    *entry32(0x10000 + 0x301 * 4) = 0x11000 | P | RW | US;
    *entry32(0x11000 + 0x2ab * 4) = 0x12000 | P | US;
    EXPECT_GPA(&ps, 0xc06ab123, WALK_READ | WALK_EXEC, 0x12123);
    assert_int_equal(r.page_size, 4096);
    assert_false(r.writable);
    assert_true(r.user && r.executable);
    assert_int_equal(r.count, 2);
    assert_int_equal(r.entry[0].level, 2);
    assert_int_equal(r.entry[0].gpa.v, 0x10c04);
    assert_int_equal(r.entry[0].value, 0x11007);
    assert_int_equal(r.entry[1].level, 1);
    assert_int_equal(r.entry[1].gpa.v, 0x11aac);
    EXPECT_FAULT(&ps, 0xc06ab123, WALK_WRITE, PF_PRESENT | PF_WRITE);
    ps.cr0 &= ~WP;
    EXPECT_GPA(&ps, 0xc06ab123, WALK_WRITE, 0x12123);
    ps.cpl = 3;
    EXPECT_FAULT(&ps, 0xc06ab123, WALK_WRITE, PF_PRESENT | PF_WRITE | PF_USER);
    EXPECT_FAULT(&ps, 0xc06ac000, WALK_READ, PF_USER);
    assert_int_equal(r.count, 2);
    EXPECT_FAULT(&ps, 0, WALK_WRITE, PF_USER | PF_WRITE);
    assert_int_equal(r.count, 1);
    // No fetch bit without NXE: in 32-bit paging even with it, but for SMEP.
    ps.efer = NXE;
    EXPECT_FAULT(&ps, 0, WALK_EXEC, PF_USER);
    ps.cr4 = SMEP;
    EXPECT_FAULT(&ps, 0, WALK_EXEC, PF_USER | PF_FETCH);
}

static void pages_of_4_mib_reach_40_bits(void **state)
{
    (void)state;
    struct paging_state ps = {.cr0 = PG, .cr3 = 0x10000, .cr4 = PSE, .maxphyaddr = 40};
    // 31:22 of the address in place, 39:32 in 20:13.
    *entry32(0x10004) = 0x40000000 | 0x2 << 13 | BIT(12) | P | RW | PS;
    EXPECT_GPA(&ps, 0x7fffff, WALK_WRITE, 0x2403fffff);
    assert_int_equal(r.page_size, 4 * MiB);
    assert_int_equal(r.count, 1);
    *entry32(0x10004) |= BIT(21);
    EXPECT_FAULT(&ps, 0x400000, WALK_READ, PF_PRESENT | PF_RESERVED);
    ps.maxphyaddr = 52; // PSE-36 ends at 40 bits all the same
    EXPECT_FAULT(&ps, 0x400000, WALK_READ, PF_PRESENT | PF_RESERVED);
    ps.maxphyaddr = 36;
    *entry32(0x10004) = 0xf << 13 | P | PS;
    EXPECT_GPA(&ps, 0x400000, WALK_READ, 0xf00000000);
    *entry32(0x10004) = 0x10 << 13 | P | PS;
    EXPECT_FAULT(&ps, 0x400000, WALK_READ, PF_PRESENT | PF_RESERVED);
    // Without CR4.PSE the bit is ignored and the entry names a table.
    ps.cr4 = 0;
    *entry32(0x10004) = 0x11000 | P | PS;
    *entry32(0x11000) = 0x14000 | P;
    EXPECT_GPA(&ps, 0x400010, WALK_READ, 0x14010);
}

static void pae_has_three_levels(void **state)
{
    (void)state;
    struct paging_state ps = {
        .cr0 = PG | WP, .cr3 = 0x100a0, .cr4 = PAE, .efer = NXE, .maxphyaddr = 39};
    *entry64(0x100a0 + 3 * 8) = 0x11000 | P;
    *entry64(0x11000 + 0x1ff * 8) = 0x12000 | P | RW | US;
    *entry64(0x12000 + 0x1fe * 8) = 0x240001000 | P | RW | US | XD;
    EXPECT_GPA(&ps, 0xffffe678, WALK_WRITE | WALK_USER, 0x240001678);
    assert_int_equal(r.count, 3);
    assert_int_equal(r.entry[0].level, 3);
    assert_int_equal(r.entry[0].gpa.v, 0x100b8);
    assert_true(r.writable && r.user && !r.executable);
    EXPECT_FAULT(&ps, 0xffffe678, WALK_EXEC, PF_PRESENT | PF_FETCH);
    ps.efer = 0; // then XD is a reserved bit
    EXPECT_FAULT(&ps, 0xffffe678, WALK_READ, PF_PRESENT | PF_RESERVED);
    ps.efer = NXE;
    *entry64(0x11000 + 0x1ff * 8) = 0x40200000 | P | PS | RW | BIT(12);
    EXPECT_GPA(&ps, 0xffffe678, WALK_WRITE, 0x403fe678);
    assert_int_equal(r.page_size, 2 * MiB);
    for (unsigned bit = 13; bit < 64; bit++) {
        *entry64(0x11000 + 0x1ff * 8) = P | PS | BIT(bit);
        bool ok = (bit >= 21 && bit < 39) || bit == 63;
        assert_int_equal(walk(&ps, 0xffe00000, WALK_READ), ok ? OK : ERR_FAULT);
        assert_true(ok || r.error_code == (PF_PRESENT | PF_RESERVED));
    }
    // PDPTEs out of the VMCS; they have many reserved bits.
    ps.use_pdpte = true;
    ps.cr3 = 0xdead0000;
    ps.pdpte[1] = 0x11000 | P;
    EXPECT_GPA(&ps, 0x7fe00000, WALK_READ, 0);
    assert_int_equal(r.entry[0].gpa.v, 0);
    assert_int_equal(r.entry[0].value, 0x11001);
    EXPECT_FAULT(&ps, 0, WALK_READ, 0);
    for (unsigned bit = 1; bit < 64; bit++) {
        ps.pdpte[1] = 0x11000 | P | BIT(bit);
        bool reserved = bit < 3 || (bit >= 5 && bit <= 8) || bit >= 39;
        (void)walk(&ps, 0x7fe00000, WALK_READ);
        assert_int_equal(r.error_code == (PF_PRESENT | PF_RESERVED), reserved);
    }
}

// Tables for 0xffffffff81234567 in 4-level paging; the entries' gpas.
#define PML4E  (0x10000 + 511 * 8)
#define PDPTE  (0x11000 + 510 * 8)
#define PDE    (0x12000 + 9 * 8)
#define PTE    (0x13000 + 0x34 * 8)
#define LINEAR 0xffffffff81234567

static struct paging_state map_64(void)
{
    *entry64(PML4E) = 0x11000 | P | RW | US;
    *entry64(PDPTE) = 0x12000 | P | RW | US;
    *entry64(PDE) = 0x13000 | P | RW | US;
    *entry64(PTE) = 0x14000 | P | RW | US;
    return (struct paging_state){
        .cr0 = PG | WP, .cr3 = 0x10018, .cr4 = PAE, .efer = LMA | NXE, .maxphyaddr = 46};
}

static void four_levels_are_checked_each(void **state)
{
    (void)state;
    struct paging_state ps = map_64();
    EXPECT_GPA(&ps, LINEAR, WALK_WRITE | WALK_EXEC, 0x14567);
    static const u64 at[] = {PML4E, PDPTE, PDE, PTE};
    assert_int_equal(r.count, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(r.entry[i].level, 4 - i);
        assert_int_equal(r.entry[i].gpa.v, at[i]);
        assert_int_equal(r.entry[i].value, *entry64(at[i]));
    }
    // Each level's reserved bits; 62:52 are ignored.
    for (unsigned i = 0; i < 4; i++)
        for (unsigned bit = 46; bit < 64; bit++) {
            u64 old = *entry64(at[i]);
            *entry64(at[i]) |= BIT(bit);
            assert_int_equal(walk(&ps, LINEAR, WALK_READ), bit < 52 ? ERR_FAULT : OK);
            assert_int_equal(r.error_code, bit < 52 ? PF_PRESENT | PF_RESERVED : 0);
            assert_int_equal(r.executable, bit != 63);
            *entry64(at[i]) = old;
        }
    *entry64(PML4E) |= PS;
    EXPECT_FAULT(&ps, LINEAR, WALK_READ, PF_PRESENT | PF_RESERVED);
    *entry64(PML4E) &= ~PS;
    // Absent at each level.
    for (unsigned i = 0; i < 4; i++) {
        *entry64(at[i]) &= ~P;
        EXPECT_FAULT(&ps, LINEAR, WALK_EXEC, PF_FETCH);
        assert_int_equal(r.count, i + 1);
        *entry64(at[i]) |= P;
    }
    // Not canonical, on both edges.
    assert_int_equal(walk(&ps, 0x800000000000, WALK_READ), ERR_INVALID);
    assert_int_equal(walk(&ps, 0xffff7fffffffffff, WALK_READ), ERR_INVALID);
    EXPECT_FAULT(&ps, 0x7fffffffffff, WALK_READ, 0);
    EXPECT_FAULT(&ps, 0xffff800000000000, WALK_READ, 0);
    // A table outside RAM is no page fault.
    *entry64(PDE) = 0x900000 | P | RW;
    assert_int_equal(walk(&ps, LINEAR, WALK_READ), ERR_NOT_FOUND);
    assert_int_equal(r.gpa.v, 0x900000 + 0x34 * 8);
    assert_int_equal(r.count, 3);
}

static void pages_of_2_mib_and_1_gib_end_the_walk(void **state)
{
    (void)state;
    struct paging_state ps = map_64();
    *entry64(PDE) = 0x240000000 | BIT(12) | P | RW | PS;
    EXPECT_GPA(&ps, LINEAR, WALK_READ, 0x240034567);
    assert_int_equal(r.page_size, 2 * MiB);
    *entry64(PDE) |= BIT(20);
    EXPECT_FAULT(&ps, LINEAR, WALK_READ, PF_PRESENT | PF_RESERVED);
    *entry64(PDPTE) = 0x240000000 | BIT(12) | P | RW | PS;
    EXPECT_GPA(&ps, LINEAR, WALK_READ, 0x240000000 + (LINEAR & (GiB - 1)));
    assert_int_equal(r.page_size, GiB);
    assert_int_equal(r.count, 2);
    *entry64(PDPTE) |= BIT(29);
    EXPECT_FAULT(&ps, LINEAR, WALK_READ, PF_PRESENT | PF_RESERVED);
    *entry64(PDPTE) &= ~BIT(29);
    ps.no_1gb_pages = true;
    EXPECT_FAULT(&ps, LINEAR, WALK_READ, PF_PRESENT | PF_RESERVED);
}

static void five_levels_reach_57_bits(void **state)
{
    (void)state;
    struct paging_state ps = map_64();
    ps.cr4 |= LA57;
    ps.cr3 = 0x15000;
    *entry64(0x15000 + 0x85 * 8) = 0x10000 | P | RW | US;
    u64 gva = 0xfe85000000000000 | (LINEAR & (BIT(48) - 1)); // bit 56 is 0, 57 is 1
    assert_int_equal(walk(&ps, gva, WALK_READ), ERR_INVALID);
    gva = 0x0085000000000000 | (LINEAR & (BIT(48) - 1));
    EXPECT_GPA(&ps, gva, WALK_WRITE, 0x14567);
    assert_int_equal(r.count, 5);
    assert_int_equal(r.entry[0].level, 5);
    assert_int_equal(r.entry[0].gpa.v, 0x15000 + 0x85 * 8);
    assert_int_equal(walk(&ps, 0x100000000000000, WALK_READ), ERR_INVALID);
    EXPECT_FAULT(&ps, 0xff00000000000000, WALK_READ, 0);
    *entry64(0x15000 + 0x85 * 8) |= PS;
    EXPECT_FAULT(&ps, gva, WALK_READ, PF_PRESENT | PF_RESERVED);
}

// All of the supervisor and user rules in one table: RW and US of the page, the mode, the access.
static void permissions_follow_from_mode_and_access(void **state)
{
    (void)state;
    struct paging_state ps = map_64();
    static const u32 kinds[] = {WALK_READ, WALK_WRITE, WALK_EXEC};
    for (unsigned n = 0; n < 1u << 10; n++) {
        bool rw = n & 1, us = n & 2, xd = n & 4, wp = n & 8, smep = n & 16, smap = n & 32;
        bool ac = n & 64, user = n & 128, system = n & 256, upper = n & 512;
        // The limiting entry is the top one or the leaf.
        *entry64(PML4E) = 0x11000 | P | RW | US;
        *entry64(PTE) = 0x14000 | P | RW | US;
        *entry64(upper ? PML4E : PTE) &= ~((rw ? 0 : RW) | (us ? 0 : US));
        *entry64(upper ? PML4E : PTE) |= xd ? XD : 0;
        ps.cr0 = PG | (wp ? WP : 0);
        ps.cr4 = PAE | (smep ? SMEP : 0) | (smap ? SMAP : 0);
        ps.rflags = ac ? AC : 0;
        ps.cpl = user ? 3 : 0;
        bool as_user = user && !system;
        for (unsigned k = 0; k < 3; k++) {
            bool allowed;
            if (as_user)
                allowed = us && (k != 1 || rw) && (k != 2 || !xd);
            else if (k == 2)
                allowed = !xd && !(us && smep);
            else
                allowed = (k == 0 || rw || !wp) && (!us || !smap || (ac && !system));
            u32 access = kinds[k] | (system ? WALK_SYSTEM : 0);
            assert_int_equal(walk(&ps, LINEAR, access), allowed ? OK : ERR_FAULT);
            u32 code = PF_PRESENT | (k == 1 ? PF_WRITE : 0) | (k == 2 ? PF_FETCH : 0) |
                       (as_user ? PF_USER : 0);
            assert_int_equal(r.error_code, allowed ? 0 : code);
            assert_int_equal(r.writable, rw);
            assert_int_equal(r.user, us);
            assert_int_equal(r.executable, !xd);
        }
        EXPECT_GPA(&ps, LINEAR, 0, 0x14567); // the debugger's view
    }
}

static void accessed_and_dirty_are_set_when_asked_for(void **state)
{
    (void)state;
    struct paging_state ps = map_64();
    static const u64 at[] = {PML4E, PDPTE, PDE, PTE};
    EXPECT_GPA(&ps, LINEAR, WALK_WRITE, 0x14567);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(*entry64(at[i]) & (A | D), 0);
    EXPECT_GPA(&ps, LINEAR, WALK_READ | WALK_SET_AD, 0x14567);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(*entry64(at[i]) & (A | D), A);
    EXPECT_GPA(&ps, LINEAR, WALK_WRITE | WALK_SET_AD, 0x14567);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(*entry64(at[i]) & (A | D), i == 3 ? A | D : A);
    // A failed walk sets nothing.
    *entry64(PTE) = 0x14000 | P;
    EXPECT_FAULT(&ps, LINEAR, WALK_WRITE | WALK_SET_AD, PF_PRESENT | PF_WRITE);
    assert_int_equal(*entry64(PTE) & (A | D), 0);
    // 32-bit entries, and PAE's PDPTEs which have no flags.
    struct paging_state p32 = {.cr0 = PG, .cr3 = 0x16000};
    *entry32(0x16000) = 0x17000 | P;
    *entry32(0x16004) = 0x99999999;
    *entry32(0x17000) = 0x14000 | P;
    EXPECT_GPA(&p32, 0, WALK_WRITE | WALK_SET_AD, 0x14000);
    assert_int_equal(*entry32(0x16000), 0x17000 | P | A);
    assert_int_equal(*entry32(0x17000), 0x14000 | P | A | D);
    assert_int_equal(*entry32(0x16004), 0x99999999);
    struct paging_state pae = {.cr0 = PG, .cr3 = 0x18000, .cr4 = PAE};
    *entry64(0x18000) = 0x19000 | P;
    *entry64(0x19000) = 0x200000 | P | RW | PS;
    EXPECT_GPA(&pae, 0x123, WALK_WRITE | WALK_SET_AD, 0x200123);
    assert_int_equal(*entry64(0x18000), 0x19000 | P);
    assert_int_equal(*entry64(0x19000), 0x200000 | P | RW | PS | A | D);
}

static void a_copy_across_pages_is_whole_or_none(void **state)
{
    (void)state;
    struct paging_state ps = map_64();
    struct walk_fault f;
    u8 buf[0x2000], back[0x2000];
    // Three pages in a row in linear memory, scattered in physical memory.
    *entry64(PTE) = 0x1a000 | P | RW;
    *entry64(PTE + 8) = 0x18000 | P | RW;
    *entry64(PTE + 16) = 0x240002000 | P | RW;
    for (unsigned i = 0; i < sizeof(buf); i++)
        buf[i] = (u8)(i * 7 + i / 256);
    u64 gva = LINEAR;
    assert_int_equal(guest_write_linear(&ps, &mem, GVA(gva), buf, sizeof(buf), WALK_WRITE, &f), OK);
    assert_memory_equal(low + 0xa567, buf, 0xa99);
    assert_memory_equal(low + 0x8000, buf + 0xa99, 0x1000);
    assert_memory_equal(high + 0x2000, buf + 0x1a99, 0x567);
    assert_int_equal(low[0xa566], 0);
    assert_int_equal(high[0x2567], 0);
    assert_int_equal(guest_read_linear(&ps, &mem, GVA(gva), back, sizeof(back), WALK_READ, NULL),
                     OK);
    assert_memory_equal(back, buf, sizeof(buf));

    // The last page refuses: nothing is written, the fault is at its first byte.
    *entry64(PTE + 16) = 0x240002000 | P;
    memset(back, 0, sizeof(back));
    assert_int_equal(
        guest_write_linear(&ps, &mem, GVA(gva), back, sizeof(back), WALK_WRITE | WALK_SET_AD, &f),
        ERR_FAULT);
    assert_int_equal(f.gva.v, (gva | 0xfff) + 0x1001);
    assert_int_equal(f.error_code, PF_PRESENT | PF_WRITE);
    assert_memory_equal(low + 0xa567, buf, 0xa99);
    assert_int_equal(*entry64(PTE) & (A | D), 0);
    // The debugger writes there all the same.
    assert_int_equal(guest_write_linear(&ps, &mem, GVA(gva), back, sizeof(back), 0, NULL), OK);
    assert_int_equal(high[0x2566], 0);

    // Not RAM: the address is told.
    *entry64(PTE + 8) = 0xfee00000 | P | RW;
    assert_int_equal(guest_read_linear(&ps, &mem, GVA(gva), back, 0x2000, WALK_READ, &f),
                     ERR_NOT_FOUND);
    assert_int_equal(f.gpa.v, 0xfee00000);
    // Over the canonical edge, from below.
    *entry64(0x10000 + 255 * 8) = 0x11000 | P | RW;
    *entry64(0x11000 + 511 * 8) = 0x12000 | P | RW;
    *entry64(0x12000 + 511 * 8) = 0x13000 | P | RW;
    *entry64(0x13000 + 511 * 8) = 0x14000 | P | RW;
    assert_int_equal(guest_read_linear(&ps, &mem, GVA(0x7ffffffffffe), back, 2, WALK_READ, &f), OK);
    assert_int_equal(guest_read_linear(&ps, &mem, GVA(0x7ffffffffffe), back, 3, WALK_READ, &f),
                     ERR_INVALID);
    assert_int_equal(f.gva.v, 0x800000000000);
    // Nothing to copy needs no page.
    assert_int_equal(guest_read_linear(&ps, &mem, GVA(0), back, 0, WALK_READ, &f), OK);
}

static void a_copy_wraps_at_4_gib(void **state)
{
    (void)state;
    struct paging_state ps = {.cr0 = PG, .cr3 = 0x10000};
    *entry32(0x10000) = 0x11000 | P | RW;
    *entry32(0x10ffc) = 0x12000 | P | RW;
    *entry32(0x11000) = 0x13000 | P | RW;
    *entry32(0x12ffc) = 0x14000 | P | RW;
    assert_int_equal(guest_write_linear(&ps, &mem, GVA(0xfffffffe), "abcd", 4, WALK_WRITE, NULL),
                     OK);
    assert_memory_equal(low + 0x4ffe, "ab", 2);
    assert_memory_equal(low + 0x3000, "cd", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(without_paging_addresses_are_physical, clear),
        cmocka_unit_test_setup(paging_of_32_bits_has_two_levels, clear),
        cmocka_unit_test_setup(pages_of_4_mib_reach_40_bits, clear),
        cmocka_unit_test_setup(pae_has_three_levels, clear),
        cmocka_unit_test_setup(four_levels_are_checked_each, clear),
        cmocka_unit_test_setup(pages_of_2_mib_and_1_gib_end_the_walk, clear),
        cmocka_unit_test_setup(five_levels_reach_57_bits, clear),
        cmocka_unit_test_setup(permissions_follow_from_mode_and_access, clear),
        cmocka_unit_test_setup(accessed_and_dirty_are_set_when_asked_for, clear),
        cmocka_unit_test_setup(a_copy_across_pages_is_whole_or_none, clear),
        cmocka_unit_test_setup(a_copy_wraps_at_4_gib, clear),
    };
    return cmocka_run_group_tests_name("walk", tests, NULL, NULL);
}
