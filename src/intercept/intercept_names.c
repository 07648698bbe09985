// SPDX-License-Identifier: MIT
// What can be caught, by name, and items written as text.
#include "intercept/intercept_names.h"

#include "lib/string.h"

#define LL(x) ((x))

const char intercept_whats[] =
    "hlt pause ple extint exception io msr cr0 cr3 cr4 cr8 rdtsc rdtscp rdpmc rdrand rdseed invlpg "
    "monitor mwait wbinvd xsetbv desc dr cpuid mem";

// SDM Table 6-1; without NMI and #MC, which cannot be chosen.
const char intercept_exceptions[] = "de db . bp of br ud nm df . ts np ss gp pf . mf ac . xm ve cp";

// SDM 2.5.
const char intercept_cr0_bits[] =
    "pe mp em ts et ne . . . . . . . . . . wp . am . . . . . . . . . . nw cd pg";
const char intercept_cr4_bits[] =
    "vme pvi tsd de pse pae mce pge pce osfxsr osxmmexcpt umip la57 vmxe smxe . fsgsbase pcide "
    "osxsave . smep smap pke cet pks";

// SDM volume 4, 2.1: those that guests use, in the order of msr_numbers. The first of two names
// for the same is the one that is printed.
static const char msr_names[] =
    "tsc time_stamp_counter apic_base feature_control tsc_adjust spec_ctrl pred_cmd bios_sign_id "
    "mperf aperf mtrrcap arch_capabilities sysenter_cs sysenter_esp sysenter_eip mcg_cap "
    "mcg_status misc_enable debugctl pat mtrr_def_type perf_global_ctrl u_cet s_cet tsc_deadline "
    "x2apic_apicid x2apic_tpr x2apic_eoi x2apic_ldr x2apic_sivr x2apic_esr x2apic_icr "
    "x2apic_lvt_timer x2apic_lvt_lint0 x2apic_lvt_lint1 x2apic_lvt_error x2apic_init_count "
    "x2apic_cur_count x2apic_div_conf x2apic_self_ipi xss efer star lstar cstar fmask fs_base "
    "gs_base kernel_gs_base tsc_aux";

#define HIGH 0x8000u // for 0xc0000000: half the size

static const u16 msr_numbers[] = {
    0x10,         0x10,        0x1b,        0x3a,        0x3b,         0x48,         0x49,
    0x8b,         0xe7,        0xe8,        0xfe,        0x10a,        0x174,        0x175,
    0x176,        0x179,       0x17a,       0x1a0,       0x1d9,        0x277,        0x2ff,
    0x38f,        0x6a0,       0x6a2,       0x6e0,       0x802,        0x808,        0x80b,
    0x80d,        0x80f,       0x828,       0x830,       0x832,        0x835,        0x836,
    0x837,        0x838,       0x839,       0x83e,       0x83f,        0xda0,        HIGH | 0x80,
    HIGH | 0x81,  HIGH | 0x82, HIGH | 0x83, HIGH | 0x84, HIGH | 0x100, HIGH | 0x101, HIGH | 0x102,
    HIGH | 0x103,
};

