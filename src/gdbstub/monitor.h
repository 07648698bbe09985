// SPDX-License-Identifier: MIT
// gdb's `monitor` command.
#pragma once

void packet_monitor(const char *args);
