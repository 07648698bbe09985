// SPDX-License-Identifier: MIT
#include "boot/cfi.h"

#include "lib/string.h"

// Call frame instructions: two bits with an operand in the other six, or, these being 0, the byte.
enum {
    OP_ADVANCE = 1,
    OP_OFFSET = 2,
    OP_RESTORE = 3,

    OP_NOP = 0x00,
    OP_ADVANCE_1 = 0x02, // and a number of 1, 2, 4 bytes
    OP_ADVANCE_2 = 0x03,
    OP_ADVANCE_4 = 0x04,
    OP_UNDEFINED = 0x07,
    OP_SAME_VALUE = 0x08,
    OP_REMEMBER_STATE = 0x0a,
    OP_RESTORE_STATE = 0x0b,
    OP_DEF_CFA = 0x0c,
    OP_DEF_CFA_REGISTER = 0x0d,
    OP_DEF_CFA_OFFSET = 0x0e,
};

#define POINTER_PCREL_SDATA4 0x1b // a signed 32-bit distance from the place where it stands
#define AUGMENTATION_MAX     8    // letters; "zRS" is the longest that is known here
#define REMEMBERED_MAX       4    // states at a time; compilers remember one

// Bytes that are read from the front. One read too many gives 0 and says so.
struct bytes {
    const u8 *at, *end;
    bool damaged;
};

// What is common to some entries.
struct cie {
    u64 code_factor, data_factor;
    bool interrupted;
    struct bytes program;
};

// Code of `length` bytes from address `start`.
struct fde {
    u64 start, length;
    struct bytes program;
};

static struct bytes take(struct bytes *b, u64 n)
{
    struct bytes taken = {b->at, b->at, true};
    if (n > (u64)(b->end - b->at)) {
        b->damaged = true;
        b->at = b->end;
        return taken;
    }
    b->at += n;
    return (struct bytes){taken.at, b->at, false};
}

// Little-endian, of up to 4 bytes.
static inline u32 number(struct bytes *b, size_t size)
{
    struct bytes taken = take(b, size);
    u32 value = 0;
    if (!taken.damaged)
        memcpy(&value, taken.at, size);
    return value;
}

// LEB128: seven bits a byte, the lowest first, in all but the last with the eighth set.
static u64 leb128(struct bytes *b, bool is_signed)
{
    u64 value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        u64 bits = number(b, 1);
        value |= (bits & 0x7f) << shift;
        if ((bits & 0x80) == 0) {
            if (is_signed && (bits & 0x40) && shift + 7 < 64)
                value |= ~0ul << (shift + 7);
            return value;
        }
    }
    b->damaged = true; // no number of 64 bits is so long
    return 0;
}

static u64 uleb128(struct bytes *b)
{
    return leb128(b, false);
}

// The record at *b, behind its length; *b goes on behind the record. One of no length ends them
// all.
static bool next_record(struct bytes *b, struct bytes *record)
{
    u64 length = b->at < b->end ? number(b, 4) : 0;
    if (b->damaged || length == 0)
        return false;
    *record = take(b, length); // 0xffffffff, which 64-bit lengths begin with, is too much as well
    return !record->damaged;
}

// b: a CIE's record behind its ID, which is 0.
static enum cfi_status read_cie(struct bytes b, struct cie *cie)
{
    char letters[AUGMENTATION_MAX + 1] = {0};
    u32 version = number(&b, 1);
    unsigned count = 0;
    while (count < AUGMENTATION_MAX && (letters[count] = (char)number(&b, 1)) != '\0')
        count++;
    cie->interrupted = strcmp(letters, "zRS") == 0;
    if (!b.damaged && (version != 1 || (!cie->interrupted && strcmp(letters, "zR") != 0)))
        return CFI_UNKNOWN;
    cie->code_factor = uleb128(&b);
    cie->data_factor = leb128(&b, true);
    u32 return_address = number(&b, 1);
    struct bytes augmentation = take(&b, uleb128(&b));
    u32 pointers = number(&augmentation, 1);
    cie->program = b;
    if (b.damaged || augmentation.damaged)
        return CFI_DAMAGED;
    return return_address == CFI_RIP && pointers == POINTER_PCREL_SDATA4 ? CFI_FOUND : CFI_UNKNOWN;
}

// b: an FDE's record behind the pointer to its CIE. CFI_NO_ENTRY: it is about other code than that
// at rip.
static enum cfi_status read_fde(const struct cfi_section *s, struct bytes b, u64 rip,
                                struct fde *fde)
{
    u64 here = s->address + (u64)(b.at - s->data);
    fde->start = here + (u64)(i32)number(&b, 4);
    fde->length = number(&b, 4);
    if (!b.damaged && rip - fde->start >= fde->length)
        return CFI_NO_ENTRY;
    take(&b, uleb128(&b)); // the augmentation, of which read_cie() knows none here
    fde->program = b;
    return b.damaged ? CFI_DAMAGED : CFI_FOUND;
}

