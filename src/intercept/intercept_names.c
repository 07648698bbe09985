// SPDX-License-Identifier: MIT
// What can be caught, by name, and items written as text.
#include "intercept/intercept_names.h"

#include "lib/string.h"
#include "x86/vectors.h"

static const char *const whats[INTERCEPT_WHATS] = {
    [INTERCEPT_HLT] = "hlt",
    [INTERCEPT_PAUSE] = "pause",
    [INTERCEPT_PLE] = "ple",
    [INTERCEPT_EXTINT] = "extint",
    [INTERCEPT_EXCEPTION] = "exception",
    [INTERCEPT_IO] = "io",
    [INTERCEPT_MSR] = "msr",
    [INTERCEPT_CR0] = "cr0",
    [INTERCEPT_CR3] = "cr3",
    [INTERCEPT_CR4] = "cr4",
    [INTERCEPT_CR8] = "cr8",
    [INTERCEPT_RDTSC] = "rdtsc",
    [INTERCEPT_RDTSCP] = "rdtscp",
    [INTERCEPT_RDPMC] = "rdpmc",
    [INTERCEPT_RDRAND] = "rdrand",
    [INTERCEPT_RDSEED] = "rdseed",
    [INTERCEPT_INVLPG] = "invlpg",
    [INTERCEPT_MONITOR] = "monitor",
    [INTERCEPT_MWAIT] = "mwait",
    [INTERCEPT_WBINVD] = "wbinvd",
    [INTERCEPT_XSETBV] = "xsetbv",
    [INTERCEPT_DESC] = "desc",
    [INTERCEPT_DR] = "dr",
    [INTERCEPT_CPUID] = "cpuid",
    [INTERCEPT_MEM] = "mem",
};

// SDM Table 6-1; without NMI and #MC, which cannot be chosen.
static const char *const exceptions[] = {
    [VECTOR_DE] = "de", [VECTOR_DB] = "db", [VECTOR_BP] = "bp", [VECTOR_OF] = "of",
    [VECTOR_BR] = "br", [VECTOR_UD] = "ud", [VECTOR_NM] = "nm", [VECTOR_DF] = "df",
    [VECTOR_TS] = "ts", [VECTOR_NP] = "np", [VECTOR_SS] = "ss", [VECTOR_GP] = "gp",
    [VECTOR_PF] = "pf", [VECTOR_MF] = "mf", [VECTOR_AC] = "ac", [VECTOR_XM] = "xm",
    [20] = "ve",        [VECTOR_CP] = "cp",
};

// SDM 2.5.
static const char *const cr0_bits[] = {
    [0] = "pe",  [1] = "mp",  [2] = "em",  [3] = "ts",  [4] = "et",  [5] = "ne",
    [16] = "wp", [18] = "am", [29] = "nw", [30] = "cd", [31] = "pg",
};

static const char *const cr4_bits[] = {
    [0] = "vme",         [1] = "pvi",    [2] = "tsd",      [3] = "de",    [4] = "pse",
    [5] = "pae",         [6] = "mce",    [7] = "pge",      [8] = "pce",   [9] = "osfxsr",
    [10] = "osxmmexcpt", [11] = "umip",  [12] = "la57",    [13] = "vmxe", [14] = "smxe",
    [16] = "fsgsbase",   [17] = "pcide", [18] = "osxsave", [20] = "smep", [21] = "smap",
    [22] = "pke",        [23] = "cet",   [24] = "pks",
};

const struct name_list intercept_whats = {whats, ARRAY_SIZE(whats)};
const struct name_list intercept_exceptions = {exceptions, ARRAY_SIZE(exceptions)};
const struct name_list intercept_cr0_bits = {cr0_bits, ARRAY_SIZE(cr0_bits)};
const struct name_list intercept_cr4_bits = {cr4_bits, ARRAY_SIZE(cr4_bits)};

