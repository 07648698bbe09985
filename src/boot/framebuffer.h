// SPDX-License-Identifier: MIT
// The screen as the boot loader describes it (Multiboot2 specification, 3.6.12): whether that can
// be so, and letters on it, made of dots or, on a screen that has letters of its own, of their
// codes. A place on it is counted in letters. Nothing here reads what it draws to.
#pragma once

#include "boot/multiboot2.h"
#include "lib/format.h"

// Where one can be drawn.
struct surface {
    volatile u8 *memory;
    u32 height, pitch; // rows of dots, or of text; bytes from one to the next
    u32 bytes;         // of a dot
    u32 scale;         // dots of the screen, each way, to one of a letter's
    u32 ink;           // a dot's value
    bool is_text;
    u32 columns, rows; // how many letters
};

// Whether it can be used; *why says why it cannot. limit: where physical addresses end; ranges: the
// memory map.
enum error framebuffer_check(const struct framebuffer *fb, const struct memory_range *ranges,
                             unsigned count, u64 limit, struct text *why);

// Bytes that it takes, when it is not refused: at most FRAMEBUFFER_MOST.
u64 framebuffer_size(const struct framebuffer *fb);
#define FRAMEBUFFER_MOST (256 * MiB)

// How to draw to one that is not refused and is to be seen at `memory`.
void surface_init(struct surface *s, const struct framebuffer *fb, volatile void *memory);

// Makes it empty.
void surface_clear(const struct surface *s);

// Draws n letters, of printable ASCII, from a place on. What is beyond the edge is left out.
void surface_put(const struct surface *s, u32 row, u32 column, const char *text, u32 n);
