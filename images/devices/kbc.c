// SPDX-License-Identifier: MIT
// The keyboard controller as boot loaders and kernels use it, and the ports for debug text.
#include "devices.h"

#include "guest.h"

#define DATA    0x60
#define CONTROL 0x64

#define OUTPUT_FULL 1
#define INPUT_FULL  2

#define DEBUG_TEXT "devices: this line went through ports 0xe9 and 0x402\n"

static bool send(u16 port, u8 value)
{
    if (!WAIT_FOR((inb(CONTROL) & INPUT_FULL) == 0, 100))
        return false;
    outb(port, value);
    return true;
}

// The next answer, or -1.
static int answer(void)
{
    return WAIT_FOR((inb(CONTROL) & OUTPUT_FULL) != 0, 100) ? inb(DATA) : -1;
}

void check_kbc(void)
{
    report(send(CONTROL, 0xad) && send(CONTROL, 0xaa) && answer() == 0x55,
           "F10: the keyboard controller tests itself");
    bool asked = send(CONTROL, 0xd0);
    int port = answer();
    report(asked && port >= 0 && (port & 3) == 3, "F10: its output port has A20 open: %x", port);
    report(send(CONTROL, 0xd1) && send(DATA, (u8)port) && send(CONTROL, 0xae),
           "F10: it takes the output port back");
    report(send(DATA, 0xff) && answer() == 0xfa && answer() == 0xaa, "F10: the keyboard answers");
}

void check_debug_ports(void)
{
    if (option("qemu") || option("bochs"))
        return; // these have them only when told so
    report(inb(0xe9) == 0xe9 && inb(0x402) == 0xe9, "F10: the ports for debug text are there");
    outb(0x80, 0x42);
    report(inb(0x80) == 0x42, "F10: port 0x80 keeps what is written");
    unsigned i = 0;
    for (const char *p = DEBUG_TEXT; *p != '\0'; p++)
        outb(i++ % 2 == 0 ? 0xe9 : 0x402, (u8)*p);
}
