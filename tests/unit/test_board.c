// SPDX-License-Identifier: MIT
// F10: the board: who answers where, what is wired to what, and when something is due.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "vdev/board.h"

#define HZ 2000000000ull

static struct board board;
static u64 now;
static bool intr;
static unsigned msis, routes, shutdowns, resets, exits;
static u32 exit_value;
static struct ioapic_message message;
static char console[64];
static unsigned console_length;
static bool console_full;

static void on_intr(void *ctx, bool level)
{
    assert_ptr_equal(ctx, console);
    assert_true(level != intr);
    intr = level;
}

static void on_msi(void *ctx, const struct ioapic_message *m)
{
    assert_ptr_equal(ctx, console);
    message = *m;
    msis++;
}

static void on_routes(void *ctx)
{
    assert_ptr_equal(ctx, console);
    routes++;
}

static bool on_transmit(void *ctx, u8 byte)
{
    assert_ptr_equal(ctx, console);
    if (console_full)
        return false;
    console[console_length++ % sizeof(console)] = (char)byte;
    return true;
}

static void on_shutdown(void *ctx)
{
    assert_ptr_equal(ctx, console);
    shutdowns++;
}

static void on_reset(void *ctx)
{
    assert_ptr_equal(ctx, console);
    resets++;
}

static void on_exit(void *ctx, u32 value)
{
    assert_ptr_equal(ctx, console);
    exit_value = value;
    exits++;
}

static struct board_config config = {
    .tsc_hz = HZ,
    .wall_clock = 1700000000,
    .memory_below_4g = 3 * GiB,
    .memory_above_4g = 2 * GiB,
    .fwcfg = {.vcpus = 3, .cmdline = "hi"},
    .call = {on_intr, on_msi, on_routes, on_transmit, on_shutdown, on_reset, on_exit},
    .ctx = console,
};

static int setup(void **state)
{
    (void)state;
    intr = console_full = false;
    msis = routes = shutdowns = resets = exits = console_length = 0;
    now = 5000;
    assert_int_equal(board_init(&board, &config, now), OK);
    return 0;
}

static u32 in(u16 port, unsigned size)
{
    u32 v = 0x5a5a5a5a;
    board_io(&board, port, size, false, &v, now);
    return v;
}

static bool out(u16 port, unsigned size, u32 value)
{
    return board_io(&board, port, size, true, &value, now);
}

static void ioapic_put(u32 reg, u32 value)
{
    u64 v = reg;
    assert_true(board_mmio(&board, GPA(0xfec00000), 4, true, &v, now));
    v = value;
    assert_true(board_mmio(&board, GPA(0xfec00010), 4, true, &v, now));
}

// Runs the timers as the hypervisor would until `end`. Returns how often it had to act.
static unsigned run(u64 end)
{
    unsigned n = 0;
    for (u64 due; (due = board_deadline(&board)) <= end; n++) {
        assert_true(n < 100000);
        now = MAX(now, due);
        board_expire(&board, now);
        assert_true(board_deadline(&board) > now);
    }
    now = end;
    return n;
}

static void a_clock_that_is_too_slow_is_refused(void **state)
{
    (void)state;
    struct board_config slow = config;
    slow.tsc_hz = 1000000;
    assert_int_equal(board_init(&board, &slow, 0), ERR_INVALID);
}

static void what_no_device_claims_reads_as_ones(void **state)
{
    (void)state;
    u32 v = 0;
    assert_false(board_io(&board, 0x300, 1, false, &v, now));
    assert_int_equal(v, 0xff);
    assert_false(board_io(&board, 0x300, 2, false, &v, now));
    assert_int_equal(v, 0xffff);
    assert_false(board_io(&board, 0xffff, 4, false, &v, now));
    assert_int_equal(v, 0xffffffff);
    assert_false(out(0xfffe, 4, 0));
    assert_true(out(0x80, 1, 0x55));
    u64 m = 0;
    assert_false(board_mmio(&board, GPA(0xfed00000), 8, false, &m, now));
    assert_true(m == UINT64_MAX);
    assert_false(board_mmio(&board, GPA(0xfec01000), 2, false, &m, now));
    assert_true(m == 0xffff);
    assert_false(board_mmio(&board, GPA(0xfebfffff), 1, true, &m, now));
}

