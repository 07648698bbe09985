// SPDX-License-Identifier: MIT
// The codec of the remote serial protocol.
// clang-format off
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
// clang-format on
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gdbstub/packet.h"
#include "gdbstub/wire.h"

static struct packet_codec codec;
static char sent[65536];
static size_t sent_len;

static void put(const void *bytes, size_t n)
{
    assert_true(sent_len + n < sizeof(sent));
    memcpy(sent + sent_len, bytes, n);
    sent_len += n;
    sent[sent_len] = '\0';
}

static int setup(void **state)
{
    (void)state;
    packet_init(&codec, put);
    sent_len = 0;
    sent[0] = '\0';
    return 0;
}

static enum packet_event feed_n(const char *bytes, size_t n)
{
    enum packet_event last = PACKET_NONE;
    for (size_t i = 0; i < n; i++) {
        enum packet_event e = packet_input(&codec, (u8)bytes[i]);
        if (e != PACKET_NONE)
            last = e;
    }
    return last;
}

static enum packet_event feed(const char *s)
{
    return feed_n(s, strlen(s));
}

static void a_packet_is_taken_and_acknowledged(void **state)
{
    (void)state;
    assert_int_equal(feed("$g#67"), PACKET_READY);
    assert_string_equal(codec.body, "g");
    assert_string_equal(sent, "+");
    assert_int_equal(feed("$#00"), PACKET_READY);
    assert_int_equal(codec.len, 0);
    assert_int_equal(feed("$vMustReplyEmpty#3A"), PACKET_READY); // digits of either case
}

static void a_bad_sum_is_refused(void **state)
{
    (void)state;
    assert_int_equal(feed("$g#68"), PACKET_NONE);
    assert_string_equal(sent, "-");
    assert_int_equal(feed("$g#6x"), PACKET_NONE);
    assert_int_equal(feed("$g#x7"), PACKET_NONE);
    assert_string_equal(sent, "---");
    assert_int_equal(feed("$g#67"), PACKET_READY);
}

static void without_acks_nothing_is_said(void **state)
{
    (void)state;
    codec.no_ack = true;
    assert_int_equal(feed("$g#67"), PACKET_READY);
    assert_int_equal(feed("$g#68"), PACKET_NONE);
    assert_string_equal(sent, "");
}

static void a_new_client_gets_acks_again(void **state)
{
    (void)state;
    codec.no_ack = true;
    assert_int_equal(feed("+$qSupported:a+#fd"), PACKET_READY);
    assert_string_equal(sent, "+");
    assert_false(codec.no_ack);
}

static void escapes_are_undone(void **state)
{
    (void)state;
    // } stands before # $ } * xor 0x20
    static const char raw[] = "$X}\x03}\x04}]}\x0a";
    u8 sum = 0;
    char tail[4];
    for (size_t i = 1; i < sizeof(raw) - 1; i++)
        sum = (u8)(sum + raw[i]);
    feed_n(raw, sizeof(raw) - 1);
    snprintf(tail, sizeof(tail), "#%02x", sum);
    assert_int_equal(feed(tail), PACKET_READY);
    assert_int_equal(codec.len, 5);
    assert_memory_equal(codec.body, "X#$}*", 5);
}

static void a_dollar_starts_again(void **state)
{
    (void)state;
    assert_int_equal(feed("$m1000,40$g#67"), PACKET_READY);
    assert_string_equal(codec.body, "g");
    assert_int_equal(feed("$m1000,40#$g#67"), PACKET_READY);
    assert_int_equal(feed("$m1000,40#5$g#67"), PACKET_READY);
    assert_int_equal(feed("$X}$g#67"), PACKET_READY);
    assert_string_equal(sent, "++++");
}

static void break_in_counts_between_packets(void **state)
{
    (void)state;
    assert_int_equal(feed("\x03"), PACKET_BREAK);
    assert_int_equal(feed("$X\x03#5b"), PACKET_READY);
    assert_int_equal(codec.len, 2);
    codec.running = true;
    assert_int_equal(feed("$X\x03"), PACKET_BREAK);
    assert_int_equal(codec.state, PACKET_IDLE);
}

static void garbage_is_ignored(void **state)
{
    (void)state;
    for (unsigned b = 0; b < 256; b++) {
        if (b != '$' && b != 3)
            assert_int_equal(packet_input(&codec, (u8)b), PACKET_NONE);
    }
    assert_string_equal(sent, "");
    assert_int_equal(feed("$g#67"), PACKET_READY);
}

static void a_packet_too_long_is_named_and_lost(void **state)
{
    (void)state;
    u8 sum = 0;
    char tail[4];
    packet_input(&codec, '$');
    for (unsigned i = 0; i < 3 * GDB_PACKET_SIZE; i++) {
        assert_int_equal(packet_input(&codec, 'a'), PACKET_NONE);
        sum = (u8)(sum + 'a');
    }
    snprintf(tail, sizeof(tail), "#%02x", sum);
    assert_int_equal(feed(tail), PACKET_LONG);
    assert_int_equal(feed("$g#67"), PACKET_READY);
}

static void send_text(const char *s, size_t n)
{
    memcpy(codec.out, s, n);
    codec.out_len = n;
    sent_len = 0;
    packet_send(&codec);
}

