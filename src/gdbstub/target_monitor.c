// SPDX-License-Identifier: MIT
// The monitor's commands that look below the stub.
#include "boot/log.h"
#include "gdbstub/target.h"
#include "gdbstub/target_bitmaps.h"
#include "gdbstub/target_intercept.h"
#include "lib/string.h"
#include "smp/message.h"
#include "smp/time.h"
#include "vcpu/msr.h"
#include "vcpu/vmm.h"
#include "vm/vm.h"

#define LL(x)             (x)
#define LOG_LINES_DEFAULT 20

struct request {
    struct vcpu *v;
    const char *args;
    struct text *out;
    bool refused; // the arguments are not such as the command takes
};

static bool parse_hex(const char **s, u64 *value)
{
    const char *p = *s;
    *value = 0;
    while (*p == ' ')
        p++;
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
        p += 2;
    const char *first = p;
    for (; *p != '\0' && *p != ' '; p++) {
        char c = (char)(*p | 0x20);
        unsigned digit = c >= '0' && c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
        if (digit > 15 || p - first >= 16)
            return false;
        *value = *value << 4 | digit;
    }
    *s = p;
    return p > first;
}

static void list_vms(struct request *r)
{
    static const char *const names[] = {[VM_STARTING] = "starting", [VM_RUNNING] = "running"};
    for (unsigned i = 0; i < vm_count; i++) {
        const struct vm *vm = vms[i];
        text_add(r->out, "%u  %-16s ", i + 1, vm->config->name);
        if (vm->state == VM_ENDED)
            vm_end_text(vm, r->out);
        else
            text_add(r->out, "%s", names[vm->state]);
        text_add(r->out, ", %u vCPU%s, %lu MiB", vm->vcpus, vm->vcpus == 1 ? "" : "s",
                 LL(vm->config->memory / MiB));
        if (vm->board.debug.post_given)
            text_add(r->out, ", port 0x80: 0x%02x", vm->board.debug.post);
        text_add(r->out, "\n");
    }
}

static void list_vcpus(struct request *r)
{
    for (unsigned i = 0; i < vm_count; i++) {
        for (unsigned n = 0; n < vms[i]->vcpus; n++) {
            const struct vcpu *v = vms[i]->vcpu[n];
            u64 ran = v->schedule.runtime;
            if (v->state == VCPU_RUNNING)
                ran += rdtsc() - v->schedule.started;
            target_describe(i + 1, n, r->out);
            text_add(r->out, ", ran %lu ms, posted %lu, injected %lu, woken %lu, moved %lu\n",
                     LL(ran / (host_tsc_hz / 1000)), LL(v->events.interrupts_posted),
                     LL(v->events.injected), LL(v->events.wakeups), LL(v->move.count));
        }
    }
}

static void list_cores(struct request *r)
{
    for (unsigned i = 0; i < core_count; i++) {
        const struct core *c = cores[i];
        text_add(r->out, "core %u (APIC ID %u): ", i, c->apic_id);
        if (core_is_lost(c)) {
            text_add(r->out, "lost: %s\n", c->lost_by);
            continue;
        }
        if (c->vmm == NULL) {
            text_add(r->out, "%s\n", c->online == CORE_ONLINE ? "runs no guests" : "not online");
            continue;
        }
        const struct vcpu *v = __atomic_load_n(&c->vmm->running, __ATOMIC_ACQUIRE);
        if (v != NULL)
            text_add(r->out, "runs %s/%u", v->guest->name, v->index);
        else
            text_add(r->out, "idle");
        text_add(r->out, ", %u waiting, %lu switches, idle %lu ms, %lu interrupts, %lu NMIs\n",
                 c->vmm->queued, LL(c->vmm->switches),
                 LL(c->vmm->idle_ticks / (host_tsc_hz / 1000)), LL(c->irqs), LL(c->nmis));
    }
}

// On the vCPU's core.
static void read_vmcs(void *arg)
{
    struct request *r = arg;
    vcpu_load(r->v);
    backend_describe_state(r->args, r->out);
}

static void show_vmcs(struct request *r)
{
    size_t before = r->out->len;
    vcpu_call(r->v, read_vmcs, r);
    if (r->out->len == before)
        text_add(r->out, "no VMCS field has \"%s\" in its name\n", r->args);
}