static void the_board_is_as_firmware_leaves_it(void **state)
{
    (void)state;
    assert_int_equal(in(0x21, 1), 0xff);
    assert_int_equal(in(0xa1, 1), 0xff);
    assert_int_equal(in(0x4d0, 2), 0x0200); // a wide access is split
    assert_int_equal(in(0x4d1, 1), 0x02);
    assert_true(board_deadline(&board) == UINT64_MAX); // nothing unmasked: no exits
    assert_int_equal(in(0x92, 1), 0x02);
    const u8 cmos[][2] = {{0x15, 0x80}, {0x16, 0x02}, {0x17, 0xff}, {0x18, 0xff}, {0x34, 0x00},
                          {0x35, 0xbf}, {0x5b, 0x00}, {0x5c, 0x80}, {0x5d, 0x00}, {0x5f, 2},
                          {0x32, 0x20}, {0x09, 0x23}, {0x08, 0x11}};
    u16 sum = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(cmos); i++) {
        out(0x70, 1, cmos[i][0]);
        assert_int_equal(in(0x71, 1), cmos[i][1]);
    }
    for (u32 i = 0x10; i <= 0x2d; i++) {
        out(0x70, 1, i);
        sum = (u16)(sum + in(0x71, 1));
    }
    out(0x70, 1, 0x2e);
    assert_int_equal(in(0x71, 1), sum >> 8);
    out(0x70, 1, 0x2f);
    assert_int_equal(in(0x71, 1), sum & 0xff);
}

static void fw_cfg_answers_at_its_ports(void **state)
{
    (void)state;
    out(0x510, 2, 0x05);
    assert_int_equal(in(0x511, 1) | in(0x511, 1) << 8, 3);
    out(0x510, 2, 0x15);
    out(0x510, 1, 0x00); // a byte selects nothing
    assert_int_equal(in(0x511, 1), 'h');
    out(0x511, 1, 0);
    assert_int_equal(in(0x511, 1), 'i');
}

// Text that the console has no room for is kept, and what finds none is counted.
static void debug_ports_write_to_the_console(void **state)
{
    (void)state;
    out(0x80, 1, 0x3c);
    assert_int_equal(in(0x80, 1), 0x3c);
    assert_int_equal(in(0xe9, 1), 0xe9);
    assert_int_equal(in(0x402, 1), 0xe9);
    out(0xe9, 1, 'a');
    out(0x402, 1, 'b');
    assert_memory_equal(console, "ab", 2);

    console_full = true;
    for (unsigned i = 0; i < DEBUG_TEXT_MAX + 7; i++)
        out(0xe9, 1, 'c');
    board_transmit_ready(&board);
    assert_int_equal(console_length, 2);
    out(0xf4, 1, 0); // the others go on
    assert_int_equal(exits, 1);
    console_full = false;
    console_length = 0;
    board_transmit_ready(&board);
    static const char note[] = "\n[7 bytes to a debug port are lost]\n";
    assert_int_equal(console_length, DEBUG_TEXT_MAX + sizeof(note) - 1);
    console_length = 0;
    out(0x402, 1, 'd');
    assert_int_equal(console_length, 1);
}

static void the_keyboard_controller_answers_and_interrupts(void **state)
{
    (void)state;
    assert_int_equal(in(0x64, 1) & 2, 0); // what a loop for A20 waits for
    out(0x21, 1, 0xfd);                   // its interrupt
    out(0x64, 1, 0xaa);
    assert_true(intr);
    assert_int_equal(in(0x60, 1), 0x55);
    assert_false(intr);
}

// An alarm of the clock raises the SCI where the guest waits for it, though IRQ 8 itself is masked,
// as Linux has it while it sleeps.
static void an_alarm_raises_the_sci(void **state)
{
    (void)state;
    out(0x70, 1, 11);
    out(0x71, 1, 0x22); // alarm interrupt, 24 hours
    for (u32 i = 1; i <= 5; i += 2) {
        out(0x70, 1, i);
        out(0x71, 1, 0xff); // at any time
    }
    ioapic_put(0x10 + 2 * 9, 0x8041); // the SCI: level, vector 0x41
    assert_true(board_deadline(&board) == UINT64_MAX);
    out(0xb2, 1, 0xf1);
    out(0x602, 2, 0x0400); // RTC_EN
    assert_true(board.moved);
    u64 due = board_deadline(&board);
    assert_true(due <= now + HZ);
    now = due;
    unsigned before = msis;
    board_expire(&board, now);
    assert_int_equal(msis, before + 1);
    assert_int_equal(message.vector, 0x41);
    assert_int_equal(in(0x600, 2) & 0x0400, 0x0400);
    out(0x600, 2, 0x0400);
    assert_int_equal(in(0x600, 2) & 0x0400, 0);
}

