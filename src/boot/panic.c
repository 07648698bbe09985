// SPDX-License-Identifier: MIT
#include "boot/panic.h"

#include "boot/ksyms.h"
#include "boot/log.h"
#include "boot/paging.h"
#include "boot/power.h"
#include "boot/record.h"
#include "boot/serial.h"
#include "lib/cpu.h"
#include "lib/format.h"

#define BACKTRACE_DEPTH 24

extern u8 image_start[], image_text_end[], image_end[];

void (*panic_stop_others)(void);
const struct core_loss *panic_core_loss;

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
    serial_console.lock = serial_debug.lock = (struct spinlock){.breakable = true};
    log_take_over();
}

// Into the record, and to the log if the appliance ends: a core that ends alone takes no lock.
static void PRINTF(1, 2) line(const char *fmt, ...)
{
    char text[200];
    va_list args;
    va_start(args, fmt);
    str_vformat(text, sizeof(text), fmt, args);
    va_end(args);
    record_add("%s", text);
    if (panic_is_on())
        log_line("panic", "%s", text);
}

// Whether two words can be read there.
static bool is_stack(u64 address)
{
    return address % 8 == 0 &&
           ((address >= STACK_WINDOW && address < MMIO_WINDOW) ||
            (address >= (u64)image_start && address < (u64)image_end)) &&
           paging_maps(address) && paging_maps(address + 8);
}

static bool is_text(u64 address)
{
    return address >= (u64)image_start && address < (u64)image_text_end;
}

// A return address may lie just behind its function, when the call never comes back: the call
// before it is what is looked up.
static void print_frame(unsigned n, u64 rip, bool is_return)
{
    char name[48];
    u64 offset, call = rip - is_return;
    if (is_text(call) && ksyms_find(call - (u64)image_start, name, sizeof(name), &offset))
        line("  #%u %016lx %s+0x%lx", n, rip, name, offset + is_return);
    else
        line("  #%u %016lx ?", n, rip);
}

// Whether a CALL stands before it: relative, or by a register or memory.
static bool is_return_address(u64 address)
{
    const u8 *code = (const u8 *)address;
    if (!is_text(address - 7) || !is_text(address))
        return false;
    return code[-5] == 0xe8 || (code[-2] == 0xff && (code[-1] & 0x38) == 0x10) ||
           (code[-3] == 0xff && (code[-2] & 0x38) == 0x10) ||
           (code[-7] == 0xff && (code[-6] & 0x38) == 0x10);
}

// Not all code keeps frame pointers: until one is found, and behind the last, return addresses are
// looked for on the stack, as far as it goes. Some of these may be from earlier calls. One on top
// of the stack is that of a function that has not made its frame, or makes none.
static void backtrace(u64 rip, u64 rsp, u64 rbp, bool is_return)
{
    print_frame(0, rip, is_return);
    for (unsigned n = 1; n < BACKTRACE_DEPTH;) {
        const u64 *frame = (const u64 *)rbp;
        bool entered = n > 1 || is_return || !is_stack(rsp) || !is_return_address(*(u64 *)rsp);
        if (entered && rbp >= rsp && rbp - rsp < PAGE_SIZE && is_stack(rbp) && is_text(frame[1])) {
            print_frame(n++, frame[1], true);
            rsp = rbp + 16;
            rbp = frame[0];
        } else if (is_stack(rsp)) {
            u64 word = *(const u64 *)rsp;
            if (is_return_address(word))
                print_frame(n++, word, true);
            rsp += 8;
        } else {
            break;
        }
    }
}

static void registers(const struct trap_frame *f)
{
    line("rax %016lx rbx %016lx rcx %016lx rdx %016lx", f->rax, f->rbx, f->rcx, f->rdx);
    line("rsi %016lx rdi %016lx rbp %016lx rsp %016lx", f->rsi, f->rdi, f->rbp, f->rsp);
    line("r8  %016lx r9  %016lx r10 %016lx r11 %016lx", f->r8, f->r9, f->r10, f->r11);
    line("r12 %016lx r13 %016lx r14 %016lx r15 %016lx", f->r12, f->r13, f->r14, f->r15);
    line("rflags %lx cs %lx ss %lx cr2 %016lx cr3 %016lx cr4 %lx", f->rflags, f->cs, f->ss,
         read_cr2(), read_cr3(), read_cr4());
}

// f: NULL, or the exception's; else rip, rsp and rbp are those behind a call.
static NORETURN void end(const char *text, const struct trap_frame *f, u64 rip, u64 rsp, u64 rbp,
                         bool all)
{
    cli();
    u32 from = record_length();
    bool alone = !all && !panic_is_on() && panic_core_loss != NULL && panic_core_loss->begin(text);
    if (!alone)
        begin();
    if (f != NULL)
        line("%s, error code %lx", text, f->error_code);
    else
        line("%s", text);
    if (f != NULL)
        registers(f);
    backtrace(rip, rsp, rbp, f == NULL);
    if (alone) {
        panic_core_loss->end(); // nobody is left

        begin();
        record_log("panic", from, record_length());
    }
    record_keep();
    power_off(text);
}

NORETURN void panic_exception(const struct trap_frame *f, const char *name)
{
    char text[128];
    str_format(text, sizeof(text), "exception %u (%s) in root mode at %016lx", (unsigned)f->vector,
               name, f->rip);
    end(text, f, f->rip, f->rsp, f->rbp, false);
}

NORETURN void panic_interrupted(const struct trap_frame *f, const char *what)
{
    char text[128];
    str_format(text, sizeof(text), "%s in root mode at %016lx", what, f->rip);
    end(text, f, f->rip, f->rsp, f->rbp, false);
}

#define END(fmt, all)                                               \
    do {                                                            \
        char text[256];                                             \
        va_list args;                                               \
        va_start(args, fmt);                                        \
        str_vformat(text, sizeof(text), fmt, args);                 \
        va_end(args);                                               \
        const u64 *frame = __builtin_frame_address(0);              \
        end(text, NULL, frame[1], (u64)(frame + 2), frame[0], all); \
    } while (0)

NORETURN void panic(const char *fmt, ...)
{
    END(fmt, false);
}

NORETURN void panic_all(const char *fmt, ...)
{
    END(fmt, true);
}
