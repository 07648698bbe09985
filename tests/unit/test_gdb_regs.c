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

    fake_takes_all = true;
    v->regs.cr0 = 0x10; // real mode: selectors want no table
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
        if (strncmp(p, "reg name=\"ldtr\"", 15) == 0 || strncmp(p, "reg name=\"tr\"", 13) == 0) {
            assert_has(ask(packet), "it cannot be loaded in real mode");
            continue;
        }
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
        if (strncmp(p, "reg name=\"ldtr\"", 15) == 0 || strncmp(p, "reg name=\"tr\"", 13) == 0)
            continue;
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
    assert_answer("P12=00000100", "E.cs = 10000: must fit into 16 bits");
    assert_answer("P38=00000100", "E.mxcsr = 10000: reserved bits must be clear");
    assert_ok("P38=801f0000");
}

static void g_holds_what_a_stop_needs(void **state)
{
    (void)state;
    struct vcpu *v = &fake[1].vcpu[0];
    unsigned long number;
    char packet[1024], part[17];

    for (unsigned i = 0; i < GPR_COUNT; i++)
        v->regs.gpr[i] = 0x1111111111111111ull * i;
    ask("g");
    assert_int_equal(answer_len, 2 * (17 * 8 + 7 * 4));
    static const enum gpr order[] = {RAX, RBX, RCX, RDX, RSI, RDI, RBP, RSP};
    for (unsigned i = 0; i < 16; i++) {
        memcpy(part, answer + 16 * i, 16);
        part[16] = '\0';
        assert_int_equal(sscanf(part, "%lx", &number), 1);
        assert_int_equal(number, v->regs.gpr[i < 8 ? order[i] : i]);
    }
    assert_memory_equal(answer + 16 * 16,
                        "0010000000000000"
                        "02000000"
                        "08000000",
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
    const struct vcpu_regs before = v->regs;
    for (size_t size = strlen(packet) - 3; size >= 1; size--) { // not all of them
        packet[size] = '\0';
        memset(packet + 1, '1', MIN(size - 1, (size_t)16));
        assert_answer(packet, "E01");
        assert_memory_equal(&v->regs, &before, sizeof(before));
    }
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
    assert_answer(packet, "E.cr0 = 80000000: PG needs PE");
    assert_int_equal(fake[1].vcpu[0].regs.cr0, 0x11);
}

static void a_selector_in_real_mode_moves_its_base(void **state)
{
    (void)state;
    struct vcpu *v = &fake[1].vcpu[0];
    v->regs.cr0 = 0x10;
    v->regs.seg[SEG_CS].selector = 0xf000;
    v->regs.seg[SEG_CS].base = 0xffff0000; // as after a reset
    assert_ok("P12=00f00000");
    assert_int_equal(v->regs.seg[SEG_CS].base, 0xffff0000);
    assert_ok("P12=00e00000");
    assert_int_equal(v->regs.seg[SEG_CS].selector, 0xe000);
    assert_int_equal(v->regs.seg[SEG_CS].base, 0xe0000);
}

// Writes a register of vCPU 0 by its name; the answer.
static const char *set(const char *name, u64 value)
{
    char packet[64], hex[17] = "";
    unsigned bits;
    int n = number_of(name, &bits);

    assert_true(n >= 0);
    for (unsigned b = 0; b < bits / 8; b++)
        snprintf(hex + 2 * b, 3, "%02x", (unsigned)(value >> 8 * b & 0xff));
    snprintf(packet, sizeof(packet), "P%x=%s", (unsigned)n, hex);
    return ask(packet);
}

// A refusal names the register and its value, and then says what would do.
static bool is_requirement(const char *text)
{
    return strstr(text, "must ") || strstr(text, " needs ") || strstr(text, " cannot ");
}

static void what_no_cpu_has_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        u64 value;
        const char *reason;
    } bad[] = {
        {"dr6", 0x100000ff0, "dr6 = 100000ff0: bits 63:32 must be clear"},
        {"dr7", 0x100000400, "dr7 = "},
        {"k_gs_base", BIT(63), "k_gs_base = 8000000000000000: must be canonical"},
        {"xcr0", 5, "xcr0 = 5: "},
        {"xcr0", 0, "xcr0 = 0: "},
        {"xcr0", 0xe7, "xcr0 = e7: "},
        {"fs_base", BIT(47), "fs_base = 800000000000: must be canonical"},
        {"gs_base", BIT(47), "gs_base = "},
        {"cs_base", BIT(32), "cs_base = 100000000: bits 63:32 must be clear"},
        {"ds_base", BIT(32), "ds_base = "},
        {"tr_base", BIT(47), "tr_base = "},
        {"gdtr_base", BIT(60), "gdtr_base = "},
        {"gdtr_limit", 0xfffff, "gdtr_limit = fffff: must fit into 16 bits"},
        {"idtr_base", BIT(60), "idtr_base = "},
        {"idtr_limit", 0x10000, "idtr_limit = "},
        {"cr0", 0x11, "cr0 = 11: PG must stay set in 64-bit code"},
        {"cr0", 0xa0000011, "cr0 = a0000011: NW needs CD"},
        {"cr0", 0x80000001, "cr0 = 80000001: ET must be set"},
        {"cr0", 0x180000011, "cr0 = 180000011: reserved bits"},
        {"cr0", 0x80000091, "cr0 = 80000091: reserved bits"},
        {"cr3", UINT64_MAX, "cr3 = ffffffffffffffff: reserved bits"},
        {"cr3", BIT(40), "cr3 = "},
        {"cr4", 0, "cr4 = 0: long mode needs CR4.PAE"},
        {"cr4", BIT(13) | 0x20, "cr4 = 2020: "},
        {"cr8", 16, "cr8 = 10: must fit into 4 bits"},
        {"efer", 0, "efer = 0: LME cannot change while CR0.PG is set"},
        {"efer", 0x100, "efer = 100: LMA"},
        {"efer", 0x502, "efer = 502: reserved bits"},
        {"rip", BIT(47), "rip = 800000000000: must be canonical"},
        {"eflags", 0, "eflags = 0: bit 1 must be set"},
        {"eflags", 0x20002, "eflags = 20002: VM"},
        {"eflags", 0x80000002, "eflags = 80000002: reserved bits"},
        {"mxcsr", 0x10000, "mxcsr = 10000: reserved bits"},
        {"fctrl", 0x10000, "fctrl = 10000: must fit into 16 bits"},
        {"ftag", 0x10000, "ftag = 10000: must fit into 16 bits"},
        {"fop", 0x800, "fop = 800: must fit into 11 bits"},
        {"cs", 0x99, "cs = 99: must be within the table's limit"},
        {"cs", 0x10, "cs = 10: must name a code segment"},
        {"cs", 0x19, "cs = 19: the RPL must be the ring"},
        {"cs", 0x2b, "cs = 2b: the RPL must be the ring"},
        {"cs", 0, "cs = 0: must not be null"},
        {"cs", 0xc, "cs = c: needs an LDT, and there is none"},
        {"cs", 0x10008, "cs = 10008: must fit into 16 bits"},
        {"ss", 0x23, "ss = 23: RPL and DPL must be the ring"},
        {"ss", 0x18, "ss = 18: must name a writable data segment"},
        {"ds", 0x30, "ds = 30: must be present"},
        {"ds", 0x48, "ds = 48: must name a readable segment"},
        {"ds", 0x13, "ds = 13: the DPL must not be below the ring or the RPL"},
        {"tr", 0, "tr = 0: must not be null"},
        {"tr", 0x1c, "tr = 1c: must be of the GDT"},
        {"tr", 0x38, "tr = 38: must name a TSS"},
        {"tr", 0x10, "tr = 10: must name a system segment"},
        {"ldtr", 0x50, "ldtr = 50: must be within the table's limit"},
        {"ldtr", 0x30, "ldtr = 30: must name a system segment"},
    };
    struct vcpu *v = &fake[1].vcpu[0];

    fake_long_mode(1, true);
    read_xml(0x1000);
    struct vcpu_regs before = v->regs;
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char start[64];
        snprintf(start, sizeof(start), "E.%s", bad[i].reason);
        set(bad[i].name, bad[i].value);
        if (strncmp(answer, start, strlen(start)) != 0)
            fail_msg("%s is answered by %s", start, answer);
        if (strstr(answer, ": ") == NULL || !is_requirement(strstr(answer, ": ")))
            fail_msg("%s says no rule", answer);
        assert_memory_equal(&v->regs, &before, sizeof(before));
    }
    assert_has(ask("c0000800000000000"), "E.rip = 800000000000: "); // and in other ways
}

