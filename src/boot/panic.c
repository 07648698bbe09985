// SPDX-License-Identifier: MIT
#include "boot/panic.h"

#include "boot/ksyms.h"
#include "boot/log.h"
#include "boot/paging.h"
#include "boot/power.h"
#include "boot/serial.h"
#include "lib/format.h"
#include "lib/x86.h"

#define BACKTRACE_DEPTH 24

extern u8 image_start[], image_text_end[], image_end[];

void (*panic_stop_others)(void);

static u32 panicking;

bool panic_is_on(void)
{
    return __atomic_load_n(&panicking, __ATOMIC_ACQUIRE) != 0;
}

static void begin(void)
{
    cli();
    if (__atomic_fetch_add(&panicking, 1, __ATOMIC_SEQ_CST) != 0) {
        for (;;) // a second core, or a fault in here
            hlt();
    }
    if (panic_stop_others != NULL)
        panic_stop_others();
    // Whoever held these is stopped for good.
    serial_console.lock = serial_debug.lock = (struct spinlock){0};
    log_take_over();
}

static bool is_stack(u64 address)
{
    return address % 8 == 0 && ((address >= STACK_WINDOW && address < MMIO_WINDOW) ||
                                (address >= (u64)image_start && address < (u64)image_end));
}

// A return address may lie just behind its function, when the call never comes back: the call
// before it is what is looked up.
static void print_frame(unsigned n, u64 rip, bool is_return)
{
    char name[48];
    u64 offset, call = rip - is_return;
    if (call >= (u64)image_start && call < (u64)image_text_end &&
        ksyms_find(call - (u64)image_start, name, sizeof(name), &offset))
        log_line("panic", "  #%u %016llx %s+0x%llx", n, (unsigned long long)rip, name,
                 (unsigned long long)offset + is_return);
    else
        log_line("panic", "  #%u %016llx ?", n, (unsigned long long)rip);
}

static void backtrace(u64 rip, u64 rbp, bool is_return)
{
    print_frame(0, rip, is_return);
    for (unsigned n = 1; n < BACKTRACE_DEPTH && is_stack(rbp); n++) {
        const u64 *frame = (const u64 *)rbp;
        if (frame[1] == 0 || frame[0] <= rbp)
            break;
        print_frame(n, frame[1], true);
        rbp = frame[0];
    }
}

NORETURN void panic(const char *fmt, ...)
{
    char text[256];
    va_list args;
    va_start(args, fmt);
    str_vformat(text, sizeof(text), fmt, args);
    va_end(args);
    begin();
    log_line("panic", "%s", text);
    backtrace((u64)__builtin_return_address(0), *(u64 *)__builtin_frame_address(0), true);
    power_off(text);
}

NORETURN void panic_exception(const struct trap_frame *f, const char *name)
{
    char text[128];
    begin();
    str_format(text, sizeof(text), "exception %u (%s) in root mode at %016llx", (unsigned)f->vector,
               name, (unsigned long long)f->rip);
    log_line("panic", "%s, error code %llx", text, (unsigned long long)f->error_code);
#define R(n) (unsigned long long)f->n
    log_line("panic", "rax %016llx rbx %016llx rcx %016llx rdx %016llx", R(rax), R(rbx), R(rcx),
             R(rdx));
    log_line("panic", "rsi %016llx rdi %016llx rbp %016llx rsp %016llx", R(rsi), R(rdi), R(rbp),
             R(rsp));
    log_line("panic", "r8  %016llx r9  %016llx r10 %016llx r11 %016llx", R(r8), R(r9), R(r10),
             R(r11));
    log_line("panic", "r12 %016llx r13 %016llx r14 %016llx r15 %016llx", R(r12), R(r13), R(r14),
             R(r15));
    log_line("panic", "rflags %llx cs %llx ss %llx cr2 %016llx cr3 %016llx cr4 %llx", R(rflags),
             R(cs), R(ss), (unsigned long long)read_cr2(), (unsigned long long)read_cr3(),
             (unsigned long long)read_cr4());
#undef R
    backtrace(f->rip, f->rbp, false);
    power_off(text);
}
