// SPDX-License-Identifier: MIT
#include "print.h"

#include "cpu.h"
#include "lib/format.h"

enum { COM1 = 0x3f8, DATA = 0, IER = 1, DIVISOR_HIGH = 1, FCR = 2, LCR = 3, MCR = 4, LSR = 5 };
enum { LCR_8N1 = 0x03, LCR_DLAB = 0x80, LSR_THRE = 0x20, EXIT_PORT = 0xf4 };
// At 115,200 baud a character takes 87 us: this many reads of LSR are longer on any machine.
enum { THRE_POLLS = 100000, LOCK_POLLS = 10000000 };

static bool busy;
static unsigned passed, failed, skipped;

void serial_init(void)
{
    outb(COM1 + IER, 0);
    outb(COM1 + LCR, LCR_8N1 | LCR_DLAB);
    outb(COM1 + DATA, 1);
    outb(COM1 + DIVISOR_HIGH, 0);
    outb(COM1 + LCR, LCR_8N1);
    outb(COM1 + FCR, 0x07);
    outb(COM1 + MCR, 0x0b);
}

static void put(char c)
{
    for (unsigned i = 0; i < THRE_POLLS && (inb(COM1 + LSR) & LSR_THRE) == 0; i++)
        cpu_pause();
    outb(COM1 + DATA, (u8)c);
}

// An exception while this CPU prints must still be heard of: the lock gives up in the end.
static void lock(void)
{
    for (unsigned i = 0; i < LOCK_POLLS && __atomic_exchange_n(&busy, true, __ATOMIC_ACQUIRE); i++)
        cpu_pause();
}

static void print(const char *prefix, const char *fmt, va_list args, const char *suffix)
{
    char buf[512];
    struct text t = TEXT(buf);
    text_add(&t, "%s", prefix);
    t.len += str_vformat(buf + t.len, sizeof(buf) - 2 - t.len, fmt, args);
    t.len = MIN(t.len, sizeof(buf) - 3);
    text_add(&t, "%s", suffix);
    lock();
    for (const char *p = buf; *p != '\0'; p++) {
        if (*p == '\n')
            put('\r');
        put(*p);
    }
    __atomic_store_n(&busy, false, __ATOMIC_RELEASE);
}

int printf(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    print("", fmt, args, "");
    va_end(args);
    return 0;
}

bool report(bool ok, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    print(ok ? "PASS " : "FAIL ", fmt, args, "\n");
    va_end(args);
    __atomic_fetch_add(ok ? &passed : &failed, 1, __ATOMIC_RELAXED);
    return ok;
}

void report_skip(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    print("SKIP ", fmt, args, "\n");
    va_end(args);
    skipped++;
}

int report_summary(void)
{
    if (skipped > 0)
        printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
    else
        printf("%u passed, %u failed\n", passed, failed);
    return failed == 0 && passed > 0 ? EXIT_OK : EXIT_FAILED;
}

void guest_exit(int value)
{
    outb(EXIT_PORT, (u8)value);
    for (;;)
        __asm__ volatile("cli; hlt" ::: "memory");
}
