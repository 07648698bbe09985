// SPDX-License-Identifier: MIT
// Messages between cores: the only way for one core to have another touch its own things.
#pragma once

#include "lib/cpu.h"
#include "smp/core.h"

struct message {
    struct message *next;
    void (*run)(struct message *m); // on the receiving core, root mode
    u32 pending;                    // posted and not yet begun
};

// Posts m to c and interrupts it. A message that is still pending is not posted again (it will be
// run after this call in any case). m must live until it has run. To a core that is lost: for
// nothing, but that the housekeeping core looks again whom that leaves waiting. Any core.
void message_post(struct core *c, struct message *m);

// Runs fn(arg) on core c and waits for its end, serving the caller's own mailbox meanwhile. False:
// it was not run, as the core is lost.
bool core_call(struct core *c, void (*fn)(void *arg), void *arg) REQUIRES_INTERRUPTS_OFF();

// Runs what has been posted to the calling core.
void messages_run(void) REQUIRES_INTERRUPTS_OFF();
