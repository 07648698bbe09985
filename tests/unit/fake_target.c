// SPDX-License-Identifier: MIT
#include "fake_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fake_cpu.c"
#include "x86/walk.h"

struct fake_vm fake[FAKE_VMS + 1];
struct session stub;
bool fake_kicked, fake_takes_all;
const struct regs_limits fake_limits = {
    .cr4 = 0x3707ff, .xcr0 = 7, .maxphyaddr = 40, .mxcsr_mask = 0xffff};
u8 fake_sent[1 << 20];
size_t fake_sent_len;

// Code and data of ring 0, 64-bit code, the same of ring 3, a TSS, an LDT, data that is not
// present.
static const u64 fake_gdt[] = {0,
                               0x00cf9b000000ffff,
                               0x00cf93000000ffff,
                               0x00af9b000000ffff,
                               0x00cff3000000ffff,
                               0x00affb000000ffff,
                               0x00cf13000000ffff,
                               0x000082007000000f,
                               0,
                               0x0000890000000067,
                               0};
static unsigned vm_count;
static u8 rams[FAKE_VMS + 1][FAKE_RAM] __attribute__((aligned(4096)));

const struct debug_hooks *debug_hooks;

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "fake target: %s\n", what);
        abort();
    }
}

static void announce(struct fake_vm *vm, gpa_t gpa, u64 len, bool before)
{
    for (u64 page = gpa.v / PAGE_SIZE; page <= (gpa.v + len - 1) / PAGE_SIZE; page++) {
        if (vm->watched[page])
            gdbstub_page_written((unsigned)(vm - fake), GPA(page * PAGE_SIZE), before);
    }
}

static void before_write(struct guest_watcher *w, gpa_t gpa, u64 len)
{
    announce(CONTAINER_OF(w, struct fake_vm, watcher), gpa, len, true);
}

static void after_write(struct guest_watcher *w, gpa_t gpa, u64 len)
{
    announce(CONTAINER_OF(w, struct fake_vm, watcher), gpa, len, false);
}

static void reset_vm(unsigned pid)
{
    struct fake_vm *vm = &fake[pid];

    vm->ram = rams[pid];
    memset(vm->ram, 0x90, FAKE_RAM);
    vm->watcher = (struct guest_watcher){before_write, after_write};
    vm->memory =
        (struct guest_memory){.count = 1,
                              .region = {{.start = GPA(0), .size = FAKE_RAM, .host = vm->ram}},
                              .watcher = &vm->watcher};
    memcpy(vm->ram + FAKE_GDT, fake_gdt, sizeof(fake_gdt));
    for (unsigned i = 0; i < FAKE_VCPUS; i++) {
        struct vcpu *v = &vm->vcpu[i];
        bool held = v->held;
        *v = (struct vcpu){.pid = pid, .index = i, .held = held};
        v->regs.rip = 0x1000;
        v->regs.cr0 = 0x11;
        v->regs.rflags = 2;
        v->regs.dr6 = 0xffff0ff0;
        v->regs.dr7 = 0x400;
        v->regs.gdtr = (struct descriptor_table){FAKE_GDT, sizeof(fake_gdt) - 1};
        for (unsigned n = SEG_ES; n <= SEG_GS; n++)
            v->regs.seg[n] = (struct segment){0x10, 0xffffffff, 0xc093, 0};
        v->regs.seg[SEG_CS] = (struct segment){8, 0xffffffff, 0xc09b, 0};
        v->regs.seg[SEG_LDTR].access = 0x10000;
        v->regs.seg[SEG_TR] = (struct segment){0x48, 0x67, 0x8b, 0};
        v->regs.gpr[RSP] = 0x9000;
        v->regs.gpr[RDI] = 0x8000;
        v->regs.xcr0 = 7;
        memcpy(v->fpu + 24, "\x80\x1f", 2);
    }
}

