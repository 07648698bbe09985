// SPDX-License-Identifier: MIT
// What interception catches, and what is beside it, so often as it says; see intercept.h.
//   part=NAME     some of the parts below, NAME,NAME; without it, all that need one CPU only
//   expect=WHAT   deny or ignore: what the parts' items do; without it, as without interception
//   access=rwx    the accesses that the items have, all without it
#include "intercept.h"

#include "lib/format.h"

static enum action action;
static unsigned accesses = READ | WRITE | EXECUTE;

enum action action_on(unsigned access)
{
    return (access & accesses) != 0 ? action : AS_EVER;
}

const char *action_name(enum action a)
{
    return a == DENIED ? " denied" : a == IGNORED ? " ignored" : "";
}

bool went(enum action a, int fault, int vector)
{
    return fault == (a == DENIED ? vector : NO_FAULT);
}

void hits(u64 n, const char *item, ...)
{
    char buf[120];
    va_list args;
    va_start(args, item);
    str_vformat(buf, sizeof(buf), item, args);
    va_end(args);
    printf("hits %s %lu\n", buf, n);
}

static const struct {
    const char *name;
    void (*run)(void);
    bool always; // without part=
} parts[] = {
    {"hlt", part_hlt, true},
    {"pause", part_pause, true},
    {"ple", part_ple, true},
    {"apart", part_apart, true},
    {"extint", part_extint, true},
    {"traps", part_traps, true},
    {"faults", part_faults, true},
    {"pagefaults", part_pagefaults, true},
    {"doublefault", part_doublefault, true},
    {"io", part_io, true},
    {"pic", part_pic, true},
    {"msr", part_msr, true},
    {"efer", part_efer, true},
    {"x2apic", part_x2apic, true},
    {"cr0", part_cr0, true},
    {"pg", part_pg, true},
    {"cr4", part_cr4, true},
    {"cr3", part_cr3, true},
    {"cr8", part_cr8, true},
    {"rdtsc", part_rdtsc, true},
    {"rdtscp", part_rdtscp, true},
    {"rdpmc", part_rdpmc, true},
    {"rdrand", part_rdrand, true},
    {"rdseed", part_rdseed, true},
    {"invlpg", part_invlpg, true},
    {"monitor", part_monitor, true},
    {"mwait", part_mwait, true},
    {"wbinvd", part_wbinvd, true},
    {"xsetbv", part_xsetbv, true},
    {"desc", part_desc, true},
    {"dr", part_dr, true},
    {"cpuid", part_cpuid, true},
    {"user", part_user, true},
    {"mem", part_mem, true},
    {"delivery", part_delivery, true},
    {"exec", part_exec, true},
    {"both", part_both, false}, // wants a second CPU
};

// Whether a name is one of those in a list with commas.
static bool is_among(const char *name, const char *list)
{
    size_t n = strlen(name);
    while (*list != '\0') {
        if (strncmp(list, name, n) == 0 && (list[n] == ',' || list[n] == '\0'))
            return true;
        while (*list != '\0' && *list++ != ',') {
        }
    }
    return false;
}

int main(void)
{
    char text[100] = "";
    if (option_text("expect", text, sizeof(text)))
        action = strcmp(text, "deny") == 0 ? DENIED : IGNORED;
    if (option_text("access", text, sizeof(text))) {
        accesses = 0;
        for (const char *p = text; *p != '\0'; p++)
            accesses |= *p == 'r' ? READ : *p == 'w' ? WRITE : EXECUTE;
    }
    bool all = !option_text("part", text, sizeof(text));
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        if (all ? parts[i].always : is_among(parts[i].name, text))
            parts[i].run();
    }
    return report_summary();
}
