// SPDX-License-Identifier: MIT
// boot/framebuffer.c and boot/textscreen.c: which screens are taken, the dots that are set on those
// of each kind, and that what is drawn, however little at a time, is the end of the text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "boot/framebuffer.h"
#include "boot/textscreen.h"

extern const u8 font[][16];

#define LIMIT BIT(39)

static const struct memory_range memory[] = {
    {HPA(0), 0x9fc00, MEMORY_AVAILABLE},
    {HPA(MiB), 2 * GiB - MiB, MEMORY_AVAILABLE},
    {HPA(2 * GiB), 256 * MiB, MEMORY_RESERVED},
    {HPA(4 * GiB), GiB, MEMORY_AVAILABLE},
};

// 800 x 600 with this many bits, red uppermost.
static struct framebuffer dots(u8 bits)
{
    u8 each = bits < 24 ? 5 : 8, green = bits == 16 ? 6 : each;
    return (struct framebuffer){.start = HPA(0xe0000000),
                                .pitch = 800 * ((bits + 7u) / 8),
                                .width = 800,
                                .height = 600,
                                .bits = bits,
                                .kind = FRAMEBUFFER_RGB,
                                .red = {(u8)(each + green), each},
                                .green = {each, green},
                                .blue = {0, each}};
}

static struct framebuffer vga(void)
{
    return (struct framebuffer){.start = HPA(0xb8000),
                                .pitch = 160,
                                .width = 80,
                                .height = 25,
                                .bits = 16,
                                .kind = FRAMEBUFFER_TEXT};
}

static const char *refusal(struct framebuffer fb)
{
    static char reason[64];
    enum error e = framebuffer_check(&fb, memory, ARRAY_SIZE(memory), LIMIT, &TEXT(reason));
    return e != OK ? reason : NULL;
}

static void a_usable_framebuffer_is_taken(void **state)
{
    (void)state;
    static const u8 bits[] = {15, 16, 24, 32};
    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
        assert_null(refusal(dots(bits[i])));
    assert_null(refusal(vga()));
    struct framebuffer fb = dots(32);
    fb.start = HPA(LIMIT - framebuffer_size(&fb));
    assert_null(refusal(fb));
    fb.start = HPA(2 * GiB); // memory that is not given out
    assert_null(refusal(fb));
    fb.red = (struct color_field){20, 10}; // deep colours
    fb.green = (struct color_field){10, 10};
    fb.blue = (struct color_field){0, 10};
    assert_null(refusal(fb));
}

#define REFUSED(why, from, change)      \
    do {                                \
        struct framebuffer fb = from;   \
        change;                         \
        const char *said = refusal(fb); \
        assert_non_null(said);          \
        assert_string_equal(said, why); \
    } while (0)

static void an_unusable_framebuffer_is_refused_with_its_reason(void **state)
{
    (void)state;
    const char *more = "more than can be", *memory_too = "it lies in memory";
    REFUSED(more, dots(32), fb.height = 0xffffffff);
    REFUSED(more, dots(32), fb.pitch = 0xffffffff; fb.height = 0xffffffff);
    REFUSED(more, dots(32), fb.start = HPA(UINT64_MAX));
    REFUSED(more, dots(32), fb.start = HPA(UINT64_MAX - 4095));
    REFUSED(more, dots(32), fb.start = HPA(LIMIT));
    REFUSED(more, dots(32), fb.start = HPA(LIMIT - framebuffer_size(&fb) + 1));
    REFUSED(memory_too, dots(32), fb.start = HPA(MiB));
    REFUSED(memory_too, dots(32), fb.start = HPA(2 * GiB - 4));
    REFUSED(memory_too, dots(32), fb.start = HPA(4 * GiB - framebuffer_size(&fb) + 4));
    REFUSED("it lies where other devices are", dots(32), fb.start = HPA(0));
    REFUSED("it lies where other devices are", dots(32), fb.start = HPA(0xa0000));
    REFUSED("it lies where other devices are", dots(32), fb.start = HPA(0xfec00000 - 800));
    REFUSED("a palette", dots(32), fb.kind = FRAMEBUFFER_PALETTE);
    REFUSED("a palette", dots(32), fb.kind = 77);
    static const u8 bits[] = {0, 1, 4, 8, 14, 33, 64, 255};
    for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
        REFUSED("neither 2, 3 nor 4 bytes to a dot", dots(32), fb.bits = bits[i]);
    const char *colours = "colours that no dot has room for", *size = "an odd size";
    REFUSED(colours, dots(32), fb.red.size = 0);
    REFUSED(colours, dots(32), fb.red.size = 255);
    REFUSED(colours, dots(32), fb.red.position = 25);
    REFUSED(colours, dots(24), fb.red.position = 255);
    REFUSED(colours, dots(24), fb.red.position = 4);
    REFUSED(size, dots(32), fb.width = 0);
    REFUSED(size, dots(32), fb.height = 0);
    REFUSED(size, dots(32), fb.pitch = 800 * 4 - 1);
    REFUSED(size, dots(32), fb.pitch = 0);
    REFUSED(size, dots(32), fb.pitch += 2);
    REFUSED(size, dots(16), fb.start.v++);
    REFUSED("text outside VGA's memory", vga(), fb.start = HPA(0xa0000));
    REFUSED("text outside VGA's memory", vga(), fb.start = HPA(0xbf800));
    REFUSED("text outside VGA's memory", vga(), fb.start = HPA(0x100000));
    REFUSED("text of an odd size", vga(), fb.width = 81);
    REFUSED("text of an odd size", vga(), fb.height = 0);
}

