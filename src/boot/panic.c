// SPDX-License-Identifier: MIT
#include "boot/panic.h"

#include "boot/ksyms.h"
#include "boot/log.h"
#include "boot/paging.h"
#include "boot/power.h"
#include "boot/record.h"
#include "boot/serial.h"
#include "boot/unwind.h"
#include "lib/cpu.h"
#include "lib/format.h"

#define BACKTRACE_DEPTH 24

extern u8 image_start[], image_text_end[], image_end[];
extern const u8 eh_frame_start[], eh_frame_end[];

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

// The 8 bytes at an address that may be one of a stack's.
static enum error read_stack(u64 address, u64 *value)
{
    bool is_stack = (address >= STACK_WINDOW && address < MMIO_WINDOW) ||
                    (address >= (u64)image_start && address < (u64)image_end);
    if (!is_stack || address % 8 != 0 || !paging_maps(address))
        return ERR_FAULT;
    *value = *(const u64 *)address;
    return OK;
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

// Code that is none was jumped to by a CALL, most likely.
static enum unwind_status unwind_wild_call(struct unwind_frame *f)
{
    u64 caller;
    if (read_stack(f->registers[CFI_RSP], &caller) != OK || !is_text(caller))
        return UNWIND_NO_ENTRY;
    f->registers[CFI_RIP] = caller;
    f->registers[CFI_RSP] += 8;
    f->exact = false;
    return UNWIND_CALLER;
}

// From *f outwards, as far as it goes, without the innermost `left_out`.
static void backtrace(struct unwind_frame *f, unsigned left_out)
{
    const struct cfi_section tables = {eh_frame_start, (size_t)(eh_frame_end - eh_frame_start),
                                       (u64)eh_frame_start};
    enum unwind_status status = UNWIND_CALLER;
    for (unsigned n = 0; n < BACKTRACE_DEPTH + left_out && status == UNWIND_CALLER; n++) {
        u64 rip = f->registers[CFI_RIP];
        if (n >= left_out)
            print_frame(n - left_out, rip, !f->exact);
        status = f->exact && !is_text(rip) ? unwind_wild_call(f) : unwind(&tables, f, read_stack);
    }
    if (unwind_status_text(status) != NULL)
        line("  (%s)", unwind_status_text(status));
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

static void frame_of_trap(const struct trap_frame *t, struct unwind_frame *f)
{
    *f = (struct unwind_frame){.registers = {[CFI_RAX] = t->rax,
                                             [CFI_RDX] = t->rdx,
                                             [CFI_RCX] = t->rcx,
                                             [CFI_RBX] = t->rbx,
                                             [CFI_RSI] = t->rsi,
                                             [CFI_RDI] = t->rdi,
                                             [CFI_RBP] = t->rbp,
                                             [CFI_RSP] = t->rsp,
                                             [CFI_R8] = t->r8,
                                             [CFI_R9] = t->r9,
                                             [CFI_R10] = t->r10,
                                             [CFI_R11] = t->r11,
                                             [CFI_R12] = t->r12,
                                             [CFI_R13] = t->r13,
                                             [CFI_R14] = t->r14,
                                             [CFI_R15] = t->r15,
                                             [CFI_RIP] = t->rip},
                               .known = (u32)BIT(CFI_REGISTERS) - 1,
                               .exact = true};
}

// trap: NULL, or the exception's; else *at is the function that has given up, whose caller is shown
// first.
static NORETURN void end(const char *text, const struct trap_frame *trap, struct unwind_frame *at,
                         bool all)
{
    cli();
    u32 from = record_length();
    bool alone = !all && !panic_is_on() && panic_core_loss != NULL && panic_core_loss->begin(text);
    if (!alone)
        begin();
    if (trap != NULL) {
        line("%s, error code %lx", text, trap->error_code);
        registers(trap);
    } else {
        line("%s", text);
    }
    backtrace(at, trap != NULL ? 0 : 1);
    if (alone) {
        panic_core_loss->end(); // nobody is left

        begin();
        record_log("panic", from, record_length());
    }
    record_keep();
    power_off(text);
}

static NORETURN void end_trap(const char *text, const struct trap_frame *trap)
{
    struct unwind_frame at;
    frame_of_trap(trap, &at);
    end(text, trap, &at, false);
}

NORETURN void panic_exception(const struct trap_frame *f, const char *name)
{
    char text[128];
    str_format(text, sizeof(text), "exception %u (%s) in root mode at %016lx", (unsigned)f->vector,
               name, f->rip);
    end_trap(text, f);
}

NORETURN void panic_interrupted(const struct trap_frame *f, const char *what)
{
    char text[128];
    str_format(text, sizeof(text), "%s in root mode at %016lx", what, f->rip);
    end_trap(text, f);
}

#define END(fmt, all)                               \
    do {                                            \
        char text[256];                             \
        va_list args;                               \
        va_start(args, fmt);                        \
        str_vformat(text, sizeof(text), fmt, args); \
        va_end(args);                               \
        struct unwind_frame here;                   \
        unwind_here(&here);                         \
        end(text, NULL, &here, all);                \
    } while (0)

NORETURN void panic(const char *fmt, ...)
{
    END(fmt, false);
}

NORETURN void panic_all(const char *fmt, ...)
{
    END(fmt, true);
}