static void ports_end_and_reset_the_vm(void **state)
{
    (void)state;
    out(0xf4, 4, 0x12345678);
    assert_int_equal(exit_value, 0x12345678);
    out(0xf4, 1, 0x1ff);
    assert_int_equal(exit_value, 0xff);
    assert_int_equal(exits, 2);
    assert_int_equal(in(0xf4, 1), 0);
    out(0x604, 2, 0x2000);
    assert_int_equal(shutdowns, 1);
    out(0x64, 1, 0xfe);
    assert_int_equal(resets, 1);
    out(0x92, 1, 0x02);
    out(0x92, 1, 0x03);
    assert_int_equal(resets, 2);
    out(0xcf9, 1, 0x02);
    assert_int_equal(resets, 2);
    out(0xcf9, 1, 0x06);
    assert_int_equal(resets, 3);
    out(0xcf9, 1, 0x06); // no rise
    assert_int_equal(resets, 3);
    assert_int_equal(in(0xcf9, 1), 0x06);
    out(0xcf8, 4, 0x80000600); // the dword is PCI's, whatever its second byte
    assert_int_equal(in(0xcf8, 4), 0x80000600);
    assert_int_equal(resets, 3);
    out(0xcf9, 1, 0x00);
    out(0xcf8, 2, 0x0600); // a word is for the ports that it covers
    assert_int_equal(resets, 4);
    assert_int_equal(in(0xcf8, 2), 0x06ff);
    out(0xcf8, 4, 0x80000000);
    assert_int_equal(in(0xcfc, 2), 0x8086);
    assert_int_equal(in(0xcff, 1), 0x0d);
}

static void com1_is_the_console_and_interrupts(void **state)
{
    (void)state;
    out(0x3f8, 1, 'A');
    out(0x2f8, 1, 'B'); // to nowhere
    assert_int_equal(console_length, 1);
    assert_int_equal(console[0], 'A');
    assert_int_equal(in(0x3fe, 1), 0xb0);
    assert_int_equal(in(0x2fe, 1), 0x00);
    out(0x21, 1, 0xef);
    out(0x3fa, 1, 0x81);
    out(0x3f9, 1, 0x01);
    assert_true(board_receive(&board, 'x', now));
    assert_true(board_deadline(&board) != UINT64_MAX); // the time-out
    run(now + HZ);
    assert_true(intr);
    assert_int_equal(board_pic_ack(&board, now), 0x08 + 4);
    assert_int_equal(in(0x3f8, 1), 'x');
    out(0x20, 1, 0x20);
    out(0x21, 1, 0xff);
    ioapic_put(0x18, 0x34);
    out(0x3fa, 1, 0x01);
    assert_true(board_receive(&board, 'y', now));
    assert_int_equal(msis, 1);
    assert_int_equal(message.vector, 0x34);
    assert_false(intr);
    assert_true(board_receive_break(&board, now));
}

static void the_pit_reaches_pic_and_pin_2(void **state)
{
    (void)state;
    out(0x43, 1, 0x34);
    out(0x40, 1, 11932 & 0xff);
    out(0x40, 1, 11932 >> 8); // 100 Hz
    ioapic_put(0x14, 0x30);
    assert_in_range(run(now + HZ), 99, 101);
    assert_in_range(msis, 99, 101);
    assert_int_equal(message.vector, 0x30);
    ioapic_put(0x14, 0x10030);
    assert_int_equal(run(now + HZ), 0); // masked: no exits
    out(0x21, 1, 0xfe);
    unsigned ticks = 0;
    for (u64 end = now + HZ; now < end; run(now + HZ / 500)) {
        if (!board_pic_level(&board))
            continue;
        assert_int_equal(board_pic_ack(&board, now), 0x08);
        out(0x20, 1, 0x20);
        ticks++;
    }
    assert_in_range(ticks, 99, 101);
}

