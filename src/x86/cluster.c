// SPDX-License-Identifier: MIT
#include "x86/cluster.h"

#include "x86/alu.h"
#include "x86/registers.h"

static bool is_plain(const struct instruction *i)
{
    return i->encoding == ENCODING_LEGACY && i->map == MAP_ONE_BYTE && !i->lock && i->repeat == 0;
}

// A driver's address: in a register, perhaps with a displacement.
static bool is_simple_address(const struct instruction *i)
{
    const struct memory_operand *m = &i->memory;
    return i->has_memory && i->address_size == 8 && m->segment < SEG_FS && m->base != NO_REGISTER &&
           m->index == NO_REGISTER && !m->rip_based;
}

static bool is_mov(const struct instruction *i)
{
    return is_plain(i) && is_simple_address(i) && i->operand_size == 4 && i->reg != RSP &&
           (i->opcode == 0x89 || i->opcode == 0x8b);
}

static bool is_store(const struct instruction *i)
{
    return is_plain(i) && is_simple_address(i) &&
           ((i->opcode & 0xfe) == 0x88 || ((i->opcode & 0xfe) == 0xc6 && (i->modrm >> 3 & 7) == 0));
}

static bool is_in(const struct instruction *i)
{
    return is_plain(i) && (i->opcode & 0xf6) == 0xe4;
}

static bool is_out(const struct instruction *i)
{
    return is_plain(i) && (i->opcode & 0xf6) == 0xe6;
}

static bool find_step(const struct instruction *i, struct cluster_step *s)
{
    if (!is_plain(i) || i->operand_size != 4)
        return false;
    *s = (struct cluster_step){.reg = i->rm, .from = i->rm, .value = (i32)i->immediate};
    if ((i->opcode & 0xf8) == 0xb8) { // MOV of an immediate
        s->kind = CLUSTER_SET;
        s->reg = s->from = i->reg;
    } else if (i->opcode == 0xc7 && !i->has_memory && (i->modrm >> 3 & 7) == 0) {
        s->kind = CLUSTER_SET;
    } else if (i->opcode == 0x8d && is_simple_address(i)) {
        s->kind = CLUSTER_LEA;
        s->reg = i->reg;
        s->from = i->memory.base;
        s->value = (i32)i->memory.displacement;
    } else if (i->opcode == 0x31 && !i->has_memory) {
        s->kind = CLUSTER_XOR;
        s->from = i->reg;
    } else if (i->opcode == 0x33 && !i->has_memory) {
        s->kind = CLUSTER_XOR;
        s->reg = i->reg;
    } else if ((i->opcode == 0x81 || i->opcode == 0x83) && !i->has_memory &&
               (i->modrm >> 3 & 7) == ALU_AND) {
        s->kind = CLUSTER_AND;
    } else {
        return false;
    }
    return s->reg != RSP && s->from != RSP;
}

// The access that is to end it.
static bool find_access(const struct instruction *first, const struct instruction *i,
                        struct cluster *c)
{
    if (is_out(first)) {
        c->access = CLUSTER_IN;
        c->size = i->operand_size;
        c->where = i->opcode & 8 ? -1 : (u8)i->immediate;
        return is_in(i);
    }
    i64 distance = i->memory.displacement - first->memory.displacement;
    if (!is_mov(i) || i->memory.base != first->memory.base || distance <= -(i64)PAGE_SIZE ||
        distance >= (i64)PAGE_SIZE)
        return false;
    for (unsigned n = 0; n < c->steps; n++)
        if (c->step[n].reg == i->memory.base)
            return false;
    c->access = i->opcode == 0x8b ? CLUSTER_LOAD : CLUSTER_STORE;
    c->reg = i->reg;
    c->size = 4;
    c->where = (i32)distance;
    return true;
}

void cluster_find(const struct instruction *first, const u8 *code, unsigned available,
                  struct cluster *c)
{
    unsigned at = 0;
    struct instruction i;
    *c = (struct cluster){.access = CLUSTER_NONE};
    if (first->code_size != CODE_64 || !(is_out(first) || is_store(first)))
        return;
    while (decode(code + at, available - at, CODE_64, &i) == OK) {
        c->before = (u8)at;
        at += i.length;
        c->length = (u8)at;
        if (find_access(first, &i, c))
            return;
        if (c->steps == CLUSTER_STEPS || !find_step(&i, &c->step[c->steps]))
            break;
        c->steps++;
    }
    *c = (struct cluster){.access = CLUSTER_NONE};
}

void cluster_steps(const struct cluster *c, u64 gpr[GPR_COUNT], u64 *rflags)
{
    for (unsigned n = 0; n < c->steps; n++) {
        const struct cluster_step *s = &c->step[n];
        u64 value = (u32)s->value;
        if (s->kind == CLUSTER_LEA)
            value = (u32)(gpr[s->from] + value);
        else if (s->kind == CLUSTER_XOR)
            value = alu(ALU_XOR, 4, gpr[s->reg], gpr[s->from], rflags);
        else if (s->kind == CLUSTER_AND)
            value = alu(ALU_AND, 4, gpr[s->reg], value, rflags);
        gpr[s->reg] = value;
    }
}
