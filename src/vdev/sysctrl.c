// SPDX-License-Identifier: MIT
#include "vdev/sysctrl.h"

#include "lib/string.h"

#define PORT92        0x92
#define PORT92_RESET  0x01
#define PORT92_A20    0x02
#define RESET_CONTROL 0xcf9
#define RST_CPU       0x04
#define EXIT_PORT     0xf4

void sysctrl_init(struct sysctrl *s, void (*reset)(void *ctx), void (*exit)(void *ctx, u32 value),
                  void *ctx)
{
    memset(s, 0, sizeof(*s));
    s->port92 = PORT92_A20; // the address line is open, and closing it has no effect
    s->reset = reset;
    s->exit = exit;
    s->ctx = ctx;
}

u8 sysctrl_read(const struct sysctrl *s, u16 port)
{
    switch (port) {
    case PORT92:
        return s->port92;
    case RESET_CONTROL:
        return s->reset_control;
    case EXIT_PORT:
        return 0;
    default:
        return 0xff;
    }
}

void sysctrl_write(struct sysctrl *s, u16 port, u32 value)
{
    u8 byte = (u8)value, old;
    switch (port) {
    case PORT92:
        old = s->port92;
        s->port92 = byte & (PORT92_A20 | PORT92_RESET);
        if (byte & ~old & PORT92_RESET)
            s->reset(s->ctx);
        break;
    case RESET_CONTROL:
        // Bit 1 chooses a hard reset; the rise of bit 2 starts either.
        old = s->reset_control;
        s->reset_control = byte & 0x0e;
        if (byte & ~old & RST_CPU)
            s->reset(s->ctx);
        break;
    case EXIT_PORT:
        s->exit(s->ctx, value);
        break;
    default:
        break;
    }
}
