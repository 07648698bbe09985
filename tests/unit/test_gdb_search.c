// SPDX-License-Identifier: MIT
// qSearch:memory and qCRC: what is found where, what is passed over, and that neither keeps the
// core.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE // memmem()
#endif
#include "gdb_client.h"
#include "lib/crc32.h"

// Sends a packet and lets the stub work on it until it answers, which is to take no more than so
// many turns.
static const char *ask_and_wait(const char *packet, size_t length, unsigned turns)
{
    client_at = fake_sent_len = answer_len = 0;
    send_bytes(packet, length);
    for (unsigned n = 0; n < turns && !next_packet(); n++) {
        assert_true(fake_kicked);
        fake_kicked = false;
        gdbstub_poll(&stub);
        if (next_packet())
            return answer;
    }
    return answer_len > 0 ? answer : "";
}

static const char *search(u64 address, u64 length, const void *pattern, size_t n)
{
    static char packet[GDB_PACKET_SIZE];
    size_t at = (size_t)snprintf(packet, sizeof(packet), "qSearch:memory:%lx;%lx;",
                                 (unsigned long)address, (unsigned long)length);
    memcpy(packet + at, pattern, n);
    return ask_and_wait(packet, at + n, 100000);
}

#define SEARCH(address, length, pattern) search(address, length, pattern, sizeof(pattern) - 1)

static void a_pattern_is_found_at_its_first_place(void **state)
{
    (void)state;
    memcpy(fake[1].ram + 0x12345, "needle", 6);
    memcpy(fake[1].ram + 0x13000, "needle", 6);
    assert_string_equal(SEARCH(0x10000, 0x10000, "needle"), "1,12345");
    assert_string_equal(SEARCH(0x12346, 0x10000, "needle"), "1,13000");
    assert_string_equal(SEARCH(0x10000, 0x10000, "needles"), "0");
    assert_string_equal(SEARCH(0x10000, 0x10000, "n"), "1,12345");
}

static void a_pattern_ends_within_the_space(void **state)
{
    (void)state;
    memcpy(fake[1].ram + 0x12345, "needle", 6);
    assert_string_equal(SEARCH(0x12345, 6, "needle"), "1,12345");
    assert_string_equal(SEARCH(0x12345, 5, "needle"), "0");
    assert_string_equal(SEARCH(0x12345, 0, "needle"), "0");
    assert_string_equal(SEARCH(0x12346, 0x100, "needle"), "0");
}

static void bytes_of_any_value_are_found_across_pages(void **state)
{
    (void)state;
    memcpy(fake[1].ram + 0x12ffd, "\0\377#$}*\0", 7);
    assert_string_equal(SEARCH(0x10000, 0x10000, "\0\377#$}*\0"), "1,12ffd");
}

// What is matched when another byte comes may begin the pattern itself.
static void patterns_that_repeat_themselves_are_found(void **state)
{
    (void)state;
    memcpy(fake[1].ram + 0x11000, "aaaaaaab", 8);
    assert_string_equal(SEARCH(0x10000, 0x10000, "aab"), "1,11005");
    memcpy(fake[1].ram + 0x12000, "abcabcabdabcabcabc", 18);
    assert_string_equal(SEARCH(0x12000, 0x10000, "abcabd"), "1,12003");
    assert_string_equal(SEARCH(0x12000, 0x10000, "cabcabc"), "1,1200b");
}

// Whatever patterns and memory: the same as by comparing at each place.
static void a_search_finds_what_comparing_finds(void **state)
{
    (void)state;
    u32 random = 1;
    for (unsigned round = 0; round < 300; round++) {
        u8 *ram = fake[1].ram + 0x10ff0, pattern[6];
        for (unsigned n = 0; n < 64; n++)
            ram[n] = (u8)('a' + ((random = random * 1664525 + 1013904223) >> 30) % 2);
        size_t length = 1 + (random >> 16) % 6;
        for (size_t n = 0; n < length; n++)
            pattern[n] = (u8)('a' + ((random = random * 1664525 + 1013904223) >> 30) % 2);
        const u8 *at = memmem(ram, 64, pattern, length);
        char expected[32] = "0";
        if (at != NULL)
            snprintf(expected, sizeof(expected), "1,%lx", (unsigned long)(at - fake[1].ram));
        assert_string_equal(search(0x10ff0, 64, pattern, length), expected);
    }
}

static void breakpoints_are_not_found(void **state)
{
    (void)state;
    memcpy(fake[1].ram + 0x11000, "\x90\x90\x90", 3);
    assert_ok("Z0,11001,1");
    assert_null(ask("vCont;c:p1.1"));
    assert_int_equal(fake[1].ram[0x11001], 0xcc);
    gdbstub_input(&stub, 0x03);
    assert_has(wait_stop(10), "T02");
    fake[1].ram[0x11004] = 0xcc;
    assert_string_equal(SEARCH(0x11000, 0x100, "\x90\x90\x90"), "1,11000");
    assert_string_equal(SEARCH(0x11000, 0x100, "\xcc"), "1,11004"); // the guest's own
}

