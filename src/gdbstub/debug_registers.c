// SPDX-License-Identifier: MIT
// Breakpoints and watchpoints by the four debug registers of a VM (SDM Vol. 3, 18.2), the same on
// all its vCPUs. Z1 (execute), Z2 (write), Z4 (read or write: x86 has no read alone) come first;
// what is free waits for the pages of other breakpoints. A range that is not aligned takes several
// registers.
#include "gdbstub/breakpoints.h"
#include "lib/string.h"
#include "x86/registers.h"

static const enum stop_reason reason_of[] = {
    [1] = STOP_HARDWARE, [2] = STOP_WRITE, [4] = STOP_ACCESS};

// The longest piece that one register covers: a power of two, aligned, at most 8 bytes.
static unsigned piece(u64 address, u64 length)
{
    unsigned n = 8;
    while (n > length || (address & (n - 1)) != 0)
        n /= 2;
    return n;
}

// How many registers the range takes; stops counting at one too many.
static unsigned registers_for(u64 address, u64 length)
{
    unsigned count = 0;
    while (length > 0 && count <= DEBUG_SLOTS) {
        unsigned n = piece(address, length);
        address += n;
        length -= n;
        count++;
    }
    return count;
}

static struct hw_request *find(struct session *session, unsigned pid, unsigned type, u64 address,
                               u64 length)
{
    for (unsigned i = 0; i < DEBUG_SLOTS; i++) {
        struct hw_request *r = &session->process[pid].hw[i];
        if (r->used && r->type == type && r->address == address && r->length == length)
            return r;
    }
    return NULL;
}

static enum error insert(struct session *session, unsigned pid, unsigned type, u64 address,
                         u64 length)
{
    struct process *p = &session->process[pid];
    struct hw_request *free = NULL;
    unsigned taken = 0;

    if (type == 1)
        length = 1; // the kind of a Z1 is the int3's length
    if (length == 0 || length > 8 * DEBUG_SLOTS)
        return ERR_INVALID;
    if (find(session, pid, type, address, length) != NULL)
        return OK;
    for (unsigned i = 0; i < DEBUG_SLOTS; i++) {
        if (p->hw[i].used)
            taken += registers_for(p->hw[i].address, p->hw[i].length);
        else if (free == NULL)
            free = &p->hw[i];
    }
    if (free == NULL || taken + registers_for(address, length) > DEBUG_SLOTS)
        return ERR_NO_MEMORY;
    *free = (struct hw_request){.used = true, .type = type, .address = address, .length = length};
    return OK;
}

static enum error remove(struct session *session, unsigned pid, unsigned type, u64 address,
                         u64 length)
{
    struct hw_request *r = find(session, pid, type, address, type == 1 ? 1 : length);

    if (r == NULL)
        return ERR_NOT_FOUND;
    r->used = false;
    return OK;
}

// Whatever is in them at first goes at the first resume.
static void attach(struct session *session, unsigned pid, bool on)
{
    struct process *p = &session->process[pid];

    if (!on)
        return;
    memset(p->hw, 0, sizeof(p->hw));
    p->debug_registers = true;
}

static void clear(struct session *session, unsigned pid)
{
    memset(session->process[pid].hw, 0, sizeof(session->process[pid].hw));
}

static bool canonical_57(u64 address)
{
    // With 5-level paging, or without, bits 63..56 of a linear address are alike.
    return (i64)address >> 56 == 0 || (i64)address >> 56 == -1;
}

static void deal(struct session *session, unsigned pid)
{
    struct process *p = &session->process[pid];
    unsigned next = 0;
    u64 address;

    memset(p->slot, 0, sizeof(p->slot));
    for (unsigned i = 0; i < DEBUG_SLOTS; i++) {
        const struct hw_request *r = &p->hw[i];
        if (!r->used)
            continue;
        for (u64 done = 0; done < r->length && next < DEBUG_SLOTS; next++) {
            unsigned n = piece(r->address + done, r->length - done);
            p->slot[next] = (struct debug_slot){.use = SLOT_HARDWARE,
                                                .reason = reason_of[r->type],
                                                .address = r->address,
                                                .register_address = r->address + done,
                                                .length = n};
            done += n;
        }
    }
    for (unsigned i = 0; next < DEBUG_SLOTS && breakpoints_waiting(session, pid, i, &address);
         i++) {
        if (canonical_57(address))
            p->slot[next++] = (struct debug_slot){.use = SLOT_PENDING,
                                                  .reason = STOP_BREAKPOINT,
                                                  .address = address,
                                                  .register_address = address,
                                                  .length = 1};
    }
}

