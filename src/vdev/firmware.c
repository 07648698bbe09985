// SPDX-License-Identifier: MIT
#include "vdev/firmware.h"

#include "lib/string.h"
#include "vdev/acpi.h"
#include "vdev/acpipm.h"
#include "vdev/ioapic.h"
#include "x86/bits.h"

// ---- BIOS data areas -----------------------------------------------------------------------

struct bda {
    u16 com[4], lpt[3]; // ports
    u16 ebda;           // segment
    u16 equipment;
    u8 post;
    u16 base_memory; // KiB
    u16 reserved_15;
    u8 keyboard_flags[2];
    u8 keypad;
    u16 keyboard_head, keyboard_tail; // offsets from 0x400
    u16 keyboard_buffer[16];
    u8 diskette[11];
    u8 video_mode;
    u16 columns, page_size, page_start;
    u8 cursors[16];
    u16 cursor_shape;
    u8 page;
    u16 crtc; // port
    u8 video_registers[2];
    u8 reset_block[5];
    u32 ticks; // of 18.2 Hz since midnight
    u8 midnight, control_break;
    u16 reset_flag;
    u8 fixed_disk[4];
    u8 lpt_timeout[4], com_timeout[4];
    u16 keyboard_start, keyboard_end;
    u8 last_row;
    u16 character_height;
} PACKED;

_Static_assert(offsetof(struct bda, ebda) == 0x0e, "0x40e");
_Static_assert(offsetof(struct bda, base_memory) == 0x13, "0x413");
_Static_assert(offsetof(struct bda, keyboard_flags) == 0x17, "0x417");
_Static_assert(offsetof(struct bda, video_mode) == 0x49, "0x449");
_Static_assert(offsetof(struct bda, crtc) == 0x63, "0x463");
_Static_assert(offsetof(struct bda, ticks) == 0x6c, "0x46c");
_Static_assert(offsetof(struct bda, keyboard_start) == 0x80, "0x480");
_Static_assert(offsetof(struct bda, character_height) == 0x85, "0x485");

#define EQUIPMENT_FPU     BIT(1)
#define EQUIPMENT_SERIALS 9 // shift
#define KEYBOARD_BUFFER   offsetof(struct bda, keyboard_buffer)

static enum error build_bda(const struct firmware_config *c, struct guest_memory *m)
{
    static const u16 ports[] = {0x3f8, 0x2f8, 0x3e8, 0x2e8};
    struct bda b = {
        .ebda = EBDA >> 4,
        .base_memory = EBDA / KiB,
        .keyboard_head = KEYBOARD_BUFFER,
        .keyboard_tail = KEYBOARD_BUFFER,
        .keyboard_start = KEYBOARD_BUFFER,
        .keyboard_end = KEYBOARD_BUFFER + sizeof(b.keyboard_buffer),
        // Text of 80 by 25, as a display would be left, if there were one.
        .video_mode = 3,
        .columns = 80,
        .page_size = 4096,
        .cursor_shape = 0x0607,
        .crtc = 0x3d4,
        .last_row = 24,
        .character_height = 16,
        .ticks = c->midnight_ticks,
        .lpt_timeout = {20, 20, 20, 20},
        .com_timeout = {1, 1, 1, 1},
    };
    unsigned count = 0;
    for (unsigned n = 0; n < ARRAY_SIZE(ports); n++) {
        if (c->uarts & BIT(n))
            b.com[count++] = ports[n];
    }
    b.equipment = (u16)(EQUIPMENT_FPU | count << EQUIPMENT_SERIALS);
    const u8 ebda_kib = 1;
    enum error e = guest_write(m, GPA(BDA), &b, sizeof(b));
    return e == OK ? guest_write(m, GPA(EBDA), &ebda_kib, 1) : e;
}

// ---- vectors of real mode ------------------------------------------------------------------

