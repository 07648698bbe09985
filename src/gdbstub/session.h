// SPDX-License-Identifier: MIT
// The stub's state, shared by its files and by nobody else. All of it belongs to the core that owns
// the line, but for what is marked "hooks": that is guarded by events_lock (events.h).
#pragma once

#include "gdbstub/args.h"
#include "gdbstub/packet.h"
#include "gdbstub/target.h"
#include "gdbstub/wire.h"

#define NO_VCPU (~0u)

// What a vCPU does while gdb waits for a stop.
enum want {
    WANT_HOLD,
    WANT_RUN,
    WANT_STEP,
    WANT_RANGE, // step while rip stays in [range_start, range_end)
};

enum stop_reason {
    STOP_NONE,
    STOP_SIGNAL,     // nothing to explain: attach, break-in, a step done
    STOP_BREAKPOINT, // Z0 at `address`
    STOP_HARDWARE,   // Z1 at `address`
    STOP_WRITE,      // Z2: data at `address`
    STOP_ACCESS,     // Z4
    STOP_INTERCEPT,  // target_caught() says what
};

struct stop {
    enum stop_reason reason;
    u64 rip; // where the vCPU stood
    u64 address;
};

// What a hook saw, until the line's core looks at it. hooks.
struct mail {
    bool full;
    enum debug_event event;
    u64 dr6;
};

struct thread {
    struct mail mail; // hooks
    enum want want;
    u64 range_start, range_end;
    bool running;  // let go, and not found held since
    bool reported; // gdb was told of its last stop, at reported_rip; it has not moved since
    u64 reported_rip;
    bool step_over;   // is to leave an address with a breakpoint before anything else
    struct stop stop; // not told to gdb yet
};

// The debug registers of a VM, the same on all its vCPUs.
enum slot_use { SLOT_FREE, SLOT_HARDWARE, SLOT_PENDING };

struct debug_slot {
    enum slot_use use;
    enum stop_reason reason;
    u64 address; // what gdb named
    u64 register_address;
    unsigned length; // 1, 2, 4 or 8 bytes
};

struct hw_request {
    bool used;
    unsigned type; // 1, 2, 4 as in Z1, Z2, Z4
    u64 address;
    u64 length; // bytes
};

#define DEBUG_SLOTS 4

struct process {
    bool attached;                            // hooks read it
    bool ended;                               // hooks: the VM ended or started again
    bool over;                                // the VM has ended, and gdb is to be told
    bool layout_32, layout_forced, forced_32; // registers as an i386
    unsigned stepping_over;                   // the vCPU that leaves a breakpoint, or NO_VCPU
    unsigned last;                            // the vCPU whose translation counts: last to stop
    struct hw_request hw[DEBUG_SLOTS];
    struct debug_slot slot[DEBUG_SLOTS];
    bool debug_registers; // ours at the moment
    struct thread thread[GDB_MAX_VCPUS];
};

struct session {
    bool running;                                       // gdb waits for a stop reply
    bool break_in;                                      // came while all stood: for the next start
    bool multiprocess, swbreak, hwbreak, error_message; // as gdb announced
    bool physical;                                      // m, M, X, x take guest-physical addresses
    unsigned sstep;                                     // SSTEP_ bits
    unsigned general_pid, general_vcpu;                 // Hg; pid 0: none
    unsigned resume_pid, resume_vcpu;                   // Hc
    unsigned rotate;                                    // where to begin to look for a stop
};

// As QEMU's packet qqemu.sstepbits names them.
#define SSTEP_ENABLE  1u
#define SSTEP_NOIRQ   2u
#define SSTEP_NOTIMER 4u

#define GDB_SIGINT  2
#define GDB_SIGTRAP 5

// Error numbers; the texts go along where gdb takes them.
#define E_FORMAT  0x01 // the packet
#define E_THREAD  0x03 // no such process or thread
#define E_MEMORY  0x0e // not there
#define E_INVALID 0x16 // a value that is not possible
#define E_FULL    0x1c // no room left
#define E_RUNNING 0x23 // not while guests run

extern struct session session;
extern struct process processes[GDB_MAX_VMS + 1]; // by pid; [0] is not used
extern struct packet_codec line;

// The reply under construction in line.out. reply_start() empties it; reply_send() sends it.
extern struct text reply;
void reply_start(void);
void reply_send(void);

// Set by a packet whose reply comes later, or never.
extern bool reply_later;

// Sets the whole reply.
void reply_ok(void);
void reply_error(unsigned number, const char *why);

// A value that is refused, with the reason, which every gdb shows for a register.
void reply_refused(const char *why);

// Sends text ahead of a reply, for gdb to print. It takes that while it waits for a stop, and for
// the reply to qRcmd.
void reply_console(const char *text, size_t n);

// A window of a longer text: only bytes [offset, offset + room) of all that is added are kept.
struct window {
    u64 offset, room, seen;
    struct text *out;
};
void window_add(struct window *w, const char *text, size_t n);

// The process with this pid, or NULL when it is not attached.
struct process *process_attached(unsigned pid);
unsigned process_vcpus(unsigned pid); // never over GDB_MAX_VCPUS

// The first attached pid after `pid`, or 0.
unsigned next_attached(unsigned pid);

// The same, without those whose end is known but not told yet.
unsigned next_alive(unsigned pid);

// Adds the thread as gdb wants to see it: p1.1, or 1 without multiprocess.
void text_thread(struct text *t, unsigned pid, unsigned index);

// Resolves an id against the attached processes: the first match. False when there is none.
bool find_thread(struct thread_id id, unsigned *pid, unsigned *index);

// The current general thread's vCPU, or NULL (then the reply is already an error).
struct vcpu *current_vcpu(void);
