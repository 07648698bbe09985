// SPDX-License-Identifier: MIT
// Instruction emulation, against the CPU that runs the test: random instructions with random
// registers and memory are executed natively, in 64-bit and in 32-bit code, and emulated;
// registers, flags, memory and exceptions must agree. Then what a user program cannot try: other
// modes, faults, ports. What works on the stack and on segments has more in test_emulate_system.c.
#define _GNU_SOURCE // REG_RIP
#include <cpuid.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include <cmocka.h>

#include "assembly.h"
#include "x86/alu.h"
#include "x86/emulate_plain.h"
#include "x86/emulate_system.h"
#include "x86/walk.h"

#define ROUNDS 600000

static u64 random64(void)
{
    static u64 x = 88172645463325252ull;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x;
}

static bool one_in(unsigned n)
{
    return random64() % n == 0;
}

// ---- native execution ---------------------------------------------------------------------

// Registers before the instruction and after it; the assembly knows the offsets.
struct native {
    u64 gpr[GPR_COUNT], rflags;         // at 0, 128
    u64 gpr_out[GPR_COUNT], rflags_out; // at 136, 264
    u64 host_rsp;                       // at 272
    u64 entry;                          // at 280
    struct {
        u32 offset;
        u16 selector;
    } PACKED entry_32; // at 288
};
extern struct native native;
struct native native;
void native_run(void);     // runs 64-bit code at entry
void native_run_32(void);  // runs 32-bit code at entry_32
void native_return(void);  // where both come back to, in 64-bit mode
void native_faulted(void); // the same when registers have been stored

// The registers in the order of their numbers, but for RSP, which goes last.
#define EACH(op)                                                                                   \
    op("rax", "0") op("rcx", "1") op("rdx", "2") op("rbx", "3") op("rbp", "5") op("rsi", "6")      \
        op("rdi", "7") op("r8", "8") op("r9", "9") op("r10", "10") op("r11", "11") op("r12", "12") \
            op("r13", "13") op("r14", "14") op("r15", "15") op("rsp", "4")
#define LOAD(reg, n)  "mov native+8*" n "(%rip), %" reg "\n"
#define STORE(reg, n) "mov %" reg ", native+136+8*" n "(%rip)\n"
#define PREPARE                                                                  \
    "push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15; pushfq\n" \
    "mov %rsp, native+272(%rip); push native+128(%rip); popfq\n" EACH(LOAD)

__asm__(".text\n"
        "native_run:\n" PREPARE "jmp *native+280(%rip)\n"
        "native_run_32:\n" PREPARE "ljmp *native+288(%rip)\n"
        "native_return:\n" EACH(STORE) //
        "mov native+272(%rip), %rsp; pushfq; pop native+264(%rip)\n"
        "native_faulted: mov native+272(%rip), %rsp; popfq\n"
        "pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx; ret\n");

#define MEMORY  (3 * 4096)
#define GS_BASE 0x1000
#define CS_32   0x23
#define CS_64   0x33
#define USER_DS 0x2b
#define SET_GS  0x1001 // arch_prctl

static volatile sig_atomic_t signalled; // the signal that the instruction ended in, or 0
static u8 *code;                        // one page, below 4 GiB: the instruction and the way back
static u8 *memory;                      // MEMORY bytes, below 4 GiB: what it works on
static u8 emulated[MEMORY];             // the same for the emulator
static u64 gs_base;

static void run_native(const u8 *bytes, unsigned length, bool code_32)
{
    u8 *at = code;
    u64 back = (u64)(uintptr_t)native_return;
    memcpy(at, bytes, length);
    at += length;
    if (code_32) { // JMP FAR to the next bytes in 64-bit mode
        u32 next = (u32)(uintptr_t)at + 7;
        u16 selector = CS_64;
        *at++ = 0xea;
        memcpy(at, &next, 4);
        memcpy(at + 4, &selector, 2);
        at += 6;
    }
    const struct code jmp = ASM(CODE_64, "jmp qword ptr [rip]");
    memcpy(at, jmp.bytes, jmp.length);
    memcpy(at + jmp.length, &back, 8);
    signalled = 0;
    native.entry = (u64)(uintptr_t)code;
    native.entry_32.offset = (u32)(uintptr_t)code;
    native.entry_32.selector = CS_32;
    if (code_32)
        native_run_32();
    else
        native_run();
}

// The instruction faulted: the handler, which has a stack of its own, keeps the registers and goes
// on behind it.
static void on_signal(int number, siginfo_t *info, void *context)
{
    // Linux's numbers of the registers in the order of ours.
    static const int order[GPR_COUNT] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP,
                                         REG_RSI, REG_RDI, REG_R8,  REG_R9,  REG_R10, REG_R11,
                                         REG_R12, REG_R13, REG_R14, REG_R15};
    ucontext_t *c = context;
    greg_t *reg = c->uc_mcontext.gregs;
    (void)info;
    if ((u64)reg[REG_RIP] != (u64)(uintptr_t)code) {
        (void)signal(number, SIG_DFL); // the test's own
        return;
    }
    signalled = number;
    for (unsigned n = 0; n < GPR_COUNT; n++)
        native.gpr_out[n] = (u64)reg[order[n]];
    native.rflags_out = (u64)reg[REG_EFL];
    reg[REG_EFL] = 0x202;
    reg[REG_RIP] = (greg_t)(uintptr_t)native_faulted;
    reg[REG_RSP] = (greg_t)native.host_rsp;
    reg[REG_CSGSFS] = (greg_t)(((u64)reg[REG_CSGSFS] & ~0xffffull) | CS_64);
}

static bool catch_signals(void)
{
    static u8 stack[65536];
    const stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    return sigaltstack(&other, NULL) == 0 && sigaction(SIGFPE, &action, NULL) == 0 &&
           sigaction(SIGILL, &action, NULL) == 0 && sigaction(SIGSEGV, &action, NULL) == 0;
}

static u32 features; // what this CPU has, in the emulator's words
static u32 host_features(void)
{
    u32 a, b, c, d, all = 0;
    __cpuid(1, a, b, c, d);
    all |= (c & BIT(22) ? EMULATE_MOVBE : 0) | (c & BIT(20) ? EMULATE_CRC32 : 0) |
           (c & BIT(23) ? EMULATE_POPCNT : 0) | (c & BIT(13) ? EMULATE_CX16 : 0);
    __cpuid_count(7, 0, a, b, c, d);
    all |= (b & BIT(3) ? EMULATE_BMI1 : 0) | (b & BIT(8) ? EMULATE_BMI2 : 0) |
           (b & BIT(19) ? EMULATE_ADX : 0);
    __cpuid(0x80000001, a, b, c, d);
    return all | (c & BIT(5) ? EMULATE_LZCNT : 0);
}

// ---- the emulator's world -----------------------------------------------------------------

static enum error translate_same(void *ctx, gva_t gva, u32 access, gpa_t *gpa, u32 *error_code)
{
    (void)ctx;
    (void)access;
    *gpa = GPA(gva.v);
    *error_code = 0;
    u64 start = (u64)(uintptr_t)memory;
    return gva.v >= start && gva.v < start + MEMORY ? OK : ERR_FAULT;
}

static u64 read_memory(void *ctx, gpa_t gpa, unsigned size)
{
    u64 value = 0, offset = gpa.v - (u64)(uintptr_t)memory;
    (void)ctx;
    assert_true(offset < MEMORY && size <= MEMORY - offset);
    memcpy(&value, emulated + offset, size);
    return value;
}

static void write_memory(void *ctx, gpa_t gpa, unsigned size, u64 value)
{
    u64 offset = gpa.v - (u64)(uintptr_t)memory;
    (void)ctx;
    assert_true(offset < MEMORY && size <= MEMORY - offset);
    memcpy(emulated + offset, &value, size);
}

static void flat_segment(void *ctx, enum segment_name segment, struct segment *s)
{
    (void)ctx;
    *s = (struct segment){.limit = UINT32_MAX, .access = 0xc093};
    s->base = segment == SEG_GS ? gs_base : 0;
    if (segment == SEG_DS || segment == SEG_ES || segment == SEG_SS)
        s->selector = USER_DS;
}

static const struct emulate_ops native_ops = {
    .translate = translate_same,
    .read = read_memory,
    .write = write_memory,
    .segment = flat_segment,
};

// ---- random instructions ------------------------------------------------------------------

enum { ANY = 8 }; // ModRM.reg names a register
enum {
    LOCKABLE = 1 << 0,  // with a memory operand
    BIT_REG = 1 << 1,   // reg is a bit number
    ONLY_64 = 1 << 2,   // another instruction in 32-bit code
    ONLY_32 = 1 << 3,   // the other way round
    NO_66 = 1 << 4,     // no 16-bit form
    MEMORY_ = 1 << 5,   // no register form
    NO_MODRM = 1 << 6,  // moffs, or none
    STACK_ = 1 << 7,    // RSP points into memory[]
    FRAME = 1 << 8,     // and RBP
    FLAGS = 1 << 9,     // flags are on the stack
    BRANCH = 1 << 10,   // the operand is where to go on
    BACK = 1 << 11,     // what is on the stack is
    TABLE = 1 << 12,    // XLAT's operand
    PAIR = 1 << 13,     // RDX:RAX is compared with it
    SHIFT = 1 << 14,    // undefined flags depend on the count
    ROTATE = 1 << 15,   // the same
    SCAN = 1 << 16,     // BSF, BSR: undefined flags, without F3
    VEX = 1 << 17,      // VEX with its vvvv
    NO_VVVV = 1 << 18,  // without
    REGISTER = 1 << 19, // the opcode holds one
    UNASKED = 1 << 20,  // the emulator does not ask whether the CPU has it
};
#define AF_   RFLAGS_AF
#define BIT_F (RFLAGS_OF | RFLAGS_SF | RFLAGS_AF | RFLAGS_PF)
#define MUL_F (RFLAGS_SF | RFLAGS_ZF | RFLAGS_AF | RFLAGS_PF)
#define DIV_F ALU_FLAGS

