// SPDX-License-Identifier: MIT
// The ports by which a PC is reset, beside the keyboard controller, and by which a test kernel
// ends: 0x92 (fast A20 and reset), 0xcf9 (reset control), 0xf4 (exit with a value). The caller
// serializes.
#pragma once

#include "lib/types.h"

struct sysctrl {
    u8 port92;
    u8 reset_control; // port 0xcf9
    void (*reset)(void *ctx);
    void (*exit)(void *ctx, u32 value);
    void *ctx;
};

void sysctrl_init(struct sysctrl *s, void (*reset)(void *ctx), void (*exit)(void *ctx, u32 value),
                  void *ctx);

u8 sysctrl_read(const struct sysctrl *s, u16 port);

// value: a byte, but for port 0xf4, where it is all that the guest wrote.
void sysctrl_write(struct sysctrl *s, u16 port, u32 value);
