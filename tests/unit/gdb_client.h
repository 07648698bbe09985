// SPDX-License-Identifier: MIT
// A client of the gdb stub for unit tests, and the fake target it talks about.
#pragma once

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

#include "fake_target.c"
#include "gdbstub/packet.h"
#include "gdbstub/wire.h"

static char answer[65536];
static size_t answer_len, client_at;

// Takes the next packet out of what the stub has sent. False: there is none.
static bool next_packet(void)
{
    size_t i = client_at, len = 0;

    while (i < fake_sent_len && fake_sent[i] != '$')
        i++;
    for (i++; i < fake_sent_len && fake_sent[i] != '#'; i++) {
        if (fake_sent[i] == '*') {
            i++;
            for (int r = fake_sent[i] - 29; r > 0; r--, len++)
                answer[len] = answer[len - 1];
        } else if (fake_sent[i] == '}') {
            answer[len++] = (char)(fake_sent[++i] ^ 0x20);
        } else {
            answer[len++] = (char)fake_sent[i];
        }
    }
    if (i + 2 >= fake_sent_len)
        return false;
    client_at = i + 3;
    answer[len] = '\0';
    answer_len = len;
    return true;
}

static void send_bytes(const char *payload, size_t n)
{
    u8 sum = 0;
    char tail[4];

    gdbstub_input(&stub, '$');
    for (size_t i = 0; i < n; i++) {
        u8 byte = (u8)payload[i];
        if (byte == '$' || byte == '#' || byte == '}' || byte == '*') {
            gdbstub_input(&stub, '}');
            sum = (u8)(sum + '}');
            byte ^= 0x20;
        }
        sum = (u8)(sum + byte);
        gdbstub_input(&stub, byte);
    }
    snprintf(tail, sizeof(tail), "#%02x", sum);
    for (int i = 0; i < 3; i++)
        gdbstub_input(&stub, (u8)tail[i]);
}

// Sends a packet and returns the answer, or NULL when there is none yet.
static const char *ask(const char *payload)
{
    client_at = fake_sent_len = 0;
    send_bytes(payload, strlen(payload));
    return next_packet() ? answer : NULL;
}

// Runs the guests for up to n rounds, until the stub says something; NULL when it does not.
UNUSED static const char *wait_stop(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (next_packet())
            return answer;
        fake_run(1, 0);
    }
    return next_packet() ? answer : NULL;
}

// Sends a packet that lets guests run, and returns the stop.
UNUSED static const char *ask_and_run(const char *payload)
{
    const char *now = ask(payload);
    return now != NULL ? now : wait_stop(2000);
}

static void connect_gdb(void)
{
    ask("qSupported:multiprocess+;swbreak+;hwbreak+;qRelocInsn+;vContSupported+");
    assert_non_null(strstr(answer, "PacketSize=2000;"));
}

#define assert_ok(payload)        assert_string_equal(ask(payload), "OK")
#define assert_answer(payload, s) assert_string_equal(ask(payload), s)
#define assert_has(text, part)                                   \
    do {                                                         \
        const char *has_text = (text);                           \
        assert_non_null(has_text);                               \
        if (strstr(has_text, part) == NULL)                      \
            fail_msg("\"%s\" is not in \"%s\"", part, has_text); \
    } while (0)

// Two VMs as fake_reset() makes them, gdb not there yet.
UNUSED static int two_vms(void **state)
{
    (void)state;
    fake_reset(2);
    gdbstub_init(&stub);
    client_at = 0;
    return 0;
}

// And gdb there.
UNUSED static int connected(void **state)
{
    two_vms(state);
    connect_gdb();
    ask("?");
    return 0;
}
