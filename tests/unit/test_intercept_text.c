// SPDX-License-Identifier: MIT
// Items of interception as text: intercept/intercept.h.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "intercept/intercept.h"

#define RW  (INTERCEPT_READ | INTERCEPT_WRITE)
#define RWX (RW | INTERCEPT_EXECUTE)

static char why_text[512];

// Reads one item from a block of its own size, so that the sanitizer sees a byte read too many.
// Returns how many characters were taken; -1: it was refused, why_text says why.
static int parse_one(const char *text, struct intercept *i)
{
    size_t len = strlen(text), left = len;
    char *copy = malloc(len == 0 ? 1 : len);
    memcpy(copy, text, len);
    const char *p = copy;
    struct text why = TEXT(why_text);
    why_text[0] = '\0';
    memset(i, 0xcc, sizeof(*i));
    bool ok = intercept_parse(&p, &left, i, &why) == OK;
    assert_ptr_equal(p + left, copy + len);
    int taken = ok ? (int)(p - copy) : -1;
    if (ok)
        assert_string_equal(why_text, "");
    else
        assert_ptr_equal(p, copy);
    free(copy);
    return taken;
}

static bool equal(const struct intercept *a, const struct intercept *b)
{
    return intercept_same(a, b) && a->action == b->action &&
           memcmp(a->value, b->value, sizeof(a->value)) == 0;
}

// text is taken whole, means *want, is printed as `canonical`, and that means the same.
static void means(const char *text, struct intercept want, const char *canonical)
{
    struct intercept got;
    int taken = parse_one(text, &got);
    if (taken != (int)strlen(text))
        fail_msg("%s: %d characters taken; %s", text, taken, why_text);
    if (memcmp(&got, &want, sizeof(got)) != 0)
        fail_msg("%s: what %u action %u access %u values %u %lx-%lx mask %lx match %lx", text,
                 got.what, got.action, got.access, got.values, (unsigned long)got.first,
                 (unsigned long)got.last, (unsigned long)got.mask, (unsigned long)got.match);
    char printed[256];
    struct text t = TEXT(printed);
    intercept_print(&got, true, &t);
    assert_string_equal(printed, canonical);
    assert_int_equal(parse_one(printed, &got), strlen(printed));
    assert_true(equal(&got, &want));

    // Without the action: the same text up to the sign.
    t = TEXT(printed);
    intercept_print(&got, false, &t);
    assert_memory_equal(printed, canonical, strlen(printed));
    assert_int_equal(strlen(printed), strcspn(canonical, "="));
}

static void refused(const char *text, const char *reason)
{
    struct intercept i;
    assert_int_equal(parse_one(text, &i), -1);
    assert_string_equal(why_text, reason);
}

#define MEANS(text, canonical, ...) means(text, (struct intercept){__VA_ARGS__}, canonical)

// A1, A2, A3, A12.
static void some_items_stand_alone(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum intercept_what what;
    } kinds[] = {
        {"hlt", INTERCEPT_HLT},         {"pause", INTERCEPT_PAUSE},   {"extint", INTERCEPT_EXTINT},
        {"rdtsc", INTERCEPT_RDTSC},     {"rdtscp", INTERCEPT_RDTSCP}, {"rdpmc", INTERCEPT_RDPMC},
        {"rdrand", INTERCEPT_RDRAND},   {"rdseed", INTERCEPT_RDSEED}, {"invlpg", INTERCEPT_INVLPG},
        {"monitor", INTERCEPT_MONITOR}, {"mwait", INTERCEPT_MWAIT},   {"wbinvd", INTERCEPT_WBINVD},
        {"xsetbv", INTERCEPT_XSETBV},   {"cpuid", INTERCEPT_CPUID}};
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        char text[40], reason[128];
        MEANS(kinds[i].name, kinds[i].name, .what = (u8)kinds[i].what);
        snprintf(text, sizeof(text), "%s=pass", kinds[i].name);
        MEANS(text, text, .what = (u8)kinds[i].what, .action = INTERCEPT_PASS);
        snprintf(text, sizeof(text), "%s:w", kinds[i].name);
        snprintf(reason, sizeof(reason), "'%s': '%s' goes with an action alone", text,
                 kinds[i].name);
        refused(text, reason);
    }
    MEANS("HLT=Stop", "hlt=stop", .what = INTERCEPT_HLT, .action = INTERCEPT_STOP);
    refused("", "'': '' is not one of hlt, pause, ple, extint, exception, io, msr, cr0, cr3, cr4, "
                "cr8, rdtsc, rdtscp, rdpmc, rdrand, rdseed, invlpg, monitor, mwait, wbinvd, "
                "xsetbv, desc, dr, cpuid, mem");
    struct intercept i;
    static const char *const unknown[] = {" ",  "hl",  "hltt", "h", ":",   "=",       "=log",  ".",
                                          "mc", "cr1", "rw",   "x", "nmi", "hlt\x01", "cr0,pg"};
    for (unsigned n = 0; n < ARRAY_SIZE(unknown); n++) {
        if (strcmp(unknown[n], "cr0,pg") == 0) // cr0, and then what is no item
            assert_int_equal(parse_one(unknown[n], &i), 4);
        else
            assert_int_equal(parse_one(unknown[n], &i), -1);
    }
    refused("hlt: ", "'hlt:': 'hlt' goes with an action alone");
    refused("hlt pause", "'hlt pause': 'p' stands where a comma is expected");
    refused("hlt =log", "'hlt =log': '=' stands where a comma is expected");
}