static void ticks_that_come_late_are_made_up_for(void **state)
{
    (void)state;
    out(0x43, 1, 0x34);
    out(0x40, 1, 1193 & 0xff);
    out(0x40, 1, 1193 >> 8); // 1 kHz
    out(0x20, 1, 0x11);      // the kernel's own initialization: no stale edge
    out(0x21, 1, 0x08);
    out(0x21, 1, 0x04);
    out(0x21, 1, 0x01);
    out(0x21, 1, 0xfe);
    now += HZ / 100 + HZ / 2000; // the vCPU was away for 10.5 periods
    board_expire(&board, now);
    unsigned ticks = 0;
    while (intr) {
        assert_int_equal(board_pic_ack(&board, now), 0x08);
        assert_false(intr); // in service
        out(0x20, 1, 0x20);
        ticks++;
    }
    assert_int_equal(ticks, 10);
    now += 50 * HZ; // a backlog has its bounds
    board_expire(&board, now);
    for (ticks = 0; intr; ticks++) {
        board_pic_ack(&board, now);
        out(0x20, 1, 0x20);
    }
    assert_int_equal(ticks, 101);
    run(now + HZ / 1000); // and the edges go on as before
    assert_true(intr);
    assert_int_equal(run(now + 5 * HZ / 1000), 5); // each seen in time, none served
    for (ticks = 0; intr; ticks++) {
        board_pic_ack(&board, now);
        out(0x20, 1, 0x20);
    }
    assert_int_equal(ticks, 6);
}

static void a_one_shot_ticks_once(void **state)
{
    (void)state;
    out(0x21, 1, 0xfe);
    out(0x43, 1, 0x30);
    assert_false(intr); // lowering the output takes an unserved request back
    out(0x40, 1, 0);
    out(0x40, 1, 1);
    assert_int_equal(run(now + HZ), 1);
    assert_true(intr);
    board_pic_ack(&board, now);
    out(0x20, 1, 0x20);
    assert_false(intr);
}

static void irr_follows_the_square_wave(void **state)
{
    (void)state;
    out(0x43, 1, 0x36);
    out(0x40, 1, 11932 & 0xff);
    out(0x40, 1, 11932 >> 8);
    out(0x20, 1, 0x0a);
    unsigned changes = 0;
    u32 before = in(0x20, 1) & 1;
    for (unsigned i = 0; i < 1000; i++, now += HZ / 1000) { // 100 Hz for a second
        u32 v = in(0x20, 1) & 1;
        changes += v != before;
        before = v;
    }
    assert_in_range(changes, 198, 202);
}

static void a_fast_timer_is_limited(void **state)
{
    (void)state;
    ioapic_put(0x14, 0x30);
    out(0x43, 1, 0x14);
    out(0x40, 1, 2); // 600 kHz
    assert_in_range(run(now + HZ / 100), 400, 501);
}

static void the_sci_is_level_triggered(void **state)
{
    (void)state;
    ioapic_put(0x22, 0x8049);
    assert_int_equal(routes, 1);
    u64 map[4];
    board_level_vectors(&board, map);
    assert_true(map[1] == BIT(9) && !map[0] && !map[2] && !map[3]);
    out(0xb2, 1, 0xf1);
    out(0x602, 2, 0x100);
    board_power_button(&board);
    assert_int_equal(msis, 1);
    assert_true(message.level);
    board_ioapic_eoi(&board, 0x49, now);
    assert_int_equal(msis, 2);
    out(0x600, 2, 0x100);
    board_ioapic_eoi(&board, 0x49, now);
    assert_int_equal(msis, 2);
}

static void the_rtc_interrupts_once_until_it_is_read(void **state)
{
    (void)state;
    ioapic_put(0x20, 0x38);
    out(0x70, 1, 0x0b);
    out(0x71, 1, 0x12);
    assert_int_equal(run(now + HZ), 1);
    assert_int_equal(msis, 1);
    out(0x70, 1, 0x0c);
    assert_int_equal(in(0x71, 1) & 0x90, 0x90);
    assert_int_equal(run(now + HZ), 1);
}

static void the_pm_timer_never_goes_back(void **state)
{
    (void)state;
    now += HZ;
    u32 v = in(0x608, 4);
    assert_int_equal(v, 3579545);
    now -= HZ / 2; // another core's clock is behind
    assert_int_equal(in(0x608, 4), v);
    assert_int_equal(in(0x60a, 2), v >> 16);
    now += 3 * HZ / 2;
    assert_int_equal(in(0x608, 4), 2 * 3579545);
}