// Every form the emulator knows but string instructions and those of segments and systems, with the
// flags that it leaves undefined, and the prefix that belongs to the opcode.
static const struct form {
    u8 map, first, last, group;
    u32 how;
    u64 undefined;
    u8 prefix;
} forms[] = {
    {MAP_ONE_BYTE, 0x00, 0x03, ANY, LOCKABLE, 0},                         // ADD
    {MAP_ONE_BYTE, 0x08, 0x0b, ANY, LOCKABLE, AF_},                       // OR
    {MAP_ONE_BYTE, 0x10, 0x13, ANY, LOCKABLE, 0},                         // ADC
    {MAP_ONE_BYTE, 0x18, 0x1b, ANY, LOCKABLE, 0},                         // SBB
    {MAP_ONE_BYTE, 0x20, 0x23, ANY, LOCKABLE, AF_},                       // AND
    {MAP_ONE_BYTE, 0x28, 0x2b, ANY, LOCKABLE, 0},                         // SUB
    {MAP_ONE_BYTE, 0x30, 0x33, ANY, LOCKABLE, AF_},                       // XOR
    {MAP_ONE_BYTE, 0x38, 0x3b, ANY, 0, 0},                                // CMP
    {MAP_ONE_BYTE, 0x63, 0x63, ANY, ONLY_64, 0},                          // MOVSXD
    {MAP_ONE_BYTE, 0x80, 0x81, 0, LOCKABLE, 0},                           // ADD imm
    {MAP_ONE_BYTE, 0x80, 0x81, 1, LOCKABLE, AF_},                         // OR imm
    {MAP_ONE_BYTE, 0x80, 0x81, 2, LOCKABLE, 0},                           // ADC imm
    {MAP_ONE_BYTE, 0x80, 0x81, 3, LOCKABLE, 0},                           // SBB imm
    {MAP_ONE_BYTE, 0x80, 0x81, 4, LOCKABLE, AF_},                         // AND imm
    {MAP_ONE_BYTE, 0x80, 0x81, 5, LOCKABLE, 0},                           // SUB imm
    {MAP_ONE_BYTE, 0x80, 0x81, 6, LOCKABLE, AF_},                         // XOR imm
    {MAP_ONE_BYTE, 0x80, 0x81, 7, 0, 0},                                  // CMP imm
    {MAP_ONE_BYTE, 0x83, 0x83, 0, LOCKABLE, 0},                           // ADD imm8
    {MAP_ONE_BYTE, 0x83, 0x83, 1, LOCKABLE, AF_},                         // OR imm8
    {MAP_ONE_BYTE, 0x83, 0x83, 4, LOCKABLE, AF_},                         // AND imm8
    {MAP_ONE_BYTE, 0x83, 0x83, 7, 0, 0},                                  // CMP imm8
    {MAP_ONE_BYTE, 0x84, 0x85, ANY, 0, AF_},                              // TEST
    {MAP_ONE_BYTE, 0x86, 0x87, ANY, LOCKABLE, 0},                         // XCHG
    {MAP_ONE_BYTE, 0x88, 0x8b, ANY, 0, 0},                                // MOV
    {MAP_ONE_BYTE, 0xa0, 0xa3, ANY, MEMORY_ | NO_MODRM, 0},               // MOV moffs
    {MAP_ONE_BYTE, 0xc6, 0xc7, 0, 0, 0},                                  // MOV imm
    {MAP_ONE_BYTE, 0xf6, 0xf7, 0, 0, AF_},                                // TEST imm
    {MAP_ONE_BYTE, 0xf6, 0xf7, 1, 0, AF_},                                // the same
    {MAP_ONE_BYTE, 0xf6, 0xf7, 2, LOCKABLE, 0},                           // NOT
    {MAP_ONE_BYTE, 0xf6, 0xf7, 3, LOCKABLE, 0},                           // NEG
    {MAP_ONE_BYTE, 0xfe, 0xff, 0, LOCKABLE, 0},                           // INC
    {MAP_ONE_BYTE, 0xfe, 0xff, 1, LOCKABLE, 0},                           // DEC
    {MAP_0F, 0x40, 0x4f, ANY, 0, 0},                                      // CMOVcc
    {MAP_0F, 0x90, 0x9f, ANY, 0, 0},                                      // SETcc
    {MAP_0F, 0xa3, 0xa3, ANY, BIT_REG, BIT_F},                            // BT
    {MAP_0F, 0xab, 0xab, ANY, BIT_REG | LOCKABLE, BIT_F},                 // BTS
    {MAP_0F, 0xb3, 0xb3, ANY, BIT_REG | LOCKABLE, BIT_F},                 // BTR
    {MAP_0F, 0xbb, 0xbb, ANY, BIT_REG | LOCKABLE, BIT_F},                 // BTC
    {MAP_0F, 0xba, 0xba, 4, 0, BIT_F},                                    // BT imm
    {MAP_0F, 0xba, 0xba, 5, LOCKABLE, BIT_F},                             // BTS imm
    {MAP_0F, 0xba, 0xba, 6, LOCKABLE, BIT_F},                             // BTR imm
    {MAP_0F, 0xba, 0xba, 7, LOCKABLE, BIT_F},                             // BTC imm
    {MAP_0F, 0xb0, 0xb1, ANY, LOCKABLE, 0},                               // CMPXCHG
    {MAP_0F, 0xb6, 0xb7, ANY, 0, 0},                                      // MOVZX
    {MAP_0F, 0xbe, 0xbf, ANY, 0, 0},                                      // MOVSX
    {MAP_0F, 0xc0, 0xc1, ANY, LOCKABLE, 0},                               // XADD
    {MAP_0F, 0xc3, 0xc3, ANY, MEMORY_ | NO_66, 0},                        // MOVNTI
    {MAP_ONE_BYTE, 0x62, 0x62, ANY, MEMORY_ | ONLY_32, 0},                // BOUND
    {MAP_ONE_BYTE, 0x63, 0x63, ANY, ONLY_32, 0},                          // ARPL
    {MAP_ONE_BYTE, 0x69, 0x69, ANY, 0, MUL_F},                            // IMUL imm
    {MAP_ONE_BYTE, 0x6b, 0x6b, ANY, 0, MUL_F},                            // IMUL imm8
    {MAP_0F, 0xaf, 0xaf, ANY, 0, MUL_F},                                  // IMUL reg
    {MAP_ONE_BYTE, 0xf6, 0xf7, 4, 0, MUL_F},                              // MUL
    {MAP_ONE_BYTE, 0xf6, 0xf7, 5, 0, MUL_F},                              // IMUL
    {MAP_ONE_BYTE, 0xf6, 0xf7, 6, 0, DIV_F},                              // DIV
    {MAP_ONE_BYTE, 0xf6, 0xf7, 7, 0, DIV_F},                              // IDIV
    {MAP_ONE_BYTE, 0x8c, 0x8c, SEG_DS, 0, 0},                             // MOV of DS
    {MAP_ONE_BYTE, 0xd7, 0xd7, ANY, NO_MODRM | TABLE, 0},                 // XLAT
    {MAP_ONE_BYTE, 0xc0, 0xc1, 0, ROTATE, 0},                             // ROL imm
    {MAP_ONE_BYTE, 0xc0, 0xc1, 1, ROTATE, 0},                             // ROR imm
    {MAP_ONE_BYTE, 0xc0, 0xc1, 2, ROTATE, 0},                             // RCL imm
    {MAP_ONE_BYTE, 0xc0, 0xc1, 3, ROTATE, 0},                             // RCR imm
    {MAP_ONE_BYTE, 0xc0, 0xc1, 4, SHIFT, 0},                              // SHL imm
    {MAP_ONE_BYTE, 0xc0, 0xc1, 5, SHIFT, 0},                              // SHR imm
    {MAP_ONE_BYTE, 0xc0, 0xc1, 6, SHIFT, 0},                              // SHL imm, again
    {MAP_ONE_BYTE, 0xc0, 0xc1, 7, SHIFT, 0},                              // SAR imm
    {MAP_ONE_BYTE, 0xd0, 0xd3, 0, ROTATE, 0},                             // ROL
    {MAP_ONE_BYTE, 0xd0, 0xd3, 1, ROTATE, 0},                             // ROR
    {MAP_ONE_BYTE, 0xd0, 0xd3, 2, ROTATE, 0},                             // RCL
    {MAP_ONE_BYTE, 0xd0, 0xd3, 3, ROTATE, 0},                             // RCR
    {MAP_ONE_BYTE, 0xd0, 0xd3, 4, SHIFT, 0},                              // SHL
    {MAP_ONE_BYTE, 0xd0, 0xd3, 5, SHIFT, 0},                              // SHR
    {MAP_ONE_BYTE, 0xd0, 0xd3, 7, SHIFT, 0},                              // SAR
    {MAP_0F, 0xa4, 0xa5, ANY, SHIFT, 0},                                  // SHLD
    {MAP_0F, 0xac, 0xad, ANY, SHIFT, 0},                                  // SHRD
    {MAP_0F, 0xbc, 0xbd, ANY, SCAN, 0},                                   // BSF, BSR
    {MAP_0F, 0xbc, 0xbd, ANY, SCAN, BIT_F, 0xf3},                         // TZCNT, LZCNT
    {MAP_0F, 0xb8, 0xb8, ANY, 0, 0, 0xf3},                                // POPCNT
    {MAP_0F, 0xc7, 0xc7, 1, MEMORY_ | LOCKABLE | PAIR, 0},                // CMPXCHG8B, 16B
    {MAP_0F, 0xae, 0xae, 7, MEMORY_ | NO_66, 0},                          // CLFLUSH
    {MAP_0F, 0xae, 0xae, 7, MEMORY_, 0, 0x66},                            // CLFLUSHOPT
    {MAP_0F, 0xae, 0xae, 6, MEMORY_, 0, 0x66},                            // CLWB
    {MAP_0F, 0x0d, 0x0d, 1, MEMORY_, 0},                                  // PREFETCHW
    {MAP_0F, 0x18, 0x18, 1, MEMORY_, 0},                                  // PREFETCHT0
    {MAP_0F, 0x1f, 0x1f, 0, 0, 0},                                        // NOP
    {MAP_0F38, 0xf0, 0xf1, ANY, MEMORY_, 0},                              // MOVBE
    {MAP_0F38, 0xf0, 0xf1, ANY, 0, 0, 0xf2},                              // CRC32
    {MAP_0F38, 0xf6, 0xf6, ANY, 0, 0, 0x66},                              // ADCX
    {MAP_0F38, 0xf6, 0xf6, ANY, 0, 0, 0xf3},                              // ADOX
    {MAP_0F38, 0xf2, 0xf2, ANY, VEX, RFLAGS_AF | RFLAGS_PF},              // ANDN
    {MAP_0F38, 0xf3, 0xf3, 1, VEX, RFLAGS_AF | RFLAGS_PF},                // BLSR
    {MAP_0F38, 0xf3, 0xf3, 2, VEX, RFLAGS_AF | RFLAGS_PF},                // BLSMSK
    {MAP_0F38, 0xf3, 0xf3, 3, VEX, RFLAGS_AF | RFLAGS_PF},                // BLSI
    {MAP_0F38, 0xf5, 0xf5, ANY, VEX, RFLAGS_AF | RFLAGS_PF},              // BZHI
    {MAP_0F38, 0xf5, 0xf5, ANY, VEX, 0, 0xf3},                            // PEXT
    {MAP_0F38, 0xf5, 0xf5, ANY, VEX, 0, 0xf2},                            // PDEP
    {MAP_0F38, 0xf6, 0xf6, ANY, VEX, 0, 0xf2},                            // MULX
    {MAP_0F38, 0xf7, 0xf7, ANY, VEX, RFLAGS_AF | RFLAGS_PF | RFLAGS_SF},  // BEXTR
    {MAP_0F38, 0xf7, 0xf7, ANY, VEX, 0, 0x66},                            // SHLX
    {MAP_0F38, 0xf7, 0xf7, ANY, VEX, 0, 0xf3},                            // SARX
    {MAP_0F38, 0xf7, 0xf7, ANY, VEX, 0, 0xf2},                            // SHRX
    {MAP_0F3A, 0xf0, 0xf0, ANY, VEX | NO_VVVV, 0, 0xf2},                  // RORX
    {MAP_ONE_BYTE, 0x50, 0x57, ANY, NO_MODRM | REGISTER | STACK_, 0},     // PUSH reg
    {MAP_ONE_BYTE, 0x58, 0x5f, ANY, NO_MODRM | REGISTER | STACK_, 0},     // POP reg
    {MAP_ONE_BYTE, 0x60, 0x61, ANY, NO_MODRM | ONLY_32 | STACK_, 0},      // PUSHA, POPA
    {MAP_ONE_BYTE, 0x68, 0x68, ANY, NO_MODRM | STACK_, 0},                // PUSH imm
    {MAP_ONE_BYTE, 0x6a, 0x6a, ANY, NO_MODRM | STACK_, 0},                // PUSH imm8
    {MAP_ONE_BYTE, 0x8f, 0x8f, 0, STACK_, 0},                             // POP
    {MAP_ONE_BYTE, 0x9c, 0x9c, ANY, NO_MODRM | STACK_, 0},                // PUSHF
    {MAP_ONE_BYTE, 0x9d, 0x9d, ANY, NO_MODRM | STACK_ | FLAGS, 0},        // POPF
    {MAP_ONE_BYTE, 0xc2, 0xc3, ANY, NO_MODRM | NO_66 | STACK_ | BACK, 0}, // RET
    {MAP_ONE_BYTE, 0xc8, 0xc9, ANY, NO_MODRM | STACK_ | FRAME, 0},        // ENTER, LEAVE
    {MAP_ONE_BYTE, 0xff, 0xff, 2, NO_66 | STACK_ | BRANCH, 0},            // CALL
    {MAP_ONE_BYTE, 0xff, 0xff, 4, NO_66 | BRANCH, 0},                     // JMP
    {MAP_ONE_BYTE, 0xff, 0xff, 6, STACK_, 0},                             // PUSH
};