// A2.
static void pause_loops_have_gap_and_window(void **state)
{
    (void)state;
    MEANS("ple:128:4096", "ple:0x80:0x1000", .what = INTERCEPT_PLE, .first = 128, .last = 4096);
    MEANS("ple:1:0xffffffff=log", "ple:0x1:0xffffffff=log", .what = INTERCEPT_PLE, .first = 1,
          .last = UINT32_MAX, .action = INTERCEPT_LOG);
    static const char form[] = "'ple' goes with :GAP:WINDOW, in ticks, 0 < GAP < WINDOW";
    static const char *const bad[] = {"ple",     "ple:1",     "ple:0:1",  "ple:1:1",
                                      "ple:2:1", "ple:1:2:3", "ple:1:2:w"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char reason[128];
        snprintf(reason, sizeof(reason), "'%s': %s", bad[i], form);
        refused(bad[i], reason);
    }
    refused("ple:1:0x100000000", "'ple:1:0x100000000': '0x100000000' is not a number in range");
    refused("ple:x:2", "'ple:x:2': 'x' is not a number in range");
    refused("ple::2", "'ple::2': '' is not a number in range");
}

// A5.
static void exceptions_have_names_and_error_codes(void **state)
{
    (void)state;
    static const char *const names[32] = {"de", "db", "",   "bp", "of", "br", "ud", "nm",
                                          "df", "",   "ts", "np", "ss", "gp", "pf", "",
                                          "mf", "ac", "",   "xm", "ve", "cp"};
    for (u64 vector = 0; vector < 32; vector++) {
        char text[40], name[120];
        snprintf(text, sizeof(text), "exception:%u", (unsigned)vector);
        struct intercept i = {.what = INTERCEPT_EXCEPTION, .first = vector, .last = vector};
        if (vector == 2 || vector == 18) {
            assert_int_equal(parse_one(text, &i), -1);
            continue;
        }
        snprintf(name, sizeof(name), "exception:0x%x", (unsigned)vector);
        if (names[vector] != NULL && names[vector][0] != '\0') {
            snprintf(name, sizeof(name), "exception:%s", names[vector]);
            means(names[vector], i, name);
            means(name, i, name);
        }
        means(text, i, name);

        snprintf(text, sizeof(text), "exception:%u:0x3:0x1", (unsigned)vector);
        if (vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21) {
            i.mask = 3;
            i.match = 1;
            strcat(name, ":0x3:0x1");
            means(text, i, name);
        } else {
            assert_int_equal(parse_one(text, &i), -1);
            assert_non_null(strstr(why_text, "vectors that have an error code"));
        }
    }
    MEANS("pf:0xffffffff:0=stop", "exception:pf:0xffffffff:0x0=stop", .what = INTERCEPT_EXCEPTION,
          .first = 14, .last = 14, .mask = UINT32_MAX, .action = INTERCEPT_STOP);
    MEANS("PF:0:0", "exception:pf", .what = INTERCEPT_EXCEPTION, .first = 14, .last = 14);
    refused("exception", "'exception': 'exception' goes with :VECTOR[:MASK:MATCH]");
    refused("pf:1", "'pf:1': 'exception' goes with :VECTOR[:MASK:MATCH]");
    refused("pf:1:1:1", "'pf:1:1:1': 'exception' goes with :VECTOR[:MASK:MATCH]");
    refused("pf:1:1:w", "'pf:1:1:w': 'exception' goes with :VECTOR[:MASK:MATCH]");
    refused("exception:32", "'exception:32': '32' is neither a number up to 31 nor one of de, db, "
                            "bp, of, br, ud, nm, df, ts, np, ss, gp, pf, mf, ac, xm, ve, cp");
    refused("exception:2", "'exception:2': '2' is an NMI or #MC, the host's own; expected another "
                           "vector");
    refused("exception:0x12", "'exception:0x12': '0x12' is an NMI or #MC, the host's own; expected "
                              "another vector");
    refused("exception:mc", "'exception:mc': 'mc' is neither a number up to 31 nor one of de, db, "
                            "bp, of, br, ud, nm, df, ts, np, ss, gp, pf, mf, ac, xm, ve, cp");
    refused("pf:1:2", "'pf:1:2': '2' never matches; expected MATCH to lie within MASK");
    refused("pf:0x100000000:0", "'pf:0x100000000:0': '0x100000000' is not a number in range");
    refused("ud:1:1", "'ud:1:1': '1' goes with vectors that have an error code: 8, 10-14, 17, 21");
    refused("ud:w", "'ud:w': 'w' goes with vectors that have an error code: 8, 10-14, 17, 21");
}

