// SPDX-License-Identifier: MIT
// Registers as gdb sees them: the description, g, G, p, P, and the XSAVE area behind some of them.
#include "gdb_client.h"
#include "gdbstub/fpu.h"

static char xml[16384];

// Reads target.xml in pieces of the given size.
static void read_xml(unsigned size)
{
    char packet[64];

    xml[0] = '\0';
    for (unsigned at = 0;; at += size) {
        snprintf(packet, sizeof(packet), "qXfer:features:read:target.xml:%x,%x", at, size);
        assert_non_null(ask(packet));
        strcat(xml, answer + 1);
        if (answer[0] == 'l')
            return;
        assert_int_equal(answer[0], 'm');
        assert_int_equal(answer_len, size + 1);
    }
}

// The number of a register in the description, by counting; its size in bits. -1: not there.
static int number_of(const char *name, unsigned *bits)
{
    char start[64];
    int n = 0;

    snprintf(start, sizeof(start), "<reg name=\"%s\" bitsize=\"", name);
    for (const char *p = xml; (p = strstr(p, "<reg ")) != NULL; p++, n++) {
        if (strncmp(p, start, strlen(start)) == 0) {
            *bits = (unsigned)atoi(p + strlen(start));
            return n;
        }
    }
    return -1;
}

static unsigned register_count(void)
{
    unsigned n = 0;
    for (const char *p = xml; (p = strstr(p, "<reg ")) != NULL; p++)
        n++;
    return n;
}

static void the_description_is_short_and_whole(void **state)
{
    (void)state;
    char whole[sizeof(xml)];
    unsigned bits;
    read_xml(0x1000);
    memcpy(whole, xml, sizeof(xml));
    assert_in_range(strlen(xml), 1000, 8000);
    for (unsigned size = 1; size < 300; size += 37) {
        read_xml(size);
        assert_string_equal(xml, whole);
    }
    assert_has(xml, "<architecture>i386:x86-64</architecture>");
    // gdb refuses a core feature that lacks one of these.
    static const char *const core[] = {
        "rax",   "rbx",  "rcx",   "rdx",   "rsi",   "rdi",   "rbp",    "rsp", "r8",  "r9",  "r10",
        "r11",   "r12",  "r13",   "r14",   "r15",   "rip",   "eflags", "cs",  "ss",  "ds",  "es",
        "fs",    "gs",   "st0",   "st1",   "st2",   "st3",   "st4",    "st5", "st6", "st7", "fctrl",
        "fstat", "ftag", "fiseg", "fioff", "foseg", "fooff", "fop",    "xmm0"};
    for (int i = 0; i < (int)ARRAY_SIZE(core); i++)
        assert_int_equal(number_of(core[i], &bits), i);
    assert_true(number_of("fs_base", &bits) > 0 && bits == 64);
    assert_true(number_of("ymm15h", &bits) > 0 && bits == 128);
    static const char *const others[] = {"gs_base",   "cs_base", "cr0",       "cr2",
                                         "cr3",       "cr4",     "cr8",       "efer",
                                         "k_gs_base", "dr3",     "gdtr_limit"};
    for (unsigned i = 0; i < ARRAY_SIZE(others); i++)
        assert_true(number_of(others[i], &bits) > 0);
    assert_answer("qXfer:features:read:other.xml:0,100", "E16");
    assert_answer("qXfer:features:read:target.xml:0", "E01");
    fake[1].avx = false;
    read_xml(0x1000);
    assert_int_equal(number_of("ymm0h", &bits), -1);
    assert_int_equal(number_of("dr7", &bits), (int)register_count() - 1);
}

static void every_register_takes_and_gives_its_value(void **state)
{
    (void)state;
    struct vcpu *v = &fake[1].vcpu[0];
    char packet[128], value[64];

    read_xml(0x1000);
    unsigned n = register_count();
    const char *p = xml;
    for (unsigned i = 0; i < n; i++) {
        p = strstr(p, "<reg ") + 1;
        bool control = strncmp(p, "reg name=\"cr0\"", 14) == 0;
        bool selector_or_x87 =
            strstr(p, "bitsize=\"32\"") != NULL && strstr(p, "bitsize=\"32\"") < strchr(p, '>');
        unsigned bits = (unsigned)atoi(strstr(p, "bitsize=\"") + 9);
        for (unsigned b = 0; b < bits / 8; b++)
            snprintf(value + 2 * b, 3, "%02x",
                     control || (selector_or_x87 && b > 0) ? 0 : (i * 7 + b + 1) & 0xff);
        if (strncmp(p, "reg name=\"ftag\"", 15) == 0)
            strcpy(value, "ffff0000"); // follows from the registers' values
        snprintf(packet, sizeof(packet), "P%x=%s", i, value);
        assert_ok(packet);
        snprintf(packet, sizeof(packet), "p%x", i);
        assert_answer(packet, value);
    }
    // No two of them are the same place.
    p = xml;
    for (unsigned i = 0; i < n; i++) {
        p = strstr(p, "<reg ") + 1;
        snprintf(packet, sizeof(packet), "p%x", i);
        ask(packet);
        unsigned first = 0;
        sscanf(answer, "%2x", &first);
        bool control = strncmp(p, "reg name=\"cr0\"", 14) == 0;
        bool ftag = strncmp(p, "reg name=\"ftag\"", 15) == 0;
        assert_int_equal(first, control ? 0 : ftag ? 0xff : (i * 7 + 1) & 0xff);
    }
    assert_int_equal(v->regs.gpr[RAX], 0x0807060504030201);
    assert_int_equal(v->regs.gpr[R15], 0x71706f6e6d6c6b6a);
    assert_int_equal(v->regs.rip, 0x7877767574737271);
    snprintf(packet, sizeof(packet), "p%x", n);
    assert_answer(packet, "E16");
    assert_answer("pffffffffffffffff", "E16");
    assert_answer("p", "E01");
    assert_answer("P0", "E01");
    assert_answer("P0=00", "E01");
    assert_answer("P0=000000000000000000", "E01");
    assert_answer("P12=00000100", "E16"); // a selector has 16 bits
    assert_answer("P38=00000100", "E16"); // MXCSR, too
    assert_ok("P38=801f0000");
}

