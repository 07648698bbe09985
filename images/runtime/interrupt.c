// SPDX-License-Identifier: MIT
#include "interrupt.h"

#include "cpu.h"
#include "print.h"
#include "segments.h"

struct gate { // SDM volume 3, 6.14.1
    u16 offset_low, selector;
    u8 ist, type;
    u16 offset_middle;
    u32 offset_high, reserved;
};

struct fault_entry {
    u64 instruction, next;
};

extern const u8 interrupt_entries[256][16];
extern const struct fault_entry fault_table_start[], fault_table_end[];

volatile u64 interrupts[256];
volatile u64 caught_error, caught_cr2;

static struct gate idt[256] ALIGNED(16);
static interrupt_handler handlers[256];

static const char *const exception_names[] = {
    "#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD", "#NM", "#DF", "9",   "#TS",
    "#NP", "#SS", "#GP", "#PF", "15",  "#MF", "#AC", "#MC", "#XM", "#VE", "#CP",
};

static void set_gate(u8 vector, u64 address)
{
    idt[vector] = (struct gate){
        .offset_low = (u16)address,
        .selector = SEL_CODE64,
        .type = 0x8e, // present, interrupt gate: IF is cleared
        .offset_middle = (u16)(address >> 16),
        .offset_high = (u32)(address >> 32),
    };
}

static NORETURN void unexpected(const struct interrupt_frame *f)
{
    const char *name = f->vector < ARRAY_SIZE(exception_names) ? exception_names[f->vector] : "";
    printf("unexpected vector %lu %s error 0x%lx rip 0x%lx cs 0x%lx rflags 0x%lx cr2 0x%lx\n",
           f->vector, name, f->error, f->rip, f->cs, f->rflags, read_cr2());
    printf("rax %016lx rbx %016lx rcx %016lx rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
    printf("rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n", f->rsi, f->rdi, f->rbp, f->rsp);
    printf("r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n", f->r8, f->r9, f->r10, f->r11);
    printf("r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n", f->r12, f->r13, f->r14, f->r15);
    guest_exit(EXIT_EXCEPTION);
}

static bool caught(struct interrupt_frame *f)
{
    for (const struct fault_entry *e = fault_table_start; e < fault_table_end; e++) {
        if (f->rip == e->instruction) {
            caught_error = f->error;
            caught_cr2 = read_cr2();
            f->r11 = f->vector;
            f->rip = e->next;
            return true;
        }
    }
    return false;
}

// Called by vectors.S.
void interrupt_dispatch(struct interrupt_frame *f);
void interrupt_dispatch(struct interrupt_frame *f)
{
    u8 vector = (u8)f->vector;
    if (handlers[vector] != NULL) {
        __atomic_fetch_add(&interrupts[vector], 1, __ATOMIC_RELAXED);
        handlers[vector](f);
        return;
    }
    if (vector < 32 && caught(f))
        return;
    unexpected(f);
}

void interrupt_init(void)
{
    for (unsigned v = 0; v < 256; v++)
        set_gate((u8)v, (u64)interrupt_entries[v]);
    interrupt_load();
}

void interrupt_load(void)
{
    struct {
        u16 limit;
        u64 base;
    } PACKED pointer = {sizeof(idt) - 1, (u64)idt};
    __asm__ volatile("lidt %0" ::"m"(pointer));
}

void interrupt_set(u8 vector, interrupt_handler handler)
{
    handlers[vector] = handler;
}

void interrupt_set_raw(u8 vector, void (*entry)(void))
{
    set_gate(vector, entry != NULL ? (u64)entry : (u64)interrupt_entries[vector]);
}
