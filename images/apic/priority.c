// SPDX-License-Identifier: MIT
// TPR, PPR, CR8, IRR, ISR and EOI (SDM 11.8).
#include "checks.h"
#include "guest.h"

enum { LOW = 0x45, SAME_LOW = 0x51, MIDDLE = 0x55, SAME_HIGH = 0x5e, HIGH = 0x65 };
enum { FIRST = 0x20, LAST = 0xfe, RETURNED = 0x100 };

static void write_cr8(u64 value)
{
    __asm__ volatile("mov %0, %%cr8" ::"r"(value) : "memory");
}

static u64 read_cr8(void)
{
    u64 value;
    __asm__ volatile("mov %%cr8, %0" : "=r"(value)::"memory");
    return value;
}

static int try_cr8(u64 value)
{
    int fault;
    TRY("mov %1, %%cr8", fault, : "r"(value) : "memory");
    return fault;
}

// ---- the TPR -------------------------------------------------------------------------------

static void set_by_register(unsigned class)
{
    apic_write(APIC_TPR, class << 4);
}

static void set_by_cr8(unsigned class)
{
    write_cr8(class);
}

// Interrupts are on; each class's interrupt waits for the TPR to be lowered below it.
static void check_held_back(const char *name, void (*set)(unsigned class))
{
    bool held = true, right = true;
    noted = 0;
    interrupts_on();
    for (unsigned class = 2; class < 16; class ++) {
        u8 vector = (u8)(class << 4 | 5);
        interrupt_set(vector, on_noted);
        set(class);
        apic_self_ipi(vector);
        delay_us(2);
        held &= noted == 0 && apic_bit(APIC_IRR, vector) && apic_read(APIC_PPR) >> 4 == class;
        set(class - 1);
        right &= NOTED(vector); // at once
        held &= !apic_bit(APIC_IRR, vector);
        set(0);
        interrupt_set(vector, NULL);
    }
    interrupts_off();
    report(held, "F4: %s: TPR by %s: holds back its class", mode_name(), name);
    report(right, "F4: %s: TPR by %s: lowered, the interrupt comes at once", mode_name(), name);
}

static void check_cr8(void)
{
    bool same = true;
    for (u64 i = 0; i < 16; i++) {
        write_cr8(i);
        same &= apic_read(APIC_TPR) == i << 4 && read_cr8() == i;
        apic_write(APIC_TPR, (u32)(15 - i) << 4 | 7);
        same &= read_cr8() == 15 - i && apic_read(APIC_PPR) == ((15 - i) << 4 | 7);
    }
    report(same, "F4: %s: CR8 is the TPR's high half", mode_name());
    write_cr8(0);
    if (option("qemu"))
        return;
    report(try_cr8(16) == VECTOR_GP && try_cr8(BIT(63)) == VECTOR_GP && read_cr8() == 0,
           "F4: %s: CR8 above 15 gives #GP", mode_name());
}

// ---- nesting -------------------------------------------------------------------------------

static u32 ppr[3];
static bool in_service[3];

// The outermost handler: a lower one and one of its own class wait for its EOI, a higher one comes.
static void nest_middle(struct interrupt_frame *f)
{
    note((unsigned)f->vector);
    ppr[1] = apic_read(APIC_PPR);
    in_service[1] = apic_bit(APIC_ISR, MIDDLE) && !apic_bit(APIC_IRR, MIDDLE);
    apic_self_ipi(SAME_HIGH);
    apic_self_ipi(LOW);
    apic_self_ipi(MIDDLE); // once more: it waits while the first is in service
    interrupts_on();
    apic_self_ipi(HIGH);
    delay_us(20);
    interrupts_off();
    note(RETURNED + (unsigned)f->vector);
    apic_eoi();
}

static void nest_high(struct interrupt_frame *f)
{
    note((unsigned)f->vector);
    ppr[2] = apic_read(APIC_PPR);
    in_service[2] = apic_bit(APIC_ISR, MIDDLE) && apic_bit(APIC_ISR, HIGH);
    note(RETURNED + (unsigned)f->vector);
    apic_eoi();
}

