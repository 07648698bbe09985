// SPDX-License-Identifier: MIT
#include "gdbstub/packets.h"

#include "gdbstub/attach.h"
#include "gdbstub/breakpoints.h"
#include "gdbstub/memory.h"
#include "gdbstub/monitor.h"
#include "gdbstub/query.h"
#include "gdbstub/regs.h"
#include "gdbstub/run.h"
#include "gdbstub/search.h"
#include "gdbstub/stop.h"

#define BAD_RANGE      "malformed address or length"
#define BAD_OFFSET     "malformed offset or length"
#define BAD_BREAKPOINT "malformed breakpoint"
#define NO_THREAD      "no such thread"
#define NO_PROCESS     "not attached"

// R and r ask to start a program again. They have no reply, and nothing is done.
static void ignore(struct session *session, const struct packet_args *a)
{
    (void)session;
    (void)a;
}

static const struct packet packets[] = {
    {"!", "", STOPPED, NOBODY, packet_ok},
    {"?", "", EITHER, NOBODY, packet_why},
    {"c", "?N", STOPPED, RESUMED, packet_resume, .malformed = "malformed address"},
    {"C", "N?;?N", STOPPED, RESUMED, packet_resume_signal, .malformed = "malformed signal"},
    {"D", "", STOPPED, NOBODY, packet_detach_all},
    {"D", ";N*", STOPPED, PROCESS, packet_detach, .error = E_THREAD, .malformed = NO_PROCESS},
    {"g", "", STOPPED, CURRENT, packet_g},
    {"G", "H", STOPPED, CURRENT, packet_G, .malformed = "not the registers that g gives"},
    {"H", "[gc]T*", STOPPED, THREAD, packet_H, .malformed = "malformed thread"},
    {"k", "", STOPPED, NOBODY, packet_k, .silent = true},
    {"m", "N,N", STOPPED, CURRENT, packet_m, .malformed = BAD_RANGE},
    {"M", "N,N:H", STOPPED, CURRENT, packet_write, .malformed = "malformed address or data"},
    {"p", "N", STOPPED, CURRENT, packet_p, .malformed = "malformed register number"},
    {"P", "N=H", STOPPED, CURRENT, packet_P, .malformed = "malformed register number or value"},
    {"qAttached", "*", STOPPED, NOBODY, query_attached},
    {"qC", "", STOPPED, CURRENT, query_current},
    {"qCRC:", "N,N", STOPPED, CURRENT, packet_crc, .malformed = BAD_RANGE},
    {"qfThreadInfo", "", STOPPED, NOBODY, query_first_threads},
    {"qqemu.PhyMemMode", "", STOPPED, NOBODY, query_physical},
    {"qqemu.sstep", "", STOPPED, NOBODY, query_sstep},
    {"qqemu.sstepbits", "", STOPPED, NOBODY, query_sstep_bits},
    {"Qqemu.PhyMemMode:", "[01]", STOPPED, NOBODY, set_physical, .malformed = "0 or 1"},
    {"Qqemu.sstep=0x", "N", STOPPED, NOBODY, set_sstep, .error = E_INVALID, .malformed = BAD_SSTEP},
    {"Qqemu.sstep=", "N", STOPPED, NOBODY, set_sstep, .error = E_INVALID, .malformed = BAD_SSTEP},
    {"qRcmd,", "H", STOPPED, NOBODY, packet_monitor, .malformed = "malformed command"},
    {"qSearch:memory:", "N;N;B", STOPPED, CURRENT, packet_search, .malformed = BAD_RANGE},
    {"qsThreadInfo", "", STOPPED, NOBODY, query_more_threads},
    {"QStartNoAckMode", "", STOPPED, NOBODY, query_no_ack},
    {"qSupported", "*", EITHER, NOBODY, query_supported},
    {"qSymbol:", "*", STOPPED, NOBODY, packet_ok}, // no symbol is wanted
    {"qThreadExtraInfo,", "T*", STOPPED, THREAD, query_thread_info, .error = E_THREAD,
     .malformed = NO_THREAD},
    {"qXfer:features:read:target.xml:", "N,N", STOPPED, CURRENT, query_features,
     .malformed = BAD_OFFSET},
    {"qXfer:features:read:", "*", STOPPED, NOBODY, query_no_annex},
    {"qXfer:threads:read::", "N,N", STOPPED, NOBODY, query_threads, .malformed = BAD_OFFSET},
    {"qXfer:threads:read:", "*", STOPPED, NOBODY, query_no_annex},
    {"r", "", STOPPED, NOBODY, ignore, .silent = true},
    {"R", "*", STOPPED, NOBODY, ignore, .silent = true},
    {"s", "?N", STOPPED, RESUMED, packet_resume, true, .malformed = "malformed address"},
    {"S", "N?;?N", STOPPED, RESUMED, packet_resume_signal, true, .malformed = "malformed signal"},
    {"T", "T*", STOPPED, THREAD, packet_T, .error = E_THREAD, .malformed = NO_THREAD},
    {"vAttach;", "N", STOPPED, NOBODY, packet_attach, .error = E_THREAD, .malformed = NO_VM},
    {"vCont?", "", STOPPED, NOBODY, packet_vCont_query},
    {"vCont;t", "*", RUNNING, NOBODY, packet_stop_all},
    {"vCont", "A", STOPPED, NOBODY, packet_vCont, .malformed = "malformed action"},
    {"vCtrlC", "", EITHER, NOBODY, packet_vCtrlC},
    {"vHangUp", "", EITHER, NOBODY, packet_hang_up, .silent = true},
    {"vKill;", "N", STOPPED, PROCESS, packet_kill, .error = E_THREAD, .malformed = NO_PROCESS},
    {"x", "N,N", STOPPED, CURRENT, packet_x, .malformed = BAD_RANGE},
    {"X", "N,N:B", STOPPED, CURRENT, packet_write, .malformed = BAD_RANGE},
    // Z3 and z3 are missing, so that their reply is empty: a debug register cannot watch reads
    // alone. gdb then takes Z4, and leaves out the hits that changed the value.
    {"z0", ",N,N*", STOPPED, CURRENT, packet_z, 0, .malformed = BAD_BREAKPOINT},
    {"z1", ",N,N*", STOPPED, CURRENT, packet_z, 1, .malformed = BAD_BREAKPOINT},
    {"z2", ",N,N*", STOPPED, CURRENT, packet_z, 2, .malformed = BAD_BREAKPOINT},
    {"z4", ",N,N*", STOPPED, CURRENT, packet_z, 4, .malformed = BAD_BREAKPOINT},
    {"Z0", ",N,N*", STOPPED, CURRENT, packet_Z, 0, .malformed = BAD_BREAKPOINT},
    {"Z1", ",N,N*", STOPPED, CURRENT, packet_Z, 1, .malformed = BAD_BREAKPOINT},
    {"Z2", ",N,N*", STOPPED, CURRENT, packet_Z, 2, .malformed = BAD_BREAKPOINT},
    {"Z4", ",N,N*", STOPPED, CURRENT, packet_Z, 4, .malformed = BAD_BREAKPOINT},
};

const struct packet *packet_find(const char *body, bool running, const char **args)
{
    for (size_t i = 0; i < ARRAY_SIZE(packets); i++) {
        const struct packet *p = &packets[i];
        *args = body;
        if (skip_word(args, p->name) && (p->args[0] != '\0' || **args == '\0') &&
            (p->when != RUNNING || running))
            return p;
    }
    return NULL;
}