static u64 msr_number(unsigned n)
{
    u64 msr = msr_numbers[n];
    return (msr & HIGH) != 0 ? 0xc0000000 | (msr & ~HIGH) : msr;
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

int word_find(const char *list, struct piece name)
{
    for (int n = 0;; n++, list++) {
        size_t len = 0;
        bool same = *list != '.';
        for (; *list != ' ' && *list != '\0'; list++, len++)
            same = same && len < name.len && lower(name.p[len]) == *list;
        if (same && len == name.len)
            return n;
        if (*list == '\0')
            return -1;
    }
}

struct piece word_at(const char *list, unsigned n)
{
    struct piece w = {list, 0};
    for (; *list != '\0' && (n > 0 || *list != ' '); list++) {
        if (*list == ' ') {
            n--;
            w.p = list + 1;
        }
    }
    if (n == 0 && *w.p != '.')
        w.len = (size_t)(list - w.p);
    return w;
}

bool msr_find(struct piece name, u64 *msr)
{
    if (name.len > 5 && word_find("ia32_", (struct piece){name.p, 5}) == 0)
        name = (struct piece){name.p + 5, name.len - 5};
    int n = word_find(msr_names, name);
    if (n >= 0)
        *msr = msr_number((unsigned)n);
    return n >= 0;
}

struct piece msr_name(u64 msr)
{
    unsigned n = 0;
    while (n < ARRAY_SIZE(msr_numbers) && msr_number(n) != msr)
        n++;
    return word_at(msr_names, n);
}

enum intercept_shape intercept_shape(unsigned what)
{
    static const u8 shapes[INTERCEPT_WHATS] = {
        [INTERCEPT_PLE] = SHAPE_PLE,   [INTERCEPT_EXCEPTION] = SHAPE_EXCEPTION,
        [INTERCEPT_IO] = SHAPE_RANGE,  [INTERCEPT_MSR] = SHAPE_RANGE,
        [INTERCEPT_CR0] = SHAPE_BITS,  [INTERCEPT_CR4] = SHAPE_BITS,
        [INTERCEPT_CR3] = SHAPE_CR3,   [INTERCEPT_CR8] = SHAPE_ACCESS,
        [INTERCEPT_DR] = SHAPE_ACCESS, [INTERCEPT_DESC] = SHAPE_ACCESS,
        [INTERCEPT_MEM] = SHAPE_MEM,
    };
    return (enum intercept_shape)shapes[what];
}

const char *intercept_action_name(enum intercept_action a)
{
    static const char names[INTERCEPT_ACTIONS][7] = {
        [INTERCEPT_COUNT] = "count", [INTERCEPT_LOG] = "log",       [INTERCEPT_STOP] = "stop",
        [INTERCEPT_DENY] = "deny",   [INTERCEPT_IGNORE] = "ignore", [INTERCEPT_PASS] = "pass",
    };
    return names[a];
}

static void print_number(struct text *t, char separator, u64 number)
{
    text_add(t, "%c0x%lx", separator, LL(number));
}

static void print_name_or(struct text *t, struct piece name, u64 number)
{
    if (name.len > 0)
        text_add(t, ":%.*s", (int)name.len, name.p);
    else
        print_number(t, ':', number);
}

static void print_bits(const struct intercept *i, struct text *t)
{
    const char *bits = intercept_bits(i->what);
    size_t start = t->len;
    for (unsigned n = 0; n < 64; n++) {
        struct piece name = word_at(bits, n);
        if ((i->mask >> n & 1) == 0)
            continue;
        if (name.len == 0) { // all of it as a number
            t->len = start;
            print_number(t, ':', i->mask);
            return;
        }
        text_add(t, "%c%.*s", t->len == start ? ':' : ',', (int)name.len, name.p);
    }
}

static void print_selector(const struct intercept *i, enum intercept_shape shape, struct text *t)
{
    if (shape == SHAPE_PLE) {
        print_number(t, ':', i->first);
        print_number(t, ':', i->last);
    } else if (shape == SHAPE_EXCEPTION) {
        print_name_or(t, word_at(intercept_exceptions, (unsigned)i->first), i->first);
        if (i->mask != 0) {
            print_number(t, ':', i->mask);
            print_number(t, ':', i->match);
        }
    } else if (shape == SHAPE_BITS && i->mask != UINT64_MAX) {
        print_bits(i, t);
    } else if (shape == SHAPE_RANGE && i->first == i->last) {
        struct piece none = {NULL, 0};
        print_name_or(t, i->what == INTERCEPT_MSR ? msr_name(i->first) : none, i->first);
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
    struct piece name = word_at(intercept_whats, i->what);
    text_add(t, "%.*s", (int)name.len, name.p);
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
