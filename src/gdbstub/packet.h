// SPDX-License-Identifier: MIT
// The codec of the remote serial protocol: bytes to packets and back. Pure; knows no packet's
// meaning but that qSupported opens a session.
#pragma once

#include "lib/types.h"

// The longest packet either side sends, in bytes: framing and checksum included on the way in, the
// unescaped payload on the way out.
#define GDB_PACKET_SIZE 0x2000

enum packet_state {
    PACKET_IDLE,   // between packets
    PACKET_BODY,   // after '$'
    PACKET_ESCAPE, // after '}' in the body
    PACKET_SUM1,   // after '#'
    PACKET_SUM2,
};

struct packet_codec {
    void (*put)(const void *bytes, size_t n); // sends

    enum packet_state state;
    bool no_ack;
    // Nobody but a new client sends packets now, so that 0x03 breaks in wherever it stands. Set by
    // the server while guests run.
    bool running;

    u8 sum;      // of the body so far
    u8 sum_sent; // first digit of the sum that came with it, shifted
    bool bad;    // body too long, or a digit of the sum is none
    bool too_long;
    size_t len;                     // bytes in body
    char body[GDB_PACKET_SIZE + 1]; // unescaped, terminated

    // The reply: filled by the server, kept for another transmission.
    char out[GDB_PACKET_SIZE + 1];
    size_t out_len;
    bool sent;        // there is something to send again
    unsigned resends; // of it so far
};

enum packet_event {
    PACKET_NONE,
    PACKET_READY, // body and len are a packet, acknowledged if need be
    PACKET_BREAK, // 0x03
    PACKET_LONG,  // an intact packet that did not fit; acknowledged, its body is lost
};

void packet_init(struct packet_codec *c, void (*put)(const void *bytes, size_t n));

// Takes one byte from the line. Acks, naks and sends again on its own.
enum packet_event packet_input(struct packet_codec *c, u8 byte);

// Sends out[0..out_len) as a packet: escaped, run-length encoded, with checksum.
void packet_send(struct packet_codec *c);
