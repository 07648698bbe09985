// SPDX-License-Identifier: MIT
// A target for tests of the gdb stub: VMs with 2 MiB of RAM each, and vCPUs that know a handful of
// instructions. It checks what src/gdbstub/target.h and vcpu/debug.h ask of their caller: registers
// are touched of held vCPUs only, time stands while all of a VM is held and at no other moment.
//
// Instructions, with their real encodings: nop; jmp rel8; inc al; mov [rdi], al; int3; hlt (goes
// on at once); sti; in al, imm8, which may be caught; out imm8, al, which ends the VM with exit
// code al. All else is a nop of one byte.
#pragma once

#include "assembly.h"
#include "gdbstub/gdbstub.h"
#include "gdbstub/session.h"
#include "gdbstub/target.h"
#include "x86/regs_check.h"

#define FAKE_VMS   3
#define FAKE_VCPUS 2
#define FAKE_RAM   (2 * MiB)
#define FAKE_GDT   0xa000

struct vcpu {
    unsigned pid, index;
    bool held, step, mask, in_hook;
    struct vcpu_regs regs;
    struct interruptibility shadow;
    u8 fpu[FPU_STATE_SIZE];
    u64 dr[4], dr7;
    bool catch_breakpoints;
    unsigned executed;    // instructions
    unsigned let_go;      // times
    unsigned guest_traps; // #BPs that the guest got
    unsigned alone;       // instructions executed while every other vCPU of the VM was held
    unsigned hits, reads; // INs that were caught, and carried out
    bool pass;            // the IN that was caught is to be carried out
    char caught[40];
};

struct fake_vm {
    bool exists, exited, killed, frozen, avx, is_32bit, fail_watch, catch_in, no_1gb_pages;
    u8 code;
    struct guest_memory memory;
    struct guest_watcher watcher;
    u8 *ram;
    struct vcpu vcpu[FAKE_VCPUS];
    bool watched[FAKE_RAM / PAGE_SIZE];
};

extern struct fake_vm fake[FAKE_VMS + 1]; // by pid
extern bool fake_kicked;

// The stub that fake_run() polls.
extern struct session stub;

// What the VMs' CPUs have; whether registers may nevertheless have any value.
extern const struct regs_limits fake_limits;
extern bool fake_takes_all;

// All VMs anew: RAM of nops, vCPUs in real-mode-like flat state without paging, running at 0x1000.
void fake_reset(unsigned vms);

// Code in a VM's RAM, as ASM() has it.
#define FAKE_CODE(pid, at, text)                                             \
    do {                                                                     \
        struct code code_in_ram = ASM(CODE_64, text);                        \
        memcpy(fake[pid].ram + (at), code_in_ram.bytes, code_in_ram.length); \
    } while (0)

// Long mode, code segment of 64 bits, and page tables at 0x4000: identity, and 0xffffffff80000000
// on to the same 2 MiB. With `high` false the latter is not there yet.
#define FAKE_HIGH 0xffffffff80000000ull
void fake_long_mode(unsigned pid, bool high);
void fake_map_high(unsigned pid);

// Every vCPU that is not held executes n instructions, in turn; the stub is polled when it was
// kicked, `late` rounds afterwards.
void fake_run(unsigned n, unsigned late);

// The VM starts again with its RAM as fake_reset() leaves it.
void fake_restart(unsigned pid);

// What the stub sent, undecoded.
extern u8 fake_sent[1 << 20];
extern size_t fake_sent_len;