#define VECTORS      256
#define BIOS_SEGMENT 0xf000u
#define CODE_OFFSET  (BIOS_CODE - (BIOS_SEGMENT << 4))

// Offsets in the code below.
enum { AT_IRET = 0, AT_MASTER = 1, AT_SLAVE = 8, AT_SERVICE = 17 };

static const u8 bios_code[] = {
    0xcf, // iret
    0x50,
    0xb0,
    0x20,
    0xe6,
    0x20,
    0x58,
    0xcf, // push ax; EOI to the first 8259; pop ax; iret
    0x50,
    0xb0,
    0x20,
    0xe6,
    0xa0,
    0xe6,
    0x20,
    0x58,
    0xcf, // to both
    // push bp; mov bp, sp; or byte [bp+6], 1 (carry); mov ah, 0x86; pop bp; iret
    0x55,
    0x8b,
    0xec,
    0x80,
    0x4e,
    0x06,
    0x01,
    0xb4,
    0x86,
    0x5d,
    0xcf,
};

static unsigned vector_code(unsigned vector)
{
    if (vector >= 0x08 && vector < 0x10)
        return AT_MASTER;
    if (vector >= 0x70 && vector < 0x78)
        return AT_SLAVE;
    return vector < 0x10 || vector >= 0x78 ? AT_IRET : AT_SERVICE;
}

static enum error build_vectors(struct guest_memory *m)
{
    u32 vectors[VECTORS];
    for (unsigned i = 0; i < VECTORS; i++)
        vectors[i] = BIOS_SEGMENT << 16 | (u32)(CODE_OFFSET + vector_code(i));
    enum error e = guest_write(m, GPA(0), vectors, sizeof(vectors));
    return e == OK ? guest_write(m, GPA(BIOS_CODE), bios_code, sizeof(bios_code)) : e;
}

// ---- MultiProcessor Specification 1.4, chapter 4 -------------------------------------------

struct mp_floating {
    char signature[4];
    u32 table;
    u8 length, revision, checksum; // length in 16 bytes
    u8 features[5];
} PACKED;

struct mp_header {
    char signature[4];
    u16 length;
    u8 revision, checksum;
    char oem_id[8], product_id[12];
    u32 oem_table;
    u16 oem_table_size, entries;
    u32 local_apic;
    u16 extended_length;
    u8 extended_checksum, reserved;
} PACKED;

enum { MP_PROCESSOR = 0, MP_BUS = 1, MP_IOAPIC = 2, MP_IO_INTERRUPT = 3, MP_LOCAL_INTERRUPT = 4 };

struct mp_processor {
    u8 type, apic_id, apic_version, flags;
    u32 signature, features, reserved[2];
} PACKED;
#define PROCESSOR_ENABLED BIT(0)
#define PROCESSOR_BOOT    BIT(1)

struct mp_bus {
    u8 type, id;
    char name[6];
} PACKED;

struct mp_ioapic {
    u8 type, id, version, flags;
    u32 address;
} PACKED;

struct mp_interrupt {
    u8 type, kind;
    u16 flags;
    u8 bus, irq, apic, pin;
} PACKED;
enum { KIND_INT = 0, KIND_NMI = 1, KIND_EXTINT = 3 };
#define LEVEL_HIGH 0x0d

_Static_assert(sizeof(struct mp_floating) == 16, "MP 1.4, table 4-1");
_Static_assert(sizeof(struct mp_header) == 44, "MP 1.4, table 4-2");
_Static_assert(sizeof(struct mp_processor) == 20, "MP 1.4, table 4-4");

#define LAPIC_VERSION   0x15
#define IOAPIC_VERSION  0x20
#define ISA_BUS         0
#define ISA_IRQS        16
#define IRQ_CASCADE     2 // the second 8259; as an input, the first timer's
#define ALL_LOCAL_APICS 0xff

struct mp_writer {
    struct guest_memory *m;
    u64 gpa;
    u16 entries;
    enum error error;
};

