// SPDX-License-Identifier: MIT
// A device's interrupt output: what it is wired to is the board's affair.
#pragma once

#include "lib/types.h"

struct irq_line {
    void (*set)(void *ctx, unsigned pin, bool level); // level is true while the line is asserted
    void *ctx;
};

static inline void irq_line_set(const struct irq_line *l, unsigned pin, bool level)
{
    l->set(l->ctx, pin, level);
}