// The whole of the address space of 64 bits, with 2 MiB there in four places.
static void what_is_not_there_is_passed_over(void **state)
{
    (void)state;
    fake_long_mode(1, true);
    memcpy(fake[1].ram + 0x1ffffe, "ne",
           2);                      // the last of a large page, and the first of what follows:
    memcpy(fake[1].ram, "edle", 4); // not together, since nothing follows
    memcpy(fake[1].ram + 0x15000, "needle", 6);
    assert_string_equal(SEARCH(0, UINT64_MAX, "needle"), "1,15000");
    assert_string_equal(SEARCH(0x15001, UINT64_MAX, "needle"), "1,7f80015000");
    assert_string_equal(SEARCH(0x7f80015001, UINT64_MAX, "needle"), "1,ffffff8000015000");
    assert_string_equal(SEARCH(0xffffff8000015001, UINT64_MAX, "needle"), "1,ffffffff80015000");
    assert_string_equal(SEARCH(0xffffffff80015001, UINT64_MAX, "needle"), "0");
    assert_string_equal(SEARCH(0x8000000000000000, UINT64_MAX, "needle"), "1,ffffff8000015000");
}

static void physical_memory_is_searched_as_such(void **state)
{
    (void)state;
    fake_long_mode(1, false);
    memcpy(fake[1].ram + 0x15000, "needle", 6);
    assert_ok("Qqemu.PhyMemMode:1");
    assert_string_equal(SEARCH(0, UINT64_MAX, "needle"), "1,15000");
    assert_string_equal(SEARCH(0x15001, UINT64_MAX, "needle"), "0");
}

// However long it takes, a turn is short; and who sends another packet has given up.
static void the_core_does_other_work_meanwhile(void **state)
{
    (void)state;
    memcpy(fake[1].ram + 0x1ff000, "needle", 6);
    const char packet[] = "qSearch:memory:0;200000;needle";
    assert_string_equal(ask_and_wait(packet, sizeof(packet) - 1, 1), "");
    assert_null(ask("qSearch:memory:0;200000;needle"));
    gdbstub_poll(&stub);
    assert_answer("qC", "QCp1.1");
    for (unsigned n = 0; n < 100; n++)
        gdbstub_poll(&stub);
    assert_false(next_packet());
    assert_string_equal(SEARCH(0, 0x200000, "needle"), "1,1ff000");
}

static void a_search_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    assert_answer("qSearch:memory:1000;1000;", "E01");
    assert_answer("qSearch:memory:1000", "E01");
    assert_answer("qSearch:memory:x;1000;a", "E01");
    assert_answer("qCRC:1000", "E01");
    assert_answer("qCRC:1000,", "E01");
}

static void a_crc_is_that_of_gdb(void **state)
{
    (void)state;
    assert_int_equal(crc32(CRC32_BEGIN, (const u8 *)"123456789", 9), 0x0376e6e7);
    memcpy(fake[1].ram + 0x10ffc, "123456789", 9);
    const char packet[] = "qCRC:10ffc,9";
    assert_string_equal(ask_and_wait(packet, sizeof(packet) - 1, 10), "C376e6e7");
    assert_ok("Z0,10ffd,1");
    assert_string_equal(ask_and_wait(packet, sizeof(packet) - 1, 10), "C376e6e7");
    const char beyond[] = "qCRC:1ff000,2000";
    assert_string_equal(ask_and_wait(beyond, sizeof(beyond) - 1, 10), "E0e");
    const char none[] = "qCRC:1000,0";
    assert_string_equal(ask_and_wait(none, sizeof(none) - 1, 10), "Cffffffff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_pattern_is_found_at_its_first_place, connected),
        cmocka_unit_test_setup(a_pattern_ends_within_the_space, connected),
        cmocka_unit_test_setup(bytes_of_any_value_are_found_across_pages, connected),
        cmocka_unit_test_setup(patterns_that_repeat_themselves_are_found, connected),
        cmocka_unit_test_setup(a_search_finds_what_comparing_finds, connected),
        cmocka_unit_test_setup(breakpoints_are_not_found, connected),
        cmocka_unit_test_setup(what_is_not_there_is_passed_over, connected),
        cmocka_unit_test_setup(physical_memory_is_searched_as_such, connected),
        cmocka_unit_test_setup(the_core_does_other_work_meanwhile, connected),
        cmocka_unit_test_setup(a_search_that_makes_no_sense_is_refused, connected),
        cmocka_unit_test_setup(a_crc_is_that_of_gdb, connected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
