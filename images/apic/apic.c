// SPDX-License-Identifier: MIT
// The local APIC as the SDM has it (volume 3, chapter 11), with the IOAPIC, NMIs and start-up.
//   only=NAME   one of the parts below, or `exits` or `listen`
//   xapic       begin in xAPIC mode
//   qemu        leave out what QEMU's own APIC answers wrongly
//   bochs       the same for Bochs's
//   ms=N        how long `listen` listens, if no key is pressed
#include "checks.h"
#include "guest.h"

volatile unsigned notes[NOTES], noted;
unsigned level_eois;

void note(unsigned what)
{
    if (noted < NOTES)
        notes[noted] = what;
    noted++;
}

bool noted_are(unsigned count, const unsigned *wanted)
{
    bool same = noted == count;
    for (unsigned i = 0; i < count && same; i++)
        same = notes[i] == wanted[i];
    if (!same) {
        for (unsigned i = 0; i < noted && i < 16; i++)
            printf("noted %u: 0x%x\n", i, notes[i]);
    }
    noted = 0;
    return same;
}

void on_noted(struct interrupt_frame *f)
{
    note((unsigned)f->vector);
    apic_eoi();
}

void note_vectors(u8 first, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        interrupt_set((u8)(first + i), on_noted);
    noted = 0;
}

void forget_vectors(u8 first, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        interrupt_set((u8)(first + i), NULL);
}

void take(void)
{
    interrupts_on();
    delay_us(50);
    interrupts_off();
}

const char *mode_name(void)
{
    return apic_is_x2apic() ? "x2APIC" : "xAPIC";
}

static const struct {
    const char *name;
    void (*run)(void);
    bool always; // without only=
} parts[] = {
    {"modes", check_modes, true},
    {"lvt", check_lvt, true},
    {"errors", check_errors, true},
    {"timer", check_timer, true},
    {"priorities", check_priorities, true},
    {"ioapic", check_ioapic, true},
    {"extint", check_extint, true},
    {"nmi", check_nmi, true},
    {"destinations", check_destinations, false},
    {"startup", check_startup, false},
    {"exits", do_counted_work, false},
    {"listen", listen, false},
};

int main(void)
{
    char only[16] = "";
    bool all = !option_text("only", only, sizeof(only));
    printf("apic: %s\n", mode_name());
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (all ? parts[i].always : strcmp(only, parts[i].name) == 0)
            parts[i].run();
    }
    printf("apic: %u level-triggered interrupts were ended\n", level_eois);
    report(interrupts[VECTOR_SPURIOUS] == 0, "F3: no spurious interrupt");
    return report_summary();
}
