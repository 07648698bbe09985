// SPDX-License-Identifier: MIT
#include "vdev/acpi.h"

#include "lib/string.h"
#include "vdev/acpipm.h"
#include "vdev/ioapic.h"
#include "vdev/rtc.h"

// Compiled from src/vdev/acpi/dsdt.asl when the project is built.
static const u8 dsdt[] = {
#include "dsdt.inc"
#include "x86/bits.h"
};

#define XAPIC_IDS      255  // local APIC IDs from here on need the x2APIC structures
#define IRQ_LEVEL_HIGH 0x0d // MPS INTI flags: active high, level-triggered

struct header {
    char signature[4];
    u32 length;
    u8 revision, checksum;
    char oem_id[6], oem_table_id[8];
    u32 oem_revision;
    char creator_id[4];
    u32 creator_revision;
} PACKED;

struct address { // generic address structure, ACPI 5.2.3.2
    u8 space, width, offset, access;
    u64 address;
} PACKED;

#define SYSTEM_IO 1

struct rsdp {
    char signature[8];
    u8 checksum;
    char oem_id[6];
    u8 revision;
    u32 rsdt, length;
    u64 xsdt;
    u8 extended_checksum, reserved[3];
} PACKED;

struct fadt { // revision 5, ACPI 5.1, table 5-34
    struct header header;
    u32 facs, dsdt;
    u8 reserved1, pm_profile;
    u16 sci;
    u32 smi_cmd;
    u8 acpi_enable, acpi_disable, s4bios, pstate;
    u32 pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_tmr, gpe0, gpe1;
    u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_tmr_len, gpe0_len, gpe1_len, gpe1_base, cst;
    u16 c2_latency, c3_latency, flush_size, flush_stride;
    u8 duty_offset, duty_width, day_alarm, month_alarm, century;
    u16 boot_arch;
    u8 reserved2;
    u32 flags;
    struct address reset_register;
    u8 reset_value;
    u16 arm_boot_arch;
    u8 minor;
    u64 x_facs, x_dsdt;
    struct address x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_tmr, x_gpe0,
        x_gpe1, sleep_control, sleep_status;
} PACKED;

_Static_assert(sizeof(struct header) == 36, "ACPI 5.2.6");
_Static_assert(sizeof(struct rsdp) == 36, "ACPI 5.2.5.3");
_Static_assert(sizeof(struct fadt) == 268, "ACPI 5.2.9, revision 5");

// FADT fixed feature flags
#define WBINVD        BIT(0)
#define PROC_C1       BIT(2)
#define PWR_BUTTON    BIT(4) // no fixed power button
#define SLP_BUTTON    BIT(5) // no fixed sleep button
#define TMR_VAL_EXT   BIT(8)
#define RESET_REG_SUP BIT(10)

// FADT boot architecture flags
#define LEGACY_DEVICES BIT(0)
#define HAS_8042       BIT(1)
#define NO_VGA         BIT(2)

struct facs {
    char signature[4];
    u32 length, hardware_signature, waking_vector, global_lock, flags;
    u64 x_waking_vector;
    u8 version, reserved[31];
} PACKED;

struct madt {
    struct header header;
    u32 local_apic, flags;
} PACKED;

struct madt_lapic {
    u8 type, length, uid, apic_id;
    u32 flags;
} PACKED;

struct madt_ioapic {
    u8 type, length, id, reserved;
    u32 address, gsi_base;
} PACKED;

struct madt_override {
    u8 type, length, bus, source;
    u32 gsi;
    u16 flags;
} PACKED;

struct madt_nmi {
    u8 type, length, uid;
    u16 flags;
    u8 lint;
} PACKED;

struct madt_x2apic {
    u8 type, length;
    u16 reserved;
    u32 x2apic_id, flags, uid;
} PACKED;

struct madt_x2apic_nmi {
    u8 type, length;
    u16 flags;
    u32 uid;
    u8 lint, reserved[3];
} PACKED;

// Where the next table goes; after an error the others are not written.
struct writer {
    struct guest_memory *m;
    u64 gpa;
    enum error error;
};