static const struct form all_defined = {0}; // string instructions

struct sample {
    const struct form *form;
    bool code_32;
    u8 bytes[32];
    unsigned displacement_at; // where in bytes a 4- or 8-byte displacement would be
    struct instruction i;
    u64 gpr[GPR_COUNT];
    u64 rflags;
};

// Values near the edges of each size are as likely as any others.
static u64 random_value(void)
{
    u64 r = random64();
    switch (r & 7) {
    case 0:
        return (r >> 8 & 7) - 3;
    case 1:
        return 0x80ull + (r >> 8 & 7) - 3;
    case 2:
        return 0x8000ull + (r >> 8 & 7) - 3;
    case 3:
        return 0x80000000ull + (r >> 8 & 7) - 3;
    case 4:
        return BIT(63) + (r >> 8 & 7) - 3;
    default:
        return random64();
    }
}

// The prefixes of a legacy instruction, and its opcode but for the last byte.
static unsigned legacy_start(struct sample *s, unsigned n, bool may_lock)
{
    const struct form *f = s->form;
    if (!(f->how & NO_66) && f->prefix != 0x66 && one_in(3))
        s->bytes[n++] = 0x66;
    if (f->prefix != 0)
        s->bytes[n++] = f->prefix;
    if ((may_lock && one_in(4)) || one_in(40)) // or where it is not allowed
        s->bytes[n++] = 0xf0;
    if (!s->code_32 && !one_in(3))
        s->bytes[n++] = (u8)(0x40 | (random64() & 15));
    if (f->map != MAP_ONE_BYTE)
        s->bytes[n++] = 0x0f;
    if (f->map > MAP_0F)
        s->bytes[n++] = f->map == MAP_0F38 ? 0x38 : 0x3a;
    return n;
}

// C4 and the two bytes after it; L is set now and then, which is undefined.
static unsigned vex_start(struct sample *s, unsigned n)
{
    u8 pp = s->form->prefix == 0x66 ? 1 : s->form->prefix == 0xf3 ? 2 : s->form->prefix ? 3 : 0;
    u64 r = random64();
    s->bytes[n++] = 0xc4;
    s->bytes[n++] = (u8)((s->code_32 ? 0xc0 : r & 0xe0) | s->form->map);
    u8 vvvv = (u8)(r >> 8 & 0x78);
    if (s->code_32)
        vvvv |= 0x40;
    if ((s->form->how & NO_VVVV) && !one_in(16))
        vvvv = 0x78;
    s->bytes[n++] = (u8)((r >> 16 & 0x80) | vvvv | (one_in(16) ? 4 : 0) | pp);
    return n;
}

