// SPDX-License-Identifier: MIT
// The screen while guests run: the housekeeping core draws what the log has got, a little at a
// time, between whatever else it does. Whoever writes to the log only says so.
#pragma once

// From now on the housekeeping core draws. Boot core, when smp and its VMM are there.
void display_init(void);
