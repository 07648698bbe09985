// SPDX-License-Identifier: MIT
// F10: the 16550A UART.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "vdev/ticks.h"
#include "vdev/uart.h"

#define HZ 1843200000ull // 1000 ticks to the UART's clock

#define FILLS '!' // after this byte the sink wants no more

static struct vuart uart;
static bool line;
static unsigned rises, sent;
static u8 last;
static u64 now;

static void set(void *ctx, unsigned pin, bool level)
{
    assert_ptr_equal(ctx, &uart);
    assert_int_equal(pin, 4);
    assert_true(level != line);
    line = level;
    rises += level;
}

static bool transmit(void *ctx, u8 byte)
{
    assert_ptr_equal(ctx, &uart);
    last = byte;
    sent++;
    return byte != FILLS;
}

static int setup(void **state)
{
    (void)state;
    line = false;
    rises = sent = 0;
    now = 0;
    vuart_init(&uart, HZ, true, 4, (struct irq_line){set, &uart}, transmit, &uart);
    return 0;
}

static u8 in(unsigned offset)
{
    return vuart_read(&uart, offset, now);
}

static void out(unsigned offset, u8 value)
{
    vuart_write(&uart, offset, value, now);
}

static void receive(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        assert_true(vuart_receive(&uart, (u8)('a' + i), now));
}

static void registers_are_as_a_reset_leaves_them(void **state)
{
    (void)state;
    const u8 want[8] = {0, 0, 0x01, 0, 0, 0x60, 0xb0, 0};
    for (unsigned i = 0; i < 8; i++)
        assert_int_equal(in(i), want[i]);
    out(3, 0x80);
    assert_int_equal(in(0) | in(1) << 8, 12);
    out(0, 0x34);
    out(1, 0x12);
    assert_int_equal(in(0), 0x34);
    assert_int_equal(in(1), 0x12);
    out(3, 0x03);
    assert_int_equal(in(1), 0);
    out(7, 0x5a);
    assert_int_equal(in(7), 0x5a);
    out(1, 0xff);
    assert_int_equal(in(1), 0x0f);
    out(4, 0xff);
    assert_int_equal(in(4), 0x1f);
    out(2, 0x01);
    assert_int_equal(in(2) & 0xc0, 0xc0); // a working FIFO
    vuart_reset(&uart);
    assert_int_equal(in(2), 0x01);
    assert_false(line);
}

static void a_full_sink_holds_the_transmitter_back(void **state)
{
    (void)state;
    out(1, 0x02);
    assert_int_equal(in(2), 0x02);
    out(0, FILLS);
    assert_int_equal(in(5), 0x00); // neither THRE nor TEMT
    assert_false(line);
    assert_int_equal(in(2), 0x01);
    out(1, 0);
    out(1, 0x02); // "enabled while empty", but it is not
    assert_false(line);
    out(4, 0x10); // in loopback nothing goes out
    assert_int_equal(in(5), 0x60);
    out(4, 0);
    assert_int_equal(in(5), 0x00);
    vuart_reset(&uart); // the guest's doing; the sink is as full as before
    assert_int_equal(in(5), 0x00);
    out(1, 0x02);
    vuart_ready(&uart);
    assert_true(line);
    assert_int_equal(in(5), 0x60);
    assert_int_equal(in(2), 0x02);
    assert_false(line);
    out(0, 'x'); // one that does not look at LSR is not stopped
    assert_int_equal(sent, 2);
}

static void a_byte_that_is_sent_interrupts(void **state)
{
    (void)state;
    out(0, 'x');
    assert_int_equal(sent, 1);
    assert_int_equal(last, 'x');
    assert_int_equal(in(5), 0x60);
    assert_false(line);
    out(1, 0x02); // enabled while empty: at once
    assert_true(line);
    assert_int_equal(in(2), 0x02);
    assert_false(line); // reading IIR has acknowledged it
    assert_int_equal(in(2), 0x01);
    out(0, 'y');
    assert_true(line);
    unsigned before = rises;
    out(0, 'z'); // without IIR: an edge all the same
    assert_int_equal(rises, before + 1);
    assert_int_equal(sent, 3);
    out(1, 0);
    assert_false(line);
    out(1, 2);
    assert_true(line);
}

static void without_the_fifo_one_byte_is_received(void **state)
{
    (void)state;
    out(1, 0x01);
    assert_true(vuart_receive(&uart, 'a', now));
    assert_false(vuart_receive(&uart, 'b', now));
    assert_true(line);
    assert_int_equal(in(2), 0x04);
    assert_int_equal(in(5), 0x61);
    assert_int_equal(in(0), 'a');
    assert_int_equal(in(5), 0x60);
    assert_false(line);
    assert_true(vuart_receive(&uart, 'b', now));
    assert_true(vuart_deadline(&uart) == NEVER);
}

static void the_fifo_receives_16_bytes(void **state)
{
    (void)state;
    out(2, 0x81); // trigger at 8
    out(1, 0x01);
    receive(7);
    assert_false(line);
    assert_int_equal(in(5) & 1, 1);
    receive(1);
    assert_true(line);
    assert_int_equal(in(2), 0xc4);
    receive(8);
    assert_false(vuart_receive(&uart, 'z', now)); // the console keeps it
    for (unsigned i = 0; i < 16; i++) {
        assert_int_equal(line, i <= 8);
        assert_int_equal(in(0), "abcdefgaabcdefgh"[i]);
    }
    assert_false(line);
    assert_int_equal(in(5), 0x60);
    receive(3);
    out(2, 0x83); // clears the receive FIFO, and the bit does not stay
    assert_int_equal(in(5), 0x60);
    receive(3);
    out(2, 0x00); // so does switching it off
    assert_int_equal(in(5), 0x60);
    assert_int_equal(in(2), 0x01);
}

