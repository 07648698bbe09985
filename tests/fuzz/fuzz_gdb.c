// SPDX-License-Identifier: MIT
// Fuzzes the gdb stub on the fake target. The input is cut at newlines; each piece is, by its first
// byte, raw bytes from the line (0x01), time for the guests to run (0x02), something done to a VM
// from outside (0x04), a register that is written (0x05: number, value), rings and flags written at
// once (0x06), or else a packet that gets its frame and checksum here. Registers that pass
// the stub and that a CPU would not take (fake_cpu.c) are a finding. fuzz_gdb.dict has
// the words: -dict=tests/fuzz/fuzz_gdb.dict -len_control=0 -max_len=2000. clang -g -O1
// -fsanitize=fuzzer,address,undefined -Isrc tests/fuzz/fuzz_gdb.c src/gdbstub/*.c
//       src/x86/walk.c src/x86/guest_memory.c src/lib/format.c src/lib/error.c (without target.c)
#include "../unit/fake_target.c"

#include "gdbstub/packet.h"
#include "gdbstub/reg_table.h"

static void raw(const u8 *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gdbstub_input(&stub, data[i]);
}

static void packet(const u8 *data, size_t n)
{
    static const char digit[] = "0123456789abcdef";
    u8 sum = 0;

    gdbstub_input(&stub, '$');
    for (size_t i = 0; i < n; i++) {
        sum = (u8)(sum + data[i]);
        gdbstub_input(&stub, data[i]);
    }
    gdbstub_input(&stub, '#');
    gdbstub_input(&stub, (u8)digit[sum >> 4]);
    gdbstub_input(&stub, (u8)digit[sum & 15]);
}

static void outside(u8 what)
{
    unsigned pid = 1 + what % FAKE_VMS;

    switch (what >> 5) {
    case 0:
        if (fake[pid].exists)
            fake_restart(pid);
        break;
    case 1:
        fake[pid].exists = false;
        debug_hooks->event(&fake[pid].vcpu[0], DEBUG_ENDED, 0);
        break;
    case 2:
        fake_long_mode(pid, (what & 4) != 0);
        break;
    case 3:
        gdbstub_page_written(pid, GPA((u64)what << PAGE_SHIFT), (what & 4) != 0);
        break;
    case 4:
        gdbstub_line_dead(&stub);
        break;
    case 5:
        fake[pid].is_32bit = true;
        break;
    case 6:
        fake[pid].catch_in = (what & 4) != 0;
        fake[pid].ram[0x1000 + 8 * (what & 3)] = (what & 8) != 0 ? 0xfb : 0xe4; // STI, IN
        break;
    default:
        gdbstub_poll(&stub);
    }
}

static void hex(char *to, u64 value, unsigned bytes)
{
    for (unsigned b = 0; b < bytes; b++)
        snprintf(to + 2 * b, 3, "%02x", b < 8 ? (unsigned)(value >> 8 * b & 0xff) : 0);
}

// P of a register, with one of the values at which something changes, and bits flipped in it.
static void one_register(const u8 *data, size_t n)
{
    static const u64 values[] = {
        0,       1,       7,       0x10,   0x11,      0x20,       0x100,     0x202,      0x302,
        0x400,   0x500,   0xd01,   0xffff, 0x10000,   0x20202,    BIT(31),   0x80000011, BIT(32),
        BIT(40), BIT(47), BIT(63), 0x4000, FAKE_HIGH, UINT64_MAX, 0x1f80,    0x40020,    0x18,
        0x23,    0x2b,    0x38,    0x48,   0x0ff000,  0xf000,     0x60000010};
    unsigned i;
    const struct reg_entry *e = reg_lookup(&stub, stub.client.general_pid, data[1] & 0x7f, &i);
    u64 flips = 0;
    char body[64];

    if (e == NULL || !stub.process[stub.client.general_pid].attached)
        return;
    memcpy(&flips, data + 3, MIN(n - 3, sizeof(flips)));
    snprintf(body, sizeof(body), "P%x=", data[1] & 0x7f);
    hex(body + strlen(body), values[data[2] % ARRAY_SIZE(values)] ^ flips, e->bytes);
    packet((const u8 *)body, strlen(body));
}

// G with other flags, cs and ss.
static void rings(const u8 *data)
{
    unsigned pid = stub.client.general_pid;
    char body[1024] = "G";

    if (pid == 0 || stub.process[pid].layout_32 || !stub.process[pid].attached)
        return;
    const struct vcpu_regs *r = &fake[pid].vcpu[stub.client.general_vcpu].regs;
    for (const struct reg_entry *e = reg_table(&stub, pid); reg_in_g(e); e++) {
        for (unsigned i = 0; i < e->count; i++) {
            u64 value = 0;
            if (e->kind == SELECTOR)
                value = e->where == SEG_CS   ? data[1]
                        : e->where == SEG_SS ? data[2]
                                             : r->seg[e->where].selector;
            else
                memcpy(&value, (const u8 *)r + e->where + 8 * i, 8);
            if (strcmp(e->name, "eflags") == 0)
                value ^= (u64)data[3] << 8 | data[4];
            hex(body + strlen(body), value, e->bytes);
        }
    }
    packet((const u8 *)body, strlen(body));
}

static void piece(const u8 *data, size_t n)
{
    if (n > 0 && data[0] == 1)
        raw(data + 1, n - 1);
    else if (n > 1 && data[0] == 2)
        fake_run(data[1], n > 2 ? data[2] % 16 : 0);
    else if (n > 1 && data[0] == 4)
        outside(data[1]);
    else if (n > 3 && data[0] == 5)
        one_register(data, n);
    else if (n > 4 && data[0] == 6)
        rings(data);
    else
        packet(data, n);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    fake_reset(FAKE_VMS);
    gdbstub_init(&stub);
    for (size_t at = 0; at < size;) {
        const u8 *end = memchr(data + at, '\n', size - at);
        size_t n = end != NULL ? (size_t)(end - data) - at : size - at;
        piece(data + at, n);
        at += n + 1;
    }
    // Whatever was done, a line that goes away leaves guests that run and nothing in them.
    gdbstub_line_dead(&stub);
    for (unsigned pid = 1; pid <= FAKE_VMS; pid++) {
        if (!fake[pid].exists)
            continue;
        for (unsigned i = 0; i < FAKE_VCPUS; i++) {
            require(!fake[pid].vcpu[i].held, "a vCPU is held for ever");
            require(fake[pid].vcpu[i].dr7 == 0, "debug registers are left");
        }
        for (unsigned i = 0; i < ARRAY_SIZE(fake[pid].watched); i++)
            require(!fake[pid].watched[i], "a page is left under watch");
    }
    return 0;
}
