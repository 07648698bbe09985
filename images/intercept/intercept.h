// SPDX-License-Identifier: MIT
// Guests of interception, part by part. Each part does the thing that an item
// may catch an exact number of times, and beside it what that item must not catch; checks what
// comes of it; and says by hits() how many hits an item is to have.
#pragma once

#include "guest.h"

enum { READ = 1, WRITE = 2, EXECUTE = 4 };

// What becomes of the thing that the part has its item on, by the words expect= and access=.
enum action { AS_EVER, DENIED, IGNORED };
enum action action_on(unsigned access); // any of READ, WRITE, EXECUTE

// How the action is named in a verdict: "", " denied", " ignored".
const char *action_name(enum action a);

// Whether an instruction did what the action wants: raised the vector when denied, else nothing.
bool went(enum action a, int fault, int vector);

// "hits ITEM N": so often is the item, written as in a configuration, hit in this VM, from its
// start to its end.
void hits(u64 n, const char *item, ...) PRINTF(2, 3);

// ---- the parts -------------------------------------------------------------------------------

void part_hlt(void);
void part_pause(void);
void part_ple(void);
void part_apart(void);
void part_extint(void);
void part_traps(void);
void part_faults(void);
void part_pagefaults(void);
void part_doublefault(void);
void part_io(void);
void part_pic(void);
void part_msr(void);
void part_efer(void);
void part_x2apic(void);
void part_cr0(void);
void part_pg(void);
void part_cr4(void);
void part_cr3(void);
void part_cr8(void);
void part_rdtsc(void);
void part_rdtscp(void);
void part_rdpmc(void);
void part_rdrand(void);
void part_rdseed(void);
void part_invlpg(void);
void part_monitor(void);
void part_mwait(void);
void part_wbinvd(void);
void part_xsetbv(void);
void part_desc(void);
void part_dr(void);
void part_cpuid(void);
void part_user(void);
void part_mem(void);
void part_delivery(void);
void part_exec(void);
void part_both(void);

// ---- user mode, and getting out of what cannot be returned from (protected.c, protected.S) -----

// Selectors of the GDT that protected_init() loads, behind the runtime's own.
enum { SEL_USER_CODE = 0x30, SEL_USER_DATA = 0x38, SEL_NOT_PRESENT = 0x40, SEL_LDT = 0x48 };
enum { SEL_TSS = 0x58, SELECTOR_BEYOND = 0x1230 };

// A GDT with user segments and a TSS, whose stacks are for exceptions; once.
void protected_init(void);

// Gate of the IDT: which stack of the TSS it uses (0: none), and whether it is present.
void set_ist(u8 vector, u8 ist);
void set_present(u8 vector, bool present);
enum { IST_GOOD = 1, IST_NOWHERE = 2 };

// Calls f(argument). When a handler calls protected_leave(frame), that is where it ends.
void protected_call(void (*f)(u64), u64 argument);
void protected_leave(struct interrupt_frame *f);

// The one page at ALIAS, another address of alias_page, with these bits in its PTE; 0: not present.
#define ALIAS        (512 * GiB)
#define PTE_PRESENT  1ul
#define PTE_WRITE    2ul
#define PTE_USER     4ul
#define PTE_NX       (1ul << 63)
#define PTE_RESERVED (1ul << 51)
extern u8 alias_page[4096];
void map_alias(u64 bits);

// Runs code (at most a page) in user mode until it raises an exception, which is to be found in
// user_vector, user_error, user_cr2, user_rax, and user_offset in the code.
void user_run(const u8 *code, const u8 *end, u64 rdi, u64 rflags);
extern volatile u64 user_vector, user_error, user_cr2, user_rax, user_offset;

// Calls a routine of protected.S that is 32-bit code, in compatibility mode. Returns its EAX.
u32 compatibility_call(const u8 *routine, u32 eax);

// An exception that ended nothing: its handler notes it, and goes on where `resume` says or behind
// what raised a trap.
struct caught {
    volatile u64 times, rip, error, dr6;
    u64 resume;
};
extern struct caught caught_of[32];
void catch_vector(u8 vector);
void release_vector(u8 vector);