static void g_holds_what_a_stop_needs(void **state)
{
    (void)state;
    struct vcpu *v = &fake[1].vcpu[0];
    unsigned long long number;
    char packet[1024], part[17];

    for (unsigned i = 0; i < GPR_COUNT; i++)
        v->regs.gpr[i] = 0x1111111111111111ull * i;
    ask("g");
    assert_int_equal(answer_len, 2 * (17 * 8 + 7 * 4));
    static const enum gpr order[] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP};
    for (unsigned i = 0; i < 16; i++) {
        memcpy(part, answer + 16 * i, 16);
        part[16] = '\0';
        assert_int_equal(sscanf(part, "%llx", &number), 1);
        assert_int_equal(number, v->regs.gpr[i < 8 ? order[i] : i]);
    }
    assert_memory_equal(answer + 16 * 16,
                        "0010000000000000"
                        "02000000"
                        "00000000",
                        32);
    // Back with other values.
    packet[0] = 'G';
    memcpy(packet + 1, answer, answer_len + 1);
    memcpy(packet + 1, "efcdab8967452301", 16);
    memcpy(packet + 1 + 16 * 16, "3412", 4);
    assert_ok(packet);
    assert_int_equal(v->regs.gpr[RAX], 0x0123456789abcdef);
    assert_int_equal(v->regs.gpr[R15], 0xffffffffffffffff);
    assert_int_equal(v->regs.rip, 0x1234);
    packet[20] = 'x';
    assert_answer(packet, "E01");
    packet[20] = '0';
    strcat(packet, "00");
    assert_answer(packet, "E01");
    assert_answer("G00", "E01");
    assert_ok("Hgp1.2");
    assert_ok("P10=7856000000000000");
    assert_int_equal(fake[1].vcpu[1].regs.rip, 0x5678);
    assert_int_equal(v->regs.rip, 0x1234);
}

static void a_state_that_cannot_be_is_refused(void **state)
{
    (void)state;
    char packet[64];
    unsigned bits;
    read_xml(0x1000);
    snprintf(packet, sizeof(packet), "P%x=0000008000000000", (unsigned)number_of("cr0", &bits));
    assert_answer(packet, "E16"); // paging without protection
    assert_int_equal(fake[1].vcpu[0].regs.cr0, 0x11);
}

static void a_selector_in_real_mode_moves_its_base(void **state)
{
    (void)state;
    struct vcpu *v = &fake[1].vcpu[0];
    v->regs.seg[SEG_CS].base = 0xffff0000;
    assert_ok("P12=00f00000"); // protected mode: the descriptor stays
    assert_int_equal(v->regs.seg[SEG_CS].base, 0xffff0000);
    v->regs.cr0 = 0x10;
    assert_ok("P12=00f00000");
    assert_int_equal(v->regs.seg[SEG_CS].selector, 0xf000);
    assert_int_equal(v->regs.seg[SEG_CS].base, 0xf0000);
}

static void a_32_bit_kernel_is_an_i386(void **state)
{
    (void)state;
    unsigned bits;
    fake[1].is_32bit = true;
    fake[1].vcpu[0].regs.gpr[RBP] = 0x99;
    connect_gdb();
    read_xml(0x1000);
    assert_has(xml, "<architecture>i386</architecture>");
    assert_int_equal(number_of("eip", &bits), 8);
    assert_int_equal(bits, 32);
    assert_int_equal(number_of("st0", &bits), 16);
    assert_int_equal(number_of("xmm0", &bits), 32);
    assert_int_equal(number_of("xmm8", &bits), -1);
    assert_has(ask("?"), "04:00900000;05:99000000;08:00100000;");
    ask("g");
    assert_int_equal(answer_len, 2 * 16 * 4);
    assert_ok("P8=00200000");
    assert_int_equal(fake[1].vcpu[0].regs.rip, 0x2000);
    // It keeps its registers when it enters long mode; the next attach shows the others.
    fake_long_mode(1, true);
    assert_has(ask("?"), "08:00200000;");
    assert_ok("D;1");
    assert_has(ask("vAttach;1"), "10:0020000000000000;");
    // And at the user's word.
    ask("qRcmd,6c61796f7574203332"); // layout 32
    connect_gdb();
    assert_has(ask("?"), "08:00200000;");
}

