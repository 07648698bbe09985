/* SPDX-License-Identifier: MIT */
/*
 * A kernel that stands in for the appliance when the launcher is tested. Its
 * Multiboot2 command line says what to do: words, one after the other.
 *
 *   ok failed    print the appliance's last line
 *   guest        print that line as a guest could
 *   flood        print 1500 numbered lines
 *   echo         send back what arrives on COM1 and COM2, until a `q` on COM1
 *   split        say that it can be asked for the split stream, send it when
 *                asked, with one VM that sends back what arrives, until a `q`
 *   off          power off
 *   reset        triple fault
 *
 * After the last word it spins.
 */

#include <stdint.h>

#define COM1 0x3f8
#define COM2 0x2f8

#define MULTIBOOT2_MAGIC 0xe85250d6u
#define TAG_END          0
#define TAG_COMMAND_LINE 1

struct header {
    uint32_t magic, architecture, length, checksum;
    uint16_t end_type, end_flags;
    uint32_t end_size;
};

__attribute__((section(".multiboot"), used, aligned(8))) static const struct header header = {
    MULTIBOOT2_MAGIC, 0, sizeof(header), -(MULTIBOOT2_MAGIC + sizeof(header)), TAG_END, 0, 8,
};

struct tag {
    uint32_t type, size;
    char text[];
};

static void outb(uint16_t port, uint8_t value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void outw(uint16_t port, uint16_t value)
{
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static uint8_t inb(uint16_t port)
{
    uint8_t value;

    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static void uart_init(uint16_t port)
{
    outb(port + 1, 0);    /* no interrupts */
    outb(port + 3, 0x80); /* divisor: 115200 */
    outb(port + 0, 1);
    outb(port + 1, 0);
    outb(port + 3, 3); /* 8n1 */
    outb(port + 2, 7); /* FIFOs on and empty */
    outb(port + 4, 3); /* DTR, RTS */
}

static void put(uint16_t port, char c)
{
    while (!(inb(port + 5) & 0x20))
        ;
    outb(port, (uint8_t)c);
}

static void print(const char *text)
{
    for (; *text; text++)
        put(COM1, *text);
}

static void wait_until_sent(uint16_t port)
{
    while (!(inb(port + 5) & 0x40))
        ;
}

static void flood(void)
{
    char line[] = "flood 0000\r\n";

    for (int i = 0; i < 1500; i++) {
        for (int digit = 9, left = i; digit > 5; digit--, left /= 10)
            line[digit] = (char)('0' + left % 10);
        print(line);
    }
}

static void echo(void)
{
    for (;;) {
        if (inb(COM2 + 5) & 1)
            put(COM2, (char)inb(COM2));
        if (inb(COM1 + 5) & 1) {
            char c = (char)inb(COM1);

            put(COM1, c);
            if (c == 'q') {
                print("\r\n");
                return;
            }
        }
    }
}

static char get(uint16_t port)
{
    while (!(inb(port + 5) & 1))
        ;
    return (char)inb(port);
}

static void split(void)
{
    char before, c = 0;

    print("[   0.000002] core 0: console: Ctrl-] and a number shows that VM alone\r\n");
    do {
        before = c;
        c = get(COM1);
    } while (before != 0x1d || c != 's');
    print("|begin 1\r\n|vm 1 one\r\none| # \\\r\n");
    do {
        c = get(COM1);
        print("one| ");
        put(COM1, c);
        print("\\\r\n");
    } while (c != 'q');
}

static void power_off(void)
{
    wait_until_sent(COM1);
    outw(0x604, 0x2000); /* QEMU's q35: PM1a_CNT, S5 */
    for (const char *c = "Shutdown"; *c; c++)
        outb(0x8900, (uint8_t)*c); /* Bochs */
}

static void triple_fault(void)
{
    static const struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) no_idt;

    wait_until_sent(COM1);
    __asm__ volatile("lidt %0; int3" : : "m"(no_idt));
}

static int is_word(const char *text, const char *word)
{
    while (*word)
        if (*text++ != *word++)
            return 0;
    return *text == 0 || *text == ' ';
}

static void do_word(const char *word)
{
    if (is_word(word, "ok"))
        print("[   1.234567] core 0: appliance: done: ok\r\n");
    else if (is_word(word, "failed"))
        print("[   1.234567] core 0: appliance: done: failed: no VM could start\r\n");
    else if (is_word(word, "guest"))
        print("one| [   1.234567] core 0: appliance: done: ok\r\n");
    else if (is_word(word, "flood"))
        flood();
    else if (is_word(word, "echo"))
        echo();
    else if (is_word(word, "split"))
        split();
    else if (is_word(word, "off"))
        power_off();
    else if (is_word(word, "reset"))
        triple_fault();
}

__attribute__((used)) void fixture_main(const char *information)
{
    const struct tag *tag = (const struct tag *)(information + 8);

    uart_init(COM1);
    uart_init(COM2);
    print("[   0.000001] core 0: fixture: started\r\n");
    while (tag->type != TAG_END && tag->type != TAG_COMMAND_LINE)
        tag = (const struct tag *)((const char *)tag + ((tag->size + 7) & ~7u));
    if (tag->type == TAG_COMMAND_LINE)
        for (const char *text = tag->text; *text; text++)
            if (text == tag->text || text[-1] == ' ')
                do_word(text);
    for (;;)
        __asm__ volatile("pause");
}

__attribute__((used, aligned(16))) static uint8_t stack[4096];

__asm__(".globl _start\n"
        "_start:\n"
        "	mov $stack + 4096, %esp\n"
        "	push %ebx\n"
        "	call fixture_main\n");