// SDM volume 4, 2.1: those that guests use. The first of two names for the same is the one that is
// printed.
static const struct {
    const char *name;
    u32 number;
} msrs[] = {
    {"tsc", 0x10},
    {"time_stamp_counter", 0x10},
    {"apic_base", 0x1b},
    {"feature_control", 0x3a},
    {"tsc_adjust", 0x3b},
    {"spec_ctrl", 0x48},
    {"pred_cmd", 0x49},
    {"bios_sign_id", 0x8b},
    {"mperf", 0xe7},
    {"aperf", 0xe8},
    {"mtrrcap", 0xfe},
    {"arch_capabilities", 0x10a},
    {"sysenter_cs", 0x174},
    {"sysenter_esp", 0x175},
    {"sysenter_eip", 0x176},
    {"mcg_cap", 0x179},
    {"mcg_status", 0x17a},
    {"misc_enable", 0x1a0},
    {"debugctl", 0x1d9},
    {"pat", 0x277},
    {"mtrr_def_type", 0x2ff},
    {"perf_global_ctrl", 0x38f},
    {"u_cet", 0x6a0},
    {"s_cet", 0x6a2},
    {"tsc_deadline", 0x6e0},
    {"x2apic_apicid", 0x802},
    {"x2apic_tpr", 0x808},
    {"x2apic_eoi", 0x80b},
    {"x2apic_ldr", 0x80d},
    {"x2apic_sivr", 0x80f},
    {"x2apic_esr", 0x828},
    {"x2apic_icr", 0x830},
    {"x2apic_lvt_timer", 0x832},
    {"x2apic_lvt_lint0", 0x835},
    {"x2apic_lvt_lint1", 0x836},
    {"x2apic_lvt_error", 0x837},
    {"x2apic_init_count", 0x838},
    {"x2apic_cur_count", 0x839},
    {"x2apic_div_conf", 0x83e},
    {"x2apic_self_ipi", 0x83f},
    {"xss", 0xda0},
    {"efer", 0xc0000080},
    {"star", 0xc0000081},
    {"lstar", 0xc0000082},
    {"cstar", 0xc0000083},
    {"fmask", 0xc0000084},
    {"fs_base", 0xc0000100},
    {"gs_base", 0xc0000101},
    {"kernel_gs_base", 0xc0000102},
    {"tsc_aux", 0xc0000103},
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

bool piece_is(struct piece s, const char *name)
{
    size_t n = 0;
    while (n < s.len && name[n] != '\0' && lower(s.p[n]) == name[n])
        n++;
    return n == s.len && name[n] == '\0';
}

int name_find(const struct name_list *list, struct piece name)
{
    for (unsigned n = 0; n < list->count; n++) {
        if (list->names[n] != NULL && piece_is(name, list->names[n]))
            return (int)n;
    }
    return -1;
}

const char *nth_name(const struct name_list *list, u64 n)
{
    return n < list->count ? list->names[n] : NULL;
}

bool msr_find(struct piece name, u64 *msr)
{
    if (name.len > 5 && piece_is((struct piece){name.p, 5}, "ia32_"))
        name = (struct piece){name.p + 5, name.len - 5};
    for (unsigned n = 0; n < ARRAY_SIZE(msrs); n++) {
        if (piece_is(name, msrs[n].name)) {
            *msr = msrs[n].number;
            return true;
        }
    }
    return false;
}

const char *msr_name(u64 msr)
{
    for (unsigned n = 0; n < ARRAY_SIZE(msrs); n++) {
        if (msrs[n].number == msr)
            return msrs[n].name;
    }
    return NULL;
}

enum intercept_shape intercept_shape(unsigned what)
{
    static const enum intercept_shape shapes[INTERCEPT_WHATS] = {
        [INTERCEPT_PLE] = SHAPE_PLE,   [INTERCEPT_EXCEPTION] = SHAPE_EXCEPTION,
        [INTERCEPT_IO] = SHAPE_RANGE,  [INTERCEPT_MSR] = SHAPE_RANGE,
        [INTERCEPT_CR0] = SHAPE_BITS,  [INTERCEPT_CR4] = SHAPE_BITS,
        [INTERCEPT_CR3] = SHAPE_CR3,   [INTERCEPT_CR8] = SHAPE_ACCESS,
        [INTERCEPT_DR] = SHAPE_ACCESS, [INTERCEPT_DESC] = SHAPE_ACCESS,
        [INTERCEPT_MEM] = SHAPE_MEM,
    };
    return shapes[what];
}

const char *intercept_action_name(enum intercept_action a)
{
    static const char *const names[INTERCEPT_ACTIONS] = {
        [INTERCEPT_COUNT] = "count", [INTERCEPT_LOG] = "log",       [INTERCEPT_STOP] = "stop",
        [INTERCEPT_DENY] = "deny",   [INTERCEPT_IGNORE] = "ignore", [INTERCEPT_PASS] = "pass",
    };
    return names[a];
}

static void print_number(struct text *t, char separator, u64 number)
{
    text_add(t, "%c0x%lx", separator, number);
}

static void print_name_or(struct text *t, const char *name, u64 number)
{
    if (name != NULL)
        text_add(t, ":%s", name);
    else
        print_number(t, ':', number);
}

static void print_bits(const struct intercept *i, struct text *t)
{
    const struct name_list *bits = intercept_bits(i->what);
    size_t start = t->len;
    for (unsigned n = 0; n < 64; n++) {
        const char *name = nth_name(bits, n);
        if ((i->mask >> n & 1) == 0)
            continue;
        if (name == NULL) { // all of it as a number
            t->len = start;
            print_number(t, ':', i->mask);
            return;
        }
        text_add(t, "%c%s", t->len == start ? ':' : ',', name);
    }
}

static void print_selector(const struct intercept *i, enum intercept_shape shape, struct text *t)
{
    if (shape == SHAPE_PLE) {
        print_number(t, ':', i->first);
        print_number(t, ':', i->last);
    } else if (shape == SHAPE_EXCEPTION) {
        print_name_or(t, nth_name(&intercept_exceptions, i->first), i->first);
        if (i->mask != 0) {
            print_number(t, ':', i->mask);
            print_number(t, ':', i->match);
        }
    } else if (shape == SHAPE_BITS && i->mask != UINT64_MAX) {
        print_bits(i, t);
    } else if (shape == SHAPE_RANGE && i->first == i->last) {
        print_name_or(t, i->what == INTERCEPT_MSR ? msr_name(i->first) : NULL, i->first);
    } else if (shape == SHAPE_RANGE && (i->first > 0 || i->last < intercept_range_end(i->what))) {
        print_number(t, ':', i->first);
        print_number(t, '-', i->last);
    } else if (shape == SHAPE_CR3 && i->values > 0) {
        text_add(t, ":except");
        for (unsigned n = 0; n < i->values; n++)
            print_number(t, n == 0 ? ':' : '+', i->value[n]);
    } else if (shape == SHAPE_MEM) {
        print_number(t, ':', i->first);
        print_number(t, '+', i->last - i->first + 1);
    }
}

void intercept_print(const struct intercept *i, bool with_action, struct text *t)
{
    enum intercept_shape shape = intercept_shape(i->what);
    text_add(t, "%s", whats[i->what]);
    print_selector(i, shape, t);
    if (i->access != intercept_usual_access(shape))
        text_add(t, ":%s%s%s", i->access & INTERCEPT_READ ? "r" : "",
                 i->access & INTERCEPT_WRITE ? "w" : "", i->access & INTERCEPT_EXECUTE ? "x" : "");
    if (with_action && i->action != INTERCEPT_COUNT)
        text_add(t, "=%s", intercept_action_name((enum intercept_action)i->action));
}

bool intercept_same(const struct intercept *a, const struct intercept *b)
{
    return a->what == b->what && a->access == b->access && a->first == b->first &&
           a->last == b->last && a->mask == b->mask && a->match == b->match &&
           a->values == b->values && memcmp(a->value, b->value, sizeof(a->value)) == 0;
}
