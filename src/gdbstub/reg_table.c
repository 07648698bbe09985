// SPDX-License-Identifier: MIT
#include "gdbstub/reg_table.h"

#include "lib/string.h"

#define AT(member) offsetof(struct vcpu_regs, member)

#define ONE(feature, name, bytes, kind, where, type)      \
    {                                                     \
        name, type, where, "", 0, 1, bytes, feature, kind \
    }
#define MANY(feature, name, suffix, first, count, bytes, kind, where, type) \
    {                                                                       \
        name, type, where, suffix, first, count, bytes, feature, kind       \
    }
#define GPR(name, bytes, number, type) ONE(CORE, name, bytes, FIELD, AT(gpr[number]), type)
#define SEGMENT(name, number)          ONE(CORE, name, 4, SELECTOR, number, NULL)
#define SYSTEM_REG(name, member)       ONE(SYSTEM, name, 8, FIELD, AT(member), "uint64")

// The parts that both layouts have.
#define SEGMENTS_X87                                                                            \
    SEGMENT("cs", SEG_CS), SEGMENT("ss", SEG_SS), SEGMENT("ds", SEG_DS), SEGMENT("es", SEG_ES), \
        SEGMENT("fs", SEG_FS), SEGMENT("gs", SEG_GS),                                           \
        MANY(CORE, "st", "", 0, 8, 10, VECTOR, FPU_ST, "i387_ext"),                             \
        ONE(CORE, "fctrl", 4, VECTOR, FPU_CONTROL, NULL),                                       \
        ONE(CORE, "fstat", 4, VECTOR, FPU_CONTROL, NULL),                                       \
        ONE(CORE, "ftag", 4, VECTOR, FPU_CONTROL, NULL),                                        \
        ONE(CORE, "fiseg", 4, VECTOR, FPU_CONTROL, NULL),                                       \
        ONE(CORE, "fioff", 4, VECTOR, FPU_CONTROL, NULL),                                       \
        ONE(CORE, "foseg", 4, VECTOR, FPU_CONTROL, NULL),                                       \
        ONE(CORE, "fooff", 4, VECTOR, FPU_CONTROL, NULL),                                       \
        ONE(CORE, "fop", 4, VECTOR, FPU_CONTROL, NULL)

#define SYSTEM_REGS                                                                                \
    SYSTEM_REG("es_base", seg[SEG_ES].base), SYSTEM_REG("cs_base", seg[SEG_CS].base),              \
        SYSTEM_REG("ss_base", seg[SEG_SS].base), SYSTEM_REG("ds_base", seg[SEG_DS].base),          \
        SYSTEM_REG("k_gs_base", kernel_gs_base), ONE(SYSTEM, "ldtr", 4, SELECTOR, SEG_LDTR, NULL), \
        SYSTEM_REG("ldtr_base", seg[SEG_LDTR].base), ONE(SYSTEM, "tr", 4, SELECTOR, SEG_TR, NULL), \
        SYSTEM_REG("tr_base", seg[SEG_TR].base), SYSTEM_REG("gdtr_base", gdtr.base),               \
        ONE(SYSTEM, "gdtr_limit", 4, FIELD32, AT(gdtr.limit), NULL),                               \
        SYSTEM_REG("idtr_base", idtr.base),                                                        \
        ONE(SYSTEM, "idtr_limit", 4, FIELD32, AT(idtr.limit), NULL), SYSTEM_REG("cr0", cr0),       \
        SYSTEM_REG("cr2", cr2), SYSTEM_REG("cr3", cr3), SYSTEM_REG("cr4", cr4),                    \
        SYSTEM_REG("cr8", cr8), SYSTEM_REG("efer", efer), SYSTEM_REG("xcr0", xcr0),                \
        MANY(SYSTEM, "dr", "", 0, 4, 8, FIELD, AT(dr), "uint64"), SYSTEM_REG("dr6", dr6),          \
        SYSTEM_REG("dr7", dr7)