// A6, A7.
static void ports_are_numbers_and_ranges(void **state)
{
    (void)state;
    MEANS("io", "io", .what = INTERCEPT_IO, .access = RW, .last = 0xffff);
    MEANS("io:0-65535", "io", .what = INTERCEPT_IO, .access = RW, .last = 0xffff);
    MEANS("io:w", "io:w", .what = INTERCEPT_IO, .access = INTERCEPT_WRITE, .last = 0xffff);
    MEANS("io:0", "io:0x0", .what = INTERCEPT_IO, .access = RW);
    MEANS("io:0x3f8", "io:0x3f8", .what = INTERCEPT_IO, .access = RW, .first = 0x3f8,
          .last = 0x3f8);
    MEANS("io:128-0x80:rw", "io:0x80", .what = INTERCEPT_IO, .access = RW, .first = 0x80,
          .last = 0x80);
    MEANS("io:0x3f8-0x3FF:W=deny", "io:0x3f8-0x3ff:w=deny", .what = INTERCEPT_IO,
          .access = INTERCEPT_WRITE, .first = 0x3f8, .last = 0x3ff, .action = INTERCEPT_DENY);
    MEANS("io:0xffff:r=ignore", "io:0xffff:r=ignore", .what = INTERCEPT_IO,
          .access = INTERCEPT_READ, .first = 0xffff, .last = 0xffff, .action = INTERCEPT_IGNORE);
    MEANS("io:0x80:wr=count", "io:0x80", .what = INTERCEPT_IO, .access = RW, .first = 0x80,
          .last = 0x80);
    refused("io:0x3f8:x", "'io:0x3f8:x': access 'x' is not one of r, w, rw");
    refused("io:x", "'io:x': access 'x' is not one of r, w, rw");
    refused("io:0x3f8:", "'io:0x3f8:': access '' is not one of r, w, rw");
    refused("io:1:rr", "'io:1:rr': access 'rr' is not one of r, w, rw");
    refused("io:1:rwx", "'io:1:rwx': access 'rwx' is not one of r, w, rw");
    refused("io:", "'io:': '' is not a port, a number up to 0xffff");
    refused("io:0x10000", "'io:0x10000': '0x10000' is not a port, a number up to 0xffff");
    refused("io:1-0x10000", "'io:1-0x10000': '0x10000' is not a port, a number up to 0xffff");
    refused("io:1-", "'io:1-': '' is not a port, a number up to 0xffff");
    refused("io:-1", "'io:-1': '' is not a port, a number up to 0xffff");
    refused("io:com1", "'io:com1': 'com1' is not a port, a number up to 0xffff");
    refused("io:1-2-3", "'io:1-2-3': '-' stands where a comma is expected");
    refused("io:2-1", "'io:2-1': '1' is below the first; expected FIRST-LAST");
    refused("io:1:r:w", "'io:1:r:w': 'io' goes with [:FIRST[-LAST]][:r|w|rw]");
    refused("io:w:1", "'io:w:1': 'io' goes with [:FIRST[-LAST]][:r|w|rw]");
}

