// SPDX-License-Identifier: MIT
// Modes and what each keeps (SDM 11.4.3, 11.12.5), reserved registers and bits (11.12.1.2).
#include "checks.h"
#include "guest.h"

#define PAGE_HERE  ((u32)APIC_BASE_RESET)
#define PAGE_OTHER 0xf0000000u
#define MODES      ((u64)APIC_BASE_EN | APIC_BASE_EXTD)

enum { APIC_THERMAL = 0x330, APIC_PERFORMANCE = 0x340, VECTOR_HERE = 0x45 };

static void set_mode(u64 mode)
{
    wrmsr(MSR_IA32_APIC_BASE, (rdmsr(MSR_IA32_APIC_BASE) & ~MODES) | mode);
}

// The exception that a change to this mode raises.
static int try_mode(u64 mode)
{
    return wrmsr_try(MSR_IA32_APIC_BASE, (rdmsr(MSR_IA32_APIC_BASE) & ~MODES) | mode);
}

static bool cpuid_shows_apic(void)
{
    return (cpuid(1, 0).edx & BIT(9)) != 0;
}

static bool all_zero(u32 reg)
{
    u32 any = 0;
    for (u32 i = 0; i < 8; i++)
        any |= apic_read(reg + i * 16);
    return any == 0;
}

static bool as_after_reset(void)
{
    bool same = apic_read(APIC_SVR) == 0xff && apic_read(APIC_TPR) == 0 &&
                apic_read(APIC_DFR) == UINT32_MAX && apic_read(APIC_LDR) == 0 &&
                apic_read(APIC_ICR) == 0 && apic_read(APIC_TIMER_INITIAL) == 0 &&
                apic_read(APIC_TIMER_CURRENT) == 0 && apic_read(APIC_TIMER_DIVIDE) == 0 &&
                apic_read(APIC_ESR) == 0;
    for (u32 lvt = APIC_LVT_TIMER; lvt <= APIC_LVT_ERROR; lvt += 16)
        same &= apic_read(lvt) == LVT_MASKED;
    return same && all_zero(APIC_IRR) && all_zero(APIC_ISR) && all_zero(APIC_TMR);
}

// The APIC is not in its page: nothing is (11.4.3, 11.12).
static void check_absent(const char *when)
{
    for (u32 reg = 0; reg < PAGE_SIZE; reg += 16)
        write32(PAGE_HERE + reg, 0x12345678);
    bool ones = true;
    for (u32 reg = 0; reg < PAGE_SIZE; reg += 4)
        ones &= read32(PAGE_HERE + reg) == UINT32_MAX;
    report(ones, "F3: %s: there is nothing at 0x%x", when, PAGE_HERE);
}

static void check_disabled(void)
{
    u64 value;
    check_absent("disabled");
    report(!cpuid_shows_apic(), "F3: disabled: CPUID shows no APIC");
    report(rdmsr_try(0x802, &value) == VECTOR_GP && wrmsr_try(0x808, 0) == VECTOR_GP,
           "F3: disabled: no x2APIC registers");
    report(try_mode(MODES) == VECTOR_GP, "F3: disabled to x2APIC gives #GP");
    report(try_mode(APIC_BASE_EXTD) == VECTOR_GP, "F3: EXTD without EN gives #GP");
    u64 base = rdmsr(MSR_IA32_APIC_BASE);
    report(wrmsr_try(MSR_IA32_APIC_BASE, base | BIT(0)) == VECTOR_GP &&
               wrmsr_try(MSR_IA32_APIC_BASE, base | BIT(9)) == VECTOR_GP &&
               wrmsr_try(MSR_IA32_APIC_BASE, base | BIT(63)) == VECTOR_GP,
           "F3: reserved bits of IA32_APIC_BASE give #GP");
    report(rdmsr(MSR_IA32_APIC_BASE) == base, "F3: and it is as it was");
}