static void random_bytes(struct sample *s)
{
    static const u8 ignored[] = {0x26, 0x36, 0x3e, 0x2e}; // CS last: 32-bit code cannot write there
    unsigned n = 0;
    u64 r = random64();
    const struct form *f = &forms[r % ARRAY_SIZE(forms)];
    u8 modrm = (u8)(r >> 16);
    if ((f->how & MEMORY_) || (r >> 24 & 3) != 0)
        modrm = (u8)((modrm & 0x3f) | (random64() % 3) << 6); // memory
    if (f->group != ANY)
        modrm = (u8)((modrm & 0xc7) | f->group << 3);
    bool has_modrm = !(f->how & NO_MODRM);
    s->form = f;
    s->code_32 = (f->how & ONLY_32) || (!(f->how & ONLY_64) && (r >> 32 & 1));
    if (!s->code_32 && one_in(4)) // in 32-bit code addresses would fall below 64 KiB
        s->bytes[n++] = 0x67;
    if (!s->code_32 && one_in(5))
        s->bytes[n++] = 0x65;
    if (one_in(6) && !(f->how & BRANCH))
        s->bytes[n++] = ignored[random64() % (s->code_32 ? 3 : 4)];
    u8 opcode = (u8)(f->first + random64() % (f->last - f->first + 1u));
    bool to_reg = f->map == MAP_ONE_BYTE && f->last < 0x40 && (opcode & 2);
    bool may_lock = (f->how & LOCKABLE) && modrm < 0xc0 && !to_reg;
    n = f->how & VEX ? vex_start(s, n) : legacy_start(s, n, may_lock);
    s->bytes[n++] = opcode;
    if (has_modrm) {
        s->bytes[n++] = modrm;
        if (modrm < 0xc0 && (modrm & 7) == 4)
            n++;
    }
    s->displacement_at = n;
    if (has_modrm && modrm < 0xc0 && (modrm & 7) == 4)
        s->bytes[n - 1] = (u8)random64();
    for (unsigned k = 0; k < 2; k++) {
        u64 noise = random_value();
        memcpy(s->bytes + n + k * 8, &noise, 8);
    }
    if (f->how & FRAME)
        s->bytes[n + 1] &= 1; // ENTER of less than 512 bytes
    if (opcode == 0xc2 && (f->how & BACK))
        s->bytes[n + 1] &= 0x7f;
}

static bool locked(const struct sample *s)
{
    return s->i.lock || (s->i.map == MAP_ONE_BYTE && (s->i.opcode & 0xfe) == 0x86);
}

// Chooses registers, or the displacement, so that the operand is in memory[]. False: try another.
static bool place_operand(struct sample *s)
{
    const struct memory_operand *m = &s->i.memory;
    u64 start = (u64)(uintptr_t)memory;
    u64 target = start + MEMORY / 4 + random64() % (MEMORY / 2);
    if (one_in(4))
        target = start + 4096 * (1 + random64() % 2) - random64() % 8;
    if (locked(s)) // across cache lines it is slow, or forbidden
        target &= ~7ull;
    if ((s->form->how & PAIR) && (s->i.lock || !one_in(8))) // 16 bytes must be aligned
        target &= ~15ull;
    u64 offset = target - (m->segment == SEG_GS ? GS_BASE : 0);
    if (m->base != NO_REGISTER) {
        if (m->base == m->index || ((s->form->how & STACK_) && m->base == RSP))
            return false;
        u64 index = m->index == NO_REGISTER ? 0 : s->gpr[m->index] * m->scale;
        s->gpr[m->base] = offset - index - (u64)m->displacement;
        if (s->i.address_size == 4) // the upper halves do not count
            s->gpr[m->base] ^= random64() << 32;
    } else {
        if (m->index != NO_REGISTER) {
            s->gpr[m->index] = random64() & 0xffff;
            offset -= s->gpr[m->index] * m->scale;
        }
        if (m->rip_based)
            offset -= (u64)(uintptr_t)code + s->i.length;
        memcpy(s->bytes + s->displacement_at, &offset,
               s->form->how & NO_MODRM ? s->i.address_size : 4);
    }
    if (s->form->how & BIT_REG) {
        // Near enough to stay in memory[]; sign bits above the operand's size do not count.
        if (s->i.reg == m->base || s->i.reg == m->index)
            return false;
        unsigned bits = s->i.operand_size * 8;
        u64 number = random64() % 16384 - 8192;
        s->gpr[s->i.reg] = bits == 64 ? number : (number & (BIT(bits) - 1)) | random64() << bits;
    }
    return true;
}

static u64 linear_of(const struct sample *s)
{
    u64 at = memory_offset(&s->i, s->gpr, (u64)(uintptr_t)code);
    return at + (s->i.memory.segment == SEG_GS ? GS_BASE : 0);
}

// What an instruction needs that works on the stack, on a table or on pairs, or goes elsewhere,
// which is behind itself. False: try another.
static bool prepare(struct sample *s)
{
    u32 how = s->form->how;
    u64 middle = (u64)(uintptr_t)memory + MEMORY / 2, next = (u64)(uintptr_t)code + s->i.length;
    if (how & STACK_)
        s->gpr[RSP] = middle + random64() % 1024;
    if (how & FRAME)
        s->gpr[RBP] = middle + random64() % 1024;
    if (how & BACK)
        memcpy((void *)(uintptr_t)s->gpr[RSP], &next, 8);
    if (how & FLAGS) { // neither TF nor NT nor AC
        u8 *flags = (u8 *)(uintptr_t)s->gpr[RSP];
        flags[1] &= 0xbe;
        flags[2] &= 0xfb;
    }
    if (how & TABLE) {
        s->gpr[RBX] = middle - (u8)s->gpr[RAX] - (s->i.segment_override == SEG_GS ? GS_BASE : 0);
        if (s->i.address_size == 4)
            s->gpr[RBX] ^= random64() << 32;
    }
    if ((how & PAIR) && one_in(2)) {
        unsigned half = s->i.rex & 8 ? 8 : 4;
        const struct memory_operand *m = &s->i.memory;
        if (m->base == RAX || m->base == RDX || m->index == RAX || m->index == RDX)
            return false;
        memcpy(&s->gpr[RAX], (void *)(uintptr_t)linear_of(s), half);
        memcpy(&s->gpr[RDX], (void *)(uintptr_t)(linear_of(s) + half), half);
    }
    if ((how & BRANCH) && s->i.has_memory)
        memcpy((void *)(uintptr_t)linear_of(s), &next, s->code_32 ? 4 : 8);
    else if (how & BRANCH)
        s->gpr[s->i.rm] = next;
    return !(how & BRANCH) || s->i.has_memory || !(how & STACK_) || s->i.rm != RSP;
}

static u64 within_47_bits(u64 v)
{
    return (u64)((i64)(v << 17) >> 17);
}

// A new random instruction with registers and memory that it can run with.
static void random_sample(struct sample *s)
{
    for (;;) {
        *s = (struct sample){0};
        random_bytes(s);
        enum code_size size = s->code_32 ? CODE_32 : CODE_64;
        enum error error = decode(s->bytes, INSTRUCTION_MAX, size, &s->i);
        if (error == ERR_FORMAT) // too many prefixes
            continue;
        assert_int_equal(error, OK);
        for (unsigned n = 0; n < GPR_COUNT; n++)
            s->gpr[n] = random_value();
        s->gpr[RSP] = within_47_bits(s->gpr[RSP]);
        s->rflags =
            (random64() & (RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF)) |
            0x202;
        if (s->i.has_memory && !place_operand(s))
            continue;
        assert_int_equal(decode(s->bytes, INSTRUCTION_MAX, size, &s->i), OK);
        if (prepare(s))
            return;
    }
}

static void random_memory(void)
{
    for (unsigned n = 0; n < MEMORY; n += 8) {
        u64 value = random_value();
        memcpy(memory + n, &value, 8);
    }
}

#define EXPECT_EQUAL(s, what, got, wanted)                                                         \
    do {                                                                                           \
        if ((got) != (wanted)) {                                                                   \
            describe(s);                                                                           \
            fail_msg("%s: %lx, and not %lx", what, (unsigned long)(got), (unsigned long)(wanted)); \
        }                                                                                          \
    } while (0)

// How far a shift or rotate goes.
static unsigned shift_count(const struct sample *s)
{
    const struct instruction *i = &s->i;
    bool by_cl = i->map == MAP_0F ? i->opcode & 1 : (i->opcode & 0xfe) == 0xd2;
    u64 count = by_cl ? s->gpr[RCX] : i->immediate_size != 0 ? (u64)i->immediate : 1;
    return count & (i->operand_size == 8 ? 63 : 31);
}

// SHLD and SHRD of 16 bits by more: not even the result is promised.
static bool is_undefined(const struct sample *s)
{
    return (s->form->how & SHIFT) && s->i.map == MAP_0F && shift_count(s) > s->i.operand_size * 8u;
}

// The flags that the SDM does not promise.
static u64 undefined_flags(const struct sample *s)
{
    u32 counts = s->i.opcode & 1 ? EMULATE_LZCNT : EMULATE_BMI1;
    u64 flags = s->form->undefined;
    if ((s->form->how & SCAN) && (s->i.repeat != 0xf3 || !(features & counts)))
        flags |= ALU_FLAGS & ~RFLAGS_ZF;
    if (!(s->form->how & (SHIFT | ROTATE)))
        return flags;
    unsigned count = shift_count(s);
    if (count == 0)
        return 0;
    if (count != 1)
        flags |= RFLAGS_OF;
    if (s->form->how & SHIFT)
        flags |= RFLAGS_AF;
    if ((s->form->how & SHIFT) && count >= s->i.operand_size * 8u)
        flags |= RFLAGS_CF;
    return flags;
}

static void describe(const struct sample *s)
{
    print_error("%s-bit code:", s->code_32 ? "32" : "64");
    for (unsigned n = 0; n < s->i.length; n++)
        print_error(" %02x", s->bytes[n]);
    print_error("\n");
}

static unsigned long plain; // instructions that emulate_plain_mov() did

