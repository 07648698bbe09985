// SPDX-License-Identifier: MIT
#include "boot/framebuffer.h"

#include "boot/textscreen.h"

#define VGA_MEMORY     0xb0000 // monochrome; 0xb8000: colour
#define VGA_MEMORY_END 0xc0000
#define APICS          0xfec00000ul
#define APICS_END      0xfef00000ul
#define VGA_GREY       0x0700 // on black

#define LETTER_WIDTH  8 // dots
#define LETTER_HEIGHT 16
#define GREY          0xc0 // of 0xff

// Dots that are hard to see are made larger: there are to be some hundred letters in a row.
#define WIDTH_PER_SCALE  1280
#define HEIGHT_PER_SCALE 400

extern const u8 font[][LETTER_HEIGHT]; // last_words.S has it too
const u8 font[][LETTER_HEIGHT] = {
#include "font.inc"
};

static bool overlaps(const struct framebuffer *fb, u64 start, u64 end)
{
    return fb->start.v < end && fb->start.v + framebuffer_size(fb) > start;
}

u64 framebuffer_size(const struct framebuffer *fb)
{
    return (u64)fb->pitch * fb->height;
}

static enum error check_text(const struct framebuffer *fb, struct text *why)
{
    if (fb->start.v < VGA_MEMORY || fb->start.v >= VGA_MEMORY_END ||
        framebuffer_size(fb) > VGA_MEMORY_END - fb->start.v)
        return explain(why, ERR_INVALID, "text outside VGA's memory");
    if (fb->width < 40 || fb->height < 10 || fb->pitch % 2 != 0 || fb->pitch / 2 < fb->width)
        return explain(why, ERR_INVALID, "text of an odd size");
    return OK;
}

static u64 mask(struct color_field f)
{
    return (BIT(f.size) - 1) << f.position;
}

static enum error check_dots(const struct framebuffer *fb, struct text *why)
{
    u32 bytes = (fb->bits + 7u) / 8;
    if (fb->bits < 15 || bytes > 4)
        return explain(why, ERR_UNSUPPORTED, "neither 2, 3 nor 4 bytes to a dot");
    const struct color_field *colors[] = {&fb->red, &fb->green, &fb->blue};
    u64 seen = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(colors); i++) {
        const struct color_field *f = colors[i];
        if (f->size == 0 || f->size > 16 || f->position + f->size > 8 * bytes || seen & mask(*f))
            return explain(why, ERR_INVALID, "colours that no dot has room for");
        seen |= mask(*f);
    }
    bool aligned = bytes == 3 || (fb->start.v | fb->pitch) % bytes == 0;
    if (fb->width < 320 || fb->height < 160 || fb->pitch / bytes < fb->width || !aligned)
        return explain(why, ERR_INVALID, "an odd size");
    return OK;
}

enum error framebuffer_check(const struct framebuffer *fb, const struct memory_range *ranges,
                             unsigned count, u64 limit, struct text *why)
{
    if (framebuffer_size(fb) > FRAMEBUFFER_MOST || fb->start.v >= limit ||
        framebuffer_size(fb) > limit - fb->start.v)
        return explain(why, ERR_INVALID, "more than can be");
    if (fb->kind == FRAMEBUFFER_TEXT)
        return check_text(fb, why);
    if (fb->kind != FRAMEBUFFER_RGB)
        return explain(why, ERR_UNSUPPORTED, "a palette");
    enum error e = check_dots(fb, why);
    if (e != OK)
        return e;
    if (fb->start.v < MiB || overlaps(fb, APICS, APICS_END))
        return explain(why, ERR_INVALID, "it lies where other devices are");
    for (unsigned i = 0; i < count; i++) {
        const struct memory_range *r = &ranges[i];
        if (r->type == MEMORY_AVAILABLE && overlaps(fb, r->start.v, r->start.v + r->size))
            return explain(why, ERR_INVALID, "it lies in memory");
    }
    return OK;
}

static u32 grey(struct color_field f)
{
    return (u32)((BIT(f.size) - 1) * GREY / 0xff) << f.position;
}

