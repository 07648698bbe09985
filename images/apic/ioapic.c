// SPDX-License-Identifier: MIT
// The IOAPIC's level-triggered and other interrupts, with COM1's line as their source: it is up
// while the "transmitter empty" interrupt is enabled and was not asked for (IIR).
#include "checks.h"
#include "guest.h"

enum { COM1 = 0x3f8, IER = 1, MCR = 4, LSR = 5, LSR_THRE_TEMT = 0x60, IER_THRE = 2, IRQ_COM1 = 4 };
enum { VECTOR_HERE = 0x55, VECTOR_OTHER = 0x65, REMOTE_IRR = BIT(14), LOGICAL = BIT(11) };
enum { LOWEST_PRIORITY = 1 << 8, DELIVER_NMI = 4 << 8, DELIVER_EXTINT = 7 << 8 };
enum { TMR_SET = 0x100, REMOTE_IRR_SET = 0x200, LINE_UP = 0x400 };

static u32 gsi;
static unsigned eois_with_line_up;

static u8 entry(void)
{
    return (u8)(IOAPIC_REDIRECTION + 2 * (gsi - acpi.ioapic_gsi_base));
}

static bool remote_irr(void)
{
    return (ioapic_read(entry()) & REMOTE_IRR) != 0;
}

static void line(bool up)
{
    if (up)
        WAIT_FOR((inb(COM1 + LSR) & LSR_THRE_TEMT) == LSR_THRE_TEMT, 100);
    outb(COM1 + IER, up ? IER_THRE : 0);
}

// Notes the vector with the TMR's bit and remote IRR; lowers the line unless it is to stay up.
static void on_line(struct interrupt_frame *f)
{
    u8 vector = (u8)f->vector;
    note(vector | (apic_bit(APIC_TMR, vector) ? TMR_SET : 0) | (remote_irr() ? REMOTE_IRR_SET : 0));
    if (eois_with_line_up > 0)
        eois_with_line_up--;
    else
        line(false);
    level_eois += apic_bit(APIC_TMR, vector);
    apic_eoi();
}

static void check_level(void)
{
    unsigned level = VECTOR_HERE | TMR_SET | REMOTE_IRR_SET;
    ioapic_route(gsi, VECTOR_HERE, IOAPIC_LEVEL);
    line(true);
    report(remote_irr() && apic_bit(APIC_IRR, VECTOR_HERE),
           "F5: %s: level: sent, with remote IRR set", mode_name());
    take();
    report(NOTED(level) && !remote_irr(), "F5: %s: level: the EOI clears remote IRR", mode_name());

    eois_with_line_up = 5;
    interrupts_on();
    line(true);
    WAIT_FOR(noted >= 6, 10);
    delay_us(50);
    interrupts_off();
    report(NOTED(level, level, level, level, level, level) && !remote_irr(),
           "F5: %s: level: raised again at each EOI while the line is up", mode_name());

    apic_write(APIC_TPR, 0x50);
    line(true);
    interrupts_on();
    delay_us(20);
    report(NOTED() && remote_irr(), "F5: %s: level: held back by the TPR", mode_name());
    line(false);
    apic_write(APIC_TPR, 0x40);
    delay_us(20);
    interrupts_off();
    report(NOTED(level) && !remote_irr(), "F5: %s: level: it comes though the line fell",
           mode_name());
    apic_write(APIC_TPR, 0);

    ioapic_mask(gsi);
    line(true);
    take();
    report(NOTED() && !remote_irr(), "F5: %s: level: masked, nothing comes", mode_name());
    ioapic_route(gsi, VECTOR_HERE, IOAPIC_LEVEL);
    take();
    report(NOTED(level), "F5: %s: level: unmasked, the line is still up", mode_name());
}