// The short way for MOV has to do what `done` did from the same start, or nothing. gpr: the result.
static void try_plain_mov(const struct sample *s, const struct emulation *done)
{
    static const struct emulate_ops direct = {.read = read_memory, .write = write_memory};
    static u8 result[MEMORY];
    u64 gpr[GPR_COUNT];
    u64 linear = memory_offset(&s->i, s->gpr, (u64)(uintptr_t)code);
    memcpy(result, emulated, MEMORY);
    memcpy(emulated, memory, MEMORY);
    memcpy(gpr, s->gpr, sizeof(gpr));
    struct emulation e = *done;
    e.ops = &direct;
    e.gpr = gpr;
    e.rip = (u64)(uintptr_t)code;
    e.rflags = s->rflags | RFLAGS_RF;
    assert_false(emulate_plain_mov(&e, &s->i, GVA(linear + 4096), GPA(linear), true));
    bool as_read = emulate_plain_mov(&e, &s->i, GVA(linear), GPA(linear), false);
    bool as_write = !as_read && emulate_plain_mov(&e, &s->i, GVA(linear), GPA(linear), true);
    if (as_read || as_write) {
        EXPECT_EQUAL(s, "plain rip", e.rip, done->rip);
        EXPECT_EQUAL(s, "plain rflags", e.rflags, done->rflags);
        EXPECT_EQUAL(s, "plain registers", memcmp(gpr, done->gpr, sizeof(gpr)), 0);
        EXPECT_EQUAL(s, "plain memory", memcmp(emulated, result, MEMORY), 0);
        EXPECT_EQUAL(s, "plain read", as_read && memcmp(memory, result, MEMORY) != 0, false);
        plain++;
    } else {
        EXPECT_EQUAL(s, "untouched", memcmp(gpr, s->gpr, sizeof(gpr)), 0);
    }
    memcpy(emulated, result, MEMORY);
}

// How often each form ended well, and was undefined.
static unsigned ended[ARRAY_SIZE(forms)], undefined[ARRAY_SIZE(forms)];
static unsigned long faults; // instructions that faulted

// What Linux makes of an exception.
static int signal_of(const struct emulation *e)
{
    switch (e->exception.vector) {
    case VECTOR_DE:
        return SIGFPE;
    case VECTOR_UD:
        return SIGILL;
    default:
        return SIGSEGV;
    }
}

// Runs s on the CPU and in the emulator and compares. repeats: as in struct emulation.
static void run_both(const struct sample *s, unsigned repeats)
{
    static const char *const names[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
                                        "r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15"};
    u64 gpr[GPR_COUNT];
    memcpy(emulated, memory, MEMORY);
    memcpy(gpr, s->gpr, sizeof(gpr));
    struct emulation e = {
        .ops = &native_ops,
        .code_size = s->code_32 ? CODE_32 : CODE_64,
        .gpr = gpr,
        .rip = (u64)(uintptr_t)code,
        .rflags = s->rflags | RFLAGS_RF,
        .cr0 = CR0_PE,
        .long_mode = true,
        .cpl = 3,
        .features = features,
        .repeats = repeats,
    };
    gs_base = GS_BASE;
    enum emulate_status status;
    do {
        status = emulate(&e, &s->i);
    } while (status == EMULATE_AGAIN);
    if (status == EMULATE_DONE && s->i.has_memory)
        try_plain_mov(s, &e);
    if (!emulate_is_canonical(s->gpr[RSP]) || !emulate_is_canonical(gpr[RSP]))
        return; // a timer's tick would not get back there, and the program end

    memcpy(native.gpr, s->gpr, sizeof(gpr));
    native.rflags = s->rflags;
    run_native(s->bytes, s->i.length, s->code_32);
    int wanted = status == EMULATE_DONE ? 0 : status == EMULATE_FAULT ? signal_of(&e) : -1;
    if ((s->form->how & UNASKED) && signalled == SIGILL) {
        undefined[s->form - forms]++;
        return;
    }
    EXPECT_EQUAL(s, "signal", wanted, (int)signalled);
    if (s->form != &all_defined) {
        ended[s->form - forms] += wanted == 0;
        undefined[s->form - forms] += wanted == SIGILL;
    }
    faults += wanted != 0;
    u64 mask = s->code_32 ? UINT32_MAX : UINT64_MAX; // nothing is promised of the upper halves
    for (unsigned n = 0; n < (s->code_32 ? 8u : GPR_COUNT); n++)
        EXPECT_EQUAL(s, names[n], gpr[n] & mask, native.gpr_out[n] & mask);
    u64 defined = ~(undefined_flags(s) | (wanted != 0 ? RFLAGS_RF : 0));
    EXPECT_EQUAL(s, "rflags", e.rflags & defined, native.rflags_out & defined);
    EXPECT_EQUAL(s, "rip", e.rip, (u64)(uintptr_t)code + (wanted != 0 ? 0 : s->i.length));
    for (unsigned n = 0; memcmp(emulated, memory, MEMORY) != 0 && n < MEMORY; n++)
        EXPECT_EQUAL(s, "memory", (u64)emulated[n], (u64)memory[n]);
}

static bool can_run_32; // this kernel lets programs run 32-bit code

static void instructions_do_what_the_cpu_does(void **state)
{
    (void)state;
    unsigned done_32 = 0;
    assert_true(catch_signals()); // here, since cmocka has handlers of its own for each test
    for (unsigned n = 0; n < ROUNDS; n++) {
        struct sample s;
        if (n % 64 == 0)
            random_memory();
        random_sample(&s);
        if ((s.code_32 && !can_run_32) || is_undefined(&s))
            continue;
        done_32 += s.code_32;
        // Half the time CMPXCHG is to find what it looks for.
        if (s.i.map == MAP_0F && (s.i.opcode & 0xfe) == 0xb0 && one_in(2)) {
            u64 value = s.i.has_memory ? 0 : s.gpr[s.i.rm];
            if (s.i.has_memory && s.i.memory.base != RAX && s.i.memory.index != RAX) {
                u64 at = memory_offset(&s.i, s.gpr, (u64)(uintptr_t)code);
                at += s.i.memory.segment == SEG_GS ? GS_BASE : 0;
                memcpy(&s.gpr[RAX], (void *)(uintptr_t)at, 8);
            } else if (!s.i.has_memory) {
                s.gpr[RAX] = value;
            }
        }
        run_both(&s, 1);
    }
    assert_true(plain > ROUNDS / 200);
    assert_true(faults > ROUNDS / 200);
    assert_true(!can_run_32 || done_32 > ROUNDS / 4);
}

// Each form has been compared, or this machine cannot do it, which counts as skipped.
static void every_form_has_been_compared(void **state)
{
    (void)state;
    unsigned missing = 0;
    if (!can_run_32)
        print_message("no 32-bit code on this machine: 64-bit code only\n");
    for (unsigned n = 0; n < ARRAY_SIZE(forms); n++) {
        const struct form *f = &forms[n];
        if (ended[n] > 100)
            continue;
        bool possible = can_run_32 || !(f->how & ONLY_32);
        if (possible && undefined[n] < 100)
            fail_msg("opcode %02x of map %u ended %u times", f->first, f->map, ended[n]);
        if (possible)
            print_message("this CPU has no opcode %02x of map %u with prefix %02x\n", f->first,
                          f->map, f->prefix);
        missing++;
    }
    if (missing != 0)
        print_message("%u of %u forms were not compared\n", missing, (unsigned)ARRAY_SIZE(forms));
    if (missing != 0 || !can_run_32)
        skip();
}

static void string_instructions_do_what_the_cpu_does(void **state)
{
    (void)state;
    static const u8 opcodes[] = {0xa4, 0xa6, 0xaa, 0xac, 0xae};
    u64 start = (u64)(uintptr_t)memory;
    for (unsigned n = 0; n < ROUNDS / 8; n++) {
        struct sample s = {.form = &all_defined, .code_32 = can_run_32 && (random64() & 256)};
        unsigned at = 0;
        if (one_in(3))
            s.bytes[at++] = 0x66;
        if (!s.code_32 && one_in(3))
            s.bytes[at++] = 0x67;
        bool gs = !s.code_32 && one_in(4);
        if (gs)
            s.bytes[at++] = 0x65;
        if (!one_in(4))
            s.bytes[at++] = random64() & 256 ? 0xf2 : 0xf3;
        if (!s.code_32 && one_in(2))
            s.bytes[at++] = (u8)(0x40 | (random64() & 15));
        s.bytes[at++] = opcodes[random64() % sizeof(opcodes)] | (random64() >> 9 & 1);
        assert_int_equal(decode(s.bytes, at, s.code_32 ? CODE_32 : CODE_64, &s.i), OK);
        for (unsigned reg = 0; reg < GPR_COUNT; reg++)
            s.gpr[reg] = random_value();
        s.gpr[RSP] = within_47_bits(s.gpr[RSP]);
        s.rflags = 0x202 | (random64() & RFLAGS_DF) | (random64() & RFLAGS_ZF);
        s.gpr[RSI] = start + 4096 + random64() % 4096 - (gs ? GS_BASE : 0);
        s.gpr[RDI] = start + 4096 + random64() % 4096;
        if (one_in(3)) // overlapping
            s.gpr[RDI] = s.gpr[RSI] + (gs ? GS_BASE : 0) + random64() % 32 - 16;
        s.gpr[RCX] = random64() % (one_in(3) ? 4 : 500);
        // The upper halves do not count; but CPUs differ in what becomes of them when ECX is 0.
        if (s.i.address_size == 4 && s.gpr[RCX] != 0)
            for (unsigned k = 0; k < 3; k++)
                s.gpr[k == 0 ? RSI : k == 1 ? RDI : RCX] |= random64() << 32;
        // CMPS and SCAS are to find something now and then.
        if (n % 8 == 0)
            random_memory();
        else if (n % 8 == 4)
            memset(memory, (int)(random64() % 4), MEMORY);
        if (one_in(2))
            memset(&s.gpr[RAX], memory[100], 8);
        run_both(&s, 1 + random64() % 64);
    }
}

