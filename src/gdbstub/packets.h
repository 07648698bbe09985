// SPDX-License-Identifier: MIT
// The table of packets: for each its name, the form of its arguments, whether it may come while
// guests run, whom it concerns, and what carries it out. CONTRIBUTING.md, "Adding a packet".
#pragma once

#include "gdbstub/session.h"

enum when {
    STOPPED, // only while gdb does not wait for a stop
    RUNNING, // only while it does; otherwise the row is passed over
    EITHER,
};

// Whom a packet concerns: found before its handler is called, which gets pid, index and vcpu.
enum whom {
    NOBODY,
    CURRENT, // the general thread (Hg); its VM has not ended
    RESUMED, // the thread that c and s resume (Hc); its VM may have ended
    THREAD,  // the one that the argument T names
    PROCESS, // the one whose pid is the first number; pid alone
};

struct packet {
    const char *name; // the packet begins with it
    const char *args; // args.h
    enum when when;
    enum whom whom;
    // Sets the reply, which is empty before. The arguments are of their form.
    void (*run)(struct session *session, const struct packet_args *a);
    unsigned option;       // for a handler that stands in more than one row
    bool silent;           // it has no reply, by the protocol
    u8 error;              // when its arguments have another form; 0: E_FORMAT
    const char *malformed; // the same in words
};

// The first row that the packet which has arrived fits, and where its arguments begin. NULL: it is
// not known.
const struct packet *packet_find(const char *body, bool running, const char **args);