static void read_msr(void *arg)
{
    struct request *r = arg;
    const char *args = r->args;
    u64 msr, value;
    if (!parse_hex(&args, &msr) || msr > UINT32_MAX) {
        r->refused = true;
        return;
    }
    vcpu_load(r->v);
    if (vcpu_read_msr(r->v, (u32)msr, &value))
        text_add(r->out, "%lx\n", LL(value));
    else
        text_add(r->out, "the guest has no MSR %lx: RDMSR raises #GP\n", LL(msr));
}

static void write_msr(void *arg)
{
    struct request *r = arg;
    const char *args = r->args;
    u64 msr, value;
    if (!parse_hex(&args, &msr) || msr > UINT32_MAX || !parse_hex(&args, &value)) {
        r->refused = true;
        return;
    }
    vcpu_load(r->v);
    if (!vcpu_write_msr(r->v, (u32)msr, value))
        text_add(r->out, "WRMSR %lx with %lx raises #GP\n", LL(msr), LL(value));
}

static void show_rdmsr(struct request *r)
{
    vcpu_call(r->v, read_msr, r);
}

static void show_wrmsr(struct request *r)
{
    vcpu_call(r->v, write_msr, r);
}

static void show_ept(struct request *r)
{
    const char *args = r->args;
    u64 gpa, size;
    u32 permissions;
    hpa_t hpa;
    r->refused = !parse_hex(&args, &gpa);
    if (r->refused)
        return;
    if (!ept_lookup(&r->v->guest->ept, 0, GPA(gpa), &hpa, &permissions, &size)) {
        text_add(r->out, "EPT: guest-physical %lx is not mapped: a device or nothing\n", LL(gpa));
        return;
    }
    text_add(r->out, "EPT: guest-physical %lx -> host-physical %lx, %c%c%c, %luK page\n", LL(gpa),
             LL(hpa.v), permissions & EPT_READ ? 'r' : '-', permissions & EPT_WRITE ? 'w' : '-',
             permissions & EPT_EXECUTE ? 'x' : '-', LL(size / KiB));
}

static void list_bits(struct request *r, const char *what, const u32 *regs)
{
    text_add(r->out, "%s:", what);
    for (unsigned vector = 0; vector < 256; vector++) {
        if (regs[vector / 32 * 4] >> (vector % 32) & 1)
            text_add(r->out, " %02x", vector);
    }
    text_add(r->out, "\n");
}

static void show_pending(struct request *r)
{
    const struct vapic *a = vapic_of(r->v);
    list_bits(r, "requested (IRR)", &a->lapic.regs[APIC_IRR / 4]);
    list_bits(r, "in service (ISR)", &a->lapic.regs[APIC_ISR / 4]);
    text_add(r->out, "posted (PIR): %016lx %016lx %016lx %016lx\n", LL(a->pid.pir[3]),
             LL(a->pid.pir[2]), LL(a->pid.pir[1]), LL(a->pid.pir[0]));
    text_add(r->out, "event at the next entry: %x; 8259 %s\n", r->v->events.info,
             board_pic_level(&vm_of(r->v)->board) ? "requests" : "quiet");
}

static void send_nmi(struct request *r)
{
    vcpu_send_nmi(r->v);
    text_add(r->out, "%s/%u gets an NMI\n", r->v->guest->name, r->v->index);
}

static void show_exits(struct request *r)
{
    const struct vm *vm = vm_of(r->v);
    for (unsigned n = 0; n < vm->vcpus; n++) {
        u64 total = 0;
        for (unsigned reason = 0; reason < EXIT_REASONS; reason++)
            total += vm->vcpu[n]->run.exits[reason];
        text_add(r->out, "%s/%u: %lu\n", vm->config->name, n, LL(total));
        for (unsigned reason = 0; reason < EXIT_REASONS; reason++) {
            if (vm->vcpu[n]->run.exits[reason] != 0)
                text_add(r->out, "  %-28s %lu\n", exit_reason_name(reason),
                         LL(vm->vcpu[n]->run.exits[reason]));
        }
    }
}