void surface_init(struct surface *s, const struct framebuffer *fb, volatile void *memory)
{
    *s = (struct surface){
        .memory = memory,
        .height = fb->height,
        .pitch = fb->pitch,
        .is_text = fb->kind == FRAMEBUFFER_TEXT,
        .columns = fb->width,
        .rows = fb->height,
    };
    if (!s->is_text) {
        s->bytes = (fb->bits + 7u) / 8;
        s->ink = grey(fb->red) | grey(fb->green) | grey(fb->blue);
        s->scale = MAX(1u, MIN(fb->width / WIDTH_PER_SCALE, fb->height / HEIGHT_PER_SCALE));
        s->columns = fb->width / (LETTER_WIDTH * s->scale);
        s->rows = fb->height / (LETTER_HEIGHT * s->scale);
    }
    s->columns = MIN(ALIGN_DOWN(s->columns, TEXT_GROUP), (u32)TEXT_COLUMNS_MAX);
    s->rows = MIN(s->rows, (u32)TEXT_ROWS_MAX);
}

static void set_dot(volatile u8 *at, u32 value, u32 bytes)
{
    switch (bytes) {
    case 2:
        *(volatile u16 *)at = (u16)value;
        break;
    case 3:
        at[0] = (u8)value;
        at[1] = (u8)(value >> 8);
        at[2] = (u8)(value >> 16);
        break;
    default:
        *(volatile u32 *)at = value;
    }
}

void surface_clear(const struct surface *s)
{
    u64 size = (u64)s->pitch * s->height;
    u64 empty = s->is_text ? (VGA_GREY | ' ') * 0x0001000100010001ul : 0;
    for (u64 at = 0; at < size / 8; at++)
        ((volatile u64 *)s->memory)[at] = empty;
    for (u64 at = ALIGN_DOWN(size, 8u); at < size; at++)
        s->memory[at] = (u8)(empty >> 8 * (at % 8));
}

// One row of the letters' dots, from left to right: memory that combines writes wants them so.
static void put_dots(const struct surface *s, volatile u8 *at, u32 line, const char *text, u32 n)
{
    for (u32 i = 0; i < n; i++) {
        u32 code = (u8)text[i] - (u32)' ';
        u8 dots = code < ARRAY_SIZE(font) ? font[code][line] : 0;
        for (u32 x = 0; x < LETTER_WIDTH; x++, dots = (u8)(dots << 1)) {
            u32 value = dots & 0x80 ? s->ink : 0;
            for (u32 k = 0; k < s->scale; k++, at += s->bytes)
                set_dot(at, value, s->bytes);
        }
    }
}

// Four letters at a time: each write takes as long as any other.
static void put_codes(volatile u8 *at, const char *text, u32 n)
{
    u32 i = 0;
    for (; i + 4 <= n && (u64)(at + 2ul * i) % 8 == 0; i += 4) {
        u64 codes = (u8)text[i] | (u64)(u8)text[i + 1] << 16 | (u64)(u8)text[i + 2] << 32 |
                    (u64)(u8)text[i + 3] << 48;
        *(volatile u64 *)(at + 2ul * i) = codes | VGA_GREY * 0x0001000100010001ul;
    }
    for (; i < n; i++)
        set_dot(at + 2ul * i, VGA_GREY | (u8)text[i], 2);
}

void surface_put(const struct surface *s, u32 row, u32 column, const char *text, u32 n)
{
    if (row >= s->rows || column >= s->columns)
        return;
    n = MIN(n, s->columns - column);
    if (s->is_text) {
        put_codes(s->memory + (u64)row * s->pitch + 2ul * column, text, n);
        return;
    }
    u64 left = (u64)column * LETTER_WIDTH * s->scale * s->bytes;
    for (u32 y = 0; y < LETTER_HEIGHT * s->scale; y++) {
        u64 line = (u64)row * LETTER_HEIGHT * s->scale + y;
        put_dots(s, s->memory + line * s->pitch + left, y / s->scale, text, n);
    }
}