// ---- by hand --------------------------------------------------------------------------------

// A guest whose linear page n is physical page 0x1000 - n, so that neighbours are not neighbours.
// Memory reads as a pattern; every access is noted.
#define ACCESSES 64
struct world {
    struct {
        u64 gpa, value;
        unsigned size;
        bool write, port;
    } log[ACCESSES];
    unsigned count, translations;
    u64 base[6];
    u32 limit;  // of all segments
    u64 absent; // linear page number that gives `error`
    enum error error;
};
static struct world world;

static enum error world_translate(void *ctx, gva_t gva, u32 access, gpa_t *gpa, u32 *error_code)
{
    struct world *w = ctx;
    u64 page = gva.v >> 12;
    w->translations++;
    assert_true(access == WALK_READ || access == WALK_WRITE);
    assert_true(gva.v <= UINT32_MAX);
    *error_code = access == WALK_WRITE ? PF_WRITE : 0;
    if (page == w->absent)
        return w->error;
    *gpa = GPA((0x1000 - (page & 0xfff)) << 12 | (gva.v & 0xfff));
    return OK;
}

static void note(struct world *w, u64 gpa, unsigned size, u64 value, bool write, bool port)
{
    assert_true(w->count < ACCESSES);
    assert_true(size == 1 || size == 2 || size == 4 || size == 8);
    w->log[w->count].gpa = gpa;
    w->log[w->count].size = size;
    w->log[w->count].value = value;
    w->log[w->count].write = write;
    w->log[w->count++].port = port;
}

static u64 world_read(void *ctx, gpa_t gpa, unsigned size)
{
    u64 value = 0;
    for (unsigned n = 0; n < size; n++)
        value |= (u64)(u8)((gpa.v + n) * 3) << (n * 8);
    note(ctx, gpa.v, size, value, false, false);
    return value | (size < 8 ? ~0ull << (size * 8) : 0); // what is too much is to be cut
}

static void world_write(void *ctx, gpa_t gpa, unsigned size, u64 value)
{
    note(ctx, gpa.v, size, value, true, false);
}

static void world_segment(void *ctx, enum segment_name segment, struct segment *s)
{
    struct world *w = ctx;
    assert_true(segment <= SEG_GS);
    *s = (struct segment){.limit = w->limit, .access = 0x93, .base = w->base[segment]};
}

static u32 world_port_read(void *ctx, u16 port, unsigned size)
{
    struct world *w = ctx;
    note(ctx, port, size, 0, false, true);
    return 0x11110000 + w->count;
}

static void world_port_write(void *ctx, u16 port, unsigned size, u32 value)
{
    note(ctx, port, size, value, true, true);
}

static const struct emulate_ops world_ops = {
    .translate = world_translate,
    .read = world_read,
    .write = world_write,
    .segment = world_segment,
    .port_read = world_port_read,
    .port_write = world_port_write,
};

static u64 regs[GPR_COUNT];
static struct emulation e;

static int new_world(void **state)
{
    (void)state;
    world = (struct world){.absent = UINT64_MAX, .limit = UINT32_MAX};
    memset(regs, 0, sizeof(regs));
    e = (struct emulation){.ops = &world_ops,
                           .ctx = &world,
                           .gpr = regs,
                           .rip = 0x1000,
                           .rflags = 2,
                           .cr0 = CR0_PE,
                           .repeats = 32};
    return 0;
}

static enum emulate_status step(enum code_size size, struct code c)
{
    struct instruction i;
    assert_int_equal(decode(c.bytes, c.length, size, &i), OK);
    assert_int_equal(i.length, c.length);
    e.code_size = size;
    return emulate(&e, &i);
}

#define STEP(size, text) step(size, ASM(size, text))

static u64 gpa_of(u64 gva)
{
    return (0x1000 - (gva >> 12 & 0xfff)) << 12 | (gva & 0xfff);
}

static void expect_access(unsigned n, bool write, u64 gva, unsigned size, u64 value)
{
    assert_true(n < world.count);
    assert_int_equal(world.log[n].write, write);
    assert_int_equal(world.log[n].gpa, gpa_of(gva));
    assert_int_equal(world.log[n].size, size);
    assert_int_equal(world.log[n].value, value);
    assert_false(world.log[n].port);
}

// A device sees one access of the right size for each read and write, and no other.
static void a_device_sees_each_access_once(void **state)
{
    (void)state;
    regs[RBX] = 0x4010;
    regs[RAX] = 0x1122334455667788;
    assert_int_equal(STEP(CODE_64, "mov [rbx], eax"), EMULATE_DONE);
    assert_int_equal(world.count, 1);
    expect_access(0, true, 0x4010, 4, 0x55667788);
    assert_int_equal(e.rip, 0x1002);
    assert_int_equal(STEP(CODE_64, "movzx ecx, byte ptr [rbx]"), EMULATE_DONE);
    expect_access(1, false, 0x4010, 1, 0x30);
    assert_int_equal(regs[RCX], 0x30);
    assert_int_equal(STEP(CODE_64, "or dword ptr [rbx], 1"), EMULATE_DONE);
    expect_access(2, false, 0x4010, 4, 0x39363330);
    expect_access(3, true, 0x4010, 4, 0x39363331);
    assert_int_equal(STEP(CODE_64, "cmp [rbx], rax"), EMULATE_DONE);
    assert_int_equal(STEP(CODE_64, "test dword ptr [rbx], 1"), EMULATE_DONE);
    assert_int_equal(STEP(CODE_64, "movsxd rcx, dword ptr [rbx]"), EMULATE_DONE);
    assert_int_equal(STEP(CODE_64, "cmovnz ecx, dword ptr [rbx]"), EMULATE_DONE);
    assert_int_equal(world.count, 8);
    for (unsigned n = 4; n < 8; n++)
        assert_false(world.log[n].write);
    assert_int_equal(world.log[4].size, 8);
    assert_int_equal(world.log[6].size, 4);
    assert_int_equal(STEP(CODE_64, "setz byte ptr [rbx]"), EMULATE_DONE);
    expect_access(8, true, 0x4010, 1, (e.rflags & RFLAGS_ZF) != 0);
    assert_int_equal(world.count, 9);
}

static void addresses_wrap_as_the_mode_says(void **state)
{
    (void)state;
    world.base[SEG_ES] = 0xb8000;
    world.base[SEG_SS] = 0x20000;
    world.base[SEG_DS] = 0x30000;
    regs[RDI] = 0xffff0010; // upper half not used
    regs[RAX] = 0x1234;
    assert_int_equal(STEP(CODE_16, "mov es:[di + 2], ax"), EMULATE_DONE);
    expect_access(0, true, 0xb8012, 2, 0x1234);
    regs[RBP] = 0x8000;
    regs[RSI] = 0x7fff;
    assert_int_equal(STEP(CODE_16, "mov [bp + si + 3], al"), EMULATE_DONE); // wraps
    expect_access(1, true, 0x20002, 1, 0x34);
    assert_int_equal(STEP(CODE_16, "mov ecx, [ebx + esi + 4]"), EMULATE_DONE);
    expect_access(2, false, 0x38003, 4, 0x120f0c09);
    assert_int_equal(regs[RCX], 0x120f0c09);
    // BT counts bits beyond a word from the address on, inside 64 KiB.
    regs[RCX] = 0x8000; // -32768: 4096 bytes down
    regs[RBX] = 0x10;
    assert_int_equal(STEP(CODE_16, "bt word ptr [bx], cx"), EMULATE_DONE);
    expect_access(3, false, 0x3f010, 2, 0x3330);
    // With 4 GiB segments linear addresses wrap.
    world.base[SEG_DS] = 0xfffff000;
    regs[RBX] = 0x2345;
    assert_int_equal(STEP(CODE_32, "mov [ebx], al"), EMULATE_DONE);
    expect_access(4, true, 0x1345, 1, 0x34);
    // In 64-bit mode only FS and GS have a base.
    world.base[SEG_GS] = 0x5000;
    assert_int_equal(STEP(CODE_64, "ds mov [rbx], al"), EMULATE_DONE);
    expect_access(5, true, 0x2345, 1, 0x34);
    assert_int_equal(STEP(CODE_64, "mov gs:[rbx], al"), EMULATE_DONE);
    expect_access(6, true, 0x7345, 1, 0x34);
}

