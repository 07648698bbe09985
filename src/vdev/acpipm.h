// SPDX-License-Identifier: MIT
// ACPI fixed hardware (ACPI 4.8): PM1a event and control blocks, the 32-bit power-management timer,
// and the SMI command port that switches ACPI on. `now` is in ticks, never less than in the call
// before. The caller serializes.
#pragma once

#include "lib/types.h"
#include "vdev/irq.h"
#include "vdev/ticks.h"

#define PM_BASE   0x600 // port; the blocks of the FADT:
#define PM1A_EVT  0x600 // status, enable: 2 bytes each
#define PM1A_CNT  0x604 // 2 bytes
#define PM_TMR    0x608 // 4 bytes
#define PM_LENGTH 12

#define PM_TMR_HZ 3579545ul

#define SMI_CMD      0xb2
#define APM_STS      0xb3
#define ACPI_ENABLE  0xf1
#define ACPI_DISABLE 0xf0
#define ACPI_SCI     9
#define SLP_TYP_S5   0 // so that the word 0x2000 written to port 0x604 powers off, as in QEMU

struct acpipm {
    u64 tsc_hz;
    u64 origin;  // tick of the timer's 0
    u64 toggles; // how often the timer's top bit has changed, as far as TMR_STS knows
    u16 status, enable, control;
    u8 apm_control, apm_status;
    bool sci; // as last reported to irq
    struct irq_line irq;
    void (*shutdown)(void *ctx); // the guest asked for S5
    void *ctx;
};

// Starts with ACPI off and the timer at 0. tsc_hz: at least PM_TMR_HZ.
void acpipm_init(struct acpipm *pm, u64 tsc_hz, u64 now, struct irq_line irq,
                 void (*shutdown)(void *ctx), void *ctx);

// The guest's reset: registers cleared, the timer counts on.
void acpipm_reset(struct acpipm *pm);

// The timer port's value. Hot: guests without a better clock source read it all the time.
static inline u32 acpipm_timer(const struct acpipm *pm, u64 now)
{
    return (u32)ticks_to_clocks(now - pm->origin, PM_TMR_HZ, pm->tsc_hz);
}

// port: PM_BASE to PM_BASE + PM_LENGTH - 1, SMI_CMD or APM_STS. size: 1, 2 or 4 bytes; what lies
// beyond the block reads 0.
u32 acpipm_read(struct acpipm *pm, u16 port, unsigned size, u64 now);
void acpipm_write(struct acpipm *pm, u16 port, unsigned size, u32 value, u64 now);

// The clock's alarm has come: it wakes, as the FADT says.
void acpipm_rtc_alarm(struct acpipm *pm);

// Whether that would raise the SCI.
bool acpipm_waits_for_rtc(const struct acpipm *pm);

// Presses the power button: an SCI if the guest enabled it.
void acpipm_power_button(struct acpipm *pm);

u64 acpipm_deadline(const struct acpipm *pm);
void acpipm_expire(struct acpipm *pm, u64 now);
