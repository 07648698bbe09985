// SPDX-License-Identifier: MIT
// User mode, stacks of their own for exceptions, and handlers that note what came (intercept.h).
#include "intercept.h"

struct tss { // SDM volume 3, 8.7
    u32 reserved0;
    u64 rsp[3], reserved1, ist[7], reserved2;
    u16 reserved3, io_map;
} PACKED;

struct gate { // 6.14.1
    u16 offset_low, selector;
    u8 ist, type;
    u16 offset_middle;
    u32 offset_high, reserved;
};

struct table {
    u16 limit;
    u64 base;
} PACKED;

enum { STACK = 4096, TYPE_PRESENT = 0x80 };
#define NOWHERE (1024 * GiB) // in a PML4 entry that nothing uses

extern u64 gdt[6], pml4[512];
extern const u8 protected_back[];
extern u64 user_rflags, user_rdi;
void protected_user(u64 entry);

volatile u64 user_vector, user_error, user_cr2, user_rax, user_offset;
struct caught caught_of[32];
u8 alias_page[4096] ALIGNED(4096);

static u64 pdpt[512] ALIGNED(4096), directory[512] ALIGNED(4096), table[512] ALIGNED(4096);
static u64 gdt_here[13] ALIGNED(16);
static struct tss tss;
static u8 stacks[2][STACK] ALIGNED(16);

void protected_init(void)
{
    if (gdt_here[1] != 0)
        return;
    memcpy(gdt_here, gdt, sizeof(gdt));
    tss.rsp[0] = (u64)stacks[0] + STACK;
    tss.ist[IST_GOOD - 1] = (u64)stacks[1] + STACK;
    tss.ist[IST_NOWHERE - 1] = NOWHERE + 0x100;
    tss.io_map = sizeof(tss);
    u64 base = (u64)&tss;
    gdt_here[SEL_USER_CODE / 8] = 0x00affb000000ffff;
    gdt_here[SEL_USER_DATA / 8] = 0x00cff3000000ffff;
    gdt_here[SEL_NOT_PRESENT / 8] = 0x00cf13000000ffff;
    gdt_here[SEL_LDT / 8] = (u64)(sizeof(gdt) - 1) | ((u64)gdt & 0xffffff) << 16 | 0x82ul << 40 |
                            ((u64)gdt >> 24 & 0xff) << 56;
    gdt_here[SEL_TSS / 8] =
        (sizeof(tss) - 1) | (base & 0xffffff) << 16 | 0x89ul << 40 | (base >> 24 & 0xff) << 56;
    struct table t = {sizeof(gdt_here) - 1, (u64)gdt_here};
    __asm__ volatile("lgdt %0; ltr %w1" ::"m"(t), "r"(SEL_TSS) : "memory");
}

static struct gate *gate_of(u8 vector)
{
    struct table t;
    __asm__ volatile("sidt %0" : "=m"(t));
    return (struct gate *)t.base + vector;
}

void set_ist(u8 vector, u8 ist)
{
    gate_of(vector)->ist = ist;
}

void set_present(u8 vector, bool present)
{
    struct gate *g = gate_of(vector);
    g->type = (u8)(present ? g->type | TYPE_PRESENT : g->type & ~TYPE_PRESENT);
}

void protected_leave(struct interrupt_frame *f)
{
    f->rip = (u64)protected_back;
    f->cs = SEL_CODE64;
    f->ss = SEL_DATA;
    f->rflags = 2;
}

void map_alias(u64 bits)
{
    u64 above = PTE_PRESENT | PTE_WRITE | PTE_USER;
    pml4[1] = (u64)pdpt | above;
    pdpt[0] = (u64)directory | above;
    directory[0] = (u64)table | above;
    table[0] = (u64)alias_page | bits;
    write_cr3(read_cr3());
}

static void on_user(struct interrupt_frame *f)
{
    user_vector = f->vector;
    user_error = f->error;
    user_cr2 = read_cr2();
    user_rax = f->rax;
    user_offset = f->rip - ALIAS;
    protected_leave(f);
}

void user_run(const u8 *code, const u8 *end, u64 rdi, u64 rflags)
{
    static const u8 vectors[] = {0, 1, 3, 4, 6, 12, 13, 14, 17};
    protected_init();
    map_alias(PTE_PRESENT | PTE_WRITE | PTE_USER);
    memcpy(alias_page, code, (size_t)(end - code));
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
        interrupt_set(vectors[i], on_user);
    user_vector = user_error = UINT64_MAX;
    user_rdi = rdi;
    user_rflags = rflags | 2;
    protected_call(protected_user, ALIAS);
    for (size_t i = 0; i < ARRAY_SIZE(vectors); i++)
        interrupt_set(vectors[i], NULL);
}

static void on_caught(struct interrupt_frame *f)
{
    struct caught *c = &caught_of[f->vector];
    c->times++;
    c->rip = f->rip;
    c->error = f->error;
    if (f->vector == 1) {
        u64 dr6;
        __asm__ volatile("mov %%dr6, %0" : "=r"(dr6));
        c->dr6 = dr6;
        __asm__ volatile("mov %0, %%dr6" ::"r"(0xffff0ff0ul));
        f->rflags &= ~0x100ul;  // TF: one step
        f->rflags |= 0x10000ul; // RF: not again at an instruction breakpoint
    }
    if (c->resume != 0)
        f->rip = c->resume;
}

void catch_vector(u8 vector)
{
    caught_of[vector] = (struct caught){0};
    interrupt_set(vector, on_caught);
}

void release_vector(u8 vector)
{
    interrupt_set(vector, NULL);
}