void fake_reset(unsigned vms)
{
    vm_count = vms;
    fake_kicked = fake_takes_all = false;
    fake_sent_len = 0;
    memset(fake, 0, sizeof(fake));
    for (unsigned pid = 1; pid <= vms; pid++) {
        fake[pid].exists = true;
        fake[pid].avx = true;
        reset_vm(pid);
    }
}

static void put64(unsigned pid, u64 at, u64 value)
{
    memcpy(fake[pid].ram + at, &value, 8);
}

void fake_map_high(unsigned pid)
{
    put64(pid, 0x4000 + 8 * 511, 0x5003);
    put64(pid, 0x5000 + 8 * 510, 0x6003);
    put64(pid, 0x6000, 0x83);
}

void fake_long_mode(unsigned pid, bool high)
{
    memset(fake[pid].ram + 0x4000, 0, 0x3000);
    put64(pid, 0x4000, 0x5003);
    put64(pid, 0x5000, 0x6003);
    put64(pid, 0x6000, 0x83);
    if (high)
        fake_map_high(pid);
    for (unsigned i = 0; i < FAKE_VCPUS; i++) {
        struct vcpu_regs *r = &fake[pid].vcpu[i].regs;
        r->cr0 = 0x80000011;
        r->cr3 = 0x4000;
        r->cr4 = 0x20;
        r->efer = 0x500;
        r->rflags &= ~0x20000ull; // VM
        for (unsigned n = SEG_ES; n <= SEG_GS; n++)
            r->seg[n] = (struct segment){0x10, 0xffffffff, 0xc093, r->seg[n].base & 0xffffffff};
        r->seg[SEG_CS] = (struct segment){0x18, 0xffffffff, 0xa09b, 0};
    }
}

void fake_restart(unsigned pid)
{
    reset_vm(pid);
    memset(fake[pid].watched, 0, sizeof(fake[pid].watched));
    fake[pid].vcpu[0].in_hook = true;
    if (debug_hooks->event(&fake[pid].vcpu[0], DEBUG_ENDED, 0))
        fake[pid].vcpu[0].held = true;
    fake[pid].vcpu[0].in_hook = false;
}

// ---- running -------------------------------------------------------------------------------

static bool all_held(unsigned pid)
{
    for (unsigned i = 0; i < FAKE_VCPUS; i++) {
        if (!fake[pid].vcpu[i].held)
            return false;
    }
    return true;
}

static void report(struct vcpu *v, enum debug_event event, u64 dr6)
{
    v->in_hook = true;
    bool hold = debug_hooks != NULL && debug_hooks->event(v, event, dr6);
    v->in_hook = false;
    if (hold)
        v->held = true;
    else if (event == DEBUG_BREAKPOINT) {
        v->guest_traps++;
        v->regs.rip++;
    }
}

static bool find(const struct vcpu *v, u64 address, u64 *gpa)
{
    struct paging_state ps = {
        .cr0 = v->regs.cr0, .cr3 = v->regs.cr3, .cr4 = v->regs.cr4, .efer = v->regs.efer};
    struct walk_result walk;

    if (guest_walk(&ps, &fake[v->pid].memory, GVA(address), 0, &walk) != OK ||
        guest_ptr(&fake[v->pid].memory, walk.gpa, 8) == NULL)
        return false;
    *gpa = walk.gpa.v;
    return true;
}

static u64 slots_hit(const struct vcpu *v, u64 address, u64 length, bool write, bool execute)
{
    static const unsigned len_of[] = {1, 2, 8, 4};
    u64 dr6 = 0;

    for (unsigned i = 0; i < 4; i++) {
        unsigned rw = v->dr7 >> (16 + 4 * i) & 3;
        u64 n = len_of[v->dr7 >> (18 + 4 * i) & 3];
        if ((v->dr7 >> (2 * i) & 3) == 0 || address >= v->dr[i] + n || address + length <= v->dr[i])
            continue;
        if (execute ? rw == 0 : write ? (rw & 1) != 0 : rw == 3)
            dr6 |= BIT(i);
    }
    return dr6;
}

