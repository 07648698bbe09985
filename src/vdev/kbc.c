// SPDX-License-Identifier: MIT
#include "vdev/kbc.h"

#include "lib/string.h"

// Status, port 0x64. Bit 1, "input buffer full", is never up: what is written is taken at once.
#define STATUS_OUTPUT   0x01 // a byte waits at port 0x60
#define STATUS_TESTED   0x04
#define STATUS_COMMAND  0x08 // the last write was to port 0x64
#define STATUS_UNLOCKED 0x10
#define STATUS_TIMEOUT  0x40 // what was asked did not answer

// Command byte.
#define BYTE_INTERRUPT    0x01
#define BYTE_TESTED       0x04
#define BYTE_KEYBOARD_OFF 0x10
#define BYTE_MOUSE_OFF    0x20
#define BYTE_TRANSLATE    0x40

// Output port: what of it can be written is kept; bit 0 low resets the CPU.
#define OUTPUT_NO_RESET 0x01
#define OUTPUT_A20      0x02
#define OUTPUT_FIRST    0xc3

enum { // commands to the controller
    READ_BYTE = 0x20,
    WRITE_BYTE = 0x60,
    MOUSE_OFF = 0xa7,
    MOUSE_ON = 0xa8,
    MOUSE_TEST = 0xa9,
    SELF_TEST = 0xaa,
    KEYBOARD_TEST = 0xab,
    KEYBOARD_OFF = 0xad,
    KEYBOARD_ON = 0xae,
    READ_INPUT = 0xc0,
    READ_OUTPUT = 0xd0,
    WRITE_OUTPUT = 0xd1,
    WRITE_KEYBOARD_ANSWER = 0xd2,
    WRITE_MOUSE_ANSWER = 0xd3,
    WRITE_MOUSE = 0xd4,
    A20_OFF = 0xdd,
    A20_ON = 0xdf,
    TEST_INPUTS = 0xe0,
    PULSE = 0xf0, // to 0xff: the low bits of the output port that are 0
};
#define SELF_TEST_PASSED 0x55
#define LINE_STUCK       0x01 // a test of a port to which nothing is attached
#define INPUT_UNLOCKED   0x80

enum { // commands to the keyboard, and its answers
    SET_LEDS = 0xed,
    ECHO = 0xee,
    SCAN_CODES = 0xf0,
    IDENTIFY = 0xf2,
    SET_RATE = 0xf3,
    KEYBOARD_RESET = 0xff,
};
#define ACKNOWLEDGE 0xfa
#define RESEND      0xfe
#define TEST_PASSED 0xaa
#define SCAN_SET    2

static void update_line(struct kbc *k)
{
    bool level = k->queued > 0 && k->command_byte & BYTE_INTERRUPT;
    if (level != k->level) {
        k->level = level;
        irq_line_set(&k->irq, KBC_IRQ, level);
    }
}

static void answer(struct kbc *k, u8 byte)
{
    if (k->queued < sizeof(k->queue))
        k->queue[k->queued++] = byte;
    update_line(k);
}

void kbc_init(struct kbc *k, struct irq_line irq, void (*reset)(void *ctx), void *ctx)
{
    memset(k, 0, sizeof(*k));
    k->status = STATUS_TESTED | STATUS_UNLOCKED;
    k->command_byte = BYTE_INTERRUPT | BYTE_TESTED | BYTE_MOUSE_OFF | BYTE_TRANSLATE;
    k->output_port = OUTPUT_FIRST;
    k->irq = irq;
    k->reset = reset;
    k->ctx = ctx;
}

u8 kbc_read(struct kbc *k, u16 port)
{
    if (port == KBC_STATUS)
        return k->status | (k->queued > 0 ? STATUS_OUTPUT : 0);
    u8 byte = k->queue[0]; // stays there when it has been read
    if (k->queued > 1)
        memmove(k->queue, k->queue + 1, sizeof(k->queue) - 1);
    if (k->queued > 0)
        k->queued--;
    k->status &= (u8)~STATUS_TIMEOUT;
    // Each byte that follows is an interrupt of its own.
    if (k->level) {
        k->level = false;
        irq_line_set(&k->irq, KBC_IRQ, false);
    }
    update_line(k);
    return byte;
}