static void modes_can_be_changed_a_register_at_a_time(void **state)
{
    (void)state;
    struct vcpu *v = &fake[1].vcpu[0];

    fake_long_mode(1, true); // its page tables
    for (unsigned i = 0; i < FAKE_VCPUS; i++)
        fake[1].vcpu[i].regs = fake[2].vcpu[i].regs;
    read_xml(0x1000);
    // Protected to long mode and 64-bit code.
    static const struct {
        const char *name;
        u64 value;
    } there[] = {{"cr4", 0x20}, {"cr3", 0x4000}, {"efer", 0x100}, {"cr0", 0x80000011},
                 {"cs", 0x18},  {"ds", 0},       {"fs", 0},       {"fs_base", 0x123456789000},
                 {"ss", 0},     {"ldtr", 0x38},  {"tr", 0x48},    {"rip", FAKE_HIGH + 0x1000},
                 {"ss", 0x10}},
      back[] = {{"rip", 0x1000}, {"cs", 8},     {"cr0", 0x11},  {"efer", 0},
                {"cr4", 0},      {"cr0", 0x10}, {"cs", 0xf000}, {"eflags", 2}};
    for (unsigned i = 0; i < ARRAY_SIZE(there); i++)
        assert_string_equal(set(there[i].name, there[i].value), "OK");
    assert_int_equal(v->regs.efer, 0x500);
    assert_int_equal(v->regs.seg[SEG_CS].access, 0xa09b);
    assert_int_equal(v->regs.seg[SEG_DS].access, 0x10000);
    assert_int_equal(v->regs.seg[SEG_FS].base, 0x123456789000);
    assert_int_equal(v->regs.seg[SEG_LDTR].base, 0x7000);
    assert_int_equal(v->regs.seg[SEG_LDTR].limit, 0xf);
    assert_int_equal(v->regs.seg[SEG_TR].access, 0x8b);
    assert_int_equal(v->regs.seg[SEG_SS].limit, 0xffffffff);
    assert_has(ask_and_run("vCont;s:p1.1"), "T05");
    for (unsigned i = 0; i < ARRAY_SIZE(back); i++)
        assert_string_equal(set(back[i].name, back[i].value), "OK");
    assert_int_equal(v->regs.seg[SEG_CS].base, 0xf0000);
    assert_int_equal(v->regs.efer, 0);
}