static void the_ioapic_takes_accesses_of_each_size(void **state)
{
    (void)state;
    u64 v = 1;
    board_mmio(&board, GPA(0xfec00000), 1, true, &v, now);
    v = 0;
    assert_true(board_mmio(&board, GPA(0xfec00010), 4, false, &v, now));
    assert_true(v == 0x170020);
    board_mmio(&board, GPA(0xfec00012), 2, false, &v, now);
    assert_true(v == 0x17);
    board_mmio(&board, GPA(0xfec00010), 8, false, &v, now);
    assert_true(v == 0x170020);
}

static void a_reset_leaves_cmos_and_time_alone(void **state)
{
    (void)state;
    out(0x21, 1, 0x00);
    ioapic_put(0x14, 0x30);
    out(0xb2, 1, 0xf1);
    out(0x70, 1, 0x0b);
    out(0x71, 1, 0x42);
    out(0x70, 1, 0x50);
    out(0x71, 1, 0x99);
    out(0x3f9, 1, 0x02);
    run(now + HZ);
    assert_true(intr);
    routes = 0;
    board_reset(&board, now);
    assert_false(intr);
    assert_int_equal(routes, 1);
    the_board_is_as_firmware_leaves_it(state);
    assert_int_equal(in(0x604, 2), 0);
    assert_int_equal(in(0x3f9, 1), 0);
    assert_int_equal(in(0x608, 4), 3579545);
    out(0x70, 1, 0x50);
    assert_int_equal(in(0x71, 1), 0x99);
}

// F9: a UART of the host: its interrupt is an edge, and what it shares the line with cannot undo
// one.
static void a_uart_of_the_host_interrupts_by_an_edge(void **state)
{
    (void)state;
    struct board_config host = config;
    host.host_uarts = 0x6; // COM2 and COM3
    assert_int_equal(board_init(&board, &host, now), OK);
    out(0x2ff, 1, 0x5a);
    assert_int_equal(in(0x2ff, 1), 0xff);
    assert_int_equal(in(0x2f6, 4), 0xffffffff);
    out(0x3ff, 1, 0x5a);
    assert_int_equal(in(0x3ff, 1), 0x5a);

    ioapic_put(0x10 + 2 * 3, 0x43);
    board_host_irq(&board, 3);
    board_host_irq(&board, 3);
    assert_int_equal(msis, 2);
    assert_int_equal(message.vector, 0x43);

    out(0x4d0, 1, 0xf8); // level-triggered: not these
    assert_int_equal(in(0x4d0, 1), 0xe0);
    out(0x21, 1, 0xef); // COM1's and COM3's IRQ
    assert_false(intr);
    board_host_irq(&board, 4);
    assert_true(intr);
    out(0x3f9, 1, 0x02); // our COM1 asks too, and no more
    out(0x3f9, 1, 0x00);
    assert_true(intr);
    assert_int_equal(board_pic_ack(&board, now), 0x0c);
    assert_false(intr);
    board_host_irq(&board, 4);
    out(0x20, 1, 0x20);
    assert_true(intr);

    board_reset(&board, now);
    assert_false(intr);
    out(0x21, 1, 0xe7);
    assert_false(intr);
    board_host_irq(&board, 3);
    assert_int_equal(board_pic_ack(&board, now), 0x0b);

    host.host_uarts = 0x1;
    assert_int_equal(board_init(&board, &host, now), OK);
    for (unsigned i = 0; i < 100; i++)
        assert_true(board_receive(&board, 'x', now)); // nobody is to wait for room
}

static u64 read_seven(void *ctx, unsigned bar, u64 offset, unsigned size, u64 then)
{
    (void)ctx;
    (void)size;
    assert_true(then == now);
    return bar + offset + 7;
}

