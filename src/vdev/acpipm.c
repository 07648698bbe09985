// SPDX-License-Identifier: MIT
#include "vdev/acpipm.h"

#include "lib/string.h"

// PM1 status and enable (ACPI tables 4.11, 4.12)
#define TMR_STS    BIT(0)
#define GBL_STS    BIT(5)
#define PWRBTN_STS BIT(8)
#define SLPBTN_STS BIT(9)
#define RTC_STS    BIT(10)
#define WAK_STS    BIT(15)
#define ENABLE_RW  (TMR_STS | GBL_STS | PWRBTN_STS | SLPBTN_STS | RTC_STS)
#define STATUS_W1C (ENABLE_RW | WAK_STS)

// PM1 control (ACPI table 4.13)
#define SCI_EN     BIT(0)
#define BM_RLD     BIT(1)
#define SLP_TYP    (7 << 10)
#define SLP_EN     BIT(13)
#define CONTROL_RW (BM_RLD | SLP_TYP)

COLD void acpipm_init(struct acpipm *pm, u64 tsc_hz, u64 now, struct irq_line irq,
                      void (*shutdown)(void *ctx), void *ctx)
{
    memset(pm, 0, sizeof(*pm));
    pm->tsc_hz = tsc_hz;
    pm->origin = now;
    pm->irq = irq;
    pm->shutdown = shutdown;
    pm->ctx = ctx;
}

static void update_sci(struct acpipm *pm)
{
    bool level = pm->control & SCI_EN && pm->status & pm->enable;
    if (level != pm->sci) {
        pm->sci = level;
        irq_line_set(&pm->irq, ACPI_SCI, level);
    }
}

void acpipm_reset(struct acpipm *pm)
{
    pm->status = pm->enable = pm->control = 0;
    pm->apm_control = pm->apm_status = 0;
    update_sci(pm);
}

// TMR_STS is set whenever the timer's top bit changes.
static u64 toggles(const struct acpipm *pm, u64 now)
{
    return ticks_to_clocks(now - pm->origin, PM_TMR_HZ, pm->tsc_hz) >> 31;
}

void acpipm_expire(struct acpipm *pm, u64 now)
{
    u64 n = toggles(pm, now);
    if (n != pm->toggles)
        pm->status |= TMR_STS;
    pm->toggles = n;
    update_sci(pm);
}

u64 acpipm_deadline(const struct acpipm *pm)
{
    // Only while it can raise the SCI.
    if (!(pm->control & SCI_EN) || !(pm->enable & TMR_STS) || pm->sci)
        return NEVER;
    return pm->origin + clocks_to_ticks((pm->toggles + 1) << 31, PM_TMR_HZ, pm->tsc_hz);
}

void acpipm_power_button(struct acpipm *pm)
{
    pm->status |= PWRBTN_STS;
    update_sci(pm);
}

void acpipm_rtc_alarm(struct acpipm *pm)
{
    pm->status |= RTC_STS;
    update_sci(pm);
}

bool acpipm_waits_for_rtc(const struct acpipm *pm)
{
    return pm->control & SCI_EN && pm->enable & RTC_STS && !pm->sci;
}

// The event and control blocks as eight bytes from PM_BASE.
static u64 registers(const struct acpipm *pm)
{
    return pm->status | (u64)pm->enable << 16 | (u64)pm->control << 32;
}

u32 acpipm_read(struct acpipm *pm, u16 port, unsigned size, u64 now)
{
    u32 mask = size >= 4 ? UINT32_MAX : (1u << 8 * size) - 1;
    if (port == SMI_CMD)
        return pm->apm_control | (size > 1 ? (u32)pm->apm_status << 8 : 0);
    if (port == APM_STS)
        return pm->apm_status;
    acpipm_expire(pm, now);
    unsigned offset = port - PM_BASE;
    if (offset >= 8)
        return acpipm_timer(pm, now) >> 8 * (offset & 3) & mask;
    return (u32)(registers(pm) >> 8 * offset) & mask;
}

static void write_control(struct acpipm *pm, u16 value)
{
    // SCI_EN follows the SMI command only (ACPI 4.8.3.2.1: OSPM preserves it).
    pm->control = (pm->control & SCI_EN) | (value & CONTROL_RW);
    if (!(value & SLP_EN))
        return;
    if ((value & SLP_TYP) >> 10 == SLP_TYP_S5)
        pm->shutdown(pm->ctx);
    else
        pm->status |= WAK_STS; // no other sleep state is offered: awake at once
}

static void smi_command(struct acpipm *pm, u8 value)
{
    pm->apm_control = value;
    if (value == ACPI_ENABLE)
        pm->control |= SCI_EN;
    else if (value == ACPI_DISABLE)
        pm->control &= (u16)~SCI_EN;
}

void acpipm_write(struct acpipm *pm, u16 port, unsigned size, u32 value, u64 now)
{
    acpipm_expire(pm, now);
    if (port == SMI_CMD) {
        if (size > 1)
            pm->apm_status = (u8)(value >> 8);
        smi_command(pm, (u8)value);
    } else if (port == APM_STS) {
        pm->apm_status = (u8)value;
    } else if (port - PM_BASE < 8) {
        unsigned shift = 8u * (port - PM_BASE);
        u64 mask = ((size >= 4 ? UINT32_MAX : (1ul << 8 * size) - 1)) << shift;
        u64 v = (u64)value << shift & mask;
        pm->status &= (u16) ~(v & STATUS_W1C);
        u64 merged = (registers(pm) & ~mask) | v;
        pm->enable = merged >> 16 & ENABLE_RW;
        if (mask >> 32 & 0xffff)
            write_control(pm, (u16)(merged >> 32));
    }
    update_sci(pm);
}
