// SPDX-License-Identifier: MIT
// What the stub asks of the rooms below it, in its own words. A VM is a process whose pid is the
// VM's number from 1; vCPU `index` (from 0) is the thread with tid index + 1. target.c carries this
// out on top of src/vm; unit tests do it with a fake.
//
// Unless a line says otherwise these are called in root mode on the core that owns the debugger's
// line, and may wait for other cores. A `struct vcpu` stays valid as long as the appliance runs;
// the functions of vcpu/debug.h do no harm on a vCPU whose VM has ended.
#pragma once

#include "lib/error.h"
#include "lib/format.h"
#include "lib/types.h"
#include "vcpu/debug.h"
#include "x86/guest_memory.h"
#include "x86/walk.h"

// VMs and vCPUs beyond these cannot be attached to.
#define GDB_MAX_VMS   16
#define GDB_MAX_VCPUS 64

// The number of configured VMs; pids are 1..count. An ended VM keeps its number.
unsigned target_vm_count(void);

// Whether VM pid runs or could (false: no such VM, or it has ended). Safe on any core.
bool target_vm_exists(unsigned pid);

const char *target_vm_name(unsigned pid);

// The exit code of a VM that has ended by itself, 0 for a power-off. False when it was killed,
// crashed or ended by a triple fault; *code is then a signal's number (9, 6, 11).
bool target_exit_code(unsigned pid, u8 *code);

// Adds how a VM has ended, in the log's words.
void target_end_text(unsigned pid, struct text *out);

unsigned target_vcpu_count(unsigned pid);
struct vcpu *target_vcpu(unsigned pid, unsigned index);

// The pid and index of a vCPU. False for a vCPU the stub cannot know (see the limits above). Must
// not wait: called in hooks.
bool target_identify(const struct vcpu *v, unsigned *pid, unsigned *index);

// The VM's RAM. Must not wait: called in hooks.
const struct guest_memory *target_memory(unsigned pid);

// What the VM's CPUID says of paging: the width of a physical address, whether there are pages of
// 1 GiB. Puts it into *ps. Must not wait: called in hooks.
void target_paging_limits(unsigned pid, struct paging_state *ps);

// Adds what gdb shows for a thread: VM name, vCPU, run state, core ("linux/0 running on core 1").
// The stub adds ring and mode itself.
void target_describe(unsigned pid, unsigned index, struct text *out);

// The core that the vCPU belongs to now.
unsigned target_core(unsigned pid, unsigned index);

// Ends the VM as `killed`. Its vCPUs may be held; no breakpoint is left in it.
void target_kill(unsigned pid);

// on: all vCPUs of the VM are held, its TSC and its timers stand until it is off again. The stub
// turns it off before it lets the first vCPU go. Turning on twice counts once.
void target_freeze_time(unsigned pid, bool on);

// on: writes to the 4K page at gpa are announced by gdbstub_page_written(): vCPUs' own, and all by
// guest_write() (x86/guest_memory.h), the stub's too. False when vCPUs' own are not. All vCPUs of
// the VM are held meanwhile.
bool target_watch_page(unsigned pid, gpa_t page, bool on);

// Whether the VM's CPUID offers AVX (and so its vector state has the upper halves).
bool target_has_avx(unsigned pid);

// Whether the VM pages outside long mode or, when it does not page, its image says that it is a
// 32-bit kernel and no earlier life of it ended in long mode. Asked for vCPUs outside long mode
// only.
bool target_is_32bit(unsigned pid);

// What the vCPU did that made it report DEBUG_INTERCEPT last; it is held since. Then: whether that
// is still to be caught.
const char *target_caught_text(unsigned pid, unsigned index);
bool target_still_catches(unsigned pid, unsigned index);

// A monitor command that the stub does not carry out itself (monitor.c lists them with their
// arguments, of which there are as many as it says), or `ept GPA`: adds its output. pid and index
// are the current thread's, which need not exist any more. False when the arguments are not such
// as the command takes.
bool target_monitor(unsigned pid, unsigned index, const char *command, const char *args,
                    struct text *out);

// Makes the core that owns the line call gdbstub_poll() soon. On any core; must not wait.
void target_kick_line_core(void);

// Sends n bytes on the debugger's line; takes them all.
void gdb_line_put(const void *bytes, size_t n);