// A screen in memory of exactly its size: the sanitizer sees what is beside it.
static struct surface surface;
static u8 *bytes;

static void set_up(const struct framebuffer *fb)
{
    free(bytes);
    bytes = malloc(framebuffer_size(fb));
    memset(bytes, 0x55, framebuffer_size(fb));
    surface_init(&surface, fb, bytes);
}

static u32 dot(u32 x, u32 y)
{
    u32 value = 0;
    for (u32 i = 0; i < surface.bytes; i++)
        value |= (u32)surface.memory[(u64)y * surface.pitch + (u64)x * surface.bytes + i] << 8 * i;
    return value;
}

static void check_letter(u32 row, u32 column, char letter)
{
    for (u32 y = 0; y < 16 * surface.scale; y++) {
        for (u32 x = 0; x < 8 * surface.scale; x++) {
            bool set = font[letter - ' '][y / surface.scale] & 0x80 >> x / surface.scale;
            assert_int_equal(dot(column * 8 * surface.scale + x, row * 16 * surface.scale + y),
                             set ? surface.ink : 0);
        }
    }
}

static void check_corners(void)
{
    u32 right = surface.columns - 4, bottom = surface.rows - 1;
    surface_clear(&surface);
    surface_put(&surface, 0, 0, "Ag~!", 4);
    surface_put(&surface, bottom, right, "Xyz{cut off", 11);
    surface_put(&surface, bottom + 1, 0, "none", 4);
    surface_put(&surface, 0, right + 4, "none", 4);
    surface_put(&surface, UINT32_MAX, UINT32_MAX, "none", 4);
    for (u32 i = 0; i < 4; i++) {
        check_letter(0, i, "Ag~!"[i]);
        check_letter(bottom, right + i, "Xyz{"[i]);
    }
    check_letter(0, 4, ' ');
    check_letter(1, 0, ' ');
}

static void letters_are_drawn_in_each_depth(void **state)
{
    (void)state;
    static const struct {
        u8 bits;
        u32 ink;
    } depths[] = {{15, 0x5ef7}, {16, 0xbdf7}, {24, 0xc0c0c0}, {32, 0xc0c0c0}};
    for (unsigned i = 0; i < ARRAY_SIZE(depths); i++) {
        struct framebuffer fb = dots(depths[i].bits);
        set_up(&fb);
        assert_int_equal(surface.columns, 100);
        assert_int_equal(surface.rows, 37);
        assert_int_equal(surface.ink, depths[i].ink);
        check_corners();
        fb.pitch += 32; // more than a row takes
        set_up(&fb);
        check_corners();
    }
}

static void large_screens_have_large_letters(void **state)
{
    (void)state;
    static const struct {
        u32 width, height, scale, columns, rows;
    } sizes[] = {{1920, 1080, 1, 240, 67},
                 {3840, 2160, 3, 160, 45},
                 {2560, 400, 1, 240, 25},
                 {1080, 2400, 1, 132, 128}};
    for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct framebuffer fb = dots(32);
        fb.width = sizes[i].width;
        fb.height = sizes[i].height;
        fb.pitch = 4 * fb.width;
        set_up(&fb);
        assert_int_equal(surface.scale, sizes[i].scale);
        assert_int_equal(surface.columns, sizes[i].columns);
        assert_int_equal(surface.rows, sizes[i].rows);
        check_corners();
    }
}

static void vga_text_is_drawn(void **state)
{
    (void)state;
    struct framebuffer fb = vga();
    set_up(&fb);
    surface_clear(&surface);
    surface_put(&surface, 24, 72, "12345678beyond", 14);
    surface_put(&surface, 3, 2, "odd place", 9);
    surface_put(&surface, 25, 0, "none", 4);
    for (u32 i = 0; i < 80 * 25; i++) {
        char letter = ' ';
        if (i >= 24 * 80 + 72)
            letter = "12345678"[i - 24 * 80 - 72];
        else if (i >= 3 * 80 + 2 && i < 3 * 80 + 11)
            letter = "odd place"[i - 3 * 80 - 2];
        assert_int_equal(bytes[2 * i], letter);
        assert_int_equal(bytes[2 * i + 1], 7);
    }
}

// Whatever is not refused can be drawn to, to its corners.
static void any_screen_that_is_taken_can_be_drawn_to(void **state)
{
    (void)state;
    unsigned taken = 0;
    srand(1);
    for (unsigned i = 0; i < 20000; i++) {
        struct framebuffer fb = dots((u8)(15 + rand() % 18));
        fb.width = (u32)rand() % 1600;
        fb.height = (u32)rand() % 900;
        fb.pitch = fb.width * ((u32)rand() % 5) + (u32)rand() % 3;
        fb.red.position = (u8)(rand() % 32);
        if (refusal(fb) != NULL)
            continue;
        taken++;
        if (taken % 8 != 0) // enough of them
            continue;
        set_up(&fb);
        check_corners();
    }
    assert_true(taken > 100);
}

