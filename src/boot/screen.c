// SPDX-License-Identifier: MIT
#include "boot/screen.h"

#include "boot/cmdline.h"
#include "boot/framebuffer.h"
#include "boot/log.h"
#include "boot/paging.h"
#include "boot/panic.h"
#include "boot/textscreen.h"
#include "lib/cpu.h"
#include "lib/string.h"

#define CHUNK        256 // bytes of the log
#define PIECE        16  // groups of letters drawn between looks at the clock
#define VGA_COLUMNS  80
#define VGA_ROWS     25
#define VGA_TEXT     0xb8000
#define VGA_CRTC     0x3d4 // index and data
#define CURSOR_START 0x0a  // its bit 5: no cursor
#define CURSOR_OFF   0x20

static struct surface surface;
static struct textscreen text;
static u64 position; // in the log's text: what is shown
static u32 drawing;  // the number of the core that draws, and 1; 0: none does
static bool looked;  // for a screen

static u32 core_number(void)
{
    return log_core != NULL ? log_core() : 0;
}

static void put(u32 row, u32 column, const char *letters, u32 n)
{
    surface_put(&surface, row, column, letters, n);
}

bool screen_is_there(void)
{
    return surface.memory != NULL;
}

bool screen_draw(u64 ticks)
{
    char chunk[CHUNK];
    if (!screen_is_there())
        return false;
    u64 start = rdtsc(), most = (u64)text.columns * text.rows;
    drawing = core_number() + 1;
    for (u64 done = 0, n; done < most; done += n) { // others may write on
        n = log_read(&position, most, chunk, sizeof(chunk));
        if (n == 0)
            break;
        textscreen_add(&text, chunk, n);
    }
    bool more;
    do
        more = textscreen_draw(&text, PIECE, put);
    while (more && rdtsc() - start < ticks);
    __asm__ volatile("sfence" ::: "memory"); // what was collected goes out
    drawing = 0;
    return more;
}

static void begin_anew(void)
{
    position = 0;
    textscreen_init(&text, surface.columns, surface.rows, false);
}

void screen_take(void)
{
    if (drawing != 0)
        surface.memory = NULL; // to draw is what did it
    else
        begin_anew();
}

// During the start. What other cores log then is drawn with the boot core's next line.
static void draw_line(void)
{
    if (core_number() == 0)
        screen_draw(UINT64_MAX);
}

// ---- which screen ------------------------------------------------------------------------------

static const struct framebuffer vga_text = {
    HPA(VGA_TEXT), 2 * VGA_COLUMNS, VGA_COLUMNS, VGA_ROWS, 16, FRAMEBUFFER_TEXT};

static u64 physical_end(void)
{
    u32 bits = cpuid(0x80000000, 0).eax >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xff : 36;
    return BIT(MIN(bits, 52u));
}

// Loaders speak of VGA's text without a look whether there is a VGA. The one read of a screen.
static bool remembers(volatile u16 *letter)
{
    u16 before = *letter;
    *letter = 0x0755;
    bool same = *letter == 0x0755;
    *letter = 0x072a;
    same &= *letter == 0x072a;
    *letter = before;
    return same;
}

// Before the final page tables are there, what is below 4 GiB can be reached.
static volatile void *reach(const struct framebuffer *fb, bool paged)
{
    if (fb->kind == FRAMEBUFFER_TEXT)
        return phys_to_virt(fb->start);
    if (paged)
        return mmio_map_combining(fb->start, framebuffer_size(fb));
    return fb->start.v + framebuffer_size(fb) <= 4 * GiB ? phys_to_virt(fb->start) : NULL;
}

static void find(bool paged)
{
    char option[8];
    looked = true;
    const struct framebuffer *fb = boot_info.has_framebuffer ? &boot_info.framebuffer : &vga_text;
    if (cmdline_value("screen", option, sizeof(option)) && strcmp(option, "off") == 0)
        return;
    char reason[64];
    if (framebuffer_check(fb, boot_info.memory, boot_info.memory_ranges, physical_end(),
                          &TEXT(reason)) != OK) {
        log_line("screen", "not used: %ux%u, %u bits, at %lx, by the boot loader's word: %s",
                 fb->width, fb->height, fb->bits, fb->start.v, reason);
        return;
    }
    volatile void *memory = reach(fb, paged);
    if (memory == NULL || (fb->kind == FRAMEBUFFER_TEXT && !remembers(memory)))
        return;
    if (fb->kind == FRAMEBUFFER_TEXT) {
        outb(VGA_CRTC, CURSOR_START);
        outb(VGA_CRTC + 1, CURSOR_OFF);
    }
    surface_init(&surface, fb, memory);
    surface_clear(&surface);
    textscreen_init(&text, surface.columns, surface.rows, true);
    if (surface.is_text)
        log_line("screen", "VGA text, %u x %u", surface.columns, surface.rows);
    else
        log_line("screen", "%ux%u, %u bits a dot, at %lx: %u x %u letters", fb->width, fb->height,
                 fb->bits, fb->start.v, surface.columns, surface.rows);
}

void screen_init(void)
{
    find(true);
    if (!screen_is_there())
        return;
    log_changed = draw_line;
    screen_draw(UINT64_MAX);
}

void screen_finish(void)
{
    if (drawing == core_number() + 1) // it was to draw that failed
        return;
    if (!looked)
        find(false);
    else if (panic_is_on())
        begin_anew();
    screen_draw(UINT64_MAX);
}

#if DEBUG
void screen_break(void)
{
    surface.memory = (volatile u8 *)PAGE_SIZE; // nothing is mapped there
}
#endif