static void check_edge(void)
{
    ioapic_route(gsi, VECTOR_HERE, 0); // the same vector
    eois_with_line_up = 1;
    interrupts_on();
    line(true);
    delay_us(50);
    interrupts_off();
    report(NOTED(VECTOR_HERE) && !remote_irr(),
           "F5: %s: edge: once while the line is up, without remote IRR", mode_name());
    line(false);
    eois_with_line_up = 0;
    for (unsigned i = 0; i < 3; i++) {
        line(true);
        take();
    }
    report(NOTED(VECTOR_HERE, VECTOR_HERE, VECTOR_HERE), "F5: %s: edge: each rise once",
           mode_name());
    ioapic_route(gsi, VECTOR_HERE, IOAPIC_LEVEL);
    line(true);
    take();
    report(NOTED(VECTOR_HERE | TMR_SET | REMOTE_IRR_SET) && !remote_irr(),
           "F5: %s: level again by the same vector", mode_name());
}

static void check_destinations_of_entries(void)
{
    u32 destination = 1; // of flat logical ID 1
    if (apic_is_x2apic())
        destination = apic_id();
    else
        apic_write(APIC_LDR, 1u << 24);
    ioapic_mask(gsi);
    ioapic_write((u8)(entry() + 1), destination << 24);
    ioapic_write(entry(),
                 IOAPIC_LEVEL | LOWEST_PRIORITY | (apic_is_x2apic() ? 0 : LOGICAL) | VECTOR_OTHER);
    line(true);
    take();
    report(NOTED(VECTOR_OTHER | TMR_SET | REMOTE_IRR_SET) && !remote_irr(),
           "F3: %s: IOAPIC: lowest priority, level", mode_name());
    ioapic_mask(gsi);
    ioapic_write((u8)(entry() + 1), 0xff000000);
    ioapic_write(entry(), VECTOR_OTHER);
    line(true);
    take();
    report(NOTED(VECTOR_OTHER), "F3: %s: IOAPIC: broadcast", mode_name());
    ioapic_mask(gsi);
    apic_write(APIC_ESR, 0);
    ioapic_route(gsi, 7, 0);
    line(true);
    line(false);
    take();
    apic_write(APIC_ESR, 0);
    u32 seen = apic_read(APIC_ESR);
    apic_write(APIC_ESR, 0);
    report(NOTED() && seen == BIT(6), "F3: %s: receive illegal vector, from the IOAPIC (0x%x)",
           mode_name(), seen);
}

static void on_nmi(struct interrupt_frame *f)
{
    note((unsigned)f->vector);
    line(false);
}

static void check_nmi_entry(void)
{
    interrupt_set(VECTOR_NMI, on_nmi);
    ioapic_route(gsi, 0, DELIVER_NMI);
    line(true);
    delay_us(20);
    report(NOTED(VECTOR_NMI), "F8: %s: an NMI by the IOAPIC", mode_name());
    interrupt_set(VECTOR_NMI, NULL);
}

static void check_extint_entry(void)
{
    u8 vector = PIC_VECTOR + IRQ_COM1;
    interrupt_set(vector, on_line);
    pic_mask(IRQ_COM1, false);
    ioapic_route(gsi, 0, DELIVER_EXTINT);
    line(true);
    take();
    pic_eoi(IRQ_COM1);
    pic_init();
    report(NOTED(vector), "F3: %s: ExtINT by the IOAPIC: the PIC's vector", mode_name());
    interrupt_set(vector, NULL);
}

void check_ioapic(void)
{
    gsi = acpi.isa_gsi[IRQ_COM1];
    interrupt_set(VECTOR_HERE, on_line);
    interrupt_set(VECTOR_OTHER, on_line);
    outb(COM1 + MCR, 0x0b);
    noted = 0;
    check_level();
    check_edge();
    check_destinations_of_entries();
    check_nmi_entry();
    if (!option("qemu"))
        check_extint_entry();
    ioapic_mask(gsi);
    interrupt_set(VECTOR_HERE, NULL);
    interrupt_set(VECTOR_OTHER, NULL);
}