static void put_at(struct writer *w, u64 gpa, const void *data, u64 size)
{
    if (w->error != OK)
        return;
    if (gpa >= ACPI_END || size > ACPI_END - gpa)
        w->error = ERR_NO_MEMORY;
    else
        w->error = guest_write(w->m, GPA(gpa), data, size);
}

// Appends size bytes, and returns where they are.
static u64 put(struct writer *w, const void *data, u64 size)
{
    u64 at = w->gpa;
    put_at(w, at, data, size);
    w->gpa += size;
    return at;
}

static struct header make_header(const char *signature, u8 revision, u64 length)
{
    struct header h = {
        .length = (u32)length,
        .revision = revision,
        .oem_revision = 1,
        .creator_revision = 1,
    };
    memcpy(h.signature, signature, 4);
    memcpy(h.oem_id, "VITRIN", 6);
    memcpy(h.oem_table_id, "VITRINE ", 8);
    memcpy(h.creator_id, "VITR", 4);
    return h;
}

static struct address io_address(u16 port, u8 width)
{
    return (struct address){
        .space = SYSTEM_IO,
        .width = width,
        .access = width == 32   ? 3
                  : width == 16 ? 2
                                : 1,
        .address = port,
    };
}

static u64 put_facs(struct writer *w)
{
    struct facs f = {.signature = "FACS", .length = sizeof(f), .version = 2};
    w->gpa = ALIGN_UP(w->gpa, 64ul);
    return put(w, &f, sizeof(f));
}

static u64 put_fadt(struct writer *w, u64 facs, u64 dsdt_gpa)
{
    struct fadt f = {
        .header = make_header("FACP", 5, sizeof(f)),
        .facs = (u32)facs,
        .dsdt = (u32)dsdt_gpa,
        .sci = ACPI_SCI,
        .smi_cmd = SMI_CMD,
        .acpi_enable = ACPI_ENABLE,
        .acpi_disable = ACPI_DISABLE,
        .pm1a_evt = PM1A_EVT,
        .pm1a_cnt = PM1A_CNT,
        .pm_tmr = PM_TMR,
        .pm1_evt_len = 4,
        .pm1_cnt_len = 2,
        .pm_tmr_len = 4,
        .c2_latency = 0xfff, // over the limits: there is no C2 or C3
        .c3_latency = 0xfff,
        .century = RTC_CENTURY,
        .boot_arch = LEGACY_DEVICES | HAS_8042 | NO_VGA,
        .flags = WBINVD | PROC_C1 | PWR_BUTTON | SLP_BUTTON | TMR_VAL_EXT | RESET_REG_SUP,
        .reset_register = io_address(0xcf9, 8),
        .reset_value = 0x06,
        .minor = 1,
        .x_facs = facs,
        .x_dsdt = dsdt_gpa,
        .x_pm1a_evt = io_address(PM1A_EVT, 32),
        .x_pm1a_cnt = io_address(PM1A_CNT, 16),
        .x_pm_tmr = io_address(PM_TMR, 32),
    };
    f.x_pm1a_evt.access = 2; // two registers of 16 bits
    f.header.checksum = table_checksum(&f, sizeof(f));
    return put(w, &f, sizeof(f));
}

static void put_processor(struct writer *w, u32 i)
{
    if (i < XAPIC_IDS) {
        struct madt_lapic e = {0, sizeof(e), (u8)i, (u8)i, 1};
        put(w, &e, sizeof(e));
    } else {
        struct madt_x2apic e = {9, sizeof(e), 0, i, 1, i};
        put(w, &e, sizeof(e));
    }
}