// Across a page each half has its own translation, and nothing happens before both are known.
static void an_access_across_pages_is_translated_first(void **state)
{
    (void)state;
    regs[RBX] = 0x4ffe;
    regs[RAX] = 0xaabbccdd;
    assert_int_equal(STEP(CODE_64, "mov [rbx], eax"), EMULATE_DONE);
    assert_int_equal(world.count, 4);
    expect_access(0, true, 0x4ffe, 1, 0xdd);
    expect_access(1, true, 0x4fff, 1, 0xcc);
    expect_access(2, true, 0x5000, 1, 0xbb);
    expect_access(3, true, 0x5001, 1, 0xaa);
    assert_int_equal(STEP(CODE_64, "mov ecx, [rbx]"), EMULATE_DONE);
    assert_int_equal(regs[RCX], (u8)(gpa_of(0x4ffe) * 3) | (u8)(gpa_of(0x4fff) * 3) << 8 |
                                    (u8)(gpa_of(0x5000) * 3) << 16 |
                                    (u64)(u8)(gpa_of(0x5001) * 3) << 24);
    world.count = 0;
    world.absent = 5;
    world.error = ERR_FAULT;
    assert_int_equal(STEP(CODE_64, "add [rbx], eax"), EMULATE_FAULT);
    assert_int_equal(world.count, 0);
    assert_int_equal(e.exception.vector, 14);
    assert_int_equal(e.exception.cr2, 0x5000);
    assert_int_equal(e.exception.error_code, PF_WRITE);
    // The last bytes of 4 GiB and the first.
    world.absent = UINT64_MAX;
    regs[RBX] = 0xffffffff;
    assert_int_equal(STEP(CODE_32, "mov [ebx], ax"), EMULATE_DONE);
    expect_access(0, true, 0xffffffff, 1, 0xdd);
    expect_access(1, true, 0, 1, 0xcc);
}

static void what_is_not_done_has_its_reason(void **state)
{
    (void)state;
    regs[RBX] = 0x4010;
    regs[RBP] = 0x4020;
    world.absent = 4;
    world.error = ERR_FAULT;
    assert_int_equal(STEP(CODE_64, "mov eax, [rbx]"), EMULATE_FAULT);
    assert_int_equal(e.exception.vector, 14);
    assert_true(e.exception.has_error);
    assert_int_equal(e.exception.error_code, 0);
    assert_int_equal(e.exception.cr2, 0x4010);
    world.error = ERR_INVALID;
    assert_int_equal(STEP(CODE_64, "mov eax, [rbx]"), EMULATE_FAULT);
    assert_int_equal(e.exception.vector, 13);
    assert_int_equal(STEP(CODE_64, "mov eax, [rbp]"), EMULATE_FAULT); // by RBP: the stack segment
    assert_int_equal(e.exception.vector, 12);
    assert_true(e.exception.has_error);
    world.error = ERR_BUSY;
    assert_int_equal(STEP(CODE_64, "mov eax, [rbx]"), EMULATE_AGAIN);
    world.error = ERR_NOT_FOUND;
    assert_int_equal(STEP(CODE_64, "mov eax, [rbx]"), EMULATE_FAILED);
    assert_int_equal(e.error, ERR_NOT_FOUND);
    world.absent = UINT64_MAX;
    world.translations = 0;
    const struct code locked[] = {
        ASM(CODE_64, "lock; mov [rbx], eax"),          ASM(CODE_64, "lock; cmp [rbx], eax"),
        ASM(CODE_64, "lock; add eax, [rbx]"),          ASM(CODE_64, "lock; add eax, eax"),
        ASM(CODE_64, "lock; bt dword ptr [rbx], eax"),
    };
    for (unsigned n = 0; n < ARRAY_SIZE(locked); n++) {
        assert_int_equal(step(CODE_64, locked[n]), EMULATE_FAULT);
        assert_int_equal(e.exception.vector, 6);
        assert_false(e.exception.has_error);
    }
    assert_int_equal(STEP(CODE_64, "movaps xmm0, xmmword ptr [rbx]"), EMULATE_UNSUPPORTED);
    assert_int_equal(STEP(CODE_64, "vmovaps xmm0, xmmword ptr [rbx]"), EMULATE_UNSUPPORTED);
    assert_int_equal(STEP(CODE_64, "fld dword ptr [rbx]"), EMULATE_UNSUPPORTED);
    // A VEX prefix naming map 0 does not make MOV of 8B.
    struct instruction i;
    assert_int_equal(decode(BYTES("\xc4\xe0\x78\x8b\x03").bytes, 5, CODE_64, &i), OK);
    assert_int_equal(emulate(&e, &i), EMULATE_UNSUPPORTED);
    assert_false(emulate_plain_mov(&e, &i, GVA(0x4010), GPA(0x4010), false));
    assert_int_equal(STEP(CODE_64, "nop"), EMULATE_UNSUPPORTED);
    assert_int_equal(world.count + world.translations, 0);
    assert_int_equal(e.rip, 0x1000);
    assert_int_equal(e.rflags, 2);
}

static void a_repeated_string_is_bounded_and_taken_up_again(void **state)
{
    (void)state;
    // Bounded, and taken up again.
    regs[RDI] = 0x4000;
    regs[RCX] = 40;
    regs[RAX] = 0xabcd;
    e.repeats = 30;
    assert_int_equal(STEP(CODE_64, "rep stosw"), EMULATE_AGAIN);
    assert_int_equal(world.count, 30);
    assert_int_equal(regs[RCX], 10);
    assert_int_equal(regs[RDI], 0x403c);
    assert_int_equal(e.rip, 0x1000);
    assert_int_equal(STEP(CODE_64, "rep stosw"), EMULATE_DONE);
    assert_int_equal(world.count, 40);
    expect_access(39, true, 0x404e, 2, 0xabcd);
    assert_int_equal(e.rip, 0x1003);

    // A fault in the middle: what is done is done, and it goes on from there.
    new_world(NULL);
    world.absent = 9;
    world.error = ERR_FAULT;
    regs[RSI] = 0x4100;
    regs[RDI] = 0x8ff8;
    regs[RCX] = 5;
    assert_int_equal(STEP(CODE_64, "rep movsd"), EMULATE_FAULT);
    assert_int_equal(e.exception.cr2, 0x9000);
    assert_int_equal(e.exception.error_code, PF_WRITE);
    assert_int_equal(regs[RCX], 3);
    assert_int_equal(regs[RSI], 0x4108);
    assert_int_equal(world.count, 4); // the third element was not read
    world.absent = UINT64_MAX;
    assert_int_equal(STEP(CODE_64, "rep movsd"), EMULATE_DONE);
    assert_int_equal(world.count, 10);
    assert_int_equal(regs[RCX], 0);

    // A fault leaves the flags of CMPS as they were.
    new_world(NULL);
    world.absent = 5;
    world.error = ERR_FAULT;
    regs[RSI] = 0x4ffe;
    regs[RDI] = 0x4ffe;
    regs[RCX] = 9;
    assert_int_equal(STEP(CODE_64, "repe cmpsb"), EMULATE_FAULT);
    assert_int_equal(regs[RCX], 7);
    assert_int_equal(e.rflags, 2);

    // 16-bit addresses: CX, SI, DI alone, wrapping; ES cannot be overridden.
    new_world(NULL);
    world.base[SEG_DS] = 0x10000;
    world.base[SEG_ES] = 0x20000;
    world.base[SEG_FS] = 0x30000;
    regs[RSI] = 0xaaaaffff;
    regs[RDI] = 0xbbbb0000;
    regs[RCX] = 0xcccc0002;
    assert_int_equal(STEP(CODE_16, "rep movs byte ptr es:[di], byte ptr fs:[si]"), EMULATE_DONE);
    expect_access(0, false, 0x3ffff, 1, (u8)(gpa_of(0x3ffff) * 3));
    expect_access(1, true, 0x20000, 1, (u8)(gpa_of(0x3ffff) * 3));
    expect_access(2, false, 0x30000, 1, (u8)(gpa_of(0x30000) * 3));
    assert_int_equal(regs[RSI], 0xaaaa0001);
    assert_int_equal(regs[RDI], 0xbbbb0002);
    assert_int_equal(regs[RCX], 0xcccc0000);
    assert_int_equal(STEP(CODE_16, "rep movsb"), EMULATE_DONE); // nothing left to do
    assert_int_equal(world.count, 4);
}