// ---- text --------------------------------------------------------------------------------------

static struct textscreen text;
static char seen[TEXT_ROWS_MAX][TEXT_COLUMNS_MAX];
static u32 groups_put;

static void put(u32 row, u32 column, const char *letters, u32 n)
{
    assert_true(row < text.rows && column % TEXT_GROUP == 0 && n % TEXT_GROUP == 0 && n > 0);
    assert_true(column + n <= text.columns);
    memcpy(&seen[row][column], letters, n);
    groups_put += n / TEXT_GROUP;
}

static void begin(u32 columns, u32 rows)
{
    memset(seen, ' ', sizeof(seen));
    textscreen_init(&text, columns, rows, true);
}

static u32 draw_all(void)
{
    groups_put = 0;
    assert_false(textscreen_draw(&text, UINT32_MAX, put));
    return groups_put;
}

static void add(const char *s)
{
    textscreen_add(&text, s, strlen(s));
}

static void check_row(u32 row, const char *wanted)
{
    char line[TEXT_COLUMNS_MAX + 1];
    snprintf(line, sizeof(line), "%-*s", (int)text.columns, wanted);
    assert_memory_equal(seen[row], line, text.columns);
}

static void long_lines_are_wrapped(void **state)
{
    (void)state;
    begin(8, 6);
    assert_int_equal(draw_all(), 0);
    add("one\n\ntwelve letter");
    add("s\n\x1b[2J\xff\t\n");
    assert_int_equal(draw_all(), 1 + 2 + 2 + 2);
    check_row(0, "one");
    check_row(1, "");
    check_row(2, "twelve l");
    check_row(3, "etters");
    check_row(4, "?[2J??");
    check_row(5, ""); // the next line's
    add("last");
    assert_int_equal(draw_all(), 1); // nothing else
    check_row(5, "last");
}

static void a_full_screen_moves_up_by_a_third(void **state)
{
    (void)state;
    begin(8, 6);
    add("1\n2\n3\n4\n5\n6\n");
    draw_all();
    check_row(0, "1");
    check_row(5, "6");
    add("7");
    draw_all();
    check_row(0, "3");
    check_row(4, "7");
    check_row(5, "");
    add("\n8\n9");
    draw_all();
    check_row(0, "5");
    check_row(4, "9");
}

// As after the core that drew was lost: nothing is known of what is on the screen.
static void a_screen_in_any_state_is_drawn_anew(void **state)
{
    (void)state;
    begin(80, 25);
    memset(seen, '#', sizeof(seen));
    textscreen_init(&text, 80, 25, false);
    add("report\n");
    assert_int_equal(draw_all(), 80 * 25 / TEXT_GROUP);
    check_row(0, "report");
    check_row(24, "");
}

// However much is drawn at a time, and whatever comes meanwhile.
static void drawing_in_pieces_ends_in_the_same(void **state)
{
    (void)state;
    static char all[1 << 16];
    size_t length = 0;
    srand(2);
    begin(80, 25);
    for (unsigned i = 0; i < 3000; i++) {
        char line[200];
        int n = snprintf(line, sizeof(line), "%u %.*s\n", i, rand() % 150,
                         "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrst"
                         "uvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijkl");
        if (length + (size_t)n < sizeof(all)) {
            memcpy(all + length, line, (size_t)n);
            length += (size_t)n;
        }
        textscreen_add(&text, line, (size_t)n);
        u32 most = 1 + (u32)rand() % 40;
        groups_put = 0;
        textscreen_draw(&text, most, put);
        assert_true(groups_put <= most);
        if (length + sizeof(line) >= sizeof(all))
            break;
    }
    while (textscreen_draw(&text, 3, put))
        ;
    struct textscreen other = text;
    char drawn[TEXT_ROWS_MAX][TEXT_COLUMNS_MAX];
    memcpy(drawn, seen, sizeof(drawn));
    begin(80, 25);
    textscreen_add(&text, all, length);
    draw_all();
    assert_int_equal(other.row, text.row);
    assert_memory_equal(drawn, seen, sizeof(seen));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_usable_framebuffer_is_taken),
        cmocka_unit_test(an_unusable_framebuffer_is_refused_with_its_reason),
        cmocka_unit_test(letters_are_drawn_in_each_depth),
        cmocka_unit_test(large_screens_have_large_letters),
        cmocka_unit_test(vga_text_is_drawn),
        cmocka_unit_test(any_screen_that_is_taken_can_be_drawn_to),
        cmocka_unit_test(long_lines_are_wrapped),
        cmocka_unit_test(a_full_screen_moves_up_by_a_third),
        cmocka_unit_test(a_screen_in_any_state_is_drawn_anew),
        cmocka_unit_test(drawing_in_pieces_ends_in_the_same),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(bytes);
    return failed;
}