static void check_xapic_registers(u32 id)
{
    u32 version = apic_read(APIC_VERSION);
    report(apic_id() == id && (rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_BSP) != 0 &&
               cpuid_shows_apic(),
           "F3: xAPIC: ID %u, boot processor, in CPUID", id);
    apic_write(APIC_ID, 0x55000000);
    apic_write(APIC_VERSION, 0);
    report(apic_id() == id && apic_read(APIC_VERSION) == version,
           "F3: xAPIC: ID and version are read-only");
    apic_write(APIC_LDR, 0xa5123456);
    apic_write(APIC_DFR, 0x0a5a5a5a);
    report(apic_read(APIC_LDR) == 0xa5000000 && apic_read(APIC_DFR) == 0x0fffffff,
           "F3: xAPIC: reserved bits of LDR and DFR");
    apic_write(APIC_ICR2, 0x5a123456);
    report(apic_read(APIC_ICR2) == 0x5a000000, "F3: xAPIC: the ICR's high half reads back");
    apic_write(APIC_TPR, 0xffffff7b);
    report(apic_read(APIC_TPR) == 0x7b, "F3: xAPIC: the TPR has 8 bits");
    apic_write(APIC_TPR, 0);
    apic_write(APIC_DFR, UINT32_MAX);
}

// What must stay when the mode goes from xAPIC to x2APIC.
static const struct {
    u32 reg, value;
} kept[] = {
    {APIC_SVR, 0x1e7},
    {APIC_TPR, 0x50},
    {APIC_LVT_ERROR, 0x61},
    {APIC_LVT_LINT0, LVT_MASKED | LVT_EXTINT},
    {APIC_LVT_LINT1, LVT_MASKED | 0x63},
    {APIC_PERFORMANCE, LVT_MASKED | LVT_NMI},
    {APIC_THERMAL, LVT_MASKED | 0x64},
    {APIC_LVT_TIMER, LVT_MASKED | LVT_ONE_SHOT | 0x65},
    {APIC_TIMER_DIVIDE, DIVIDE_BY_16},
    {APIC_TIMER_INITIAL, UINT32_MAX},
};

static void check_to_x2apic(u32 id)
{
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        apic_write(kept[i].reg, kept[i].value);
    apic_self_ipi(VECTOR_HERE);
    u32 count = apic_read(APIC_TIMER_CURRENT);
    set_mode(MODES);
    bool same = true;
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
        same &= apic_read(kept[i].reg) == kept[i].value;
    report(apic_is_x2apic() && same, "F3: xAPIC to x2APIC: the registers stay");
    u32 later = apic_read(APIC_TIMER_CURRENT);
    report(later != 0 && later < count, "F3: xAPIC to x2APIC: the timer goes on");
    report(apic_bit(APIC_IRR, VECTOR_HERE), "F3: xAPIC to x2APIC: what waits in the IRR stays");
    report(apic_id() == id && apic_read(APIC_LDR) == (id >> 4 << 16 | BIT(id & 15)),
           "F3: xAPIC to x2APIC: ID and logical ID");
    noted = 0;
    apic_write(APIC_TPR, 0);
    take();
    report(NOTED(VECTOR_HERE), "F3: xAPIC to x2APIC: and is taken");
}

