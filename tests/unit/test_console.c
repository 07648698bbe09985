// SPDX-License-Identifier: MIT
// The console's pure parts: what of a guest's output is shown among others, the stream that carries
// all of it, the backlog, and the keys.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/types.h"
#include "vm/console_backlog.h"
#include "vm/console_history.h"
#include "vm/console_keys.h"
#include "vm/console_text.h"

// ---- text --------------------------------------------------------------------------------------

// A line as it is shown.
static const char *shown(const char *bytes)
{
    static char line[4096];
    struct console_text t = {0};
    size_t n = 0;
    for (const char *p = bytes; *p != '\0'; p++)
        n += console_text_byte(&t, (u8)*p, line + n);
    n += console_text_end(&t, line + n);
    assert_true(n < sizeof(line));
    line[n] = '\0';
    return line;
}

static void text_passes(void **state)
{
    (void)state;
    assert_string_equal(shown(""), "");
    assert_string_equal(shown("a\tb ~"), "a\tb ~");
    assert_string_equal(shown("C:\\new"), "C:\\new");
    assert_string_equal(shown("\xc3\xa9 \xe2\x94\x80 \xf0\x9f\x90\xa7"),
                        "\xc3\xa9 \xe2\x94\x80 \xf0\x9f\x90\xa7");
}

static void colours_pass_and_end_with_the_line(void **state)
{
    (void)state;
    assert_string_equal(shown("\x1b[1;31mred\x1b[0m"), "\x1b[1;31mred\x1b[0m");
    assert_string_equal(shown("\x1b[31mred"), "\x1b[31mred\x1b[m");
    assert_string_equal(shown("\x1b[38:2::1:2:3mx\x1b[m"), "\x1b[38:2::1:2:3mx\x1b[m");
    assert_string_equal(shown("\x1b[m\x1b[0;0mx"), "\x1b[m\x1b[0;0mx");
}

static void other_sequences_are_shown(void **state)
{
    (void)state;
    assert_string_equal(shown("\x1b[2K\x1b[1Glinux2| hi"), "\\e[2K\\e[1Glinux2| hi");
    assert_string_equal(shown("\x1b[>4mx\x1b[?1m"), "\\e[>4mx\\e[?1m");
    assert_string_equal(shown("\x1b[1 m"), "\\e[1 m");
    assert_string_equal(shown("\x1b]0;title\ax"), "\\e]0;title\\ax");
    assert_string_equal(shown("\x1bPq\x1b\\"), "\\ePq\\e\\");
    assert_string_equal(shown("\x1b\x1b[31m\x1b[m"), "\\e\x1b[31m\x1b[m");
    assert_string_equal(shown("\x1b[3\x1b[A"), "\\e[3\\e[A");
    assert_string_equal(shown("\x1b"), "\\e");
    assert_string_equal(shown("\x1b["), "\\e[");
    assert_string_equal(shown("\x1b"
                              "c\x1b"
                              "7\x1b(0"),
                        "\\ec\\e7\\e(0");
    assert_string_equal(shown("\x1b[1\b2m"), "\\e[1\\b2m");
}

static void queries_are_left_out(void **state)
{
    (void)state;
    assert_string_equal(shown("# \x1b[6n"), "# ");
    assert_string_equal(shown("\x1b[c\x1b[>0c\x1b[?6nx"), "x");
}

static void controls_are_shown(void **state)
{
    (void)state;
    assert_string_equal(shown("a\bb\ac\vd\fe\x7f"), "a\\bb\\ac\\vd\\fe\\x7f");
    assert_string_equal(shown("\x01\x0e\x1f"), "\\x01\\x0e\\x1f");
    assert_string_equal(shown("\x9b"
                              "2K"),
                        "\\x9b2K"); // CSI of 8 bits
    assert_string_equal(shown("\xc2\x9b"
                              "2K"),
                        "\\xc2\\x9b2K"); // the same in UTF-8
    assert_string_equal(shown("\xc2\xa0"), "\xc2\xa0");
}