static void store(struct vcpu *v, u64 address, u8 value)
{
    u64 gpa;

    if (!find(v, address, &gpa))
        return;
    require(guest_write(&fake[v->pid].memory, GPA(gpa), &value, 1) == OK, "a store into nothing");
}

static void execute(struct vcpu *v)
{
    struct fake_vm *vm = &fake[v->pid];
    u64 gpa, dr6 = 0;

    require(!vm->frozen, "a vCPU runs while its VM's time stands");
    if (!find(v, v->regs.rip + v->regs.seg[SEG_CS].base, &gpa))
        return;
    if ((v->regs.rflags & BIT(16)) == 0)
        dr6 = slots_hit(v, v->regs.rip, 1, false, true);
    if (dr6 != 0) {
        report(v, DEBUG_REGISTER, dr6);
        return;
    }

    const u8 *code = vm->ram + gpa;
    bool lone = true;
    for (unsigned i = 0; i < FAKE_VCPUS; i++)
        lone &= i == v->index || vm->vcpu[i].held;
    switch (code[0]) {
    case 0xcc:
        if (v->catch_breakpoints) {
            report(v, DEBUG_BREAKPOINT, 0);
            if (v->held)
                return;
        } else {
            v->guest_traps++;
            v->regs.rip++;
        }
        break;
    case 0xeb:
        v->regs.rip += 2 + (u64)(i64)(signed char)code[1];
        break;
    case 0xfe:
        v->regs.gpr[RAX] = (v->regs.gpr[RAX] & ~0xffull) | ((v->regs.gpr[RAX] + 1) & 0xff);
        v->regs.rip += 2;
        break;
    case 0x88:
        v->regs.rip += 2;
        store(v, v->regs.gpr[RDI], (u8)v->regs.gpr[RAX]);
        dr6 = slots_hit(v, v->regs.gpr[RDI], 1, true, false);
        break;
    case 0xfb:
        v->shadow.blocking = v->regs.rflags & BIT(9) ? 0 : BLOCKING_BY_STI;
        v->regs.rflags |= BIT(9);
        v->regs.rip++;
        goto done;
    case 0xe4:
        if (vm->catch_in && !v->pass) {
            v->hits++;
            snprintf(v->caught, sizeof(v->caught), "io:0x%x:r: IN 0x%x, 1 byte", code[1], code[1]);
            report(v, DEBUG_INTERCEPT, 0);
            v->pass = v->held;
            if (v->held)
                return;
        }
        v->pass = false;
        v->reads++;
        v->regs.rip += 2;
        break;
    case 0xe6:
        vm->exists = false;
        vm->exited = true;
        vm->code = (u8)v->regs.gpr[RAX];
        report(v, DEBUG_ENDED, 0);
        return;
    default:
        v->regs.rip++;
    }
    v->shadow.blocking = 0;
done:
    if ((v->regs.efer & 0x400) == 0 || (v->regs.seg[SEG_CS].access & 0x2000) == 0)
        v->regs.rip = (u32)v->regs.rip;
    v->executed++;
    v->alone += lone;
    v->regs.rflags &= ~BIT(16);
    if (dr6 != 0)
        report(v, DEBUG_REGISTER, dr6);
    else if (v->step)
        report(v, DEBUG_STEP, 0);
}

void fake_run(unsigned n, unsigned late)
{
    unsigned wait = late;

    for (unsigned round = 0; round < n; round++) {
        for (unsigned pid = 1; pid <= vm_count; pid++) {
            for (unsigned i = 0; i < FAKE_VCPUS; i++) {
                if (fake[pid].exists && !fake[pid].vcpu[i].held)
                    execute(&fake[pid].vcpu[i]);
            }
        }
        if (fake_kicked && wait-- == 0) {
            fake_kicked = false;
            wait = late;
            gdbstub_poll(&stub);
        }
    }
}