// Those that no access is for, and those for one kind of access only.
static void check_x2apic_registers(void)
{
    static const u16 absent[] = {0x800, 0x801, 0x804, 0x807, 0x809, 0x80c, 0x80e,
                                 0x829, 0x82e, 0x831, 0x83a, 0x840, 0x8ff};
    static const u16 read_only[] = {0x802, 0x803, 0x80a, 0x80d, 0x810, 0x817,
                                    0x818, 0x81f, 0x820, 0x827, 0x839};
    static const struct {
        u16 msr;
        u64 value;
    } reserved[] = {
        {0x808, 0x100}, {0x808, BIT(32)}, {0x80b, 1},       {0x80f, 0x2000},
        {0x828, 1},     {0x830, 0x2000},  {0x830, BIT(20)}, {0x832, BIT(19)},
        {0x832, 0x100}, {0x835, BIT(17)}, {0x837, 0x100},   {0x838, BIT(32)},
        {0x83e, 0x4},   {0x83f, 0x100},   {0x80f, BIT(32)}, {0x837, BIT(32)},
    };
    u64 value;
    unsigned wrong = 0;
    check_absent("x2APIC");
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
        bool right =
            rdmsr_try(absent[i], &value) == VECTOR_GP && wrmsr_try(absent[i], 0) == VECTOR_GP;
        if (!right)
            printf("MSR 0x%x is there\n", absent[i]);
        wrong += !right;
    }
    report(wrong == 0, "F3: x2APIC: what is not there gives #GP");
    wrong = 0;
    for (size_t i = 0; i < ARRAY_SIZE(read_only); i++) {
        bool right = rdmsr_try(read_only[i], &value) == NO_FAULT &&
                     wrmsr_try(read_only[i], value) == VECTOR_GP;
        if (!right)
            printf("MSR 0x%x is not read-only\n", read_only[i]);
        wrong += !right;
    }
    report(wrong == 0, "F3: x2APIC: writing what is read-only gives #GP");
    report(rdmsr_try(0x80b, &value) == VECTOR_GP && rdmsr_try(0x83f, &value) == VECTOR_GP,
           "F3: x2APIC: reading what is write-only gives #GP");
    wrong = 0;
    for (size_t i = 0; i < ARRAY_SIZE(reserved); i++) {
        bool right = wrmsr_try(reserved[i].msr, reserved[i].value) == VECTOR_GP;
        if (!right)
            printf("MSR 0x%x takes 0x%lx\n", reserved[i].msr, reserved[i].value);
        wrong += !right;
    }
    report(wrong == 0, "F3: x2APIC: writing reserved bits gives #GP");
    wrmsr(0x830, 0x1234567800000000 | LVT_MASKED * 0);
    report(rdmsr(0x830) == 0x1234567800000000, "F3: x2APIC: the ICR is one of 64 bits");
    report(try_mode(APIC_BASE_EN) == VECTOR_GP && try_mode(APIC_BASE_EXTD) == VECTOR_GP,
           "F3: x2APIC to xAPIC gives #GP");
}

// The page elsewhere (11.4.5).
static void check_moved(void)
{
    u32 version = apic_read(APIC_VERSION);
    u64 base = rdmsr(MSR_IA32_APIC_BASE);
    wrmsr(MSR_IA32_APIC_BASE, (base & 0xfff) | PAGE_OTHER);
    report(read32(PAGE_OTHER + APIC_VERSION) == version, "F3: xAPIC: its page moves");
    write32(PAGE_OTHER + APIC_SVR, 0x1ff);
    write32(PAGE_OTHER + APIC_ICR, ICR_SELF | ICR_ASSERT | VECTOR_HERE);
    noted = 0;
    report((read32(PAGE_OTHER + APIC_IRR + VECTOR_HERE / 32 * 16) >> VECTOR_HERE % 32 & 1) != 0,
           "F3: xAPIC: and works there");
    check_absent("moved");
    wrmsr(MSR_IA32_APIC_BASE, base);
    report(apic_read(APIC_VERSION) == version && apic_bit(APIC_IRR, VECTOR_HERE),
           "F3: xAPIC: and back");
    take();
    report(NOTED(VECTOR_HERE), "F3: xAPIC: the interrupt is taken once");
}

void check_modes(void)
{
    bool x2apic = apic_is_x2apic();
    u32 id = apic_id();
    note_vectors(VECTOR_HERE, 1);
    apic_self_ipi(VECTOR_HERE); // to be forgotten
    set_mode(0);
    check_disabled();
    set_mode(APIC_BASE_EN);
    report(as_after_reset(), "F3: disabled to xAPIC: as after a reset");
    take();
    report(NOTED(), "F3: what waited is forgotten");
    check_xapic_registers(id);
    check_moved();
    if (apic_has_x2apic()) {
        set_mode(0);
        set_mode(APIC_BASE_EN);
        check_to_x2apic(id);
        check_x2apic_registers();
        apic_self_ipi(VECTOR_HERE);
        set_mode(0);
        check_disabled();
        set_mode(APIC_BASE_EN);
        report(as_after_reset(), "F3: x2APIC to disabled to xAPIC: as after a reset");
        take();
        report(NOTED(), "F3: what waited is forgotten");
    }
    apic_set_x2apic(x2apic);
    report(apic_is_x2apic() == x2apic && apic_id() == id, "F3: in %s mode again", mode_name());
    forget_vectors(VECTOR_HERE, 1);
}
