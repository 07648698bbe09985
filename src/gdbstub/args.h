// SPDX-License-Identifier: MIT
// What a packet carries behind its name, as values. Pure.
//
// The arguments' form is a text, in which these letters stand for values, and all other characters
// for themselves:
//
//   N     a number in hexadecimal; the first goes to number[0], the next to number[1]
//   T     a thread id
//   H     bytes as pairs of hexadecimal digits, to the end of the packet
//   B     bytes as they are, to the end of the packet
//   A     actions of vCont, to the end of the packet
//   [gc]  one letter out of these
//   ?     the packet may end here
//   *     whatever follows, to the end of the packet, is no matter, or the handler's
//
// A form that ends without H, B, A or * takes nothing more. "" takes nothing at all.
#pragma once

#include "gdbstub/packet.h"
#include "gdbstub/wire.h"

#define MAX_NUMBERS 2
#define MAX_ACTIONS 64

// One action of vCont.
struct action {
    char kind;      // 'c', 's', 'r' or 't'; C and S count as c and s, and their signal is dropped
    u64 start, end; // 'r': step while rip stays in [start, end)
    struct thread_id id;
};

struct packet_args {
    unsigned numbers; // how many there are
    u64 number[MAX_NUMBERS];
    char letter;
    struct thread_id thread;
    u8 *bytes; // H, B and *; they lie in the packet's body, and a zero follows them
    size_t length;
    unsigned actions; // how many there are
    struct action action[MAX_ACTIONS];

    // From the packet's row in the table (packets.h): its option, and whom it concerns.
    unsigned option;
    unsigned pid, index;
    struct vcpu *vcpu;
};

// Reads arguments of this form at `text`, which lies in the body of the packet that has arrived;
// bytes are decoded in place. A thread id without a process means current_pid. False: they have
// another form, and what is in *out has no meaning.
bool parse_args(const char *form, struct packet_codec *line, const char *text, unsigned current_pid,
                struct packet_args *out);