// A8, A9.
static void msrs_are_names_numbers_and_ranges(void **state)
{
    (void)state;
    MEANS("msr", "msr", .what = INTERCEPT_MSR, .access = RW, .last = UINT32_MAX);
    MEANS("msr:r=log", "msr:r=log", .what = INTERCEPT_MSR, .access = INTERCEPT_READ,
          .last = UINT32_MAX, .action = INTERCEPT_LOG);
    MEANS("msr:efer:w", "msr:efer:w", .what = INTERCEPT_MSR, .access = INTERCEPT_WRITE,
          .first = 0xc0000080, .last = 0xc0000080);
    MEANS("msr:IA32_EFER:w", "msr:efer:w", .what = INTERCEPT_MSR, .access = INTERCEPT_WRITE,
          .first = 0xc0000080, .last = 0xc0000080);
    MEANS("msr:0xc0000080-0xc0000084:rw", "msr:0xc0000080-0xc0000084", .what = INTERCEPT_MSR,
          .access = RW, .first = 0xc0000080, .last = 0xc0000084);
    MEANS("msr:efer-fmask", "msr:0xc0000080-0xc0000084", .what = INTERCEPT_MSR, .access = RW,
          .first = 0xc0000080, .last = 0xc0000084);
    MEANS("msr:0x12345", "msr:0x12345", .what = INTERCEPT_MSR, .access = RW, .first = 0x12345,
          .last = 0x12345);
    MEANS("msr:0xffffffff", "msr:0xffffffff", .what = INTERCEPT_MSR, .access = RW,
          .first = UINT32_MAX, .last = UINT32_MAX);
    MEANS("msr:time_stamp_counter:r", "msr:tsc:r", .what = INTERCEPT_MSR, .access = INTERCEPT_READ,
          .first = 0x10, .last = 0x10);
    static const struct {
        const char *name;
        u32 number;
    } names[] = {
        {"apic_base", 0x1b},
        {"feature_control", 0x3a},
        {"tsc_adjust", 0x3b},
        {"spec_ctrl", 0x48},
        {"bios_sign_id", 0x8b},
        {"mtrrcap", 0xfe},
        {"sysenter_cs", 0x174},
        {"sysenter_esp", 0x175},
        {"sysenter_eip", 0x176},
        {"mcg_cap", 0x179},
        {"misc_enable", 0x1a0},
        {"debugctl", 0x1d9},
        {"pat", 0x277},
        {"mtrr_def_type", 0x2ff},
        {"perf_global_ctrl", 0x38f},
        {"s_cet", 0x6a2},
        {"tsc_deadline", 0x6e0},
        {"x2apic_apicid", 0x802},
        {"x2apic_tpr", 0x808},
        {"x2apic_eoi", 0x80b},
        {"x2apic_sivr", 0x80f},
        {"x2apic_esr", 0x828},
        {"x2apic_icr", 0x830},
        {"x2apic_lvt_timer", 0x832},
        {"x2apic_lvt_error", 0x837},
        {"x2apic_init_count", 0x838},
        {"x2apic_cur_count", 0x839},
        {"x2apic_div_conf", 0x83e},
        {"x2apic_self_ipi", 0x83f},
        {"xss", 0xda0},
        {"star", 0xc0000081},
        {"lstar", 0xc0000082},
        {"cstar", 0xc0000083},
        {"fs_base", 0xc0000100},
        {"gs_base", 0xc0000101},
        {"kernel_gs_base", 0xc0000102},
        {"tsc_aux", 0xc0000103}, // the last: the list and the numbers are of one length
    };
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        char text[64];
        snprintf(text, sizeof(text), "msr:%s", names[i].name);
        MEANS(text, text, .what = INTERCEPT_MSR, .access = RW, .first = names[i].number,
              .last = names[i].number);
    }
    refused("msr:efre", "'msr:efre': 'efre' is neither an MSR's number nor a name that is known "
                        "here");
    refused("msr:ia32_", "'msr:ia32_': 'ia32_' is neither an MSR's number nor a name that is known "
                         "here");
    refused("msr:0x100000000", "'msr:0x100000000': '0x100000000' is neither an MSR's number nor a "
                               "name that is known here");
    refused("msr:star-efer", "'msr:star-efer': 'efer' is below the first; expected FIRST-LAST");
    refused("msr:efer:x", "'msr:efer:x': access 'x' is not one of r, w, rw");
}