// The line and the paragraph separator, and all that has the property Bidi_Control: Unicode's
// PropList.txt. What stands beside them passes.
static void what_turns_writing_round_is_shown(void **state)
{
    static const struct {
        u32 first, last;
    } controls[] = {{0x200e, 0x200f}, {0x2028, 0x2029}, {0x202a, 0x202e}, {0x2066, 0x2069}};
    (void)state;
    for (u32 c = 0x800; c < 0x3000; c++) {
        bool control = false;
        for (unsigned i = 0; i < ARRAY_SIZE(controls); i++)
            control |= c >= controls[i].first && c <= controls[i].last;
        const u8 bytes[] = {(u8)(0xe0 | c >> 12), (u8)(0x80 | (c >> 6 & 63)), (u8)(0x80 | (c & 63)),
                            0};
        char escaped[20];
        snprintf(escaped, sizeof(escaped), "\\x%x\\x%x\\x%x", bytes[0], bytes[1], bytes[2]);
        assert_string_equal(shown((const char *)bytes), control ? escaped : (const char *)bytes);
    }
    for (u32 c = 0xa0; c < 0x800; c++) {
        const u8 bytes[] = {(u8)(0xc0 | c >> 6), (u8)(0x80 | (c & 63)), 0};
        assert_string_equal(shown((const char *)bytes),
                            c == 0x61c ? "\\xd8\\x9c" : (const char *)bytes);
    }
    assert_string_equal(shown("a\xe2\x80\xae"
                              "b"),
                        "a\\xe2\\x80\\xae"
                        "b");
}

