// SPDX-License-Identifier: MIT
// gdb's `monitor` command.
#pragma once

#include "gdbstub/args.h"

void packet_monitor(const struct packet_args *a);