// A10.
static void control_registers_have_bits(void **state)
{
    (void)state;
    MEANS("cr0", "cr0", .what = INTERCEPT_CR0, .mask = UINT64_MAX);
    MEANS("cr0:w=log", "cr0=log", .what = INTERCEPT_CR0, .mask = UINT64_MAX,
          .action = INTERCEPT_LOG);
    MEANS("cr0:pg:w", "cr0:pg", .what = INTERCEPT_CR0, .mask = 0x80000000);
    MEANS("cr0:0x80000001", "cr0:pe,pg", .what = INTERCEPT_CR0, .mask = 0x80000001);
    MEANS("cr0:0x80000040", "cr0:0x80000040", .what = INTERCEPT_CR0, .mask = 0x80000040);
    MEANS("cr0:pe,mp,em,ts,et,ne,wp,am,nw,cd,pg", "cr0:pe,mp,em,ts,et,ne,wp,am,nw,cd,pg",
          .what = INTERCEPT_CR0, .mask = 0xe005003f);
    MEANS("CR4:SMEP,Smap:W", "cr4:smep,smap", .what = INTERCEPT_CR4, .mask = BIT(20) | BIT(21));
    MEANS("cr4:vme,pvi,tsd,de,pse,pae,mce,pge,pce,osfxsr,osxmmexcpt,umip,la57,vmxe,smxe,fsgsbase,"
          "pcide,osxsave,smep,smap,pke,cet,pks",
          "cr4:vme,pvi,tsd,de,pse,pae,mce,pge,pce,osfxsr,osxmmexcpt,umip,la57,vmxe,smxe,fsgsbase,"
          "pcide,osxsave,smep,smap,pke,cet,pks",
          .what = INTERCEPT_CR4, .mask = 0x1f77fff);
    MEANS("cr4:0x8000000000000000=ignore", "cr4:0x8000000000000000=ignore", .what = INTERCEPT_CR4,
          .mask = BIT(63), .action = INTERCEPT_IGNORE);
    refused("cr0:r", "'cr0:r': access 'r' reads, and reads of CR0 and CR4 cannot exit in VMX; "
                     "expected w");
    refused("cr4:smep:rw", "'cr4:smep:rw': access 'rw' reads, and reads of CR0 and CR4 cannot exit "
                           "in VMX; expected w");
    refused("cr0:pg:x", "'cr0:pg:x': access 'x' is not w");
    refused("cr0:pg:", "'cr0:pg:': access '' is not w");
    refused("cr0:pg:w:w", "'cr0:pg:w:w': 'cr0' goes with [:BIT,BIT...][:w]");
    refused("cr0:smep", "'cr0:smep': 'smep' is neither a mask, a number, nor one of pe, mp, em, "
                        "ts, et, ne, wp, am, nw, cd, pg");
    refused("cr4:.", "'cr4:.': '.' is neither a mask, a number, nor one of vme, pvi, tsd, de, pse, "
                     "pae, mce, pge, pce, osfxsr, osxmmexcpt, umip, la57, vmxe, smxe, fsgsbase, "
                     "pcide, osxsave, smep, smap, pke, cet, pks");
    refused("cr0:0", "'cr0:0': '0' is neither a mask, a number, nor one of pe, mp, em, ts, et, ne, "
                     "wp, am, nw, cd, pg");

    MEANS("cr3", "cr3", .what = INTERCEPT_CR3, .access = RW);
    MEANS("cr3:w=pass", "cr3:w=pass", .what = INTERCEPT_CR3, .access = INTERCEPT_WRITE,
          .action = INTERCEPT_PASS);
    MEANS("cr3:except:0x1000", "cr3:except:0x1000", .what = INTERCEPT_CR3, .access = RW,
          .values = 1, .value = {0x1000});
    MEANS("cr3:w:except:0x1000+0x2000", "cr3:except:0x1000+0x2000:w", .what = INTERCEPT_CR3,
          .access = INTERCEPT_WRITE, .values = 2, .value = {0x1000, 0x2000});
    MEANS("cr3:except:1+0+3+0xffffffffffffffff:w", "cr3:except:0x0+0x1+0x3+0xffffffffffffffff:w",
          .what = INTERCEPT_CR3, .access = INTERCEPT_WRITE, .values = 4,
          .value = {0, 1, 3, UINT64_MAX});
    static const char *const bad[] = {"cr3:except",     "cr3:w:w",          "cr3:r:except:1",
                                      "cr3:except:1:r", "cr3:w:except:1:w", "cr3:except:1+2+3+4+5",
                                      "cr3:w:r"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char reason[160];
        snprintf(reason, sizeof(reason),
                 "'%s': 'cr3' goes with [:except:VALUE+VALUE...][:r|w|rw], 4 values and no r "
                 "alone",
                 bad[i]);
        refused(bad[i], reason);
    }
    refused("cr3:except:", "'cr3:except:': '' is not a number in range");
    refused("cr3:except:1+x", "'cr3:except:1+x': 'x' is not a number in range");
    refused("cr3:0x1000", "'cr3:0x1000': access '0x1000' is not one of r, w, rw");
}

