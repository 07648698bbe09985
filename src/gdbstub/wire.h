// SPDX-License-Identifier: MIT
// Numbers, bytes and thread ids as the remote protocol spells them.
#pragma once

#include "lib/format.h"
#include "lib/types.h"

// A process and a thread as on the wire.
#define ID_ANY 0
#define ID_ALL (-1)

struct thread_id {
    int pid; // ID_ANY, ID_ALL or a pid
    int tid; // ID_ANY, ID_ALL or a tid (vCPU index + 1)
};

// Reads hex digits at *s and moves *s past them. False, *s unmoved: no digit, or over 64 bits.
bool hex_number(const char **s, u64 *value);

// Moves *s past c. False when something else is there.
bool skip_char(const char **s, char c);

// Moves *s past the word. False, *s unmoved, when it is not there.
bool skip_word(const char **s, const char *word);

// Reads n bytes as 2n hex digits. False when a character is not a digit; *s is then anywhere.
bool hex_bytes(const char **s, void *out, size_t n);

// Adds n bytes in hex.
void text_hex(struct text *t, const void *bytes, size_t n);

// Adds n bytes as they are.
void text_bytes(struct text *t, const void *bytes, size_t n);

// Reads "pPID.TID", "pPID" (all its threads) or "TID" (of current_pid; -1 of all
// processes), -1 for all, 0 for any.
bool parse_thread_id(const char **s, int current_pid, struct thread_id *out);