// The entry about the code at rip. Entries that cannot be read are about other code, if it is
// found.
static enum cfi_status find(const struct cfi_section *s, u64 rip, struct cie *cie, struct fde *fde)
{
    struct bytes rest = {s->data, s->data + s->size, false}, record;
    enum cfi_status result = CFI_NO_ENTRY, cie_status = CFI_FOUND;
    const u8 *cie_at = NULL;
    while (next_record(&rest, &record)) {
        const u8 *id_at = record.at;
        u64 back = number(&record, 4), from_start = (u64)(id_at - s->data);
        if (!record.damaged && back == 0)
            continue;
        enum cfi_status status = CFI_DAMAGED;
        if (!record.damaged && back <= from_start) {
            if (id_at - back != cie_at) {
                cie_at = id_at - back;
                struct bytes from = {cie_at, s->data + s->size, false}, found;
                bool is_cie = next_record(&from, &found) && number(&found, 4) == 0;
                cie_status = is_cie ? read_cie(found, cie) : CFI_DAMAGED;
            }
            status = cie_status == CFI_FOUND ? read_fde(s, record, rip, fde) : cie_status;
        }
        if (status == CFI_FOUND)
            return CFI_FOUND;
        if (status != CFI_NO_ENTRY)
            result = status;
    }
    return rest.damaged ? CFI_DAMAGED : result;
}

// What executes a program: the row so far, what it was behind the CIE's instructions, and what is
// remembered.
struct machine {
    const struct cie *cie;
    u64 place, wanted; // bytes into the code
    struct cfi_row row, initial, remembered[REMEMBERED_MAX];
    unsigned depth;
};

// The 32 bits that a row has for an offset.
static enum cfi_status set_offset(i32 *offset, i64 value)
{
    *offset = (i32)value;
    return *offset == value ? CFI_FOUND : CFI_UNKNOWN;
}

static enum cfi_status set_cfa_register(struct cfi_row *row, u64 n)
{
    row->cfa_register = (u8)n;
    return n < CFI_REGISTERS ? CFI_FOUND : CFI_UNKNOWN;
}

static enum cfi_status set_rule(struct machine *m, u64 n, enum cfi_rule rule)
{
    if (n >= CFI_REGISTERS)
        return CFI_UNKNOWN;
    m->row.registers[n].rule = rule;
    return CFI_FOUND;
}

// An instruction with an operand in its six bits.
static enum cfi_status run_short(struct machine *m, unsigned op, u64 operand, struct bytes *b)
{
    if (op == OP_ADVANCE) {
        m->place += operand * m->cie->code_factor;
        return CFI_FOUND;
    }
    enum cfi_status status = set_rule(m, operand, CFI_AT);
    if (status != CFI_FOUND)
        return status;
    if (op == OP_OFFSET)
        return set_offset(&m->row.registers[operand].offset,
                          (i64)(uleb128(b) * m->cie->data_factor));
    m->row.registers[operand] = m->initial.registers[operand]; // OP_RESTORE
    return CFI_FOUND;
}

static enum cfi_status run_state(struct machine *m, unsigned op)
{
    bool remember = op == OP_REMEMBER_STATE;
    if (remember ? m->depth == REMEMBERED_MAX : m->depth == 0)
        return CFI_UNKNOWN;
    if (remember)
        m->remembered[m->depth++] = m->row;
    else
        m->row = m->remembered[--m->depth];
    return CFI_FOUND;
}

static enum cfi_status run_byte(struct machine *m, unsigned op, struct bytes *b)
{
    struct cfi_row *row = &m->row;
    enum cfi_status status;
    switch (op) {
    case OP_NOP:
        return CFI_FOUND;
    case OP_ADVANCE_1:
    case OP_ADVANCE_2:
    case OP_ADVANCE_4:
        m->place += number(b, 1ul << (op - OP_ADVANCE_1)) * m->cie->code_factor;
        return CFI_FOUND;
    case OP_UNDEFINED:
        return set_rule(m, uleb128(b), CFI_UNDEFINED);
    case OP_SAME_VALUE:
        return set_rule(m, uleb128(b), CFI_SAME);
    case OP_REMEMBER_STATE:
    case OP_RESTORE_STATE:
        return run_state(m, op);
    case OP_DEF_CFA:
        status = set_cfa_register(row, uleb128(b));
        return status == CFI_FOUND ? set_offset(&row->cfa_offset, (i64)uleb128(b)) : status;
    case OP_DEF_CFA_REGISTER:
        return set_cfa_register(row, uleb128(b));
    case OP_DEF_CFA_OFFSET:
        return set_offset(&row->cfa_offset, (i64)uleb128(b));
    default:
        return CFI_UNKNOWN;
    }
}

// Executes b up to where it goes beyond the place that is wanted.
static enum cfi_status run(struct machine *m, struct bytes b)
{
    enum cfi_status status = CFI_FOUND;
    while (b.at < b.end && status == CFI_FOUND) {
        unsigned code = number(&b, 1), op = code >> 6;
        status = op == 0 ? run_byte(m, code, &b) : run_short(m, op, code & 0x3f, &b);
        if (b.damaged)
            return CFI_DAMAGED;
        if (m->place > m->wanted)
            break;
    }
    return status;
}

enum cfi_status cfi_find(const struct cfi_section *s, u64 rip, struct cfi_row *row)
{
    struct cie cie;
    struct fde fde;
    enum cfi_status status = find(s, rip, &cie, &fde);
    if (status != CFI_FOUND)
        return status;
    struct machine m = {.cie = &cie, .wanted = rip - fde.start};
    status = run(&m, cie.program);
    m.initial = m.row;
    if (status == CFI_FOUND)
        status = run(&m, fde.program);
    m.row.interrupted = cie.interrupted;
    if (status == CFI_FOUND)
        *row = m.row;
    return status;
}
