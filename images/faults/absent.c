// SPDX-License-Identifier: MIT
// Touching ports, MSRs and memory that are not there.
#include "faults.h"
#include "guest.h"

void faults_port(void)
{
    static const u16 ports[] = {0x2c8, 0x5a8, 0x7f0, 0xe010};
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++) {
        u16 port = ports[i];
        outb(port, 0x5a);
        outw(port, 0x5a5a);
        outl(port, 0x5a5a5a5a);
        report(inb(port) == 0xff, "A6: port 0x%x has no byte", port);
        report(inw(port) == 0xffff, "A6: port 0x%x has no word", port);
        report(inl(port) == 0xffffffff, "A6: port 0x%x has no doubleword", port);
    }
    // Across the end of the port space: to be survived, whatever it reads. Then string
    // instructions of every size.
    printf("faults: the doubleword at port 0xfffe is 0x%x\n", inl(0xfffe));
    u32 data[4] = {0};
    void *to = data;
    u64 n = 4;
    __asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(ports[0]) : "memory");
    report(n == 0 && to == data + 1 && data[0] == 0xffffffff && data[1] == 0, "A6: REP INSB");
    n = 4;
    to = data;
    __asm__ volatile("rep insl" : "+D"(to), "+c"(n) : "d"(ports[0]) : "memory");
    report(n == 0 && to == data + 4 && data[3] == 0xffffffff, "A6: REP INSD");
    const void *from = data;
    n = 8;
    __asm__ volatile("rep outsw" : "+S"(from), "+c"(n) : "d"(ports[0]) : "memory");
    report(n == 0 && from == data + 4, "A6: REP OUTSW");
}

void faults_msr(void)
{
    static const u32 unknown[] = {0x5, 0x12345, 0x40ffffff, 0xc0001fff, 0xffffffff};
    for (size_t i = 0; i < ARRAY_SIZE(unknown); i++) {
        u64 value;
        int fault = rdmsr_try(unknown[i], &value);
        report(fault == VECTOR_GP && caught_error == 0, "A8: reading MSR 0x%x gives #GP(0)",
               unknown[i]);
        fault = wrmsr_try(unknown[i], 0);
        report(fault == VECTOR_GP && caught_error == 0, "A8: writing MSR 0x%x gives #GP(0)",
               unknown[i]);
    }
    int fault = wrmsr_try(MSR_EFER, rdmsr(MSR_EFER) | BIT(63));
    report(fault == VECTOR_GP, "A8: a reserved bit of IA32_EFER gives #GP");
    fault = wrmsr_try(MSR_EFER, rdmsr(MSR_EFER) & ~(u64)EFER_LME);
    report(fault == VECTOR_GP, "A9: clearing EFER.LME under paging gives #GP");
    faults_msr_bits();
}

void faults_mmio(void)
{
    static const u64 holes[] = {0xd0000000, 0xe0001000, 0xfed40000};
    for (size_t i = 0; i < ARRAY_SIZE(holes); i++) {
        u64 at = holes[i];
        write32(at, 0x12345678);
        u32 long_word = read32(at + 4);
        u64 quad = 0;
        u8 byte = *(volatile u8 *)(at + 1);
        u16 word = *(volatile u16 *)(at + 2);
        int fault = read64_try(at, &quad);
        report(byte == 0xff && word == 0xffff && long_word == 0xffffffff,
               "E2: nothing at 0x%lx (read 0x%x 0x%x 0x%x)", at, byte, word, long_word);
        report(fault == NO_FAULT && quad == UINT64_MAX, "E2: no quadword at 0x%lx", at);
    }
}
