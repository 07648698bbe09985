// SPDX-License-Identifier: MIT
#include "gdbstub/memory.h"

#include "gdbstub/breakpoints.h"
#include "lib/string.h"
#include "x86/bits.h"

bool in_paged_mode(const struct vcpu_regs *regs)
{
    return (regs->cr0 & CR0_PG) != 0;
}

bool in_long_mode(const struct vcpu_regs *regs)
{
    return (regs->efer & EFER_LMA) != 0;
}

bool in_64bit_mode(const struct vcpu_regs *regs)
{
    return in_long_mode(regs) && (regs->seg[SEG_CS].access & SEGMENT_LONG) != 0;
}

unsigned current_ring(const struct vcpu_regs *regs)
{
    if ((regs->cr0 & CR0_PE) == 0)
        return 0;
    if ((regs->rflags & RFLAGS_VM) != 0)
        return 3;
    return regs->seg[SEG_SS].access >> 5 & 3; // SS.DPL is the CPL
}

u64 linear_rip(const struct vcpu_regs *regs)
{
    if (in_64bit_mode(regs))
        return regs->rip;
    return (u32)(regs->seg[SEG_CS].base + regs->rip);
}

enum error translate(unsigned pid, const struct vcpu_regs *regs, u64 address,
                     struct walk_result *out)
{
    struct paging_state ps = {.cr0 = regs->cr0,
                              .cr3 = regs->cr3,
                              .cr4 = regs->cr4,
                              .efer = regs->efer,
                              .rflags = regs->rflags,
                              .cpl = current_ring(regs)};
    target_paging_limits(pid, &ps);
    return guest_walk(&ps, target_memory(pid), GVA(address), 0, out);
}

// One piece that lies in one page, at most len bytes. Returns its length, 0 when it is not there.
static u64 piece(unsigned pid, const struct vcpu_regs *regs, u64 address, u64 len, gpa_t *gpa)
{
    u64 n = MIN(len, PAGE_SIZE - (address & (PAGE_SIZE - 1)));
    struct walk_result walk;

    *gpa = GPA(address);
    if (regs == NULL)
        return n;
    if (translate(pid, regs, address, &walk) != OK)
        return 0;
    *gpa = walk.gpa;
    return n;
}

u64 gdb_read_memory(struct session *session, unsigned pid, const struct vcpu_regs *regs,
                    u64 address, void *buf, u64 len)
{
    u64 done = 0;

    while (done < len) {
        gpa_t gpa;
        u64 n = piece(pid, regs, address + done, len - done, &gpa);
        if (n == 0 || guest_read(target_memory(pid), gpa, (u8 *)buf + done, n) != OK)
            break;
        breakpoints_hide(session, pid, gpa, (u8 *)buf + done, n);
        done += n;
    }
    return done;
}

u64 gdb_write_memory(unsigned pid, const struct vcpu_regs *regs, u64 address, const void *buf,
                     u64 len)
{
    u64 done = 0;

    while (done < len) {
        gpa_t gpa;
        u64 n = piece(pid, regs, address + done, len - done, &gpa);
        if (n == 0 || guest_write(target_memory(pid), gpa, (const u8 *)buf + done, n) != OK)
            break;
        done += n;
    }
    return done;
}

// The registers to translate with, read into *regs; NULL in physical mode.
static const struct vcpu_regs *translation(struct session *session, const struct packet_args *a,
                                           struct vcpu_regs *regs)
{
    if (session->client.physical)
        return NULL;
    vcpu_read_regs(a->vcpu, regs);
    return regs;
}

static void read_reply(struct session *session, const struct packet_args *a, bool binary)
{
    u8 *buf = session->memory;
    struct vcpu_regs regs;
    // A shorter answer than asked for is one that gdb continues from.
    u64 len = MIN(a->number[1], binary ? GDB_PACKET_SIZE / 2 : (GDB_PACKET_SIZE - 4) / 2);
    u64 n =
        gdb_read_memory(session, a->pid, translation(session, a, &regs), a->number[0], buf, len);

    if (n == 0 && len > 0) {
        reply_error(session, E_MEMORY, "no memory there");
        return;
    }
    reply_start(session);
    if (binary) {
        text_add(&session->reply, "b");
        text_bytes(&session->reply, buf, n);
    } else {
        text_hex(&session->reply, buf, n);
    }
}

void packet_m(struct session *session, const struct packet_args *a)
{
    read_reply(session, a, false);
}

void packet_x(struct session *session, const struct packet_args *a)
{
    read_reply(session, a, true);
}

void packet_write(struct session *session, const struct packet_args *a)
{
    struct vcpu_regs regs;
    u64 address = a->number[0], len = a->number[1];

    if (len != a->length)
        reply_error(session, E_FORMAT, "data do not fit the length");
    else if (gdb_write_memory(a->pid, translation(session, a, &regs), address, a->bytes, len) !=
             len)
        reply_error(session, E_MEMORY, "no memory there, or not all of it");
    else
        reply_ok(session);
}
