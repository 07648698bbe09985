// SPDX-License-Identifier: MIT
// The MC146818 clock, with its periodic interrupt by the IOAPIC.
#include "devices.h"
#include "guest.h"

enum { INDEX = 0x70, DATA = 0x71, VECTOR_RTC = 0x38, IRQ_RTC = 8 };
enum { SECONDS = 0, SECONDS_ALARM = 1, MINUTES = 2, HOURS = 4, DAY = 7, MONTH = 8, YEAR = 9 };
enum { A = 10, B = 11, C = 12, D = 13, A_UPDATING = 0x80, B_BINARY = 0x04, B_24H = 0x02 };
enum { B_PERIODIC = 0x40, C_PERIODIC = 0x40, D_VALID = 0x80, RATE_1024 = 6 };

static u64 periodic_flags;

static u8 get(u8 index)
{
    outb(INDEX, index);
    return inb(DATA);
}

static void set(u8 index, u8 value)
{
    outb(INDEX, index);
    outb(DATA, value);
}

static unsigned get_number(u8 index)
{
    u8 value = get(index);
    return (get(B) & B_BINARY) != 0 ? value : (value >> 4) * 10u + (value & 15);
}

static void on_rtc(struct interrupt_frame *f)
{
    (void)f;
    if ((get(C) & C_PERIODIC) != 0)
        periodic_flags++;
    apic_eoi();
}

static void check_time(void)
{
    report((get(D) & D_VALID) != 0, "F10: RTC: register D says valid");
    WAIT_FOR((get(A) & A_UPDATING) == 0, 10);
    unsigned second = get_number(SECONDS), minute = get_number(MINUTES), hour = get_number(HOURS);
    unsigned day = get_number(DAY), month = get_number(MONTH), year = get_number(YEAR);
    bool is_24h = (get(B) & B_24H) != 0;
    report(second < 60 && minute < 60 && is_24h && hour < 24 && day >= 1 && day <= 31 &&
               month >= 1 && month <= 12 && year < 100,
           "F10: RTC: it is %02u-%02u-%02u %02u:%02u:%02u", year, month, day, hour, minute, second);
    unsigned now = get_number(SECONDS);
    bool changed = WAIT_FOR(get_number(SECONDS) != now, 1500);
    u64 start = rdtsc();
    now = get_number(SECONDS);
    changed &= WAIT_FOR(get_number(SECONDS) != now, 1500);
    u64 ms = (rdtsc() - start) / tsc_ms(1);
    report(changed && near(ms, 1000, 10) && get_number(SECONDS) == (now + 1) % 60,
           "F10: RTC: a second is a second (%lu ms)", ms);
    u8 alarm = get(SECONDS_ALARM);
    set(SECONDS_ALARM, 0x37);
    report(get(SECONDS_ALARM) == 0x37, "F10: RTC: the alarm register reads back");
    set(SECONDS_ALARM, alarm);
}

static void check_periodic(void)
{
    u32 gsi = acpi.isa_gsi[IRQ_RTC];
    u8 a = get(A), b = get(B);
    interrupt_set(VECTOR_RTC, on_rtc);
    ioapic_route(gsi, VECTOR_RTC, 0);
    set(A, (u8)((a & 0xf0) | RATE_1024));
    get(C); // a flag from before would raise the line at once
    set(B, b | B_PERIODIC);
    u64 start = rdtsc();
    u64 before = interrupts[VECTOR_RTC];
    interrupts_on();
    bool all = WAIT_FOR(interrupts[VECTOR_RTC] - before >= 64, 1000);
    interrupts_off();
    u64 us = (rdtsc() - start) * 1000 / tsc_ms(1);
    report(all && near(us, 62500, 20), "F10: RTC: 64 interrupts at 1,024 Hz (%lu us)", us);
    report(periodic_flags >= 64, "F10: RTC: register C says periodic");
    set(B, (u8)(b & ~B_PERIODIC)); // with interrupts off: the handler uses the index port too
    get(C);
    interrupts_on(); // one that came before is taken here
    before = interrupts[VECTOR_RTC];
    delay_us(10000);
    interrupts_off();
    report(interrupts[VECTOR_RTC] == before, "F10: RTC: turned off, nothing more comes");
    set(A, a);
    ioapic_mask(gsi);
    interrupt_set(VECTOR_RTC, NULL);
}

void check_rtc(void)
{
    check_time();
    if (acpi.ioapic_address != 0)
        check_periodic();
}