static void string_io_tries_memory_before_the_port(void **state)
{
    (void)state;
    struct string_io io = {.port = 0x1f0,
                           .size = 2,
                           .in = true,
                           .rep = true,
                           .address_size = 4,
                           .instruction_length = 3};
    e.code_size = CODE_32;
    world.base[SEG_ES] = 0x100000;
    regs[RDI] = 0x2000;
    regs[RCX] = 3;
    e.repeats = 2;
    assert_int_equal(emulate_string_io(&e, &io), EMULATE_AGAIN);
    assert_int_equal(e.rip, 0x1000);
    assert_int_equal(emulate_string_io(&e, &io), EMULATE_DONE);
    assert_int_equal(e.rip, 0x1003);
    assert_int_equal(regs[RDI], 0x2006);
    assert_int_equal(regs[RCX], 0);
    assert_int_equal(world.count, 6);
    assert_true(world.log[4].port && world.log[4].gpa == 0x1f0 && world.log[4].size == 2);
    expect_access(5, true, 0x102004, 2, 5); // what is wider than the port is cut
    // The memory is tried before the port is read.
    world.absent = 0x102;
    world.error = ERR_FAULT;
    regs[RCX] = 1;
    assert_int_equal(emulate_string_io(&e, &io), EMULATE_FAULT);
    assert_int_equal(e.exception.error_code, PF_WRITE);
    assert_int_equal(world.count, 6);
    assert_int_equal(regs[RCX], 1);

    // OUTS, downwards, one element, 16-bit address, another segment.
    new_world(NULL);
    io = (struct string_io){
        .port = 0xe9, .size = 1, .address_size = 2, .instruction_length = 2, .segment = SEG_FS};
    e.code_size = CODE_16;
    e.rflags |= RFLAGS_DF;
    e.repeats = 1;
    world.base[SEG_FS] = 0x40000;
    regs[RSI] = 0x7770000;
    regs[RCX] = 77;
    assert_int_equal(emulate_string_io(&e, &io), EMULATE_DONE);
    expect_access(0, false, 0x40000, 1, 0);
    assert_true(world.log[1].port && world.log[1].write && world.log[1].gpa == 0xe9);
    assert_int_equal(world.log[1].value, 0);
    assert_int_equal(regs[RSI], 0x777ffff);
    assert_int_equal(regs[RCX], 77);
    // REP with nothing to do.
    io.rep = true;
    io.address_size = 8;
    regs[RCX] = 0;
    assert_int_equal(emulate_string_io(&e, &io), EMULATE_DONE);
    assert_int_equal(world.count, 2);
}

// ---- breakpoints ----------------------------------------------------------------------------

enum { RW_WRITE = 1, RW_PORT = 2, RW_ACCESS = 3, LEN_1 = 0, LEN_4 = 3 };

static struct breakpoint_registers breakpoints;

static void set_breakpoint(unsigned n, u64 address, u64 rw, u64 len)
{
    breakpoints.dr[n] = address;
    breakpoints.dr7 |= BIT(2 * n) | rw << (16 + 4 * n) | len << (18 + 4 * n);
}

static int new_world_with_breakpoints(void **state)
{
    new_world(state);
    breakpoints = (struct breakpoint_registers){.dr7 = DR7_FIXED};
    e.breakpoints = &breakpoints;
    return 0;
}

// D9.
static void breakpoints_see_what_an_instruction_reads_and_writes(void **state)
{
    (void)state;
    regs[RBX] = 0x4010;
    set_breakpoint(0, 0x4010, RW_ACCESS, LEN_4);
    set_breakpoint(1, 0x4013, RW_WRITE, LEN_1);
    set_breakpoint(2, 0x4014, RW_ACCESS, LEN_4);
    assert_int_equal(STEP(CODE_64, "mov eax, [rbx]"), EMULATE_DONE);
    assert_int_equal(e.hits, DR6_ENABLED | BIT(0));
    e.hits = 0;
    assert_int_equal(STEP(CODE_64, "or dword ptr [rbx], 1"), EMULATE_DONE);
    assert_int_equal(e.hits, DR6_ENABLED | BIT(0) | BIT(1));
    e.hits = 0;
    assert_int_equal(STEP(CODE_64, "mov [rbx + 2], al"), EMULATE_DONE);
    assert_int_equal(e.hits, DR6_ENABLED | BIT(0));
    e.hits = 0;
    regs[RSP] = 0x4018;
    assert_int_equal(STEP(CODE_64, "push qword ptr [rbx]"), EMULATE_DONE);
    assert_int_equal(e.hits, DR6_ENABLED | BIT(0) | BIT(1) | BIT(2));
}

// D9: an operand of two pages, the second of which is the first of all in 32-bit code.
static void breakpoints_see_both_pages_of_an_operand(void **state)
{
    (void)state;
    regs[RBX] = 0x4ffe;
    set_breakpoint(0, 0x4fff, RW_ACCESS, LEN_1);
    set_breakpoint(1, 0x5001, RW_ACCESS, LEN_1);
    set_breakpoint(2, 0x5002, RW_ACCESS, LEN_1);
    set_breakpoint(3, 1, RW_ACCESS, LEN_1);
    assert_int_equal(STEP(CODE_32, "mov eax, [ebx]"), EMULATE_DONE);
    assert_int_equal(e.hits, DR6_ENABLED | BIT(0) | BIT(1));
    e.hits = 0;
    regs[RBX] = 0xfffffffe;
    assert_int_equal(STEP(CODE_32, "mov eax, [ebx]"), EMULATE_DONE);
    assert_int_equal(e.hits, DR6_ENABLED | BIT(3));
}

// D9: and the registers are those of after it.
static void a_breakpoint_ends_a_repetition_behind_the_iteration_that_meets_it(void **state)
{
    (void)state;
    regs[RSI] = 0x4000;
    regs[RDI] = 0x8000;
    regs[RCX] = 4;
    set_breakpoint(3, 0x8004, RW_WRITE, LEN_4);
    assert_int_equal(STEP(CODE_64, "rep movsd"), EMULATE_AGAIN);
    assert_int_equal(e.hits, DR6_ENABLED | BIT(3));
    assert_int_equal(regs[RCX], 2);
    assert_int_equal(regs[RDI], 0x8008);
    assert_int_equal(world.count, 4);
    e.hits = 0;
    assert_int_equal(STEP(CODE_64, "rep movsd"), EMULATE_DONE);
    assert_int_equal(e.hits, 0);
    // The last iteration ends the instruction.
    regs[RDI] = 0x8000;
    regs[RCX] = 2;
    assert_int_equal(STEP(CODE_64, "rep stosd"), EMULATE_DONE);
    assert_int_equal(e.hits, DR6_ENABLED | BIT(3));
}

// D9, A6: while CR4.DE is set.
static void breakpoints_see_the_ports_of_string_instructions(void **state)
{
    (void)state;
    struct string_io io = {.port = 0x1f0,
                           .size = 2,
                           .in = true,
                           .rep = true,
                           .address_size = 8,
                           .instruction_length = 2,
                           .segment = SEG_ES};
    e.code_size = CODE_64;
    regs[RDI] = 0x8000;
    regs[RCX] = 3;
    set_breakpoint(1, 0x1f1, RW_PORT, LEN_1);
    set_breakpoint(2, 0x8003, RW_WRITE, LEN_1);
    assert_int_equal(emulate_string_io(&e, &io), EMULATE_AGAIN);
    assert_int_equal(regs[RCX], 1);
    assert_int_equal(e.hits, DR6_ENABLED | BIT(2));
    e.hits = 0;
    e.cr4 = CR4_DE;
    regs[RCX] = 2;
    assert_int_equal(emulate_string_io(&e, &io), EMULATE_AGAIN);
    assert_int_equal(regs[RCX], 1);
    assert_int_equal(e.hits, DR6_ENABLED | BIT(1));
}

// ---- set-up ---------------------------------------------------------------------------------

// Some machines do not let programs run 32-bit code; a child finds out.
static bool try_32_bit_code(void)
{
    pid_t child = fork();
    if (child == 0) {
        const struct code inc = ASM(CODE_32, "inc eax");
        run_native(inc.bytes, inc.length, true);
        _exit(native.gpr_out[RAX] == 1 ? 0 : 1);
    }
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static int start(void **state)
{
    (void)state;
    int protection = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT;
    features = host_features();
    code = mmap(NULL, 4096, protection | PROT_EXEC, flags, -1, 0);
    memory = mmap(NULL, MEMORY, protection, flags, -1, 0);
    if (code == MAP_FAILED || memory == MAP_FAILED)
        return -1;
    // 32-bit code needs data segments; 64-bit code does not care.
    __asm__ volatile("mov %0, %%ds; mov %0, %%es" ::"r"(USER_DS));
    native.rflags = 0x202;
    can_run_32 = try_32_bit_code();
    return syscall(SYS_arch_prctl, SET_GS, (unsigned long)GS_BASE) == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instructions_do_what_the_cpu_does),
        cmocka_unit_test(every_form_has_been_compared),
        cmocka_unit_test(string_instructions_do_what_the_cpu_does),
        cmocka_unit_test_setup(a_device_sees_each_access_once, new_world),
        cmocka_unit_test_setup(addresses_wrap_as_the_mode_says, new_world),
        cmocka_unit_test_setup(an_access_across_pages_is_translated_first, new_world),
        cmocka_unit_test_setup(what_is_not_done_has_its_reason, new_world),
        cmocka_unit_test_setup(a_repeated_string_is_bounded_and_taken_up_again, new_world),
        cmocka_unit_test_setup(string_io_tries_memory_before_the_port, new_world),
        cmocka_unit_test_setup(breakpoints_see_what_an_instruction_reads_and_writes,
                               new_world_with_breakpoints),
        cmocka_unit_test_setup(breakpoints_see_both_pages_of_an_operand,
                               new_world_with_breakpoints),
        cmocka_unit_test_setup(a_breakpoint_ends_a_repetition_behind_the_iteration_that_meets_it,
                               new_world_with_breakpoints),
        cmocka_unit_test_setup(breakpoints_see_the_ports_of_string_instructions,
                               new_world_with_breakpoints),
    };
    return cmocka_run_group_tests_name("emulate", tests, start, NULL);
}
