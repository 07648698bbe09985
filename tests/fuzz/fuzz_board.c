// SPDX-License-Identifier: MIT
// Random port and memory accesses, interrupts and times against a whole board, as a hostile guest
// makes them. Beside what the sanitizers see: callbacks come in order, reads stay within their
// size, and time makes progress.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vdev/board.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static bool intr;

static void require(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static void on_intr(void *ctx, bool level)
{
    (void)ctx;
    require(level != intr, "INT reported at changes only");
    intr = level;
}

static void on_msi(void *ctx, const struct ioapic_message *m)
{
    (void)ctx;
    require(m->delivery_mode < 8, "delivery mode");
}

static void on_event(void *ctx)
{
    (void)ctx;
}

static bool on_transmit(void *ctx, u8 byte)
{
    (void)ctx;
    return byte & 1;
}

static void on_exit_value(void *ctx, u32 value)
{
    (void)ctx;
    (void)value;
}

static const u16 ports[] = {
    0x20,  0x21,  0xa0,  0xa1,  0x4d0, 0x4d1, 0x40,  0x41,  0x42,  0x43,  0x61,  0x70,
    0x71,  0x92,  0x60,  0x64,  0x80,  0xe9,  0x402, 0xcf9, 0xb2,  0xb3,  0x3f8, 0x3f9,
    0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x2f8, 0x2f9, 0x2fa, 0x510, 0x511, 0x600,
    0x602, 0x604, 0x607, 0x608, 0x60b, 0xcf8, 0xcfc, 0xcff, 0xf4,  0x80,  0x60,  0xcfa,
};

static const u8 unit[] = {1, 12, 20, 28, 31, 33, 40, 50}; // log2 of ticks that pass

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    static struct board b;
    static const u8 file[] = "contents";
    u64 now = 1ull << 32, value;
    struct board_config config = {
        .tsc_hz = 3000000001ull,
        .wall_clock = 951782399,
        .memory_below_4g = 64 * MiB,
        .host_uarts = size & 15,
        .fwcfg = {.vcpus = 2, .cmdline = "x"},
        .call = {on_intr, on_msi, on_event, on_transmit, on_event, on_event, on_exit_value},
    };
    intr = false;
    require(board_init(&b, &config, now) == OK, "init");
    require(fwcfg_add_file(&b.fwcfg, "opt/x", file, sizeof(file)) == OK, "file");

    // Each step: what, how long since the last, an argument of 4 bytes.
    for (; size >= 6; data += 6, size -= 6) {
        u8 what = data[0];
        u32 argument;
        memcpy(&argument, data + 2, 4);
        now += (u64)(data[1] >> 3) << unit[data[1] & 7];
        now &= (1ull << 62) - 1;
        u64 then = what == 0xfe ? now / 2 : now; // a clock that went back
        unsigned access = 1u << (what >> 1 & 3) % 3;
        u32 v = argument;
        if (what < 0xa0) {
            u16 port = ports[(what >> 3 ^ argument >> 24) % ARRAY_SIZE(ports)];
            if (what & 1) {
                board_io(&b, port, access, true, &v, then);
            } else {
                board_io(&b, port, access, false, &v, then);
                require(access == 4 || v >> 8 * access == 0, "read within its size");
            }
        } else if (what < 0xb0) {
            board_io(&b, (u16)argument, access, what & 1, &v, then);
        } else if (what < 0xd0) {
            value = argument >> 8;
            u64 gpa = 0xfec00000 + (argument & 0x1f) * 4 + (what & 8 ? argument >> 5 & 3 : 0);
            board_mmio(&b, GPA(gpa), access * 2, what & 1, &value, then);
            if ((argument & 0x80) && what & 1) { // through to IOWIN
                board_mmio(&b, GPA(0xfec00010), 4, true, &value, then);
            }
        } else if (what < 0xe0) {
            if (intr)
                board_pic_ack(&b, then);
        } else if (what < 0xe8) {
            board_ioapic_eoi(&b, (u8)argument, then);
        } else if (what < 0xf0) {
            if (what & 1)
                board_receive_break(&b, then);
            else
                board_receive(&b, (u8)argument, then);
        } else if (what < 0xf2) {
            board_reset(&b, then);
        } else if (what < 0xf3) {
            board_power_button(&b);
        } else if (what < 0xf4) {
            board_pic_ack(&b, then); // spurious too
        } else if (what < 0xf6 && config.host_uarts != 0) {
            board_host_irq(&b, config.host_uarts & 5 ? 4 : 3);
        } else {
            u64 due = board_deadline(&b);
            if (due != UINT64_MAX && due < 1ull << 62) {
                now = MAX(now, due);
                board_expire(&b, now);
                require(board_deadline(&b) > now, "an expired timer is over");
            }
        }
        require(board_pic_level(&b) == intr, "level of INT");
        u64 map[4];
        board_level_vectors(&b, map);
    }
    return 0;
}