static void set_output(struct kbc *k, u8 value)
{
    k->output_port = value | OUTPUT_NO_RESET;
    if (!(value & OUTPUT_NO_RESET))
        k->reset(k->ctx);
}

static void command(struct kbc *k, u8 value)
{
    k->expects = 0;
    switch (value) {
    case READ_BYTE:
        answer(k, k->command_byte);
        break;
    case WRITE_BYTE:
    case WRITE_OUTPUT:
    case WRITE_KEYBOARD_ANSWER:
    case WRITE_MOUSE_ANSWER:
    case WRITE_MOUSE:
        k->expects = value;
        break;
    case MOUSE_OFF:
        k->command_byte |= BYTE_MOUSE_OFF;
        break;
    case MOUSE_ON:
        k->command_byte &= (u8)~BYTE_MOUSE_OFF;
        break;
    case MOUSE_TEST:
        answer(k, LINE_STUCK);
        break;
    case SELF_TEST:
        k->status |= STATUS_TESTED;
        k->queued = 0;
        answer(k, SELF_TEST_PASSED);
        break;
    case KEYBOARD_TEST:
    case TEST_INPUTS:
        answer(k, 0);
        break;
    case KEYBOARD_OFF:
        k->command_byte |= BYTE_KEYBOARD_OFF;
        break;
    case KEYBOARD_ON:
        k->command_byte &= (u8)~BYTE_KEYBOARD_OFF;
        break;
    case READ_INPUT:
        answer(k, INPUT_UNLOCKED);
        break;
    case READ_OUTPUT:
        answer(k, k->output_port);
        break;
    case A20_OFF:
        k->output_port &= (u8)~OUTPUT_A20;
        break;
    case A20_ON:
        k->output_port |= OUTPUT_A20;
        break;
    default:
        if (value >= PULSE && !(value & OUTPUT_NO_RESET))
            k->reset(k->ctx);
        break;
    }
}

// A byte for the keyboard.
static void keyboard(struct kbc *k, u8 value)
{
    k->command_byte &= (u8)~BYTE_KEYBOARD_OFF; // being talked to switches it on
    if (k->keyboard != 0) {
        bool asks = k->keyboard == SCAN_CODES && value == 0;
        k->keyboard = 0;
        answer(k, ACKNOWLEDGE);
        if (asks)
            answer(k, SCAN_SET);
        return;
    }
    switch (value) {
    case ECHO:
        answer(k, ECHO);
        return;
    case SET_LEDS:
    case SCAN_CODES:
    case SET_RATE:
        k->keyboard = value;
        break;
    default:
        break;
    }
    answer(k, ACKNOWLEDGE);
    if (value == KEYBOARD_RESET) {
        answer(k, TEST_PASSED);
    } else if (value == IDENTIFY) {
        bool translated = k->command_byte & BYTE_TRANSLATE;
        answer(k, 0xab);
        answer(k, translated ? 0x41 : 0x83);
    }
}

static void data(struct kbc *k, u8 value)
{
    u8 expects = k->expects;
    k->expects = 0;
    switch (expects) {
    case WRITE_BYTE:
        k->command_byte = value;
        update_line(k);
        break;
    case WRITE_OUTPUT:
        set_output(k, value);
        break;
    case WRITE_KEYBOARD_ANSWER:
        answer(k, value);
        break;
    case WRITE_MOUSE_ANSWER:
    case WRITE_MOUSE: // there is none, and who asks need not wait to find out
        k->status |= STATUS_TIMEOUT;
        answer(k, RESEND);
        break;
    default:
        keyboard(k, value);
        break;
    }
}

void kbc_write(struct kbc *k, u16 port, u8 value)
{
    k->status &= (u8)~STATUS_COMMAND;
    if (port == KBC_STATUS) {
        k->status |= STATUS_COMMAND;
        command(k, value);
    } else {
        data(k, value);
    }
}