// A10, A12: CR8, descriptor tables, debug registers.
static void some_items_have_accesses_alone(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum intercept_what what;
    } kinds[] = {{"cr8", INTERCEPT_CR8}, {"desc", INTERCEPT_DESC}, {"dr", INTERCEPT_DR}};
    static const char *const accesses[] = {"", ":r", ":w", ":rw"};
    for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
        for (u8 access = 0; access <= RW; access++) {
            char text[24], canonical[24], reason[80];
            snprintf(text, sizeof(text), "%s%s", kinds[i].name, accesses[access]);
            snprintf(canonical, sizeof(canonical), "%s%s", kinds[i].name,
                     accesses[access == RW ? 0 : access]);
            MEANS(text, canonical, .what = (u8)kinds[i].what, .access = access == 0 ? RW : access);
            snprintf(text, sizeof(text), "%s:x", kinds[i].name);
            snprintf(reason, sizeof(reason), "'%s': access 'x' is not one of r, w, rw", text);
            refused(text, reason);
            snprintf(text, sizeof(text), "%s:r:1", kinds[i].name);
            snprintf(reason, sizeof(reason), "'%s': '%s' goes with [:r|w|rw]", text, kinds[i].name);
            refused(text, reason);
        }
    }
}

static void memory_is_an_address_and_a_length(void **state)
{
    (void)state;
    MEANS("mem:0xb8000+0x1000:w", "mem:0xb8000+0x1000:w", .what = INTERCEPT_MEM,
          .access = INTERCEPT_WRITE, .first = 0xb8000, .last = 0xb8fff);
    MEANS("mem:4096+1", "mem:0x1000+0x1", .what = INTERCEPT_MEM, .access = RW, .first = 4096,
          .last = 4096);
    MEANS("mem:0+4K:xwr=log", "mem:0x0+0x1000:rwx=log", .what = INTERCEPT_MEM, .access = RWX,
          .last = 4095, .action = INTERCEPT_LOG);
    MEANS("mem:0x100000+2m:X", "mem:0x100000+0x200000:x", .what = INTERCEPT_MEM,
          .access = INTERCEPT_EXECUTE, .first = MiB, .last = 3 * MiB - 1);
    MEANS("mem:0+262144G:rw", "mem:0x0+0x1000000000000", .what = INTERCEPT_MEM, .access = RW,
          .last = BIT(48) - 1);
    MEANS("mem:0xffffffffffff+1=ignore", "mem:0xffffffffffff+0x1=ignore", .what = INTERCEPT_MEM,
          .access = RW, .first = BIT(48) - 1, .last = BIT(48) - 1, .action = INTERCEPT_IGNORE);
    static const char *const bad[] = {
        "mem",           "mem:1",    "mem:1+0",    "mem:w", "mem:0xffffffffffff+2",
        "mem:1+262144G", "mem:0+0K", "mem:1+1:r:w"};
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        char reason[160];
        snprintf(reason, sizeof(reason),
                 "'%s': 'mem' goes with :GPA+LENGTH[:rwx], LENGTH from 1, the end up to 2^48",
                 bad[i]);
        refused(bad[i], reason);
    }
    refused("mem:1+", "'mem:1+': '' is not a number in range");
    refused("mem:1+K", "'mem:1+K': '' is not a number in range");
    refused("mem:+1", "'mem:+1': '' is not a number in range");
    refused("mem:1+262145G", "'mem:1+262145G': '262145' is not a number in range");
    refused("mem:0x1000000000000+1",
            "'mem:0x1000000000000+1': '0x1000000000000' is not a number in range");
    refused("mem:1K+1", "'mem:1K+1': '1K' is not a number in range");
    refused("mem:1+1:", "'mem:1+1:': access '' is not made of r, w, x");
    refused("mem:1+1:rwxr", "'mem:1+1:rwxr': access 'rwxr' is not made of r, w, x");
}

