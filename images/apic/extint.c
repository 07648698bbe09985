// SPDX-License-Identifier: MIT
// The PIC's interrupt by LINT0 (SDM 11.5.1): ExtINT in virtual wire mode, fixed, NMI, and directly
// while the APIC is disabled. The PIT is its source.
#include "checks.h"
#include "guest.h"

enum { IRQ0 = PIC_VECTOR, VECTOR_HERE = 0x77, LVT_LEVEL = BIT(15) };
enum { REMOTE_IRR = BIT(14), IN_SERVICE = 0x100 };

static bool any_in_service(void)
{
    u32 any = 0;
    for (u32 i = 0; i < 8; i++)
        any |= apic_read(APIC_ISR + i * 16);
    return any != 0;
}

static void on_irq0(struct interrupt_frame *f)
{
    note((unsigned)f->vector | (any_in_service() ? IN_SERVICE : 0));
    pic_eoi(0);
}

// While the APIC is disabled it cannot be asked.
static void on_irq0_alone(struct interrupt_frame *f)
{
    note((unsigned)f->vector);
    pic_eoi(0);
}

// The PIC's answer to an acknowledge that no bus cycle makes: its poll command (OCW3).
static void acknowledge(void)
{
    outb(PIC1_COMMAND, 0x0c);
    (void)inb(PIC1_COMMAND);
    pic_eoi(0);
}

static void on_fixed(struct interrupt_frame *f)
{
    acknowledge();
    level_eois += apic_bit(APIC_TMR, VECTOR_HERE);
    on_noted(f);
}

static void on_nmi(struct interrupt_frame *f)
{
    note((unsigned)f->vector);
    acknowledge();
}

static void tick(bool on)
{
    pit_once(PIT_HZ / 5000);
    if (on)
        interrupts_on();
    delay_us(500);
    interrupts_off();
}

static void check_virtual_wire(void)
{
    apic_write(APIC_LVT_LINT0, LVT_EXTINT);
    tick(true);
    report(NOTED(IRQ0), "F3: %s: ExtINT by LINT0, not in the ISR", mode_name());
    apic_write(APIC_TPR, 0xf0);
    tick(true);
    report(NOTED(IRQ0), "F3: %s: ExtINT does not ask the TPR", mode_name());
    apic_write(APIC_TPR, 0);
    tick(false);
    report(NOTED(), "F3: %s: ExtINT waits for interrupts to be on", mode_name());
    take();
    report(NOTED(IRQ0), "F3: %s: and comes then", mode_name());
    apic_write(APIC_LVT_LINT0, LVT_MASKED | LVT_EXTINT);
    tick(true);
    report(NOTED() && (pic_irr() & 1) != 0, "F3: %s: ExtINT is masked in LINT0", mode_name());
    apic_write(APIC_LVT_LINT0, LVT_EXTINT);
    take();
    report(NOTED(IRQ0), "F3: %s: unmasked, it comes", mode_name());
}

static void check_other_modes(void)
{
    interrupt_set(VECTOR_HERE, on_fixed);
    interrupt_set(VECTOR_NMI, on_nmi);
    apic_write(APIC_LVT_LINT0, VECTOR_HERE);
    tick(true);
    tick(true);
    report(NOTED(VECTOR_HERE, VECTOR_HERE), "F3: %s: LINT0 as fixed interrupt, edge", mode_name());
    apic_write(APIC_LVT_LINT0, LVT_LEVEL | VECTOR_HERE);
    tick(false);
    report((apic_read(APIC_LVT_LINT0) & REMOTE_IRR) != 0 && apic_bit(APIC_IRR, VECTOR_HERE) &&
               apic_bit(APIC_TMR, VECTOR_HERE),
           "F3: %s: LINT0 as fixed interrupt, level: remote IRR", mode_name());
    take();
    report(NOTED(VECTOR_HERE) && (apic_read(APIC_LVT_LINT0) & REMOTE_IRR) == 0,
           "F3: %s: LINT0: cleared by the EOI", mode_name());
    apic_write(APIC_LVT_LINT0, LVT_NMI);
    tick(false);
    report(NOTED(VECTOR_NMI), "F8: %s: LINT0 as NMI", mode_name());
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    interrupt_set(VECTOR_HERE, NULL);
    interrupt_set(VECTOR_NMI, NULL);
}

static void check_without_apic(void)
{
    bool x2apic = apic_is_x2apic();
    interrupt_set(IRQ0, on_irq0_alone);
    wrmsr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) & ~((u64)APIC_BASE_EN | APIC_BASE_EXTD));
    tick(true);
    apic_set_x2apic(x2apic);
    report(NOTED(IRQ0), "F3: APIC disabled: the PIC interrupts the CPU itself");
}

void check_extint(void)
{
    pic_init();
    interrupt_set(IRQ0, on_irq0);
    noted = 0;
    pic_mask(0, false);
    check_virtual_wire();
    if (!option("qemu") && !option("bochs")) {
        check_other_modes();
        check_without_apic();
    }
    pit_stop();
    pic_init();
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    interrupt_set(IRQ0, NULL);
}
