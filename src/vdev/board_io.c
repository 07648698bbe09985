// SPDX-License-Identifier: MIT
// Who answers at which port or address.
#include "vdev/board_internal.h"

enum device {
    NOBODY = BOARD_NOBODY,
    PIC,
    PIT,
    RTC,
    PM,
    COM1,
    COM2,
    SYSCTRL,
    KBC,
    FWCFG,
    PCI,
    DEBUG_PORT,
};

const u8 board_device_in[][16] = {
    [1] = {[0x0 ... 0x1] = PIC},
    [2] = {[0x0 ... 0x3] = PIT},
    [3] = {[0x0] = KBC, [0x1] = PIT, [0x4] = KBC},
    [4] = {[0x0 ... 0x1] = RTC},
    [5] = {[POST_PORT & 15] = DEBUG_PORT},
    [6] = {[0x2] = SYSCTRL},
    [7] = {[SMI_CMD & 15] = PM, [APM_STS & 15] = PM},
    [8] = {[0x4] = SYSCTRL},
    [9] = {[0x8 ... 0xf] = COM2},
    [10] = {[0x8 ... 0xf] = COM1},
    [11] = {[0x0 ... 0x1] = FWCFG},
    [12] = {[0x0 ... PM_LENGTH - 1] = PM},
    [13] = {[0x8] = PCI, [0x9] = SYSCTRL, [0xc ... 0xf] = PCI},
    [14] = {[DEBUG_PORT_BOCHS & 15] = DEBUG_PORT},
    [15] = {[DEBUG_PORT_QEMU & 15] = DEBUG_PORT},
};
const u8 board_block_at[BOARD_BLOCKS] = {
    [0x02] = 1,  [0x04] = 2, [0x06] = 3,  [0x07] = 4,          [0x08] = 5,  [0x09] = 6,
    [0x0a] = 1,  [0x0b] = 7, [0x0e] = 14, [0x0f] = 8,          [0x2f] = 9,  [0x3f] = 10,
    [0x40] = 15, [0x4d] = 1, [0x51] = 11, [PM_BASE >> 4] = 12, [0xcf] = 13,
};

static enum device find_device(u16 port)
{
    return (enum device)board_find_device(port);
}

// Whose interrupts may come, and so which timers count, hangs on these.
static u32 pic_masks(const struct pic *p)
{
    return p->chip[0].imr | (u32)p->chip[1].imr << 8 | (u32)p->chip[0].ready << 16 |
           (u32)p->chip[1].ready << 17;
}

// Timer events up to now come before what the guest does to their interrupt controllers.
static void pic_io(struct board *b, u16 port, bool write, u32 *value, u64 now)
{
    board_expire(b, now);
    if (write) {
        u32 masks = pic_masks(&b->pic);
        pic_write(&b->pic, port, (u8)*value);
        b->moved |= pic_masks(&b->pic) != masks;
        return;
    }
    // Only who looks at the request register sees the PIT's output fall between two edges.
    if (port == 0x20 && board_pit_periodic(b))
        board_expire_pit(b, now);
    *value = pic_read(&b->pic, port);
}

static void pit_io(struct board *b, u16 port, bool write, u32 *value, u64 now)
{
    if (!write) {
        *value = pit_read(&b->pit, port, now);
    } else {
        if (port == 0x40 || port == 0x43)
            b->owed = 0;
        pit_write(&b->pit, port, (u8)*value, now);
    }
    board_owe_ticks(b, b->pit.dropped);
    b->pit.dropped = 0;
    board_update_due(b, TIMER_PIT);
}

static void uart_io(struct board *b, enum board_timer t, u16 port, bool write, u32 *value, u64 now)
{
    struct vuart *u = t == TIMER_COM1 ? &b->com1 : &b->com2;
    if (b->host_uarts & (t == TIMER_COM1 ? HOST_COM1 : HOST_COM2)) {
        // Not ours. What comes here is a part of a wide access that began below its ports.
        if (!write)
            *value = 0xff;
        return;
    }
    if (write)
        vuart_write(u, port & 7, (u8)*value, now);
    else
        *value = vuart_read(u, port & 7, now);
    board_update_due(b, t);
}

