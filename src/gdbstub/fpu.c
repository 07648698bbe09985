// SPDX-License-Identifier: MIT
#include "gdbstub/fpu.h"

#include "lib/string.h"

// Offsets in bytes (SDM Vol. 1, 10.5.1, 13.4.1 and 13.4.2; AVX's is fixed on all CPUs there are).
#define AT_FCW       0
#define AT_FSW       2
#define AT_FTW       4 // abridged: a bit for each physical register that is not empty
#define AT_FOP       6
#define AT_FIP       8
#define AT_FCS       12
#define AT_FDP       16
#define AT_FDS       20
#define AT_MXCSR     24
#define AT_ST        32
#define AT_XMM       160
#define AT_XSTATE_BV 512
#define AT_YMMH      576

#define STATE_X87 BIT(0)
#define STATE_SSE BIT(1)
#define STATE_AVX BIT(2)

#define FCW_INITIAL 0x37f

enum { FCTRL, FSTAT, FTAG, FISEG, FIOFF, FOSEG, FOOFF, FOP };

static u32 get(const u8 *area, unsigned at, unsigned n)
{
    u32 v = 0;
    memcpy(&v, area + at, n);
    return v;
}

static void set(u8 *area, unsigned at, unsigned n, u32 v)
{
    memcpy(area + at, &v, n);
}

static u64 components(const u8 *area)
{
    u64 v;
    memcpy(&v, area + AT_XSTATE_BV, sizeof(v));
    return v;
}

// Gives a component that is in its initial state these values in memory, so that one of them can
// change.
static void leave_initial(u8 *area, u64 component)
{
    u64 bv = components(area);

    if ((bv & component) != 0)
        return;
    if (component == STATE_X87) {
        memset(area, 0, AT_MXCSR);
        memset(area + AT_ST, 0, AT_XMM - AT_ST);
        set(area, AT_FCW, 2, FCW_INITIAL);
    } else {
        memset(area + (component == STATE_SSE ? AT_XMM : AT_YMMH), 0, 256);
    }
    bv |= component;
    memcpy(area + AT_XSTATE_BV, &bv, sizeof(bv));
}

// The tag of a register that is not empty: 0 valid, 1 zero, 2 special (SDM Vol. 1, 8.1.7).
static unsigned tag_of(const u8 *st)
{
    u64 mantissa;
    u16 exponent;

    memcpy(&mantissa, st, 8);
    memcpy(&exponent, st + 8, 2);
    exponent &= 0x7fff;
    if (exponent == 0)
        return mantissa == 0 ? 1 : 2;
    if (exponent == 0x7fff)
        return 2;
    return (mantissa & BIT(63)) != 0 ? 0 : 2;
}

// The tag word with two bits for each physical register, from the abridged one.
static u32 full_tags(const u8 *area)
{
    unsigned top = get(area, AT_FSW, 2) >> 11 & 7;
    u32 abridged = area[AT_FTW], tags = 0;

    for (unsigned i = 0; i < 8; i++) {
        const u8 *st = area + AT_ST + 16 * ((i - top) & 7);
        unsigned tag = (abridged & BIT(i)) != 0 ? tag_of(st) : 3;
        tags |= tag << (2 * i);
    }
    return tags;
}

static u8 abridged_tags(u32 tags)
{
    u8 abridged = 0;

    for (unsigned i = 0; i < 8; i++) {
        if ((tags >> (2 * i) & 3) != 3)
            abridged |= (u8)BIT(i);
    }
    return abridged;
}

static u32 read_control(const u8 *area, unsigned index)
{
    if ((components(area) & STATE_X87) == 0)
        return index == FCTRL ? FCW_INITIAL : index == FTAG ? 0xffff : 0;
    switch (index) {
    case FCTRL:
        return get(area, AT_FCW, 2);
    case FSTAT:
        return get(area, AT_FSW, 2);
    case FTAG:
        return full_tags(area);
    case FISEG:
        return get(area, AT_FCS, 2);
    case FIOFF:
        return get(area, AT_FIP, 4);
    case FOSEG:
        return get(area, AT_FDS, 2);
    case FOOFF:
        return get(area, AT_FDP, 4);
    default:
        return get(area, AT_FOP, 2);
    }
}

static void write_control(u8 *area, unsigned index, u32 value)
{
    leave_initial(area, STATE_X87);
    switch (index) {
    case FCTRL:
        set(area, AT_FCW, 2, value);
        break;
    case FSTAT:
        set(area, AT_FSW, 2, value);
        break;
    case FTAG:
        area[AT_FTW] = abridged_tags(value);
        break;
    case FISEG:
        set(area, AT_FCS, 2, value);
        break;
    case FIOFF:
        set(area, AT_FIP, 4, value);
        break;
    case FOSEG:
        set(area, AT_FDS, 2, value);
        break;
    case FOOFF:
        set(area, AT_FDP, 4, value);
        break;
    default:
        set(area, AT_FOP, 2, value);
    }
}

static void read_vector(const u8 *area, u64 component, unsigned at, unsigned n, u8 *out)
{
    if ((components(area) & component) != 0)
        memcpy(out, area + at, n);
    else
        memset(out, 0, n);
}

static void write_vector(u8 *area, u64 component, unsigned at, unsigned n, const u8 *in)
{
    leave_initial(area, component);
    memcpy(area + at, in, n);
}

void fpu_read(const u8 *area, enum fpu_register kind, unsigned index, u8 *out)
{
    u32 v;

    switch (kind) {
    case FPU_ST:
        read_vector(area, STATE_X87, AT_ST + 16 * index, 10, out);
        break;
    case FPU_CONTROL:
        v = read_control(area, index);
        memcpy(out, &v, sizeof(v));
        break;
    case FPU_XMM:
        read_vector(area, STATE_SSE, AT_XMM + 16 * index, 16, out);
        break;
    case FPU_MXCSR:
        // In the area whatever XSTATE_BV says (SDM Vol. 1, 13.7).
        memcpy(out, area + AT_MXCSR, 4);
        break;
    case FPU_YMMH:
        read_vector(area, STATE_AVX, AT_YMMH + 16 * index, 16, out);
        break;
    }
}

enum error fpu_write(u8 *area, enum fpu_register kind, unsigned index, const u8 *in,
                     struct text *why)
{
    u32 v;

    memcpy(&v, in, sizeof(v));
    switch (kind) {
    case FPU_ST:
        write_vector(area, STATE_X87, AT_ST + 16 * index, 10, in);
        break;
    case FPU_CONTROL:
        if (index != FIOFF && index != FOOFF && v > 0xffff)
            return explain(why, ERR_INVALID, "must fit into 16 bits");
        if (index == FOP && v > 0x7ff)
            return explain(why, ERR_INVALID, "must fit into 11 bits");
        write_control(area, index, v);
        break;
    case FPU_XMM:
        write_vector(area, STATE_SSE, AT_XMM + 16 * index, 16, in);
        break;
    case FPU_MXCSR:
        if (v > 0xffff) // loading them is a #GP
            return explain(why, ERR_INVALID, "reserved bits must be clear");
        leave_initial(area, STATE_SSE);
        memcpy(area + AT_MXCSR, in, 4);
        break;
    case FPU_YMMH:
        write_vector(area, STATE_AVX, AT_YMMH + 16 * index, 16, in);
        break;
    }
    return OK;
}
