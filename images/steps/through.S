// SPDX-License-Identifier: MIT
// Straight lines of instructions, each of which is to be one step.

    .text
// Those that a hypervisor carries out: CPUID, ports, MSRs.
    .globl go_through_emulated
go_through_emulated:
    push %rbx
    xor %eax, %eax
    xor %ecx, %ecx
    .globl at_cpuid, at_in, at_out, at_rdmsr
at_cpuid:
    cpuid
    mov $0x3fd, %edx
at_in:
    in %dx, %al
    mov $0x80, %edx
at_out:
    out %al, %dx
    mov $0x1b, %ecx
at_rdmsr:
    rdmsr
    pop %rbx
    ret

// An instruction with iterations, which a hypervisor carries out: four bytes from a port.
    .globl read_ports, at_ins
read_ports:
    lea ports_read(%rip), %rdi
    mov $4, %ecx
    mov $0x4d0, %edx // the ELCR
at_ins:
    rep insb
    ret

// Those that hold interrupts or the trap back, or go elsewhere: MOV SS, STI, INT and IRET, REP.
    .globl go_through_plain, at_mov_ss, at_pushf, at_sti, at_cli, at_int, after_int, at_rep, after_rep
go_through_plain:
    mov %ss, %eax
at_mov_ss:
    mov %eax, %ss
    nop
at_pushf:
    pushfq
    pop %rax
at_sti:
    sti
    nop
at_cli:
    cli
at_int:
    int $0x30
after_int:
    lea scratch(%rip), %rdi
    mov $4, %ecx
    xor %eax, %eax
at_rep:
    rep stosb
after_rep:
    ret

// Those that a hypervisor has the CPU carry out, or carries out, when it is to catch them.
    .globl go_through_caught, at_ret
go_through_caught:
    sidt scratch(%rip)
    lidt scratch(%rip)
    str %eax
    mov %dr7, %rax
    mov %rax, %dr7
    mov %cr3, %rax
    mov %rax, %cr3
    invlpg scratch(%rip)
    rdtsc
at_ret:
    ret

    .globl gate, at_iret
gate:
    nop
at_iret:
    iretq

// read_values(rdi = where they go)
    .globl read_values
read_values:
    movq %xmm3, (%rdi)
    mov %cr2, %rax
    mov %rax, 8(%rdi)
    mov $0xc0000100, %ecx // IA32_FS_BASE
    rdmsr
    mov %eax, 16(%rdi)
    mov %edx, 20(%rdi)
    ret

    .section .rodata
one:
    mov $1, %eax
    ret
one_end:
two:
    nop
    mov $2, %eax
    ret
two_end:
    .balign 8
    .globl routines
routines:
    .quad one, one_end, two, two_end

    .bss
scratch:
    .skip 16

    .section .note.GNU-stack, "", @progbits
