// SPDX-License-Identifier: MIT
#pragma once

// Joins the stub to the debugger's serial line. Boot core, after its VMM and the console.
void gdb_line_init(void);