// The decimal number at *s, which moves behind it. False: there is none.
static bool parse_decimal(const char **s, unsigned *value)
{
    const char *p = *s;
    for (*value = 0; *p >= '0' && *p <= '9'; p++)
        *value = MIN(*value * 10 + (unsigned)(*p - '0'), 100000u);
    bool any = p > *s;
    *s = p;
    return any;
}

// Reads `VM/VCPU ` at the beginning of *args, if it is there. False: there is no such vCPU.
static bool parse_vcpu(const char **args, struct vcpu **v)
{
    const char *slash = *args;
    while (*slash != '\0' && *slash != '/' && *slash != ' ')
        slash++;
    if (*slash != '/')
        return true;
    size_t length = (size_t)(slash - *args);
    const char *after = slash + 1;
    unsigned index;
    if (!parse_decimal(&after, &index) || *after != ' ')
        return false;
    for (unsigned i = 0; i < vm_count; i++) {
        const char *name = vms[i]->config->name;
        if (strlen(name) != length || memcmp(name, *args, length) != 0 || index >= vms[i]->vcpus)
            continue;
        *v = vms[i]->vcpu[index];
        *args = after + 1;
        return true;
    }
    return false;
}

static void move(struct request *r)
{
    const char *args = r->args;
    struct vcpu *v = r->v;
    unsigned number;
    if (!parse_vcpu(&args, &v) || v == NULL) {
        text_add(r->out, "no such vCPU\n");
        return;
    }
    if (!parse_decimal(&args, &number) || *args != '\0') {
        r->refused = true;
        return;
    }
    const char *name = v->guest->name;
    unsigned before = vcpu_core(v)->number;
    enum error e = number < core_count ? vcpu_move(v, cores[number]) : ERR_INVALID;
    if (e == OK)
        text_add(r->out, "%s/%u: core %u -> core %u\n", name, v->index, before, number);
    else if (e == ERR_INVALID)
        text_add(r->out, "%s/%u may not run on core %u: not online, or not among its `cores`\n",
                 name, v->index, number);
    else
        text_add(r->out, "%s/%u is not started, or on its way already\n", name, v->index);
}

static void bitmaps(struct request *r)
{
    monitor_bitmaps(r->v, r->out);
}

static void intercept(struct request *r)
{
    monitor_intercept(r->v != NULL ? vm_of(r->v) : NULL, r->args, r->out);
}

static void show_log(struct request *r)
{
    const char *args = r->args;
    unsigned wanted;
    if (*args == '\0') {
        wanted = LOG_LINES_DEFAULT;
    } else if (!parse_decimal(&args, &wanted) || *args != '\0' || wanted == 0) {
        r->refused = true;
        return;
    }
    // The log's end is taken into what is free of the output, and its last lines are moved to where
    // they belong.
    char *tail = r->out->buf + r->out->len;
    size_t n = log_tail(tail, MIN(r->out->size - r->out->len - 1, 8192ul)), from = n;
    for (unsigned lines = 0; from > 0; from--) {
        if (tail[from - 1] == '\n' && from != n && ++lines == wanted)
            break;
    }
    memmove(tail, tail + from, n - from);
    tail[n - from] = '\0';
    r->out->len += n - from;
}

static const struct {
    const char *name;
    bool wants_vcpu;
    void (*run)(struct request *r);
} commands[] = {
    {"vms", false, list_vms},        {"vcpus", false, list_vcpus},    {"cores", false, list_cores},
    {"vmcs", true, show_vmcs},       {"rdmsr", true, show_rdmsr},     {"wrmsr", true, show_wrmsr},
    {"ept", true, show_ept},         {"pending", true, show_pending}, {"exits", true, show_exits},
    {"nmi", true, send_nmi},         {"log", false, show_log},        {"move", false, move},
    {"intercept", false, intercept}, {"bitmaps", true, bitmaps},
};

bool target_monitor(unsigned pid, unsigned index, const char *command, const char *args,
                    struct text *out)
{
    struct request r = {.v = target_vcpu(pid, index), .args = args, .out = out};
    for (unsigned i = 0; i < ARRAY_SIZE(commands); i++) {
        if (strcmp(commands[i].name, command) != 0)
            continue;
        if (commands[i].wants_vcpu && r.v == NULL)
            text_add(out, "no such vCPU\n");
        else
            commands[i].run(&r);
        return !r.refused;
    }
    return false;
}
