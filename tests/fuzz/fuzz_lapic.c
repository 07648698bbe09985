// SPDX-License-Identifier: MIT
// libFuzzer: a guest and its surroundings do whatever they like to two local APICs of one VM.
// The first bytes choose the configuration, then each record of 10 bytes is one action. Checked
// besides the sanitizers: the invariants that the rest of the appliance relies on.
// clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc tests/fuzz/fuzz_lapic.c src/vcpu/lapic*.c
#include "vcpu/lapic.h"

#include "x86/bits.h"
#include "x86/msr_numbers.h"
#include <stdlib.h>
#include <string.h>

static _Alignas(4096) u32 pages[2][1024];
static struct posted_interrupt_descriptor pids[2];
static struct lapic apics[2];
static struct lapic *const all[2] = {&apics[0], &apics[1]};
static u32 turn, depth;

#define CHECK(c)     \
    do {             \
        if (!(c))    \
            abort(); \
    } while (0)

static void on_send(void *ctx, const struct lapic_message *m)
{
    (void)ctx;
    CHECK(m->mode != LAPIC_FIXED || m->vector >= 16);
    if (m->mode == LAPIC_LOWEST_PRIORITY) {
        struct lapic *l = lapic_arbitrate(all, 2, m, &turn);
        if (l)
            CHECK(lapic_post(l, m->vector, m->level) != LAPIC_DROPPED);
        return;
    }
    for (u32 i = 0; i < 2; i++)
        if (lapic_addressed(all[i], m))
            lapic_deliver(all[i], m->mode, m->vector, m->level);
}

static void on_eoi(void *ctx, u8 vector)
{
    CHECK(vector >= 16);
    // A line that is still asserted: the same interrupt again, from within the callback.
    if (vector & 1 && ++depth < 64)
        lapic_deliver(ctx, LAPIC_FIXED, vector, true);
}

static void on_init(void *ctx)
{
    lapic_reset(ctx, true);
}

static const struct lapic_ops ops = {.send = on_send, .eoi = on_eoi, .init = on_init};

static void check(struct lapic *l, u64 now)
{
    u8 vector = 0;
    u64 bitmap[4];
    lapic_eoi_exit_bitmap(l, bitmap);
    for (u32 i = 0; i < 4; i++) // TMR and its copy
        CHECK(bitmap[i] ==
              (l->regs[APIC_TMR / 4 + i * 8] | (u64)l->regs[APIC_TMR / 4 + i * 8 + 4] << 32));
    CHECK((l->regs[APIC_IRR / 4] & 0xffff) == 0 && (l->regs[APIC_ISR / 4] & 0xffff) == 0);
    if (lapic_deliverable(l, &vector))
        CHECK(vector >= 16 && vector == lapic_highest_irr(l));
    CHECK(lapic_tpr_threshold(l) <= 15 && lapic_cr8(l) <= 15);
    CHECK(lapic_deadline(l) > now || lapic_expire(l, now) || lapic_deadline(l) == UINT64_MAX);
    if (lapic_mode(l) == LAPIC_DISABLED)
        CHECK(lapic_post(l, 0x40, false) == LAPIC_DROPPED);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    if (size < 4)
        return 0;
    memset(pids, 0, sizeof(pids));
    for (u32 i = 0; i < 2; i++) {
        struct lapic_config config = {
            .apic_id = data[0] + (i ? 1u + data[1] : 0u),
            .bsp = i == 0,
            .x2apic = data[2] & 1,
            .tsc_deadline = data[2] & 2,
            .eoi_suppression = data[2] & 4,
            .phys_bits = (u8)(32 + data[3] % 21),
            .tsc_hz = 1000000000,
            .timer_hz = data[2] & 8 ? 25000000u + data[3] : 0,
        };
        lapic_init(&apics[i], pages[i], &pids[i], &config, &ops, &apics[i]);
    }
    u64 now = 0;
    for (data += 4, size -= 4; size >= 10; data += 10, size -= 10) {
        struct lapic *l = &apics[data[0] >> 7];
        u64 value;
        u8 v = data[2];
        memcpy(&value, data + 2, 8);
        u32 offset = data[1] * 16u;
        depth = 0;
        switch (data[0] & 0xf) {
        case 0:
            lapic_mmio_write(l, offset, 1u << (data[0] >> 4 & 3), value, now);
            break;
        case 1:
            lapic_mmio_read(l, offset + (v & 0xf), 1u << (data[0] >> 4 & 3), now);
            break;
        case 2:
            CHECK(lapic_msr_write(l, 0x800 + data[1], value, now) != LAPIC_NOT_MINE);
            break;
        case 3:
            CHECK(lapic_msr_read(l, 0x800 + data[1], &value, now) != LAPIC_NOT_MINE);
            break;
        case 4: // APIC-write exit: only after a write that the processor virtualizes (30.4.3.2)
            if (offset < 0x400 && lapic_mode(l) != LAPIC_DISABLED && offset != APIC_VERSION &&
                offset != APIC_CURRENT_COUNT && (offset < APIC_ISR || offset >= APIC_ESR)) {
                l->regs[offset / 4] = (u32)value;
                lapic_apic_write_done(l, offset, now);
            }
            break;
        case 5:
            if (lapic_msr_write(l, MSR_IA32_APIC_BASE, value, now) == LAPIC_OK)
                CHECK((value & APIC_BASE_EN) || lapic_mode(l) == LAPIC_DISABLED);
            break;
        case 6: // modes that work
            if (lapic_msr_write(l, MSR_IA32_APIC_BASE, 0xfee00000 | (value & 0xd00), now) ==
                LAPIC_GP)
                lapic_mmio_write(l, APIC_SVR, 4, 0x1ff, now);
            break;
        case 7:
            (void)!lapic_msr_write(l, MSR_IA32_TSC_DEADLINE, value & 1 ? value : now + v, now);
            break;
        case 8:
            if (lapic_post(l, v, value >> 8 & 1) == LAPIC_DROPPED)
                CHECK(!(l->address & LAPIC_ADDRESS_ENABLED));
            break;
        case 9:
            lapic_deliver(l, (enum lapic_delivery)(data[1] & 7), v, value >> 8 & 1);
            break;
        case 10:
            lapic_lint(l, data[1], v & 1);
            lapic_nmi(l);
            lapic_local_event(l, (enum lapic_register)offset);
            break;
        case 11:
            lapic_eoi(l);
            lapic_eoi_induced(l, v);
            break;
        case 12:
            lapic_sync(l);
            if (lapic_deliverable(l, &v))
                lapic_accept(l, v);
            break;
        case 13: {
            u64 after = value & 1 ? value : now / 2;
            lapic_tsc_written(&apics[0], now, after);
            lapic_tsc_written(&apics[1], now, after);
            now = after;
            break;
        }
        case 14:
            lapic_set_cr8(l, v & 0xf);
            lapic_set_virtual_delivery(l, v & 0x10);
            break;
        default:
            now = now + value < now ? UINT64_MAX - 1 : now + (v & 1 ? value : v);
            lapic_expire(l, now);
            break;
        }
        check(&apics[0], now);
        check(&apics[1], now);
    }
    return 0;
}
