// SPDX-License-Identifier: MIT
// Who answers at which port or address, and what else an access brings about.
#include "vdev/board_internal.h"

// Whose interrupts may come, and so which timers count, hangs on these.
static u32 pic_masks(const struct pic *p)
{
    return p->chip[0].imr | (u32)p->chip[1].imr << 8 | (u32)p->chip[0].ready << 16 |
           (u32)p->chip[1].ready << 17;
}

// ---- interrupt controllers, timers ---------------------------------------------------------

// Timer events up to now come before what the guest does to their interrupt controllers.
static u64 pic_in(void *ctx, u64 port, unsigned size, u64 now)
{
    struct board *b = ctx;
    (void)size;
    board_expire(b, now);
    // Only who looks at the request register sees the PIT's output fall between two edges.
    if (port == 0x20 && board_pit_periodic(b))
        board_expire_pit(b, now);
    return pic_read(&b->pic, (u16)port);
}

static void pic_out(void *ctx, u64 port, unsigned size, u64 value, u64 now)
{
    struct board *b = ctx;
    (void)size;
    board_expire(b, now);
    u32 masks = pic_masks(&b->pic);
    pic_write(&b->pic, (u16)port, (u8)value);
    b->moved |= pic_masks(&b->pic) != masks;
}

static void pit_accessed(struct board *b)
{
    board_add_pending_ticks(b, b->pit.dropped);
    b->pit.dropped = 0;
    board_update_due(b, TIMER_PIT);
}

static u64 pit_in(void *ctx, u64 port, unsigned size, u64 now)
{
    struct board *b = ctx;
    (void)size;
    u64 value = pit_read(&b->pit, (u16)port, now);
    pit_accessed(b);
    return value;
}

static void pit_out(void *ctx, u64 port, unsigned size, u64 value, u64 now)
{
    struct board *b = ctx;
    (void)size;
    if (port == 0x40 || port == 0x43)
        b->pending_ticks = 0;
    pit_write(&b->pit, (u16)port, (u8)value, now);
    pit_accessed(b);
}

static u64 rtc_in(void *ctx, u64 port, unsigned size, u64 now)
{
    struct board *b = ctx;
    (void)size;
    u64 value = rtc_read(&b->rtc, (u16)port, now);
    board_update_due(b, TIMER_RTC);
    return value;
}

static void rtc_out(void *ctx, u64 port, unsigned size, u64 value, u64 now)
{
    struct board *b = ctx;
    (void)size;
    rtc_write(&b->rtc, (u16)port, (u8)value, now);
    board_update_due(b, TIMER_RTC);
}

static u64 pm_in(void *ctx, u64 port, unsigned size, u64 now)
{
    struct board *b = ctx;
    u64 value = acpipm_read(&b->pm, (u16)port, size, now);
    board_update_due(b, TIMER_PM);
    return value;
}

static void pm_out(void *ctx, u64 port, unsigned size, u64 value, u64 now)
{
    struct board *b = ctx;
    acpipm_write(&b->pm, (u16)port, size, (u32)value, now);
    b->moved = true; // whether an alarm of the clock is waited for
    board_update_due(b, TIMER_PM);
}

static u64 ioapic_in(void *ctx, u64 gpa, unsigned size, u64 now)
{
    struct board *b = ctx;
    u32 offset = (u32)(gpa - IOAPIC_BASE);
    if (size == 4 && (offset & 3) == 0 && now < b->first_due)
        return ioapic_read(&b->ioapic, offset); // as drivers do it
    board_expire(b, now);
    return ioapic_read(&b->ioapic, offset & ~3u) >> 8 * (offset & 3);
}

static void ioapic_out(void *ctx, u64 gpa, unsigned size, u64 value, u64 now)
{
    struct board *b = ctx;
    u32 offset = (u32)(gpa - IOAPIC_BASE);
    (void)size;
    board_expire(b, now);
    if ((offset & 3) != 0)
        return;
    ioapic_write(&b->ioapic, offset, (u32)value);
    b->moved |= offset != IOAPIC_SELECT;
}

// ---- serial ports --------------------------------------------------------------------------

// COM2's ports are below COM1's.
static bool is_com1(u64 port)
{
    return port >= 0x3f8;
}

static u64 uart_in(void *ctx, u64 port, unsigned size, u64 now)
{
    struct board *b = ctx;
    (void)size;
    u64 value = vuart_read(is_com1(port) ? &b->com1 : &b->com2, port & 7, now);
    board_update_due(b, is_com1(port) ? TIMER_COM1 : TIMER_COM2);
    return value;
}

static void uart_out(void *ctx, u64 port, unsigned size, u64 value, u64 now)
{
    struct board *b = ctx;
    (void)size;
    vuart_write(is_com1(port) ? &b->com1 : &b->com2, port & 7, (u8)value, now);
    board_update_due(b, is_com1(port) ? TIMER_COM1 : TIMER_COM2);
}

// ---- what needs no time --------------------------------------------------------------------

static u64 sysctrl_in(void *ctx, u64 port, unsigned size, u64 now)
{
    const struct board *b = ctx;
    (void)size;
    (void)now;
    return sysctrl_read(&b->sysctrl, (u16)port);
}