static u64 put_madt(struct writer *w, unsigned vcpus)
{
    u64 at = w->gpa;
    w->gpa += sizeof(struct madt);
    for (u32 i = 0; i < vcpus; i++)
        put_processor(w, i);
    struct madt_ioapic ioapic = {1, sizeof(ioapic), 0, 0, IOAPIC_BASE, 0};
    struct madt_override timer = {2, sizeof(timer), 0, 0, 2, 0};
    struct madt_override sci = {2, sizeof(sci), 0, ACPI_SCI, ACPI_SCI, IRQ_LEVEL_HIGH};
    struct madt_nmi nmi = {4, sizeof(nmi), 0xff, 0, 1};
    put(w, &ioapic, sizeof(ioapic));
    put(w, &timer, sizeof(timer));
    put(w, &sci, sizeof(sci));
    put(w, &nmi, sizeof(nmi));
    if (vcpus > XAPIC_IDS) {
        struct madt_x2apic_nmi x2nmi = {0xa, sizeof(x2nmi), 0, UINT32_MAX, 1, {0}};
        put(w, &x2nmi, sizeof(x2nmi));
    }
    if (w->error != OK)
        return at;

    struct madt m = {
        .header = make_header("APIC", 3, w->gpa - at),
        .local_apic = APIC_BASE_RESET,
        .flags = 1, // there are 8259s too
    };
    put_at(w, at, &m, sizeof(m));
    const void *whole = guest_ptr(w->m, GPA(at), w->gpa - at);
    if (w->error == OK && whole == NULL)
        w->error = ERR_FAULT;
    if (w->error != OK)
        return at;
    m.header.checksum = table_checksum(whole, w->gpa - at);
    put_at(w, at, &m, sizeof(m));
    return at;
}

// The RSDT (entries of 4 bytes) or the XSDT (8 bytes) with the FADT and the MADT.
static u64 put_root(struct writer *w, const char *signature, u64 entry_size, u64 fadt, u64 madt)
{
    u8 table[sizeof(struct header) + 16];
    u64 length = sizeof(struct header) + 2 * entry_size;
    struct header h = make_header(signature, 1, length);
    memcpy(table, &h, sizeof(h));
    memcpy(table + sizeof(h), &fadt, entry_size);
    memcpy(table + sizeof(h) + entry_size, &madt, entry_size);
    table[offsetof(struct header, checksum)] = table_checksum(table, length);
    return put(w, table, length);
}

// The DSDT, with its UART saying which there are.
static u64 put_dsdt(struct writer *w, u8 uarts)
{
    static const u8 name[] = {8, 'U', 'A', 'R', 'T', 0xa, 3}; // Name (UART, 3)
    u8 checksum = dsdt[offsetof(struct header, checksum)];
    u64 at = put(w, dsdt, sizeof(dsdt));
    for (size_t i = 0; i + sizeof(name) <= sizeof(dsdt); i++) {
        if (memcmp(dsdt + i, name, sizeof(name)) != 0)
            continue;
        uarts |= 3;
        checksum = (u8)(checksum + 3 - uarts);
        put_at(w, at + i + sizeof(name) - 1, &uarts, 1);
        put_at(w, at + offsetof(struct header, checksum), &checksum, 1);
        break;
    }
    return at;
}

enum error acpi_build(const struct acpi_config *c, struct guest_memory *m)
{
    if (c->vcpus == 0 || c->vcpus > ACPI_MAX_VCPUS)
        return ERR_INVALID;
    struct writer w = {.m = m, .gpa = ALIGN_UP(ACPI_RSDP + sizeof(struct rsdp), 64ul)};
    u64 facs = put_facs(&w);
    u64 dsdt_gpa = put_dsdt(&w, c->uarts);
    w.gpa = ALIGN_UP(w.gpa, 16ul);
    u64 fadt = put_fadt(&w, facs, dsdt_gpa);
    w.gpa = ALIGN_UP(w.gpa, 16ul);
    u64 madt = put_madt(&w, c->vcpus);
    w.gpa = ALIGN_UP(w.gpa, 16ul);
    u64 rsdt = put_root(&w, "RSDT", 4, fadt, madt);
    w.gpa = ALIGN_UP(w.gpa, 16ul);
    u64 xsdt = put_root(&w, "XSDT", 8, fadt, madt);

    struct rsdp r = {.revision = 2, .rsdt = (u32)rsdt, .length = sizeof(r), .xsdt = xsdt};
    memcpy(r.signature, "RSD PTR ", 8);
    memcpy(r.oem_id, "VITRIN", 6);
    r.checksum = table_checksum(&r, 20); // the part that ACPI 1.0 knew
    r.extended_checksum = table_checksum(&r, sizeof(r));
    put_at(&w, ACPI_RSDP, &r, sizeof(r));
    return w.error;
}