// Undoes what a packet on the wire is; returns the payload's length.
static size_t decode(const char *wire, size_t n, char *out)
{
    u8 sum = 0;
    size_t len = 0, plain = 0;
    char *expanded = malloc(1 << 20);

    assert_int_equal(wire[0], '$');
    for (size_t i = 1; i + 3 < n; i++)
        sum = (u8)(sum + (u8)wire[i]);
    assert_int_equal(wire[n - 3], '#');
    assert_int_equal(hex_digit(wire[n - 2]) << 4 | hex_digit(wire[n - 1]), sum);
    for (size_t i = 1; i + 3 < n; i++) {
        assert_int_not_equal(wire[i], '$');
        assert_int_not_equal(wire[i], '#');
        if (wire[i] != '*') {
            expanded[len++] = wire[i];
            continue;
        }
        i++;
        assert_in_range(wire[i], ' ', '~');
        for (int r = wire[i] - 29; r > 0; r--, len++)
            expanded[len] = expanded[len - 1];
    }
    for (size_t i = 0; i < len; i++)
        out[plain++] = expanded[i] == '}' ? (char)(expanded[++i] ^ 0x20) : expanded[i];
    free(expanded);
    return plain;
}

static void replies_are_run_length_encoded(void **state)
{
    (void)state;
    send_text("OK", 2);
    assert_string_equal(sent, "$OK#9a");
    send_text("000", 3);
    assert_string_equal(sent, "$000#90");
    send_text("0000", 4);
    assert_string_equal(sent, "$0* #7a");
    // Six and seven repeats would be counted by '#' and '$'.
    send_text("0000000", 7);
    assert_string_equal(sent, "$0*\"0#ac");
    send_text("00000000", 8);
    assert_string_equal(sent, "$0*\"00#dc");
}

static void every_reply_can_be_decoded(void **state)
{
    (void)state;
    static char out[65536];
    char text[400];

    for (unsigned c = 0; c < 256; c++) {
        for (size_t n = 0; n <= 300; n++) {
            memset(text, (int)c, n);
            text[n] = 'x';
            send_text(text, n + 1);
            assert_int_equal(decode(sent, sent_len, out), n + 1);
            assert_memory_equal(out, text, n + 1);
        }
    }
    srand(1);
    for (unsigned round = 0; round < 2000; round++) {
        static const char some[] = "}}]]**##$$0000000 \n";
        size_t n = (size_t)rand() % sizeof(text);
        for (size_t i = 0; i < n; i++)
            text[i] = rand() % 4 == 0 && i > 0 ? text[i - 1] : some[(size_t)rand() % sizeof(some)];
        send_text(text, n);
        assert_int_equal(decode(sent, sent_len, out), n);
        assert_memory_equal(out, text, n);
    }
}

static void a_nak_brings_the_reply_again(void **state)
{
    (void)state;
    send_text("abc", 3);
    assert_int_equal(feed("-"), PACKET_NONE);
    assert_string_equal(sent, "$abc#26$abc#26");
    feed("+");
    feed("-");
    assert_string_equal(sent, "$abc#26$abc#26");
}

static void naks_without_end_are_not_answered(void **state)
{
    (void)state;
    send_text("abc", 3);
    for (unsigned i = 0; i < 100; i++)
        feed("-");
    assert_true(sent_len < 7 * 20);
    send_text("abc", 3);
    feed("-");
    assert_string_equal(sent, "$abc#26$abc#26");
}

static void numbers_and_ids(void **state)
{
    (void)state;
    struct thread_id id;
    const char *s = "ffffffffffffffff,";
    u64 v;
    assert_true(hex_number(&s, &v) && v == UINT64_MAX && *s == ',');
    s = "10000000000000000";
    assert_false(hex_number(&s, &v));
    s = "p1f.-1;";
    assert_true(parse_thread_id(&s, 1, &id) && id.pid == 0x1f && id.tid == ID_ALL && *s == ';');
    s = "p2";
    assert_true(parse_thread_id(&s, 1, &id) && id.pid == 2 && id.tid == ID_ALL);
    s = "p0.0";
    assert_true(parse_thread_id(&s, 1, &id) && id.pid == ID_ANY && id.tid == ID_ANY);
    s = "-1";
    assert_true(parse_thread_id(&s, 3, &id) && id.pid == ID_ALL && id.tid == ID_ALL);
    s = "pffffffff.1";
    assert_false(parse_thread_id(&s, 1, &id));
    s = "p1.";
    assert_false(parse_thread_id(&s, 1, &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_packet_is_taken_and_acknowledged, setup),
        cmocka_unit_test_setup(a_bad_sum_is_refused, setup),
        cmocka_unit_test_setup(without_acks_nothing_is_said, setup),
        cmocka_unit_test_setup(a_new_client_gets_acks_again, setup),
        cmocka_unit_test_setup(escapes_are_undone, setup),
        cmocka_unit_test_setup(a_dollar_starts_again, setup),
        cmocka_unit_test_setup(break_in_counts_between_packets, setup),
        cmocka_unit_test_setup(garbage_is_ignored, setup),
        cmocka_unit_test_setup(a_packet_too_long_is_named_and_lost, setup),
        cmocka_unit_test_setup(replies_are_run_length_encoded, setup),
        cmocka_unit_test_setup(every_reply_can_be_decoded, setup),
        cmocka_unit_test_setup(a_nak_brings_the_reply_again, setup),
        cmocka_unit_test_setup(naks_without_end_are_not_answered, setup),
        cmocka_unit_test_setup(numbers_and_ids, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