static void sysctrl_out(void *ctx, u64 port, unsigned size, u64 value, u64 now)
{
    struct board *b = ctx;
    (void)size;
    (void)now;
    sysctrl_write(&b->sysctrl, (u16)port, (u32)value);
}

static u64 kbc_in(void *ctx, u64 port, unsigned size, u64 now)
{
    struct board *b = ctx;
    (void)size;
    (void)now;
    return kbc_read(&b->kbc, (u16)port);
}

static void kbc_out(void *ctx, u64 port, unsigned size, u64 value, u64 now)
{
    struct board *b = ctx;
    (void)size;
    (void)now;
    kbc_write(&b->kbc, (u16)port, (u8)value);
}

static u64 debug_in(void *ctx, u64 port, unsigned size, u64 now)
{
    const struct board *b = ctx;
    (void)size;
    (void)now;
    return debugport_read(&b->debug, (u16)port);
}

static void debug_out(void *ctx, u64 port, unsigned size, u64 value, u64 now)
{
    struct board *b = ctx;
    (void)size;
    (void)now;
    debugport_write(&b->debug, (u16)port, (u8)value);
}

static u64 fwcfg_in(void *ctx, u64 port, unsigned size, u64 now)
{
    struct board *b = ctx;
    (void)size;
    (void)now;
    return port == FWCFG_DATA ? fwcfg_read(&b->fwcfg) : 0xff;
}

static void fwcfg_out(void *ctx, u64 port, unsigned size, u64 value, u64 now)
{
    struct board *b = ctx;
    (void)now;
    if (port == FWCFG_SELECTOR && size == 2)
        fwcfg_select(&b->fwcfg, (u16)value);
}

// ---- who answers where ---------------------------------------------------------------------

static const struct bus_device pic = {"the PIC", pic_in, pic_out};
static const struct bus_device pit = {"the PIT", pit_in, pit_out};
static const struct bus_device rtc = {"the RTC", rtc_in, rtc_out};
static const struct bus_device pm = {"the ACPI registers", pm_in, pm_out, 2 + 4, 2 + 4};
static const struct bus_device ioapic = {"the IOAPIC", ioapic_in, ioapic_out};
static const struct bus_device com1 = {"COM1", uart_in, uart_out};
static const struct bus_device com2 = {"COM2", uart_in, uart_out};
static const struct bus_device kbc = {"the keyboard controller", kbc_in, kbc_out};
static const struct bus_device debug_port = {"a debug port", debug_in, debug_out};
static const struct bus_device fwcfg = {"fw_cfg", fwcfg_in, fwcfg_out, .wide_writes = 2};
static const struct bus_device sysctrl = {"a reset port", sysctrl_in, sysctrl_out};
static const struct bus_device exit_port = {"the exit port", sysctrl_in, sysctrl_out,
                                            .wide_writes = 2 + 4};

// A serial port of the host. Only what is a part of a wide access that began below it comes here.
static const struct bus_device host_uart = {"a host's serial port", bus_read_ones,
                                            bus_write_nothing};

static enum error add_uart(struct board *b, u16 first, bool host, const struct bus_device *uart,
                           struct text *why)
{
    return bus_add_ports(&b->bus, first, 8, host ? &host_uart : uart, b, why);
}

enum error board_register(struct board *b, struct text *why)
{
    static const struct {
        u16 first, count;
        const struct bus_device *device;
    } ports[] = {
        {0x20, 2, &pic},
        {0xa0, 2, &pic},
        {0x4d0, 2, &pic},
        {0x40, 4, &pit},
        {0x61, 1, &pit},
        {KBC_DATA, 1, &kbc},
        {KBC_STATUS, 1, &kbc},
        {0x70, 2, &rtc},
        {PM_BASE, PM_LENGTH, &pm},
        {SMI_CMD, 1, &pm},
        {APM_STS, 1, &pm},
        {0x92, 1, &sysctrl},
        {0xcf9, 1, &sysctrl},
        {0xf4, 1, &exit_port},
        {FWCFG_SELECTOR, 2, &fwcfg},
        {POST_PORT, 1, &debug_port},
        {DEBUG_PORT_BOCHS, 1, &debug_port},
        {DEBUG_PORT_QEMU, 1, &debug_port},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(ports); i++) {
        enum error e =
            bus_add_ports(&b->bus, ports[i].first, ports[i].count, ports[i].device, b, why);
        if (e != OK)
            return e;
    }
    enum error e = add_uart(b, 0x3f8, b->host_uarts & HOST_COM1, &com1, why);
    if (e == OK)
        e = add_uart(b, 0x2f8, b->host_uarts & HOST_COM2, &com2, why);
    if (e == OK)
        e = pci_register(&b->pci, why);
    if (e == OK)
        e = bus_add_memory(&b->bus, GPA(IOAPIC_BASE), PAGE_SIZE, &ioapic, b, why);
    return e;
}

bool board_io(struct board *b, u16 port, unsigned size, bool write, u32 *value, u64 now)
{
    return bus_io(&b->bus, port, size, write, value, board_advance(b, now));
}

bool board_mmio(struct board *b, gpa_t gpa, unsigned size, bool write, u64 *value, u64 now)
{
    return bus_mmio(&b->bus, gpa, size, write, value, board_advance(b, now));
}
