// SPDX-License-Identifier: MIT
#include "smp/descriptors.h"

#include "lib/cpu.h"
#include "lib/fixup.h"
#include "smp/apic.h"
#include "x86/msr_numbers.h"

struct gate {
    u16 offset_low, selector;
    u8 ist, type;
    u16 offset_mid;
    u32 offset_high, reserved;
};

struct pointer {
    u16 limit;
    u64 base;
} PACKED;

#define VECTOR_STUB_SIZE 8 // bytes between the entries of vectors.S
#define GATE_INTERRUPT   0x8e

extern u8 vector_stubs[];

static struct gate idt[256] ALIGNED(4096);
static irq_handler *handlers[256];

void (*nmi_handler)(const struct trap_frame *f);

static const char *const exception_names[32] = {
    "#DE divide error",
    "#DB debug",
    "NMI",
    "#BP breakpoint",
    "#OF overflow",
    "#BR bound",
    "#UD invalid opcode",
    "#NM no device",
    "#DF double fault",
    "coprocessor overrun",
    "#TS invalid TSS",
    "#NP not present",
    "#SS stack fault",
    "#GP general protection",
    "#PF page fault",
    "reserved",
    "#MF x87 error",
    "#AC alignment",
    "#MC machine check",
    "#XM SIMD error",
    "#VE virtualization",
    "#CP control protection",
};

COLD void idt_init(void)
{
    for (unsigned i = 0; i < 256; i++) {
        u64 entry = (u64)vector_stubs + i * VECTOR_STUB_SIZE;
        idt[i] = (struct gate){.offset_low = (u16)entry,
                               .selector = SELECTOR_CODE,
                               .type = GATE_INTERRUPT,
                               .offset_mid = (u16)(entry >> 16),
                               .offset_high = (u32)(entry >> 32)};
    }
    idt[2].ist = IST_NMI;
    idt[8].ist = IST_DOUBLE_FAULT;
    idt[18].ist = IST_MACHINE_CHECK;
}

u64 idt_base(void)
{
    return (u64)idt;
}

COLD void descriptors_load(struct core *c)
{
    u64 tss = (u64)&c->tss;
    c->tss.iopb = sizeof(c->tss);
    c->gdt[1] = 0x00af9b000000ffff; // 64-bit code
    c->gdt[2] = 0x00cf93000000ffff; // data
    c->gdt[3] =
        (sizeof(c->tss) - 1) | (tss & 0xffffff) << 16 | 0x89ul << 40 | (tss >> 24 & 0xff) << 56;
    c->gdt[4] = tss >> 32;

    struct pointer gdtr = {sizeof(c->gdt) - 1, (u64)c->gdt};
    struct pointer idtr = {sizeof(idt) - 1, (u64)idt};
    __asm__ volatile("lgdt %0" ::"m"(gdtr));
    __asm__ volatile("lidt %0" ::"m"(idtr));
    __asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss; mov %0, %%fs; mov %0, %%gs" ::"r"(
        SELECTOR_DATA));
    __asm__ volatile("push %0; lea 1f(%%rip), %%rax; push %%rax; lretq; 1:" ::"i"(SELECTOR_CODE)
                     : "rax", "memory");
    __asm__ volatile("ltr %w0" ::"r"(SELECTOR_TSS));
    wrmsr(MSR_GS_BASE, (u64)c);
}

void irq_set_handler(u8 vector, irq_handler *handler)
{
    handlers[vector] = handler;
}

void irq_dispatch(u8 vector)
{
    this_core()->irqs++;
    if (handlers[vector] != NULL)
        handlers[vector]();
    if (vector != VECTOR_SPURIOUS)
        apic_eoi();
}

void trap_dispatch(struct trap_frame *f)
{
    if (f->vector >= 32) {
        irq_dispatch(f->vector);
        return;
    }
    if (f->vector == 2 && nmi_handler != NULL) {
        nmi_handler(f);
        return;
    }
    u64 landing = f->vector == 13 ? fixup_landing(fixups_start, fixups_end, f->rip) : 0;
    if (landing != 0) {
        f->rip = landing;
        return;
    }
    const char *name = exception_names[f->vector];
    panic_exception(f, name != NULL ? name : "reserved");
}