static void an_action_goes_with_what_can_have_it(void **state)
{
    (void)state;
    static const char *const names[] = {"count", "log", "stop", "deny", "ignore", "pass"};
    static const char *const all[] = {
        "hlt",    "pause",  "io",    "msr:efer:w", "cr0:pg", "cr3",     "cr4",      "cr8",
        "rdtsc",  "rdtscp", "rdpmc", "rdrand",     "rdseed", "invlpg",  "monitor",  "mwait",
        "wbinvd", "xsetbv", "desc",  "dr",         "cpuid",  "mem:0+1", "mem:0+1:w"};
    char text[64];
    struct intercept i;
    for (unsigned a = 0; a < ARRAY_SIZE(names); a++) {
        assert_string_equal(intercept_action_name((enum intercept_action)a), names[a]);
        for (unsigned n = 0; n < ARRAY_SIZE(all); n++) {
            snprintf(text, sizeof(text), "%s=%s", all[n], names[a]);
            assert_int_equal(parse_one(text, &i), strlen(text));
            assert_int_equal(i.action, a);
        }
        // And what cannot have some.
        static const struct {
            const char *item;
            bool deny, ignore;
        } some[] = {{"extint", false, false},   {"ple:1:2", false, false},
                    {"pf", false, false},       {"ud", false, false},
                    {"db", false, true},        {"bp", false, true},
                    {"of", false, true},        {"exception:31", false, false},
                    {"mem:0+1:x", true, false}, {"mem:0+1:rwx", true, false}};
        for (unsigned n = 0; n < ARRAY_SIZE(some); n++) {
            bool can = !(a == INTERCEPT_DENY && !some[n].deny) &&
                       !(a == INTERCEPT_IGNORE && !some[n].ignore);
            snprintf(text, sizeof(text), "%s=%s", some[n].item, names[a]);
            assert_int_equal(parse_one(text, &i), can ? (int)strlen(text) : -1);
        }
    }
    refused("hlt=halt", "'hlt=halt': action 'halt' is not one of count, log, stop, deny, ignore, "
                        "pass");
    refused("hlt=", "'hlt=': action '' is not one of count, log, stop, deny, ignore, pass");
    refused("hlt=log=log", "'hlt=log=log': '=' stands where a comma is expected");
    refused("hlt=log:w", "'hlt=log:w': ':' stands where a comma is expected");
    refused("extint=deny", "'extint=deny': action 'deny' is not possible: an interrupt is not the "
                           "guest's instruction; expected count, log, stop or pass");
    refused("ple:1:2=ignore", "'ple:1:2=ignore': action 'ignore' is not possible: a loop has "
                              "nothing to deny or ignore; expected count, log, stop or pass");
    refused("bp=deny", "'bp=deny': action 'deny' is not possible: an exception is the denial; "
                       "expected count, log, stop or pass");
    refused("pf=ignore",
            "'pf=ignore': action 'ignore' is not possible: all but db, bp and of would "
            "come again at once; expected count, log, stop or pass");
    refused("mem:0+1:x=ignore", "'mem:0+1:x=ignore': action 'ignore' is not possible: a fetch can "
                                "only be denied; expected count, log, stop or pass");
}

// The items of a list, with blanks around them, as they are printed.
static void list_means(const char *text, const char *want)
{
    char printed[512] = "";
    struct text t = TEXT(printed), why = TEXT(why_text);
    size_t len = strlen(text);
    while (len > 0) {
        struct intercept i;
        if (intercept_parse(&text, &len, &i, &why) != OK)
            fail_msg("%s", why_text);
        intercept_print(&i, true, &t);
        text_add(&t, ";");
    }
    assert_string_equal(printed, want);
}