// The order is the numbering: gdb counts registers as the description names them. AVX is last,
// since not every VM has it.
static const struct reg_entry amd64[] = {
    GPR("rax", 8, RAX, NULL),
    GPR("rbx", 8, RBX, NULL),
    GPR("rcx", 8, RCX, NULL),
    GPR("rdx", 8, RDX, NULL),
    GPR("rsi", 8, RSI, NULL),
    GPR("rdi", 8, RDI, NULL),
    GPR("rbp", 8, RBP, "data_ptr"),
    GPR("rsp", 8, RSP, "data_ptr"),
    MANY(CORE, "r", "", 8, 8, 8, FIELD, AT(gpr[R8]), NULL),
    ONE(CORE, "rip", 8, FIELD, AT(rip), "code_ptr"),
    ONE(CORE, "eflags", 4, FIELD, AT(rflags), "i386_eflags"),
    SEGMENTS_X87,
    MANY(SSE, "xmm", "", 0, 16, 16, VECTOR, FPU_XMM, "vec128"),
    ONE(SSE, "mxcsr", 4, VECTOR, FPU_MXCSR, NULL),
    ONE(SEGMENTS, "fs_base", 8, FIELD, AT(seg[SEG_FS].base), NULL),
    ONE(SEGMENTS, "gs_base", 8, FIELD, AT(seg[SEG_GS].base), NULL),
    SYSTEM_REGS,
    MANY(AVX, "ymm", "h", 0, 16, 16, VECTOR, FPU_YMMH, "uint128"),
    {.name = NULL},
};

// gdb gives an i386 no segment bases of its own, so they stand with the system registers.
static const struct reg_entry i386[] = {
    GPR("eax", 4, RAX, NULL),
    GPR("ecx", 4, RCX, NULL),
    GPR("edx", 4, RDX, NULL),
    GPR("ebx", 4, RBX, NULL),
    GPR("esp", 4, RSP, "data_ptr"),
    GPR("ebp", 4, RBP, "data_ptr"),
    GPR("esi", 4, RSI, NULL),
    GPR("edi", 4, RDI, NULL),
    ONE(CORE, "eip", 4, FIELD, AT(rip), "code_ptr"),
    ONE(CORE, "eflags", 4, FIELD, AT(rflags), "i386_eflags"),
    SEGMENTS_X87,
    MANY(SSE, "xmm", "", 0, 8, 16, VECTOR, FPU_XMM, "vec128"),
    ONE(SSE, "mxcsr", 4, VECTOR, FPU_MXCSR, NULL),
    SYSTEM_REG("fs_base", seg[SEG_FS].base),
    SYSTEM_REG("gs_base", seg[SEG_GS].base),
    SYSTEM_REGS,
    MANY(AVX, "ymm", "h", 0, 8, 16, VECTOR, FPU_YMMH, "uint128"),
    {.name = NULL},
};

const struct reg_entry *reg_table(struct session *session, unsigned pid)
{
    return session->process[pid].layout_32 ? i386 : amd64;
}

const struct reg_entry *reg_lookup(struct session *session, unsigned pid, u64 number, unsigned *i)
{
    for (const struct reg_entry *e = reg_table(session, pid); e->name != NULL; e++) {
        if (e->feature == AVX && !target_has_avx(pid))
            return NULL;
        if (number < e->count) {
            *i = (unsigned)number;
            return e;
        }
        number -= e->count;
    }
    return NULL;
}

static bool is_name(const char *name, const char *wanted, size_t n)
{
    return strlen(name) == n && strncmp(name, wanted, n) == 0;
}

bool reg_by_name(struct session *session, unsigned pid, const struct vcpu_regs *regs,
                 const char *name, size_t n, u64 *value)
{
    static const char *const aliases[][3] = {
        {"pc", "rip", "eip"}, {"sp", "rsp", "esp"}, {"fp", "rbp", "ebp"}};
    for (size_t i = 0; i < ARRAY_SIZE(aliases); i++) {
        if (is_name(aliases[i][0], name, n)) {
            name = aliases[i][session->process[pid].layout_32 ? 2 : 1];
            n = strlen(name);
        }
    }
    *value = 0;
    for (const struct reg_entry *e = reg_table(session, pid); e->name != NULL; e++) {
        for (unsigned i = 0; e->kind != VECTOR && i < e->count; i++) {
            char this_name[16];
            if (e->count > 1)
                str_format(this_name, sizeof(this_name), "%s%u", e->name, e->first + i);
            else
                str_format(this_name, sizeof(this_name), "%s", e->name);
            if (!is_name(this_name, name, n))
                continue;
            if (e->kind == SELECTOR)
                *value = regs->seg[e->where].selector;
            else
                memcpy(value, (const u8 *)regs + e->where + 8 * i, e->bytes);
            return true;
        }
    }
    return false;
}

bool reg_in_g(const struct reg_entry *e)
{
    return e->name != NULL && e->feature == CORE && e->kind != VECTOR;
}