// ---- vcpu/debug.h ---------------------------------------------------------------------------

void vcpu_hold(struct vcpu *v)
{
    v->held = true;
}

// What the stub let through must be what a CPU takes.
static void require_possible(const struct vcpu *v)
{
    const char *what = cpu_refuses(&v->regs, &v->shadow, &fake_limits);

    if (what == NULL)
        what = cpu_refuses_fpu(v->fpu, &fake_limits);
    if (what != NULL && !fake_takes_all)
        require(false, what);
}

void vcpu_let_go(struct vcpu *v, bool step, bool mask_interrupts)
{
    require_possible(v);
    require(v->held, "a vCPU is let go that is not held");
    require(!fake[v->pid].frozen, "a vCPU is let go while its VM's time stands");
    v->held = false;
    v->let_go++;
    v->step = step;
    v->mask = mask_interrupts;
}

bool vcpu_is_held(const struct vcpu *v)
{
    return v->held;
}

void vcpu_read_regs(struct vcpu *v, struct vcpu_regs *out)
{
    require(v->held || v->in_hook, "registers of a running vCPU are read");
    *out = v->regs;
}

enum error vcpu_write_regs(struct vcpu *v, const struct vcpu_regs *in, struct text *why)
{
    struct vcpu_regs old = v->regs;

    require(v->held, "registers of a running vCPU are written");
    if (!fake_takes_all && regs_check(&old, in, &fake_limits, why) != OK)
        return ERR_INVALID;
    v->pass &= in->rip == old.rip;
    v->regs = *in;
    bool lma = (in->efer & BIT(8)) && (in->cr0 & BIT(31));
    if (!fake_takes_all)
        v->regs.efer = (in->efer & ~BIT(10)) | (lma ? BIT(10) : 0);
    regs_settle(&old, in, &v->shadow);
    require_possible(v);
    return OK;
}

void vcpu_read_fpu(struct vcpu *v, void *area)
{
    require(v->held, "vector state of a running vCPU is read");
    memcpy(area, v->fpu, FPU_STATE_SIZE);
}

enum error vcpu_write_fpu(struct vcpu *v, const void *area, struct text *why)
{
    require(v->held, "vector state of a running vCPU is written");
    if (!fake_takes_all && regs_check_fpu(area, &fake_limits, why) != OK)
        return ERR_INVALID;
    memcpy(v->fpu, area, FPU_STATE_SIZE);
    require_possible(v);
    return OK;
}

void vcpu_set_breakpoint_registers(struct vcpu *v, const u64 dr[4], u64 dr7)
{
    require(v->held, "debug registers of a running vCPU are set");
    memcpy(v->dr, dr, sizeof(v->dr));
    v->dr7 = dr7;
}

void vcpu_catch_breakpoints(struct vcpu *v, bool on)
{
    v->catch_breakpoints = on;
}

// ---- gdbstub/target.h ----------------------------------------------------------------------

unsigned target_vm_count(void)
{
    return vm_count;
}

bool target_vm_exists(unsigned pid)
{
    return pid >= 1 && pid <= vm_count && fake[pid].exists;
}

const char *target_vm_name(unsigned pid)
{
    return pid == 1 ? "one" : pid == 2 ? "<two>" : "three";
}

bool target_exit_code(unsigned pid, u8 *code)
{
    *code = fake[pid].exited ? fake[pid].code : 9;
    return fake[pid].exited;
}

void target_end_text(unsigned pid, struct text *out)
{
    text_add(out, "killed (%u)", pid);
}

unsigned target_vcpu_count(unsigned pid)
{
    return pid >= 1 && pid <= vm_count ? FAKE_VCPUS : 0;
}

struct vcpu *target_vcpu(unsigned pid, unsigned index)
{
    require(pid >= 1 && pid <= vm_count && index < FAKE_VCPUS, "no such vCPU");
    return &fake[pid].vcpu[index];
}

