// SPDX-License-Identifier: MIT
// The local vector table, software-disabling, and errors (SDM 11.4.7.2, 11.5.1, 11.5.3).
#include "checks.h"
#include "guest.h"

enum { APIC_THERMAL = 0x330, APIC_PERFORMANCE = 0x340, SVR_ENABLED = BIT(8), LVT_LEVEL = BIT(15) };
enum { POLARITY = BIT(13), VECTOR_HERE = 0x71, VECTOR_ERROR = 0x72, VECTOR_TIMER_HERE = 0x73 };
enum { SEND_ILLEGAL = BIT(5), RECEIVE_ILLEGAL = BIT(6), ILLEGAL_REGISTER = BIT(7) };

static const struct {
    u32 reg, bits; // that software can write
} entries[] = {
    {APIC_LVT_TIMER, LVT_MASKED | LVT_PERIODIC | 0xff},
    {APIC_THERMAL, LVT_MASKED | 0x7ff},
    {APIC_PERFORMANCE, LVT_MASKED | 0x7ff},
    {APIC_LVT_LINT0, LVT_MASKED | LVT_LEVEL | POLARITY | 0x7ff},
    {APIC_LVT_LINT1, LVT_MASKED | LVT_LEVEL | POLARITY | 0x7ff},
    {APIC_LVT_ERROR, LVT_MASKED | 0xff},
};

static void mask_all(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        apic_write(entries[i].reg, LVT_MASKED);
}

static bool all_masked(void)
{
    bool all = true;
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        all &= (apic_read(entries[i].reg) & LVT_MASKED) != 0;
    return all;
}

static void check_bits(void)
{
    bool back = true;
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
        apic_write(entries[i].reg, entries[i].bits);
        back &= apic_read(entries[i].reg) == entries[i].bits;
        if (!apic_is_x2apic()) { // #GP there
            apic_write(entries[i].reg, UINT32_MAX & ~(u32)LVT_TSC_DEADLINE);
            back &= apic_read(entries[i].reg) == entries[i].bits;
        }
    }
    report(back, "F3: %s: each LVT entry has its bits and no others", mode_name());
    mask_all();
}

static void check_software_disabled(void)
{
    note_vectors(VECTOR_HERE, 1);
    apic_write(APIC_LVT_ERROR, VECTOR_ERROR);
    apic_write(APIC_LVT_LINT0, LVT_EXTINT);
    apic_write(APIC_LVT_LINT1, LVT_NMI);
    apic_write(APIC_LVT_TIMER, LVT_ONE_SHOT | VECTOR_TIMER_HERE);
    apic_self_ipi(VECTOR_HERE);
    apic_write(APIC_SVR, VECTOR_SPURIOUS);
    report(all_masked(), "F3: %s: software-disabled, all LVT entries are masked", mode_name());
    for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
        apic_write(entries[i].reg, VECTOR_HERE);
    report(all_masked(), "F3: %s: and stay so when written", mode_name());
    report(apic_bit(APIC_IRR, VECTOR_HERE), "F3: %s: what waits in the IRR stays", mode_name());
    apic_send(apic_id(), ICR_ASSERT | (VECTOR_HERE + 16));
    report(!apic_bit(APIC_IRR, VECTOR_HERE + 16), "F3: %s: no interrupt is accepted", mode_name());
    apic_write(APIC_SVR, SVR_ENABLED | VECTOR_SPURIOUS);
    report(all_masked(), "F3: %s: enabled again, they are still masked", mode_name());
    take();
    report(NOTED(VECTOR_HERE), "F3: %s: and what waited is taken", mode_name());
    mask_all();
    forget_vectors(VECTOR_HERE, 1);
}

void check_lvt(void)
{
    check_bits();
    check_software_disabled();
}

// ---- errors --------------------------------------------------------------------------------

// What the ESR tells since it was last asked: software writes, then reads.
static u32 errors(void)
{
    apic_write(APIC_ESR, 0);
    return apic_read(APIC_ESR);
}

static void check_error_interrupt(void)
{
    note_vectors(VECTOR_ERROR, 1);
    errors();
    apic_self_ipi(5);
    take();
    report(NOTED(), "F3: %s: a masked error entry raises nothing", mode_name());
    errors();
    apic_write(APIC_LVT_ERROR, VECTOR_ERROR);
    interrupts_on();
    apic_self_ipi(5);
    apic_self_ipi(6);
    apic_self_ipi(7);
    delay_us(50);
    interrupts_off();
    report(NOTED(VECTOR_ERROR), "F3: %s: errors raise one interrupt until the ESR is written",
           mode_name());
    report(errors() & SEND_ILLEGAL, "F3: %s: they are in the ESR", mode_name());
    apic_self_ipi(8);
    take();
    report(NOTED(VECTOR_ERROR), "F3: %s: then the next error raises one again", mode_name());
    errors();
    apic_write(APIC_LVT_ERROR, LVT_MASKED);
    forget_vectors(VECTOR_ERROR, 1);
}

void check_errors(void)
{
    errors();
    report(errors() == 0, "F3: %s: no errors at first", mode_name());
    apic_self_ipi(15);
    report(apic_read(APIC_ESR) == 0, "F3: %s: an error waits for the write of the ESR",
           mode_name());
    u32 seen = errors();
    report((seen & SEND_ILLEGAL) != 0 && (seen & ILLEGAL_REGISTER) == 0,
           "F3: %s: send illegal vector (0x%x)", mode_name(), seen);
    report(apic_read(APIC_ESR) == seen, "F3: %s: reading the ESR leaves it", mode_name());
    report(errors() == 0, "F3: %s: the next write clears it", mode_name());
    apic_send(apic_id(), ICR_ASSERT | 3);
    report((errors() & SEND_ILLEGAL) != 0, "F3: %s: send illegal vector by the ICR", mode_name());

    apic_write(APIC_TIMER_DIVIDE, DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, LVT_ONE_SHOT | 9);
    apic_write(APIC_TIMER_INITIAL, 1);
    delay_us(20);
    seen = errors();
    report(seen == RECEIVE_ILLEGAL, "F3: %s: receive illegal vector, from the LVT (0x%x)",
           mode_name(), seen);
    apic_write(APIC_LVT_TIMER, LVT_MASKED);

    if (!apic_is_x2apic()) {
        (void)apic_read(0x40);
        seen = errors();
        report(seen == ILLEGAL_REGISTER, "F3: xAPIC: reading no register (0x%x)", seen);
        apic_write(0x3f0, 1);
        seen = errors();
        report(seen == ILLEGAL_REGISTER, "F3: xAPIC: writing no register (0x%x)", seen);
    }
    check_error_interrupt();
}