// A PCI function on the board: its registers at ports and in memory, its line at PIC and IOAPIC,
// its messages to the local APICs.
static void a_pci_function_reaches_bus_and_interrupts(void **state)
{
    (void)state;
    static const struct pci_kind kind = {.name = "a test function",
                                         .pin = 1,
                                         .msi = true,
                                         .bar = {{16, true}, {PAGE_SIZE, false}},
                                         .read = read_seven};
    static struct pci_function f;
    u64 v;
    assert_int_equal(board_add_function(&board, 1, &f, &kind, NULL), OK);
    assert_int_equal(board_add_function(&board, 1, &f, &kind, NULL), ERR_BUSY);
    assert_int_equal(in(0x4d0, 2), 0x0a00); // IRQ 11 is a level, as is the SCI
    const u32 setup_writes[][2] = {{0x80000810, 0xc000}, {0x80000814, 0xe0000000}, {0x80000804, 7}};
    for (unsigned i = 0; i < ARRAY_SIZE(setup_writes); i++) {
        out(0xcf8, 4, setup_writes[i][0]);
        out(0xcfc, 4, setup_writes[i][1]);
    }
    assert_int_equal(in(0xc003, 1), 10);
    assert_false(board_port_absent(&board, 0xc003));
    assert_true(board_mmio(&board, GPA(0xe0000010), 4, false, &v, now));
    assert_true(v == 0x18);
    assert_false(board_memory_absent(&board, GPA(0xe0000fff)));
    assert_true(board_memory_absent(&board, GPA(0xe0001000)));

    out(0x21, 1, 0xfb);
    out(0xa1, 1, 0xf7);
    pci_set_irq(&f, true);
    assert_true(intr);
    assert_int_equal(board_pic_ack(&board, now), 0x70 + 3);
    pci_set_irq(&f, false);
    assert_false(intr);
    ioapic_put(0x10 + 2 * 11, 0x8055);
    pci_set_irq(&f, true);
    assert_true(msis == 1 && message.vector == 0x55 && message.level);
    pci_set_irq(&f, false);

    const u32 msi_writes[][2] = {
        {0x80000844, 0xfee03004}, {0x8000084c, 0x4161}, {0x80000840, 0x10000}};
    for (unsigned i = 0; i < ARRAY_SIZE(msi_writes); i++) {
        out(0xcf8, 4, msi_writes[i][0]);
        out(0xcfc, 4, msi_writes[i][1]);
    }
    pci_set_irq(&f, true);
    assert_int_equal(msis, 2);
    assert_true(message.vector == 0x61 && message.dest == 3 && message.logical && !message.level &&
                message.delivery_mode == 1);
    pci_set_irq(&f, false);
    out(0xcf8, 4, 0x80000844);
    out(0xcfc, 4, 0x00103004); // memory, where there is no local APIC
    pci_set_irq(&f, true);
    assert_int_equal(msis, 2);

    board_reset(&board, now);
    assert_int_equal(in(0xc003, 1), 0xff);
    assert_int_equal(in(0x4d0, 2), 0x0a00);
    out(0xcf8, 4, 0x8000083c);
    assert_int_equal(in(0xcfc, 4), 0x010b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_is_too_slow_is_refused),
        cmocka_unit_test_setup(what_no_device_claims_reads_as_ones, setup),
        cmocka_unit_test_setup(the_board_is_as_firmware_leaves_it, setup),
        cmocka_unit_test_setup(fw_cfg_answers_at_its_ports, setup),
        cmocka_unit_test_setup(ports_end_and_reset_the_vm, setup),
        cmocka_unit_test_setup(com1_is_the_console_and_interrupts, setup),
        cmocka_unit_test_setup(the_pit_reaches_pic_and_pin_2, setup),
        cmocka_unit_test_setup(ticks_that_come_late_are_made_up_for, setup),
        cmocka_unit_test_setup(a_one_shot_ticks_once, setup),
        cmocka_unit_test_setup(irr_follows_the_square_wave, setup),
        cmocka_unit_test_setup(a_fast_timer_is_limited, setup),
        cmocka_unit_test_setup(the_sci_is_level_triggered, setup),
        cmocka_unit_test_setup(the_rtc_interrupts_once_until_it_is_read, setup),
        cmocka_unit_test_setup(the_pm_timer_never_goes_back, setup),
        cmocka_unit_test_setup(the_ioapic_takes_accesses_of_each_size, setup),
        cmocka_unit_test_setup(a_reset_leaves_cmos_and_time_alone, setup),
        cmocka_unit_test_setup(debug_ports_write_to_the_console, setup),
        cmocka_unit_test_setup(the_keyboard_controller_answers_and_interrupts, setup),
        cmocka_unit_test_setup(an_alarm_raises_the_sci, setup),
        cmocka_unit_test_setup(a_uart_of_the_host_interrupts_by_an_edge, setup),
        cmocka_unit_test_setup(a_pci_function_reaches_bus_and_interrupts, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
