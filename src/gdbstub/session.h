// SPDX-License-Identifier: MIT
// The stub's state, shared by its files and by nobody else. All of it belongs to the core that owns
// the line, but for what is marked "hooks": that is guarded by the session's hooks_lock
// (hooks.h).
#pragma once

#include "gdbstub/args.h"
#include "gdbstub/packet.h"
#include "gdbstub/target.h"
#include "gdbstub/wire.h"
#include "lib/lock.h"

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
    STOP_INTERCEPT,  // target_caught_text() says what
};

struct stop {
    enum stop_reason reason;
    u64 rip; // where the vCPU stood
    u64 address;
};

// What a hook saw, until the line's core looks at it. hooks.
struct pending_event {
    bool valid;
    enum debug_event event;
    u64 dr6;
};

struct thread {
    struct pending_event pending; // hooks
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
    bool restart;           // to be held and let go again: a step over a breakpoint
    unsigned stepping_over; // the vCPU that leaves a breakpoint, or NO_VCPU
    unsigned last;          // the vCPU whose translation counts: last to stop
    struct hw_request hw[DEBUG_SLOTS];
    struct debug_slot slot[DEBUG_SLOTS];
    bool debug_registers; // ours at the moment
    struct thread thread[GDB_MAX_VCPUS];
};

// What a client has asked for, and which threads are its current ones: gone with it.
struct client {
    bool running;                                       // gdb waits for a stop reply
    bool break_in;                                      // came while all stood: for the next start
    bool multiprocess, swbreak, hwbreak, error_message; // as gdb announced
    bool physical;                                      // m, M, X, x take guest-physical addresses
    unsigned sstep;                                     // SSTEP_ bits
    unsigned general_pid, general_vcpu;                 // Hg; pid 0: none
    unsigned resume_pid, resume_vcpu;                   // Hc
    unsigned rotate;                                    // where to begin to look for a stop
};

#define MAX_BREAKPOINTS 256 // of all VMs together

// What gdb asked for by Z0 (breakpoints.c).
struct breakpoint {
    bool used;
    bool wanted;  // false: goes at the next breakpoints_apply()
    bool unpaged; // its int3 was put in while the guest did not page
    unsigned pid;
    u64 address; // linear
    u64 hits;
    struct int3 *int3; // NULL: waits for a page
};

// An int3 in guest memory (int3.c). hooks.
struct int3 {
    unsigned refs; // breakpoints that share it; 0: free
    unsigned pid;
    gpa_t gpa;
    u64 address; // linear, of the breakpoint that made it
    bool in;     // the byte in memory is ours
    bool lifted; // out for a step
    u8 saved;    // what belongs there; meaningful while `in`
};

#define MONITOR_COMMAND 256   // bytes of a command of gdb's `monitor`, as it was typed
#define MONITOR_OUTPUT  16384 // of what it says

// A command of gdb's `monitor` (monitor.c).
struct monitor {
    char typed[MONITOR_COMMAND];
    char expanded[2 * MONITOR_COMMAND]; // with registers' values for their names
    char buffer[MONITOR_OUTPUT];
    struct text out; // in the buffer
};

enum search_kind { SEARCH_NOTHING, SEARCH_PATTERN, SEARCH_CRC };

// A way through memory that is under way (search.c).
struct search {
    enum search_kind kind;
    unsigned pid;
    bool physical;          // else by the translation of regs
    struct vcpu_regs regs;  // of the vCPU that was current
    u64 at, left;           // the next byte, and how many there are from it on
    u32 crc;                // SEARCH_CRC: of what is done
    size_t length, matched; // SEARCH_PATTERN: bytes of the pattern; how many of these came last
    u8 pattern[GDB_PACKET_SIZE];
    u16 shorter[GDB_PACKET_SIZE + 1];
};

// A debugger's line, and all that the stub keeps for it. Outside of it are only the pointer to the
// one session (hooks.c), which the hooks need, and what target.c has for COM2.
struct session {
    struct packet_codec line;
    struct packet_args args; // of the packet that has arrived
    struct text reply;       // to it, in line.out
    bool reply_later;        // the reply comes later, or never
    struct client client;
    unsigned next_pid;                       // the VM that the next client gets; 0: any
    struct process process[GDB_MAX_VMS + 1]; // by pid; [0] is not used
    struct breakpoint breakpoint[MAX_BREAKPOINTS];
    struct spinlock hooks_lock; // see hooks.h
    struct int3 int3[MAX_BREAKPOINTS];
    struct monitor monitor;
    struct search search;
    u8 memory[GDB_PACKET_SIZE];         // for m, x and search.c
    ALIGNED(64) u8 fpu[FPU_STATE_SIZE]; // for packets about registers: an XSAVE area
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

// The reply under construction in the codec's `out`. reply_start() empties it; reply_send() sends
// it.
void reply_start(struct session *session);
void reply_send(struct session *session);

// Sets the whole reply.
void reply_ok(struct session *session);
void reply_error(struct session *session, unsigned number, const char *why);

// A value that is refused, with the reason, which every gdb shows for a register.
void reply_refused(struct session *session, const char *why);

// Sends text ahead of a reply, for gdb to print. It takes that while it waits for a stop, and for
// the reply to qRcmd.
void reply_console(struct session *session, const char *text, size_t n);

// A window of a longer text: only bytes [offset, offset + room) of all that is added are kept.
struct window {
    u64 offset, room, seen;
    struct text *out;
};
void window_add(struct window *w, const char *text, size_t n);

// The process with this pid, or NULL when it is not attached.
struct process *process_attached(struct session *session, unsigned pid);
unsigned process_vcpus(unsigned pid); // never over GDB_MAX_VCPUS

// The first attached pid after `pid`, or 0.
unsigned next_attached(struct session *session, unsigned pid);

// The same, without those whose end is known but not told yet.
unsigned next_alive(struct session *session, unsigned pid);

// Adds the thread as gdb wants to see it: p1.1, or 1 without multiprocess.
void text_thread(struct session *session, struct text *t, unsigned pid, unsigned index);

// Resolves an id against the attached processes: the first match. False when there is none.
bool find_thread(struct session *session, struct thread_id id, unsigned *pid, unsigned *index);

// The current general thread's vCPU, or NULL (then the reply is already an error).
struct vcpu *current_vcpu(struct session *session);
