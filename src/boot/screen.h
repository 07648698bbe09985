// SPDX-License-Identifier: MIT
// The machine's screen, which shows the end of the log: the framebuffer that the boot loader set
// up, or VGA's text. During the start each line is drawn as it comes; when guests run the
// housekeeping core draws, piece by piece (vm/display.h); and at the end what is left.
//
// One core at a time draws, without a lock: the boot core, then the housekeeping core, and whoever
// ends the appliance, when the others are quiet or stopped.
#pragma once

#include "lib/types.h"

// Finds the screen, and shows the log so far. Boot core, after paging_init(). The boot option
// `screen=off` leaves it alone.
void screen_init(void);

// Whether there is one.
bool screen_is_there(void);

// Draws what has been logged, for so many ticks and a little more. Returns whether there is more to
// draw. The core that draws.
bool screen_draw(u64 ticks);

// The calling core draws from now on: the one that did is lost. If that was while it drew, the
// screen is left alone from now on.
void screen_take(void);

// Draws all that is left, also before screen_init(). Whoever ends the appliance; at a panic the
// core that drew is stopped, and may be this one.
void screen_finish(void);

// For tests: whoever draws next faults. Debug builds only.
void screen_break(void);