static void the_ring_changes_by_G(void **state)
{
    (void)state;
    struct vcpu *v = &fake[1].vcpu[0];
    char packet[1024] = "G";

    fake_long_mode(1, true);
    ask("g");
    strcat(packet, answer);
    memcpy(packet + 1 + 17 * 16 + 8, "2b00000023000000", 16); // cs, ss
    assert_ok(packet);
    assert_int_equal(v->regs.seg[SEG_CS].access, 0xa0fb);
    assert_int_equal(v->regs.seg[SEG_SS].access, 0xc0f3);
    assert_has(ask("qThreadExtraInfo,p1.1"), "72696e672033"); // "ring 3"
    memcpy(packet + 1 + 17 * 16 + 8, "1800000023000000", 16);
    assert_has(ask(packet), "E.cs = 18: the DPL must be SS's");
    memcpy(packet + 1 + 17 * 16 + 8 + 3 * 8, "02020200", 8); // one of six selectors: es
    assert_answer(packet, "E.es = 20202: must fit into 16 bits");
    memcpy(packet + 1 + 17 * 16 + 8 + 2 * 8, "03030300", 8); // and another before it: ds
    assert_answer(packet, "E.ds = 30303: must fit into 16 bits");
    assert_int_equal(v->regs.seg[SEG_CS].selector, 0x2b);
}

