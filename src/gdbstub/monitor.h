// SPDX-License-Identifier: MIT
// gdb's `monitor` command.
#pragma once

#include "gdbstub/session.h"

void packet_monitor(struct session *session, const struct packet_args *a);