bool target_identify(const struct vcpu *v, unsigned *pid, unsigned *index)
{
    *pid = v->pid;
    *index = v->index;
    return true;
}

const struct guest_memory *target_memory(unsigned pid)
{
    return &fake[pid].memory;
}

void target_paging_limits(unsigned pid, struct paging_state *ps)
{
    ps->maxphyaddr = 40;
    ps->no_1gb_pages = fake[pid].no_1gb_pages;
}

void target_describe(unsigned pid, unsigned index, struct text *out)
{
    text_add(out, "%s/%u on core %u", target_vm_name(pid), index, index);
}

unsigned target_core(unsigned pid, unsigned index)
{
    return pid + index;
}

void target_kill(unsigned pid)
{
    fake[pid].exists = false;
    fake[pid].killed = true;
}

void target_freeze_time(unsigned pid, bool on)
{
    require(!on || all_held(pid) || !fake[pid].exists, "time is stopped while a vCPU runs");
    fake[pid].frozen = on;
}

bool target_watch_page(unsigned pid, gpa_t page, bool on)
{
    require(all_held(pid) || !fake[pid].exists, "a page is watched while a vCPU runs");
    require(page.v < FAKE_RAM && (page.v & (PAGE_SIZE - 1)) == 0, "no page to watch");
    if (fake[pid].fail_watch)
        return false;
    fake[pid].watched[page.v / PAGE_SIZE] = on;
    return true;
}

bool target_has_avx(unsigned pid)
{
    return fake[pid].avx;
}

bool target_is_32bit(unsigned pid)
{
    return fake[pid].is_32bit;
}

const char *target_caught_text(unsigned pid, unsigned index)
{
    return fake[pid].vcpu[index].caught;
}

bool target_still_catches(unsigned pid, unsigned index)
{
    (void)index;
    return fake[pid].catch_in;
}

// EFER and the three bases.
static bool write_msr(struct vcpu *v, const char *args, struct text *out)
{
    unsigned long msr, value;
    struct vcpu_regs *r = &v->regs;

    if (sscanf(args, "%lx %lx", &msr, &value) != 2 || msr - 0xc0000080 > 0x82)
        return false;
    u64 *to = msr == 0xc0000080   ? &r->efer
              : msr == 0xc0000100 ? &r->seg[SEG_FS].base
              : msr == 0xc0000101 ? &r->seg[SEG_GS].base
                                  : &r->kernel_gs_base;
    if (msr_value_ok((u32)msr, value, r->efer, r->cr0))
        *to = value;
    else
        text_add(out, "#GP\n");
    require_possible(v);
    return true;
}

bool target_monitor(unsigned pid, unsigned index, const char *command, const char *args,
                    struct text *out)
{
    if (strcmp(command, "vms") == 0) {
        text_add(out, "%u VMs\n", vm_count);
    } else if (strcmp(command, "log") == 0) {
        for (unsigned i = 0; i < 600; i++)
            text_add(out, "line %u of a long log\n", i);
    } else if (strcmp(command, "rdmsr") == 0) {
        if (strcmp(args, "10") != 0)
            return false;
        text_add(out, "77\n");
    } else if (strcmp(command, "wrmsr") == 0) {
        return pid == 0 || write_msr(target_vcpu(pid, index), args, out);
    } else if (strcmp(command, "ept") == 0) {
        text_add(out, "ept of p%x.%x: %s\n", pid, index, args);
    } else {
        return false;
    }
    return true;
}

void target_kick_line_core(void)
{
    fake_kicked = true;
}

void gdb_line_put(const void *bytes, size_t n)
{
    if (n > sizeof(fake_sent) - fake_sent_len)
        fake_sent_len = 0;
    memcpy(fake_sent + fake_sent_len, bytes, n);
    fake_sent_len += n;
}