static void blocking_goes_with_the_flags(void **state)
{
    (void)state;
    struct vcpu *v = &fake[1].vcpu[0];

    read_xml(0x1000);
    for (unsigned way = 0; way < 3; way++) {
        v->regs.rip = 0x1000;
        v->regs.rflags = 2;
        fake[1].ram[0x1000] = 0xfb; // STI
        fake[1].ram[0x1001] = 0x90;
        assert_has(ask_and_run("vCont;s:p1.1"), "T05");
        assert_int_equal(v->shadow.blocking, BLOCKING_BY_STI);
        if (way == 0)
            assert_string_equal(set("eflags", 2), "OK");
        else if (way == 1)
            assert_string_equal(set("rip", 0x1100), "OK");
        else
            assert_string_equal(set("eflags", 0x302), "OK"); // TF, and the trap that is due
        assert_int_equal(v->shadow.blocking, way == 2 ? BLOCKING_BY_STI : 0);
        assert_int_equal(v->shadow.pending_debug, way == 2 ? BIT(14) : 0);
        assert_has(ask_and_run("vCont;s:p1.1"), "T05");
        v->shadow = (struct interruptibility){0};
    }
    // A trap that is due goes with TF, and with the place that it is due at.
    v->shadow = (struct interruptibility){.pending_debug = BIT(14) | 1};
    v->regs.rflags = 0x102;
    assert_string_equal(set("eflags", 2), "OK");
    assert_int_equal(v->shadow.pending_debug, 1);
    assert_string_equal(set("rip", 0x1200), "OK");
    assert_int_equal(v->shadow.pending_debug, 0);
    v->shadow = (struct interruptibility){.halted = true};
    assert_string_equal(set("eflags", 0x102), "OK");
    assert_int_equal(v->shadow.pending_debug, BIT(14));
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
    assert_int_equal(fpu_write(area, FPU_XMM, 3, value, NULL), OK);
    assert_int_equal(area[512], 2);
    fpu_read(area, FPU_XMM, 4, value);
    assert_memory_equal(value, zero, 16);
    memset(value, 0x5a, sizeof(value));
    assert_int_equal(fpu_write(area, FPU_ST, 0, value, NULL), OK);
    assert_int_equal(area[512], 3);
    assert_int_equal(control(0), 0x37f);
    assert_int_equal(fpu_write(area, FPU_YMMH, 15, value, NULL), OK);
    assert_int_equal(area[512], 7);
    fpu_read(area, FPU_YMMH, 14, value);
    assert_memory_equal(value, zero, 16);
    assert_int_equal(area[24], 0xee); // MXCSR is no part of it
}

static void x87_tags_follow_from_values(void **state)
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
    assert_int_equal(fpu_write(area, FPU_CONTROL, 2, (const u8 *)&tags, NULL), OK);
    assert_int_equal(area[4], 1);
}

static void each_register_lies_in_its_place_of_the_area(void **state)
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
        cmocka_unit_test_setup(what_no_cpu_has_is_refused, connected),
        cmocka_unit_test_setup(modes_can_be_changed_a_register_at_a_time, connected),
        cmocka_unit_test_setup(the_ring_changes_by_G, connected),
        cmocka_unit_test_setup(blocking_goes_with_the_flags, connected),
        cmocka_unit_test_setup(a_selector_in_real_mode_moves_its_base, connected),
        cmocka_unit_test_setup(a_32_bit_kernel_is_an_i386, connected),
        cmocka_unit_test(an_initial_area_reads_as_fninit_leaves_it),
        cmocka_unit_test(x87_tags_follow_from_values),
        cmocka_unit_test(each_register_lies_in_its_place_of_the_area),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