// ---- the XSAVE area ------------------------------------------------------------------------

static u8 area[FPU_STATE_SIZE];

static u32 control(unsigned index)
{
    u32 v;
    fpu_read(area, FPU_CONTROL, index, (u8 *)&v);
    return v;
}

static void an_initial_area_reads_as_fninit_leaves_it(void **state)
{
    (void)state;
    u8 value[16], zero[16] = {0};
    memset(area, 0xee, sizeof(area));
    memset(area + 512, 0, 64);
    assert_int_equal(control(0), 0x37f);
    assert_int_equal(control(1), 0);
    assert_int_equal(control(2), 0xffff);
    assert_int_equal(control(4), 0);
    for (unsigned i = 0; i < 16; i++) {
        fpu_read(area, FPU_XMM, i, value);
        assert_memory_equal(value, zero, 16);
        fpu_read(area, FPU_YMMH, i, value);
        assert_memory_equal(value, zero, 16);
        if (i < 8) {
            fpu_read(area, FPU_ST, i, value);
            assert_memory_equal(value, zero, 10);
        }
    }
    // Writing one register leaves the others of its component as they were, not as memory is.
    memset(value, 0x5a, sizeof(value));
    assert_true(fpu_write(area, FPU_XMM, 3, value));
    assert_int_equal(area[512], 2);
    fpu_read(area, FPU_XMM, 4, value);
    assert_memory_equal(value, zero, 16);
    memset(value, 0x5a, sizeof(value));
    assert_true(fpu_write(area, FPU_ST, 0, value));
    assert_int_equal(area[512], 3);
    assert_int_equal(control(0), 0x37f);
    assert_true(fpu_write(area, FPU_YMMH, 15, value));
    assert_int_equal(area[512], 7);
    fpu_read(area, FPU_YMMH, 14, value);
    assert_memory_equal(value, zero, 16);
    assert_int_equal(area[24], 0xee); // MXCSR is no part of it
}

static void x87_tags(void **state)
{
    (void)state;
    // fld1; fldz; then the stack's top is physical register 6.
    static const u8 one[10] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x3f};
    static const u8 infinity[10] = {0, 0, 0, 0, 0, 0, 0, 0x80, 0xff, 0x7f};
    static const u8 denormal[10] = {1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    memset(area, 0, sizeof(area));
    area[512] = 1;
    area[3] = 6 << 3; // TOP
    area[4] = 0xc0;   // physical 6 and 7 in use
    memcpy(area + 32 + 16, one, 10);
    assert_int_equal(control(2), 0x1fff); // 7 valid, 6 zero, the rest empty
    memcpy(area + 32, infinity, 10);
    assert_int_equal(control(2), 0x2fff);
    memcpy(area + 32, denormal, 10);
    assert_int_equal(control(2), 0x2fff);
    u32 tags = 0xfffc;
    assert_true(fpu_write(area, FPU_CONTROL, 2, (const u8 *)&tags));
    assert_int_equal(area[4], 1);
}

static void where_things_lie_in_the_area(void **state)
{
    (void)state;
    u8 value[16];
    for (unsigned i = 0; i < sizeof(area); i++)
        area[i] = (u8)(i * 31 + i / 256);
    area[512] = 7;
    fpu_read(area, FPU_XMM, 15, value);
    assert_memory_equal(value, area + 400, 16);
    fpu_read(area, FPU_YMMH, 2, value);
    assert_memory_equal(value, area + 608, 16);
    fpu_read(area, FPU_ST, 7, value);
    assert_memory_equal(value, area + 144, 10);
    fpu_read(area, FPU_MXCSR, 0, value);
    assert_memory_equal(value, area + 24, 4);
    assert_int_equal(control(0), area[0] | area[1] << 8);
    assert_int_equal(control(3), area[12] | area[13] << 8);
    assert_int_equal(control(4) & 0xff, area[8]);
    assert_int_equal(control(5), area[20] | area[21] << 8);
    assert_int_equal(control(6) & 0xff, area[16]);
    assert_int_equal(control(7), area[6] | area[7] << 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_description_is_short_and_whole, connected),
        cmocka_unit_test_setup(every_register_takes_and_gives_its_value, connected),
        cmocka_unit_test_setup(g_holds_what_a_stop_needs, connected),
        cmocka_unit_test_setup(a_state_that_cannot_be_is_refused, connected),
        cmocka_unit_test_setup(a_selector_in_real_mode_moves_its_base, connected),
        cmocka_unit_test_setup(a_32_bit_kernel_is_an_i386, connected),
        cmocka_unit_test(an_initial_area_reads_as_fninit_leaves_it),
        cmocka_unit_test(x87_tags),
        cmocka_unit_test(where_things_lie_in_the_area),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
