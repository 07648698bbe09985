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

#include "gdbstub/args.h"
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
    static char expanded[1 << 20]; // a fresh one each time is slow under AddressSanitizer

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

static void numbers_and_ids_are_read(void **state)
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

static struct packet_args args;

// Reads text, whole, as arguments of this form; in process 7.
static bool parse_n(const char *form, const char *text, size_t n)
{
    memset(&args, 0, sizeof(args));
    memcpy(codec.body, text, n);
    codec.body[n] = '\0';
    codec.len = n;
    return parse_args(form, &codec, codec.body, 7, &args);
}

static bool parse(const char *form, const char *text)
{
    return parse_n(form, text, strlen(text));
}

static void arguments_are_read_by_their_form(void **state)
{
    (void)state;
    assert_true(parse("N,N", "1f,20") && args.numbers == 2);
    assert_true(args.number[0] == 0x1f && args.number[1] == 0x20);
    assert_true(parse("?N", "") && args.numbers == 0);
    assert_true(parse("?N", "10") && args.numbers == 1);
    assert_true(parse("N?;?N", "5;") && args.numbers == 1);
    assert_true(parse("N?;?N", "5;10") && args.number[1] == 0x10);
    assert_true(parse("[gc]T*", "cp2.1;more") && args.letter == 'c');
    assert_true(args.thread.pid == 2 && args.thread.tid == 1);
    assert_string_equal(args.bytes, ";more");
    assert_true(parse("T", "3") && args.thread.pid == 7 && args.thread.tid == 3);
    assert_true(parse("N=H", "4=41424a") && args.length == 3);
    assert_string_equal(args.bytes, "ABJ");
    assert_true(parse("H", "") && args.length == 0);
    assert_true(parse_n("N:B", "3:a\0b", 5) && args.length == 3);
    assert_memory_equal(args.bytes, "a\0b", 3);
    assert_true(parse("", ""));
}

static void arguments_of_another_form_are_refused(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"", "x"},       {"N,N", "1"},     {"N,N", "1,"},  {"N,N", "1,2 "},
        {"N,N", "1;2"},  {"N,N", ",2"},    {"N", "x"},     {"N", "10000000000000000"},
        {"?N", "x"},     {"[gc]T*", "x1"}, {"[gc]T*", ""}, {"[gc]T*", "gx"},
        {"N=H", "1=4"},  {"N=H", "1=4g"},  {"H", "41 "},   {"T", "p1.1x"},
        {"N?;?N", "5,"}, {"A", "c"},       {"A", ";"},     {"A", ";q"},
        {"A", ";C"},     {"A", ";r1"},     {"A", ";c:"},   {"A", ";c;"},
        {"A", ";cc"},    {"N,N", ""},      {"N:B", "1"},   {"N*", ""}};
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        if (parse(wrong[i][0], wrong[i][1]))
            fail_msg("%s takes %s", wrong[i][0], wrong[i][1]);
    }
}

static void actions_are_read_up_to_their_limit(void **state)
{
    (void)state;
    char text[3 * (MAX_ACTIONS + 1) + 1] = "";
    assert_true(parse("A", ";C05:p1.2;r10,2f:3;t;S01") && args.actions == 4);
    assert_true(args.action[0].kind == 'c' && args.action[0].id.pid == 1);
    assert_int_equal(args.action[0].id.tid, 2);
    assert_true(args.action[1].kind == 'r' && args.action[1].start == 0x10);
    assert_true(args.action[1].end == 0x2f && args.action[1].id.pid == 7);
    assert_true(args.action[2].kind == 't' && args.action[2].id.pid == ID_ALL);
    assert_int_equal(args.action[3].kind, 's');
    assert_true(parse("A", "") && args.actions == 0);
    for (unsigned i = 0; i < MAX_ACTIONS; i++)
        strcat(text, ";c");
    assert_true(parse("A", text) && args.actions == MAX_ACTIONS);
    assert_false(parse("A", strcat(text, ";c")));
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
        cmocka_unit_test_setup(numbers_and_ids_are_read, setup),
        cmocka_unit_test_setup(arguments_are_read_by_their_form, setup),
        cmocka_unit_test_setup(arguments_of_another_form_are_refused, setup),
        cmocka_unit_test_setup(actions_are_read_up_to_their_limit, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
