// SPDX-License-Identifier: MIT
#include "boot/acpi.h"

#include "boot/multiboot2.h"
#include "boot/paging.h"
#include "lib/string.h"
#include "x86/bits.h"

struct header {
    char signature[4];
    u32 length;
    u8 revision, checksum;
    char oem[6], oem_table[8];
    u32 oem_revision, creator, creator_revision;
} PACKED;

struct rsdp {
    char signature[8];
    u8 checksum;
    char oem[6];
    u8 revision;
    u32 rsdt;
    u32 length;
    u64 xsdt;
    u8 extended_checksum, reserved[3];
} PACKED;

struct madt {
    struct header header;
    u32 lapic_address, flags;
    u8 entries[];
} PACKED;

enum {
    MADT_LAPIC = 0,
    MADT_IOAPIC = 1,
    MADT_OVERRIDE = 2,
    MADT_LAPIC_ADDRESS = 5,
    MADT_X2APIC = 9
};

struct acpi_info acpi;

static bool checksum_ok(const void *p, size_t n)
{
    u8 sum = 0;
    for (size_t i = 0; i < n; i++)
        sum = (u8)(sum + ((const u8 *)p)[i]);
    return sum == 0;
}

static u32 read_u32(const void *p)
{
    u32 v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static u64 read_u64(const void *p)
{
    u64 v;
    memcpy(&v, p, sizeof(v));
    return v;
}

// A table at pa, mapped and with a good checksum, or NULL.
static const struct header *table_at(u64 pa)
{
    if (pa == 0)
        return NULL;
    const struct header *h = NULL;
    if (pa < 4 * GiB - MiB) {
        h = phys_to_virt(HPA(pa));
    } else {
        volatile void *m = mmio_map(HPA(pa), sizeof(*h));
        if (m == NULL)
            return NULL;
        u32 length = ((const volatile struct header *)m)->length;
        if (length > MiB)
            return NULL;
        h = (const struct header *)(u64)mmio_map(HPA(pa), length);
    }
    if (h == NULL || h->length < sizeof(*h) || h->length > MiB || !checksum_ok(h, h->length))
        return NULL;
    return h;
}

static const struct rsdp *scan(u64 start, u64 end)
{
    for (u64 pa = start; pa < end; pa += 16) {
        const struct rsdp *r = phys_to_virt(HPA(pa));
        if (memcmp(r->signature, "RSD PTR ", 8) == 0 && checksum_ok(r, 20))
            return r;
    }
    return NULL;
}

static const struct rsdp *find_rsdp(void)
{
    const void *copy = boot_info.rsdp;
    const struct rsdp *r = copy;
    if (memcmp(r->signature, "RSD PTR ", 8) == 0)
        return r;
    u16 segment;
    memcpy(&segment, phys_to_virt(HPA(0x40e)), sizeof(segment));
    u64 ebda = (u64)segment << 4;
    r = ebda >= 0x80000 && ebda < 0xa0000 ? scan(ebda, ebda + 1024) : NULL;
    return r != NULL ? r : scan(0xe0000, 0x100000);
}

static const struct header *find_table(const struct rsdp *r, const char *signature)
{
    bool wide = r->revision >= 2 && r->xsdt != 0;
    const struct header *root = table_at(wide ? r->xsdt : r->rsdt);
    if (root == NULL && wide) {
        wide = false;
        root = table_at(r->rsdt);
    }
    if (root == NULL)
        return NULL;
    size_t step = wide ? 8 : 4;
    for (size_t at = sizeof(*root); at + step <= root->length; at += step) {
        const u8 *p = (const u8 *)root + at;
        const struct header *t = table_at(wide ? read_u64(p) : read_u32(p));
        if (t != NULL && memcmp(t->signature, signature, 4) == 0)
            return t;
    }
    return NULL;
}

static void add_cpu(u32 id, u32 flags)
{
    // Enabled; "online capable" alone means a CPU that is not there yet.
    if (!(flags & 1) || acpi.cpus == ACPI_CPUS_MAX)
        return;
    for (unsigned i = 0; i < acpi.cpus; i++) {
        if (acpi.apic_id[i] == id)
            return; // listed as local APIC and as x2APIC
    }
    acpi.apic_id[acpi.cpus++] = id;
}

static void read_madt_entry(const u8 *e, u8 length)
{
    switch (e[0]) {
    case MADT_LAPIC:
        if (length >= 8)
            add_cpu(e[3], read_u32(e + 4));
        break;
    case MADT_X2APIC:
        if (length >= 16)
            add_cpu(read_u32(e + 4), read_u32(e + 8));
        break;
    case MADT_IOAPIC:
        if (length >= 12 && acpi.ioapics < ACPI_IOAPICS_MAX)
            acpi.ioapic[acpi.ioapics++] =
                (struct acpi_ioapic){e[2], HPA(read_u32(e + 4)), read_u32(e + 8)};
        break;
    case MADT_OVERRIDE:
        if (length >= 10 && e[3] < 16) {
            acpi.isa[e[3]].gsi = read_u32(e + 4);
            acpi.isa[e[3]].active_low = (e[8] & 3) == 3;
            acpi.isa[e[3]].level = (e[8] >> 2 & 3) == 3;
        }
        break;
    case MADT_LAPIC_ADDRESS:
        if (length >= 12)
            acpi.lapic_address = HPA(read_u64(e + 4));
        break;
    default:
        break;
    }
}

static void read_madt(const struct header *h)
{
    const void *p = h;
    const struct madt *m = p;
    acpi.lapic_address = HPA(m->lapic_address);
    for (size_t at = sizeof(*m); at + 2 <= h->length;) {
        const u8 *e = (const u8 *)h + at;
        if (e[1] < 2 || at + e[1] > h->length)
            break;
        read_madt_entry(e, e[1]);
        at += e[1];
    }
}

// \_S5 is Name (_S5, Package () {a, b, …}): look for the name's bytes, which is how every system
// without an AML interpreter does it.
static void read_s5(const struct header *dsdt)
{
    const u8 *p = (const u8 *)dsdt + sizeof(*dsdt), *end = (const u8 *)dsdt + dsdt->length;
    for (; p + 16 < end; p++) {
        if (p[0] != 0x08 || memcmp(p[1] == '\\' ? p + 2 : p + 1, "_S5_", 4) != 0)
            continue;
        const u8 *q = (p[1] == '\\' ? p + 2 : p + 1) + 4;
        if (*q++ != 0x12) // PackageOp
            continue;
        q += (*q >> 6) + 2; // PkgLength, NumElements
        u8 value[2] = {0, 0};
        for (unsigned i = 0; i < 2 && q + 2 < end; i++) {
            if (*q == 0x0a) // BytePrefix
                q++;
            else if (*q > 1) // neither ZeroOp nor OneOp
                return;
            value[i] = *q++;
        }
        acpi.slp_typ_a = value[0] & 7;
        acpi.slp_typ_b = value[1] & 7;
        acpi.has_s5 = true;
        return;
    }
}

static void read_fadt(const struct header *h)
{
    const u8 *f = (const u8 *)h;
    if (h->length < 80)
        return;
    acpi.pm1a_control = (u16)read_u32(f + 64);
    acpi.pm1b_control = (u16)read_u32(f + 68);
    acpi.pm_timer = (u16)read_u32(f + 76);
    // A reset register of 8 bits in I/O space (ACPI 6.4, 4.8.3.6).
    if (h->length >= 129 && (read_u32(f + 112) & BIT(10)) && f[116] == 1 && f[117] == 8) {
        acpi.reset_port = (u16)read_u64(f + 120);
        acpi.reset_value = f[128];
    }
    u64 dsdt = read_u32(f + 40);
    if (h->length >= 148 && read_u64(f + 140) != 0)
        dsdt = read_u64(f + 140);
    const struct header *d = table_at(dsdt);
    if (d != NULL)
        read_s5(d);
}

enum error acpi_init(struct text *why)
{
    for (unsigned i = 0; i < ARRAY_SIZE(acpi.isa); i++)
        acpi.isa[i].gsi = i;
    acpi.lapic_address = HPA(APIC_BASE_RESET);

    const struct rsdp *r = find_rsdp();
    if (r == NULL)
        return explain(why, ERR_NOT_FOUND,
                       "no RSDP: neither in Multiboot2's tags nor in the BIOS areas");
    const struct header *fadt = find_table(r, "FACP");
    if (fadt != NULL)
        read_fadt(fadt);
    const struct header *madt = find_table(r, "APIC");
    if (madt == NULL)
        return explain(why, ERR_NOT_FOUND, "no MADT: only the boot core can be used");
    read_madt(madt);
    if (acpi.cpus == 0)
        return explain(why, ERR_NOT_FOUND,
                       "the MADT names no enabled CPU: only the boot core can be used");
    return fadt != NULL ? OK : explain(why, ERR_NOT_FOUND, "no FADT: cannot power off by ACPI");
}