static void byte_io(struct board *b, u16 port, bool write, u32 *value, u64 now)
{
    switch (find_device(port)) {
    case PIC:
        pic_io(b, port, write, value, now);
        break;
    case PIT:
        pit_io(b, port, write, value, now);
        break;
    case RTC:
        if (write)
            rtc_write(&b->rtc, port, (u8)*value, now);
        else
            *value = rtc_read(&b->rtc, port, now);
        board_update_due(b, TIMER_RTC);
        break;
    case COM1:
        uart_io(b, TIMER_COM1, port, write, value, now);
        break;
    case COM2:
        uart_io(b, TIMER_COM2, port, write, value, now);
        break;
    case SYSCTRL:
        if (write)
            sysctrl_write(&b->sysctrl, port, *value);
        else
            *value = sysctrl_read(&b->sysctrl, port);
        break;
    case KBC:
        if (write)
            kbc_write(&b->kbc, port, (u8)*value);
        else
            *value = kbc_read(&b->kbc, port);
        break;
    case DEBUG_PORT:
        if (write)
            debugport_write(&b->debug, port, (u8)*value);
        else
            *value = debugport_read(&b->debug, port);
        break;
    case FWCFG:
        if (!write)
            *value = port == 0x511 ? fwcfg_read(&b->fwcfg) : 0xff;
        break;
    default:
        if (!write)
            *value = 0xff;
    }
}

// Devices that take more than a byte at once. Returns false when this access goes byte by byte.
static bool wide_io(struct board *b, u16 port, unsigned size, bool write, u32 *value, u64 now)
{
    switch (find_device(port)) {
    case PM:
        if (write)
            acpipm_write(&b->pm, port, size, *value, now);
        else
            *value = acpipm_read(&b->pm, port, size, now);
        b->moved |= write; // whether an alarm of the clock is waited for
        board_update_due(b, TIMER_PM);
        return true;
    case PCI:
        if (port == 0xcf8 && size != 4)
            return false;
        if (write)
            pci_write(&b->pci, port, size, *value);
        else
            *value = pci_read(&b->pci, port, size);
        return true;
    case SYSCTRL:
        if (port != 0xf4 || !write)
            return false;
        sysctrl_write(&b->sysctrl, port, *value);
        return true;
    case FWCFG:
        if (port != 0x510 || !write || size != 2)
            return false;
        fwcfg_select(&b->fwcfg, (u16)*value);
        return true;
    default:
        return false;
    }
}

bool board_io(struct board *b, u16 port, unsigned size, bool write, u32 *value, u64 now)
{
    now = board_advance(b, now);
    u32 mask = size >= 4 ? UINT32_MAX : (1u << 8 * size) - 1;
    u32 v = *value & mask;
    bool claimed = find_device(port) != NOBODY;
    if (!wide_io(b, port, size, write, &v, now)) {
        // As on the ISA bus: a wide access is one to each port in turn.
        u32 all = 0;
        for (unsigned i = 0; i < size; i++) {
            u16 at = (u16)(port + i);
            u32 byte = v >> 8 * i & 0xff;
            claimed |= find_device(at) != NOBODY;
            byte_io(b, at, write, &byte, now);
            all |= (byte & 0xff) << 8 * i;
        }
        v = all;
    }
    if (!write)
        *value = v & mask;
    return claimed;
}

bool board_mmio(struct board *b, gpa_t gpa, unsigned size, bool write, u64 *value, u64 now)
{
    u64 offset = gpa.v - IOAPIC_BASE;
    if (!write && size == 4 && offset < PAGE_SIZE && (offset & 3) == 0 && now < b->first_due) {
        *value = ioapic_read(&b->ioapic, (u32)offset); // as drivers do it
        return true;
    }
    u64 mask = size >= 8 ? UINT64_MAX : BIT(8 * size) - 1;
    if (offset >= PAGE_SIZE) {
        if (!write)
            *value = mask;
        return false;
    }
    board_expire(b, now);
    u32 reg = (u32)offset & ~3u, shift = 8u * (offset & 3);
    if (!write) {
        *value = ioapic_read(&b->ioapic, reg) >> shift & mask;
    } else if (shift == 0) {
        ioapic_write(&b->ioapic, reg, (u32)(*value & mask));
        b->moved |= reg != IOAPIC_SELECT;
    }
    return true;
}
