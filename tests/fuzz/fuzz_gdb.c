// SPDX-License-Identifier: MIT
// Fuzzes the gdb stub on the fake target. The input is cut at newlines; each piece is, by its first
// byte, raw bytes from the line (0x01), time for the guests to run (0x02), something done to a VM
// from outside (0x04), or else a packet that gets its frame and checksum here. fuzz_gdb.dict has
// the words: -dict=tests/fuzz/fuzz_gdb.dict -len_control=0 -max_len=2000. clang -g -O1
// -fsanitize=fuzzer,address,undefined -Isrc tests/fuzz/fuzz_gdb.c src/gdbstub/*.c
//       src/ept/walk.c src/ept/memory.c src/lib/format.c src/lib/error.c (without target.c)
#include "../unit/fake_target.c"

#include "gdbstub/packet.h"

static void raw(const u8 *data, size_t n)
{
    for (size_t i = 0; i < n; i++)
        gdbstub_input(data[i]);
}

static void packet(const u8 *data, size_t n)
{
    static const char digit[] = "0123456789abcdef";
    u8 sum = 0;

    gdbstub_input('$');
    for (size_t i = 0; i < n; i++) {
        sum = (u8)(sum + data[i]);
        gdbstub_input(data[i]);
    }
    gdbstub_input('#');
    gdbstub_input((u8)digit[sum >> 4]);
    gdbstub_input((u8)digit[sum & 15]);
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
        gdbstub_line_dead();
        break;
    case 5:
        fake[pid].is_32bit = true;
        break;
    case 6:
        fake[pid].catch_in = (what & 4) != 0;
        fake[pid].ram[0x1000 + 8 * (what & 3)] = 0xe4; // IN
        break;
    default:
        gdbstub_poll();
    }
}

static void piece(const u8 *data, size_t n)
{
    if (n > 0 && data[0] == 1)
        raw(data + 1, n - 1);
    else if (n > 1 && data[0] == 2)
        fake_run(data[1], n > 2 ? data[2] % 16 : 0);
    else if (n > 1 && data[0] == 4)
        outside(data[1]);
    else
        packet(data, n);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    fake_reset(FAKE_VMS);
    gdbstub_init();
    for (size_t at = 0; at < size;) {
        const u8 *end = memchr(data + at, '\n', size - at);
        size_t n = end != NULL ? (size_t)(end - data) - at : size - at;
        piece(data + at, n);
        at += n + 1;
    }
    // Whatever was done, a line that goes away leaves guests that run and nothing in them.
    gdbstub_line_dead();
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