static void what_is_no_utf8_is_shown(void **state)
{
    (void)state;
    assert_string_equal(shown("\xff\xc0\xaf"), "\\xff\\xc0\\xaf");
    assert_string_equal(shown("\xe2\x94"), "\\xe2\\x94");
    assert_string_equal(shown("\xe2\x94x"), "\\xe2\\x94x");
    assert_string_equal(shown("\xe2\x94\x1b[31m\x1b[m"), "\\xe2\\x94\x1b[31m\x1b[m");
    assert_string_equal(shown("\xe0\x9b\x80"), "\\xe0\\x9b\\x80");          // too long
    assert_string_equal(shown("\xed\xa0\x80"), "\\xed\\xa0\\x80");          // a surrogate
    assert_string_equal(shown("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80"); // beyond the last
}

static void only_a_return_within_a_line_is_shown(void **state)
{
    (void)state;
    assert_string_equal(shown("text\r"), "text");
    assert_string_equal(shown("text\r\r"), "text");
    assert_string_equal(shown("\rtext"), "text");
    assert_string_equal(shown("10%\r20%"), "10%\\r20%");
    assert_string_equal(shown("x\r\r\r\r\r\r\r\r\r\ry"), "x\\r\\r\\r\\r\\r\\r\\r\\r\\r\\ry");
    assert_string_equal(shown("a\r\x1b[31mb"), "a\\r\x1b[31mb\x1b[m");
}

// A line that grows as console_line.c has it, with the pieces that it is cut into.
static const char *in_pieces(const char *bytes, size_t size)
{
    static char out[8192];
    char line[CONSOLE_ROOM];
    struct console_text t = {0};
    size_t n = 0;
    unsigned len = 0;
    for (size_t i = 0; i < size; i++) {
        u8 byte = (u8)bytes[i];
        bool cut = console_text_is_full(&t, len, byte);
        if (cut)
            len += console_text_cut(&t, line + len);
        else if (byte == '\n')
            len += console_text_end(&t, line + len);
        assert_true(len <= sizeof(line));
        if (cut || byte == '\n') {
            assert_true(n + len + 1 < sizeof(out));
            memcpy(out + n, line, len);
            n += len;
            out[n++] = '\n';
            len = 0;
        }
        if (byte != '\n')
            len += console_text_byte(&t, byte, line + len);
        assert_true(len <= sizeof(line));
    }
    assert_int_equal(len, 0);
    out[n] = '\0';
    return out;
}

static void long_lines_say_that_they_go_on(void **state)
{
    (void)state;
    char bytes[700], wanted[700];
    static const struct {
        unsigned fill; // how many 'x' begin the line
        const char *rest, *wanted;
    } cases[] = {
        {240, "\n", "\n"},         // just not too long
        {240, "\r\n", "\n"},       //
        {240, "y\r\n", "\\\ny\n"}, //
        {240, "\ry\n", "\\\ny\n"}, //
        {240, "\r\r\n", "\\\n\n"}, // bounded
        {239, "\xe2\x94\x80\n", "\xe2\x94\x80\n"},
        {239, "\xe2\x94\x80y\n", "\xe2\x94\x80\\\ny\n"},
        {235, "\x1b[31my\n", "\x1b[31m\x1b[m\\\ny\n"},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        memset(bytes, 'x', sizeof(bytes));
        memset(wanted, 'x', sizeof(wanted));
        strcpy(bytes + cases[i].fill, cases[i].rest);
        strcpy(wanted + cases[i].fill, cases[i].wanted);
        assert_string_equal(in_pieces(bytes, strlen(bytes)), wanted);
    }
    memset(bytes, 'x', sizeof(bytes));
    bytes[600] = '\n';
    const char *out = in_pieces(bytes, 601);
    assert_int_equal(strlen(out), 600 + 2 * 2 + 1);
    assert_memory_equal(out + 239, "x\\\nx", 4);
    assert_memory_equal(out + 242 + 239, "x\\\nx", 4);
}

// Whatever bytes come, no line outgrows its room.
static void no_line_outgrows_its_room(void **state)
{
    static const char odd[] = "\x1b[1;?mnx\r\r\r\x9b\xc2\xe2\x94\xf0\x07\x7f";
    char bytes[1501];
    (void)state;
    srand(1);
    for (unsigned round = 0; round < 2000; round++) {
        char often = odd[(unsigned)rand() % (sizeof(odd) - 1)];
        for (unsigned i = 0; i < sizeof(bytes) - 1; i++)
            bytes[i] = rand() % 2 ? often : odd[(unsigned)rand() % (sizeof(odd) - 1)];
        bytes[sizeof(bytes) - 1] = '\n';
        in_pieces(bytes, sizeof(bytes));
    }
}

static void long_sequences_are_shown(void **state)
{
    (void)state;
    char bytes[300] = "\x1b[";
    memset(bytes + 2, '1', 200);
    bytes[202] = 'm';
    char wanted[300] = "\\e[";
    memset(wanted + 3, '1', 200);
    wanted[203] = 'm';
    assert_string_equal(shown(bytes), wanted);
}

// ---- the split stream --------------------------------------------------------------------------

static struct console_history history;

static void setup(const char *bytes, size_t n)
{
    memset(&history, 0, sizeof(history));
    for (size_t i = 0; i < n; i++)
        history_add(&history, (u8)bytes[i]);
}

static void check_chunk(u64 limit, bool pause, const char *text, bool ended)
{
    struct chunk c;
    assert_true(history_chunk(&history, limit, pause, &c));
    assert_int_equal(c.len, strlen(text));
    assert_memory_equal(c.text, text, c.len);
    assert_int_equal(c.ended, ended);
    history.sent = c.end;
}

static void a_chunk_says_whether_its_line_has_ended(void **state)
{
    (void)state;
    struct chunk c;
    const char bytes[] = "one\r\n\\\x1b[1m\ttwo\nthree\x01\r";
    setup(bytes, sizeof(bytes) - 1);
    check_chunk(history.head, false, "one", true);
    check_chunk(history.head, false, "\\\\\\e[1m\ttwo\\n", false);
    assert_false(history_chunk(&history, history.head, false, &c));
    check_chunk(history.head, true, "three\\x01\\r", false);
    assert_false(history_chunk(&history, history.head, true, &c));
    history_add(&history, '\n');
    check_chunk(history.head, false, "\\n", false);
}

static void a_chunk_goes_up_to_a_limit(void **state)
{
    (void)state;
    setup("# ls\r\n", 6);
    check_chunk(2, true, "# ", false);
    check_chunk(6, false, "ls", true);
}

static void a_chunk_is_bounded(void **state)
{
    (void)state;
    char bytes[CHUNK_MOST + 10];
    memset(bytes, 'x', sizeof(bytes));
    setup(bytes, sizeof(bytes));
    bytes[CHUNK_MOST - 3] = '\0';
    check_chunk(history.head, false, bytes, false);
}

// What a reader makes of chunks.
static size_t decode(const struct chunk *c, u8 *out)
{
    size_t n = 0;
    for (unsigned i = 0; i < c->len; i++) {
        u8 byte = (u8)c->text[i];
        assert_true(byte == '\t' || (byte >= 0x20 && byte != 0x7f));
        if (byte == '\\') {
            char kind = c->text[++i];
            byte = kind == 'e' ? 0x1b : kind == 'r' ? '\r' : kind == 'n' ? '\n' : '\\';
            if (kind == 'x') {
                char digits[3] = {c->text[i + 1], c->text[i + 2]};
                byte = (u8)strtoul(digits, NULL, 16);
                i += 2;
            }
        }
        out[n++] = byte;
    }
    if (c->ended) {
        out[n++] = '\r';
        out[n++] = '\n';
    }
    return n;
}

static void nothing_is_lost_in_the_stream(void **state)
{
    (void)state;
    static u8 bytes[60000], back[70000];
    size_t n = 0;
    srand(12);
    setup("", 0);
    for (size_t i = 0; i < sizeof(bytes); i++) {
        static const char common[] = "\r\n\\\x1b\r\nx";
        bytes[i] = (u8)(rand() % 2 ? common[rand() % 7] : rand());
        assert_true(history_add(&history, bytes[i]));
        struct chunk c;
        while (history_chunk(&history, history.head, rand() % 50 == 0, &c)) {
            n += decode(&c, back + n);
            history.sent = c.end;
        }
    }
    struct chunk c;
    while (history_chunk(&history, history.head, true, &c)) {
        n += decode(&c, back + n);
        history.sent = c.end;
    }
    assert_int_equal(n, sizeof(bytes));
    assert_memory_equal(back, bytes, n);
}

static void the_history_forgets_the_oldest(void **state)
{
    (void)state;
    setup("", 0);
    for (unsigned i = 0; i < HISTORY_SIZE; i++)
        assert_true(history_add(&history, (u8)i));
    assert_false(history_add(&history, 'x'));
    assert_int_equal(history_unsent(&history), HISTORY_SIZE);
    assert_int_equal(history_at(&history, history.head - 1), 'x');
}

static void a_screenful_begins_with_a_line_where_it_can(void **state)
{
    (void)state;
    setup("hello\nworld", 11);
    assert_int_equal(history_screenful(&history), 0);
    static char bytes[3 * SCREENFUL];
    memset(bytes, 'x', sizeof(bytes)); // neither
    setup(bytes, sizeof(bytes));
    assert_int_equal(history_screenful(&history), 2 * SCREENFUL);
    bytes[sizeof(bytes) - 20] = '\n'; // too late
    bytes[sizeof(bytes) - 100] = 0x1b;
    setup(bytes, sizeof(bytes));
    assert_int_equal(history_screenful(&history), sizeof(bytes) - 100);
    bytes[2 * SCREENFUL + 50] = '\n';
    setup(bytes, sizeof(bytes));
    assert_int_equal(history_screenful(&history), 2 * SCREENFUL + 51);
}

static void old_queries_are_known(void **state)
{
    (void)state;
    const char bytes[] = "\x1b[6n\x1b[?6c\x1b[31m\x1b[";
    setup(bytes, sizeof(bytes) - 1);
    assert_int_equal(history_query(&history, 0), 4);
    assert_int_equal(history_query(&history, 1), 0);
    assert_int_equal(history_query(&history, 4), 5);
    assert_int_equal(history_query(&history, 9), 0);
    assert_int_equal(history_query(&history, 14), 0);
}

// ---- the backlog -------------------------------------------------------------------------------

static void the_backlog_gives_lines_back_with_their_vm(void **state)
{
    (void)state;
    static struct console_backlog a;
    char text[64];
    unsigned n = 0;
    console_backlog_add(&a, NULL, "[1] log", 7);
    console_backlog_add(&a, "vm", "line", 4);
    while (console_backlog_take(&a, &text[n]))
        n++;
    assert_int_equal(n, 17);
    assert_memory_equal(text, "[1] log\nvm| line\n", n);
}

static void the_backlog_keeps_the_last_lines(void **state)
{
    (void)state;
    static struct console_backlog a;
    char line[100];
    memset(line, '.', sizeof(line));
    for (unsigned i = 0; i < 1000; i++) {
        line[0] = (char)('a' + i % 26);
        console_backlog_add(&a, "vm", line, sizeof(line));
    }
    unsigned kept = BACKLOG_SIZE / (sizeof(line) + 5);
    assert_int_equal(a.dropped, 1000 - kept);
    unsigned lines = 0;
    char byte, before = '\n';
    while (console_backlog_take(&a, &byte)) {
        assert_true(before != '\n' || byte == 'v');
        lines += byte == '\n';
        before = byte;
    }
    assert_int_equal(lines, kept);
}

// ---- keys --------------------------------------------------------------------------------------

// What the keys mean, as text: a VM's number behind A (alone) or K (keyboard).
static const char *meaning(const char *keys, unsigned vms)
{
    static char text[100];
    struct console_keys k = {0};
    size_t n = 0;
    for (; *keys != '\0'; keys++) {
        struct key_typed typed[KEYS_AT_ONCE];
        unsigned count = console_keys_take(&k, (u8)*keys, vms, typed);
        assert_in_range(count, 0, KEYS_AT_ONCE);
        for (unsigned i = 0; i < count; i++) {
            if (typed[i].key == KEY_BYTE) {
                text[n++] = typed[i].byte == 0x1d ? ']' : (char)typed[i].byte;
                continue;
            }
            assert_int_not_equal(typed[i].key, KEY_NONE);
            text[n++] = "..*AKS?"[typed[i].key];
            if (typed[i].key == KEY_ALONE || typed[i].key == KEY_FOCUS)
                text[n++] = (char)('@' + typed[i].vm); // A is 1, P is 16
        }
    }
    text[n] = '\0';
    return text;
}

static void keys_choose_vms_and_all_else_is_typed(void **state)
{
    (void)state;
    assert_string_equal(meaning("ls\r", 3), "ls\r");
    assert_string_equal(meaning("\x1d"
                                "2x\x1d"
                                "a\x1d"
                                "k1y\x1d"
                                "s",
                                3),
                        "ABx*KAyS");
    assert_string_equal(meaning("\x1d]x", 3), "]x");
    assert_string_equal(meaning("\x1d\x1d"
                                "a\x1dk\x1d"
                                "2\x1d"
                                "0\x1d"
                                "2",
                                3),
                        "*ABAB");
    assert_string_equal(meaning("\x1dh\x1d?\x1dk?x", 3), "???x");
    assert_string_equal(meaning("\x1d"
                                "12",
                                9),
                        "AA2"); // nine VMs: one digit is all
}

static void every_vm_of_16_can_be_reached(void **state)
{
    (void)state;
    for (unsigned vm = 1; vm <= 16; vm++) {
        char keys[] = {0x1d, (char)('0' + vm / 10), (char)('0' + vm % 10), 'x', '\0'};
        char wanted[] = {'A', (char)('@' + vm), 'x', '\0'};
        assert_string_equal(meaning(keys, 16), wanted);
    }
    assert_string_equal(meaning("\x1d"
                                "2x\x1d"
                                "9x",
                                16),
                        "ABxAIx");
    assert_string_equal(meaning("\x1d"
                                "1\rx",
                                16),
                        "AAx");
    assert_string_equal(meaning("\x1d"
                                "1ls",
                                16),
                        "AAls");
    assert_string_equal(meaning("\x1d"
                                "1\x1d"
                                "a",
                                16),
                        "AA*");
    assert_string_equal(meaning("\x1dk16x\x1dk01\x1dk1\r", 16), "KPxKAKA");
    assert_string_equal(meaning("\x1d"
                                "0x",
                                16),
                        "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_passes),
        cmocka_unit_test(colours_pass_and_end_with_the_line),
        cmocka_unit_test(other_sequences_are_shown),
        cmocka_unit_test(queries_are_left_out),
        cmocka_unit_test(controls_are_shown),
        cmocka_unit_test(what_turns_writing_round_is_shown),
        cmocka_unit_test(what_is_no_utf8_is_shown),
        cmocka_unit_test(only_a_return_within_a_line_is_shown),
        cmocka_unit_test(long_sequences_are_shown),
        cmocka_unit_test(long_lines_say_that_they_go_on),
        cmocka_unit_test(no_line_outgrows_its_room),
        cmocka_unit_test(a_chunk_says_whether_its_line_has_ended),
        cmocka_unit_test(a_chunk_goes_up_to_a_limit),
        cmocka_unit_test(a_chunk_is_bounded),
        cmocka_unit_test(nothing_is_lost_in_the_stream),
        cmocka_unit_test(the_history_forgets_the_oldest),
        cmocka_unit_test(a_screenful_begins_with_a_line_where_it_can),
        cmocka_unit_test(old_queries_are_known),
        cmocka_unit_test(the_backlog_gives_lines_back_with_their_vm),
        cmocka_unit_test(the_backlog_keeps_the_last_lines),
        cmocka_unit_test(keys_choose_vms_and_all_else_is_typed),
        cmocka_unit_test(every_vm_of_16_can_be_reached),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