static bool executes(const struct debug_slot *s)
{
    return s->use != SLOT_FREE && (s->reason == STOP_BREAKPOINT || s->reason == STOP_HARDWARE);
}

// DR7 (SDM Vol. 3, 18.2.4): G at 2i+1, R/W at 16+4i, LEN at 18+4i, bit 10 always set.
static u64 control(const struct debug_slot *s, unsigned i)
{
    static const u64 length_code[] = {[1] = 0, [2] = 1, [4] = 3, [8] = 2};
    u64 rw = executes(s) ? 0 : s->reason == STOP_WRITE ? 1 : 3;

    return BIT(2 * i + 1) | rw << (16 + 4 * i) | length_code[s->length] << (18 + 4 * i) | BIT(10);
}

static void apply(struct session *session, unsigned pid)
{
    struct process *p = &session->process[pid];
    u64 dr[DEBUG_SLOTS] = {0}, dr7 = 0;

    deal(session, pid);
    for (unsigned i = 0; i < DEBUG_SLOTS; i++) {
        if (p->slot[i].use == SLOT_FREE)
            continue;
        dr[i] = p->slot[i].register_address;
        dr7 |= control(&p->slot[i], i);
    }
    if (dr7 == 0 && !p->debug_registers)
        return;
    for (unsigned i = 0; i < process_vcpus(pid); i++)
        vcpu_set_breakpoint_registers(target_vcpu(pid, i), dr, dr7);
    p->debug_registers = dr7 != 0;
}

// A data access first, else an execution at this rip.
static enum breakpoint_hit hit(struct session *session, unsigned pid, const struct pending_event *e,
                               u64 rip, struct stop *out)
{
    const struct process *p = &session->process[pid];
    const struct debug_slot *found = NULL;

    for (unsigned i = 0; i < DEBUG_SLOTS; i++) {
        const struct debug_slot *s = &p->slot[i];
        if ((e->dr6 & BIT(i)) == 0 || s->use == SLOT_FREE)
            continue;
        if (!executes(s)) {
            found = s;
            break;
        }
        if (s->address == rip)
            found = s;
    }
    if (found == NULL)
        return HIT_NONE;
    *out = (struct stop){.reason = found->reason, .address = found->address};
    return HIT_STOP;
}

static bool wanted(struct session *session, unsigned pid, const struct stop *stop)
{
    for (unsigned i = 0; i < DEBUG_SLOTS; i++) {
        const struct hw_request *r = &session->process[pid].hw[i];
        if (r->used && reason_of[r->type] == stop->reason && r->address == stop->address)
            return true;
    }
    return false;
}

static bool faults(struct session *session, unsigned pid, u64 address)
{
    for (unsigned i = 0; i < DEBUG_SLOTS; i++) {
        const struct debug_slot *s = &session->process[pid].slot[i];
        if (executes(s) && s->address == address)
            return true;
    }
    return false;
}

static bool stands_in(struct session *session, unsigned pid, u64 address)
{
    for (unsigned i = 0; i < DEBUG_SLOTS; i++) {
        const struct debug_slot *s = &session->process[pid].slot[i];
        if (s->use == SLOT_PENDING && s->address == address)
            return true;
    }
    return false;
}

static void list(struct session *session, unsigned pid, struct text *out)
{
    static const char *const name[] = {"", "execute", "write", "", "access"};

    for (unsigned i = 0; i < DEBUG_SLOTS; i++) {
        const struct hw_request *r = &session->process[pid].hw[i];
        if (r->used)
            text_add(out, "%016lx debug register, %s, %lu bytes\n", r->address, name[r->type],
                     r->length);
    }
}

const struct breakpoint_kind debug_registers = {
    .types = BIT(1) | BIT(2) | BIT(4),
    .full = "more than the four debug registers can do",
    .insert = insert,
    .remove = remove,
    .attach = attach,
    .clear = clear,
    .apply = apply,
    .drop = clear,
    .list = list,
    .event = DEBUG_REGISTER,
    .hit = hit,
    .wanted = wanted,
    .stands_in = stands_in,
    .faults = faults,
};