static void items_stand_in_lists(void **state)
{
    (void)state;
    list_means("hlt,pause", "hlt;pause;");
    list_means(" \thlt=log , io:0x80:w\t,pf ", "hlt=log;io:0x80:w;exception:pf;");
    list_means("cr4:smep,smap:w, hlt", "cr4:smep,smap;hlt;");
    list_means("cr4:smep,smap:w,hlt", "cr4:smep,smap;hlt;");
    list_means("cr4:smep,smap,hlt", "cr4:smep,smap;hlt;");
    list_means("cr4:SMEP,SMAP=log,hlt", "cr4:smep,smap=log;hlt;");
    list_means("cr0:pg,cr4:smep", "cr0:pg;cr4:smep;");
    list_means("cr4:smep, de", "cr4:smep;exception:de;"); // a blank ends the list
    list_means("cr4:smep,de", "cr4:de,smep;");
    list_means("cr4:smep:w,de", "cr4:smep;exception:de;"); // and so does an access
    list_means("cr4:smep=log,de", "cr4:smep=log;exception:de;");
    list_means("cr4,de", "cr4;exception:de;");
    list_means("io:1,de", "io:0x1;exception:de;");
    list_means("cr0:pg,wp , cr0:w", "cr0:wp,pg;cr0;");

    struct intercept i;
    assert_int_equal(parse_one("hlt , pause", &i), 6);
    assert_int_equal(parse_one("cr4:smep,,smap", &i), 9);
    refused("hlt,", "'hlt,': ',' is the end; expected an item behind");
    refused(" hlt=log ,  ", "'hlt=log ,  ': ',' is the end; expected an item behind");
    refused(",hlt", "'': '' is not one of hlt, pause, ple, extint, exception, io, msr, cr0, cr3, "
                    "cr4, cr8, rdtsc, rdtscp, rdpmc, rdrand, rdseed, invlpg, monitor, mwait, "
                    "wbinvd, xsetbv, desc, dr, cpuid, mem");
}

static void same(const char *a, const char *b, bool want)
{
    struct intercept x, y;
    assert_true(parse_one(a, &x) > 0 && parse_one(b, &y) > 0);
    assert_int_equal(intercept_same(&x, &y), want);
    assert_int_equal(intercept_same(&y, &x), want);
}

static void an_item_is_the_same_whatever_its_action(void **state)
{
    (void)state;
    same("hlt", "hlt=log", true);
    same("hlt", "pause", false);
    same("pf", "exception:14", true);
    same("pf", "gp", false);
    same("pf:1:1", "pf:1:0", false);
    same("pf:1:0", "pf", false);
    same("io", "io:0-0xffff:rw", true);
    same("io:0x80", "io:0x80-0x80=deny", true);
    same("io:0x80", "io:0x80:w", false);
    same("io:0x80", "io:0x80-0x81", false);
    same("io:0x80", "msr:0x80", false);
    same("msr:efer", "msr:0xc0000080", true);
    same("cr0:pe,pg", "cr0:0x80000001:w", true);
    same("cr0:pe", "cr0", false);
    same("cr3:except:1+2", "cr3:except:2+1", true);
    same("cr3:except:1+2", "cr3:except:2+3", false);
    same("cr3:except:1", "cr3:except:1+2", false);
    same("cr3:except:0", "cr3", false);
    same("mem:0+4K", "mem:0+4096", true);
    same("mem:0+4K", "mem:0+4K:x", false);
    same("ple:1:2", "ple:1:3", false);
}

// Hostile text in a message: of one line, printable, and cut.
static void messages_are_one_line(void **state)
{
    (void)state;
    refused("hlt\x01\n=\x7f", "'hlt?\?=?': 'hlt?\?' is not one of hlt, pause, ple, extint, "
                              "exception, io, msr, cr0, cr3, cr4, cr8, rdtsc, rdtscp, rdpmc, "
                              "rdrand, rdseed, invlpg, monitor, mwait, wbinvd, xsetbv, desc, dr, "
                              "cpuid, mem");
    char text[4096], small[16];
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    struct intercept i;
    assert_int_equal(parse_one(text, &i), -1);
    assert_true(strlen(why_text) < 300);

    const char *p = text;
    size_t len = sizeof(text) - 1;
    struct text why = TEXT(small);
    assert_int_equal(intercept_parse(&p, &len, &i, &why), ERR_INVALID);
    assert_string_equal(small, "'aaaaaaaaaaaaaa");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(some_items_stand_alone),
        cmocka_unit_test(pause_loops_have_gap_and_window),
        cmocka_unit_test(exceptions_have_names_and_error_codes),
        cmocka_unit_test(ports_are_numbers_and_ranges),
        cmocka_unit_test(msrs_are_names_numbers_and_ranges),
        cmocka_unit_test(control_registers_have_bits),
        cmocka_unit_test(some_items_have_accesses_alone),
        cmocka_unit_test(memory_is_an_address_and_a_length),
        cmocka_unit_test(an_action_goes_with_what_can_have_it),
        cmocka_unit_test(items_stand_in_lists),
        cmocka_unit_test(an_item_is_the_same_whatever_its_action),
        cmocka_unit_test(messages_are_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