static void the_trigger_level_interrupts(void **state)
{
    (void)state;
    const u8 levels[4] = {1, 4, 8, 14};
    for (unsigned i = 0; i < 4; i++) {
        out(1, 0x01);
        out(2, (u8)(0x03 | i << 6));
        receive(levels[i] - 1u);
        assert_false(line);
        receive(1);
        assert_true(line);
        out(2, 0x03);
        assert_false(line);
    }
}

static void a_character_timeout_interrupts(void **state)
{
    (void)state;
    out(3, 0x83);
    out(0, 1); // 115,200 baud
    out(1, 0);
    out(3, 0x03); // 8N1: 10 bits a character
    out(2, 0x81);
    out(1, 0x01);
    assert_true(vuart_deadline(&uart) == NEVER);
    receive(1);
    const u64 wait = 4 * 10 * 16 * 1000;
    assert_int_equal(vuart_deadline(&uart), now + wait);
    now += wait / 2;
    receive(1); // begins anew
    assert_int_equal(vuart_deadline(&uart), now + wait);
    now += wait - 1;
    vuart_expire(&uart, now);
    assert_false(line);
    now++;
    vuart_expire(&uart, now);
    assert_true(line);
    assert_true(vuart_deadline(&uart) == NEVER);
    assert_int_equal(in(2), 0xcc);
    assert_int_equal(in(0), 'a');
    assert_false(line);
    assert_int_equal(vuart_deadline(&uart), now + wait);
    out(3, 0x80);
    out(0, 0);
    out(1, 0); // a divisor of 0 must do no harm
    out(3, 0x1f);
    assert_int_equal(vuart_deadline(&uart), now + 4 * 12 * 16 * 1000);
}

static void the_highest_cause_is_told_first(void **state)
{
    (void)state;
    out(2, 0x01);
    out(1, 0x0f);
    out(4, 0x10);
    out(4, 0x1c); // in loopback: DCD and RI come on
    out(0, 'q');
    assert_true(vuart_receive(&uart, 'x', now) == false);
    out(3, 0x43);                         // a break, in loopback received
    assert_int_equal(in(2) & 0x0f, 0x04); // it is not yet at the head
    assert_int_equal(in(5), 0xe1);
    assert_int_equal(in(0), 'q');
    assert_int_equal(in(2) & 0x0f, 0x06);
    assert_int_equal(in(5), 0xf9); // BI, FE, one in the FIFO with an error
    assert_int_equal(in(2) & 0x0f, 0x04);
    assert_int_equal(in(0), 0);
    assert_int_equal(in(2) & 0x0f, 0x02);
    assert_int_equal(in(2) & 0x0f, 0x00);
    assert_int_equal(in(6) & 0xf0, 0xc0);
    assert_int_equal(in(2) & 0x0f, 0x01);
    assert_false(line);
}

static void loopback_returns_what_is_sent(void **state)
{
    (void)state;
    out(4, 0x10);
    assert_int_equal(in(6), 0x0b); // CTS, DSR, DCD went away
    const u8 msr[4] = {0x20, 0x10, 0x40, 0x80};
    for (unsigned i = 0; i < 4; i++) {
        out(4, (u8)(0x10 | 1 << i));
        assert_int_equal(in(6) & 0xf0, msr[i]);
        out(4, 0x10);
        u8 v = in(6);
        assert_int_equal(v & 0xf0, 0);
        assert_int_equal(v & 0x04, i == 2 ? 4 : 0); // RI counts at its end
    }
    out(0, 'a');
    out(0, 'b');
    assert_int_equal(sent, 0);
    assert_int_equal(in(5), 0x63); // overrun
    assert_int_equal(in(5), 0x61); // reading has cleared it
    assert_int_equal(in(0), 'b');
    out(2, 0x01);
    for (unsigned i = 0; i < 17; i++)
        out(0, (u8)i);
    assert_int_equal(in(5), 0x63);
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(in(0), i);
    out(4, 0);
    assert_int_equal(in(6), 0xbb);
}

static void a_break_from_outside_is_received(void **state)
{
    (void)state;
    out(2, 0x01);
    out(1, 0x04);
    assert_true(vuart_break(&uart, now));
    assert_true(line);
    assert_int_equal(in(2), 0xc6);
    assert_int_equal(in(5), 0xf9);
    assert_false(line);
    assert_int_equal(in(0), 0);
    assert_int_equal(in(5), 0x60);
}

static void an_unconnected_port_sends_nothing(void **state)
{
    (void)state;
    vuart_init(&uart, HZ, false, 4, (struct irq_line){set, &uart}, NULL, NULL);
    assert_int_equal(in(6), 0);
    out(0, 'x');
    assert_int_equal(sent, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(registers_are_as_a_reset_leaves_them, setup),
        cmocka_unit_test_setup(a_byte_that_is_sent_interrupts, setup),
        cmocka_unit_test_setup(a_full_sink_holds_the_transmitter_back, setup),
        cmocka_unit_test_setup(without_the_fifo_one_byte_is_received, setup),
        cmocka_unit_test_setup(the_fifo_receives_16_bytes, setup),
        cmocka_unit_test_setup(the_trigger_level_interrupts, setup),
        cmocka_unit_test_setup(a_character_timeout_interrupts, setup),
        cmocka_unit_test_setup(the_highest_cause_is_told_first, setup),
        cmocka_unit_test_setup(loopback_returns_what_is_sent, setup),
        cmocka_unit_test_setup(a_break_from_outside_is_received, setup),
        cmocka_unit_test_setup(an_unconnected_port_sends_nothing, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