static void again(struct interrupt_frame *f)
{
    on_noted(f);
    interrupt_set(MIDDLE, nest_middle);
}

static void first_middle(struct interrupt_frame *f)
{
    interrupt_set(MIDDLE, again);
    nest_middle(f);
}

static void check_nesting(void)
{
    note_vectors(LOW, 1);
    note_vectors(SAME_HIGH, 1);
    interrupt_set(MIDDLE, first_middle);
    interrupt_set(HIGH, nest_high);
    apic_self_ipi(MIDDLE);
    ppr[0] = apic_read(APIC_PPR);
    take();
    report(NOTED(MIDDLE, HIGH, RETURNED + HIGH, RETURNED + MIDDLE, SAME_HIGH, MIDDLE, LOW),
           "F5: %s: nested interrupts come by priority class", mode_name());
    report(ppr[0] == 0 && ppr[1] == (MIDDLE & 0xf0) && ppr[2] == (HIGH & 0xf0) &&
               apic_read(APIC_PPR) == 0,
           "F5: %s: the PPR follows what is in service", mode_name());
    report(in_service[1] && in_service[2], "F5: %s: the ISR has what is in service", mode_name());

    apic_write(APIC_TPR, 0x58);
    apic_self_ipi(HIGH);
    take();
    report(NOTED(HIGH, RETURNED + HIGH) && apic_read(APIC_PPR) == 0x58,
           "F5: %s: the PPR falls back to the TPR", mode_name());
    apic_write(APIC_TPR, 0);
    apic_eoi();
    report(apic_read(APIC_PPR) == 0, "F5: %s: an EOI with nothing in service does nothing",
           mode_name());
    forget_vectors(LOW, 1);
    forget_vectors(SAME_HIGH, 1);
    forget_vectors(MIDDLE, 1);
    forget_vectors(HIGH, 1);
}

// The EOIs are left out: the highest in service ends first, whoever asks.
static void no_eoi(struct interrupt_frame *f)
{
    note((unsigned)f->vector);
}

static void check_eoi_order(void)
{
    interrupt_set(LOW, no_eoi);
    interrupt_set(HIGH, no_eoi);
    noted = 0;
    apic_self_ipi(LOW);
    take();
    apic_self_ipi(HIGH);
    take();
    bool both = apic_bit(APIC_ISR, LOW) && apic_bit(APIC_ISR, HIGH);
    apic_eoi();
    bool one = apic_bit(APIC_ISR, LOW) && !apic_bit(APIC_ISR, HIGH);
    apic_eoi();
    report(both && one && !apic_bit(APIC_ISR, LOW) && NOTED(LOW, HIGH),
           "F5: %s: an EOI ends the highest in service", mode_name());
    interrupt_set(LOW, NULL);
    interrupt_set(HIGH, NULL);
}

// ---- all of them ---------------------------------------------------------------------------

static void check_every_vector(void)
{
    unsigned count = LAST - FIRST + 1;
    bool waits = true, descending;
    note_vectors(FIRST, count);
    for (unsigned i = 0; i < count; i++) {
        unsigned vector = FIRST + i * 7 % count;
        apic_self_ipi((u8)vector);
        apic_self_ipi((u8)vector); // merges with the first
    }
    for (unsigned i = 0; i < count; i++)
        waits &= apic_bit(APIC_IRR, (u8)(FIRST + i));
    interrupts_on();
    WAIT_FOR(noted >= count, 10);
    delay_us(20);
    interrupts_off();
    descending = noted == count;
    for (unsigned i = 0; i < count && i < noted; i++)
        descending &= notes[i] == LAST - i;
    report(waits && descending, "F5: %s: every vector waits, merges, and comes by priority",
           mode_name());
    forget_vectors(FIRST, count);
}

void check_priorities(void)
{
    apic_write(APIC_TPR, 0);
    check_cr8();
    check_held_back("register", set_by_register);
    check_held_back("CR8", set_by_cr8);
    check_nesting();
    check_eoi_order();
    check_every_vector();
}