static void put(struct mp_writer *w, const void *entry, u64 size)
{
    if (w->error == OK)
        w->error = guest_write(w->m, GPA(w->gpa), entry, size);
    w->gpa += size;
    w->entries++;
}

static void put_processors(struct mp_writer *w, const struct firmware_config *c)
{
    for (unsigned i = 0; i < c->vcpus; i++) {
        struct mp_processor p = {
            .type = MP_PROCESSOR,
            .apic_id = (u8)i,
            .apic_version = LAPIC_VERSION,
            .flags = (u8)(PROCESSOR_ENABLED | (i == 0 ? PROCESSOR_BOOT : 0)),
            .signature = c->cpu_signature,
            .features = c->cpu_features,
        };
        put(w, &p, sizeof(p));
    }
}

static void put_interrupts(struct mp_writer *w)
{
    for (u8 irq = 0; irq < ISA_IRQS; irq++) {
        struct mp_interrupt i = {
            .type = MP_IO_INTERRUPT,
            .kind = KIND_INT,
            .flags = irq == ACPI_SCI ? LEVEL_HIGH : 0, // 0: as the bus has it
            .bus = ISA_BUS,
            .irq = irq,
            .pin = irq == 0 ? IRQ_CASCADE : irq,
        };
        if (irq != IRQ_CASCADE)
            put(w, &i, sizeof(i));
    }
    struct mp_interrupt extint = {MP_LOCAL_INTERRUPT, KIND_EXTINT, 0, ISA_BUS, 0, 0, 0};
    struct mp_interrupt nmi = {MP_LOCAL_INTERRUPT, KIND_NMI, 0, ISA_BUS, 0, ALL_LOCAL_APICS, 1};
    put(w, &extint, sizeof(extint));
    put(w, &nmi, sizeof(nmi));
}

static enum error build_mp(const struct firmware_config *c, struct guest_memory *m)
{
    struct mp_writer w = {.m = m, .gpa = MP_TABLE + sizeof(struct mp_header)};
    put_processors(&w, c);
    struct mp_bus isa = {MP_BUS, ISA_BUS, {'I', 'S', 'A', ' ', ' ', ' '}};
    struct mp_ioapic ioapic = {MP_IOAPIC, 0, IOAPIC_VERSION, 1, IOAPIC_BASE};
    put(&w, &isa, sizeof(isa));
    put(&w, &ioapic, sizeof(ioapic));
    put_interrupts(&w);

    u64 length = w.gpa - MP_TABLE;
    struct mp_header h = {
        .length = (u16)length, .revision = 4, .entries = w.entries, .local_apic = APIC_BASE_RESET};
    memcpy(h.signature, "PCMP", 4);
    memcpy(h.oem_id, "VITRINE ", 8);
    memcpy(h.product_id, "GUEST       ", 12);
    const u8 *table = guest_ptr(m, GPA(MP_TABLE), length);
    if (w.error != OK || table == NULL)
        return ERR_FAULT;
    // Of both parts together: the entries stand, the header is still to come.
    h.checksum =
        (u8)(table_checksum(&h, sizeof(h)) + table_checksum(table + sizeof(h), length - sizeof(h)));
    struct mp_floating f = {.table = MP_TABLE, .length = 1, .revision = 4};
    memcpy(f.signature, "_MP_", 4);
    f.checksum = table_checksum(&f, sizeof(f));
    enum error e = guest_write(m, GPA(MP_TABLE), &h, sizeof(h));
    return e == OK ? guest_write(m, GPA(MP_FLOATING), &f, sizeof(f)) : e;
}

enum error firmware_build(const struct firmware_config *c, struct guest_memory *m)
{
    if (c->vcpus == 0 || c->vcpus > 255)
        return ERR_INVALID;
    enum error e = build_vectors(m);
    if (e == OK)
        e = build_bda(c, m);
    return e == OK ? build_mp(c, m) : e;
}
