// SPDX-License-Identifier: MIT
// Entry to and exit from the guest. The host's stack pointer in the VMCS is that of vcpu_enter's
// frame, so an exit finds the vCPU on top of the stack.

#define HOST_RSP      0x6c14
#define VCPU_LAUNCHED 128
#define HOST_RSP_CACHE 136
#define GPR(n)        (8 * n)
#define RAX 0
#define RCX 1
#define RDX 2
#define RBX 3
#define RBP 5
#define RSI 6
#define RDI 7

    .text
    .globl vcpu_enter, vmx_exit_entry
    .balign 16
vcpu_enter:
    push %rbp
    mov %rsp, %rbp
    push %rbx
    push %r12
    push %r13
    push %r14
    push %r15
    push %rdi                               // the vCPU; the stack is 16-byte aligned again
    cmp %rsp, HOST_RSP_CACHE(%rdi)
    jne set_host_rsp

enter:
    mov GPR(RAX)(%rdi), %rax
    mov GPR(RCX)(%rdi), %rcx
    mov GPR(RDX)(%rdi), %rdx
    mov GPR(RBX)(%rdi), %rbx
    mov GPR(RBP)(%rdi), %rbp
    mov GPR(RSI)(%rdi), %rsi
    mov GPR(8)(%rdi), %r8
    mov GPR(9)(%rdi), %r9
    mov GPR(10)(%rdi), %r10
    mov GPR(11)(%rdi), %r11
    mov GPR(12)(%rdi), %r12
    mov GPR(13)(%rdi), %r13
    mov GPR(14)(%rdi), %r14
    mov GPR(15)(%rdi), %r15
    testb $1, VCPU_LAUNCHED(%rdi)
    jz launch
    mov GPR(RDI)(%rdi), %rdi
    vmresume
    jmp failed
launch:
    movb $1, VCPU_LAUNCHED(%rdi)
    mov GPR(RDI)(%rdi), %rdi
    vmlaunch
failed:
    // Only a refused VMLAUNCH or VMRESUME comes here; the flags say which kind.
    setc %al
    mov (%rsp), %rdi
    movzbl %al, %esi
    lea 48(%rsp), %rbp
    movb $0, VCPU_LAUNCHED(%rdi)
    call vmx_entry_refused
    jmp leave

    .balign 16
vmx_exit_entry:
    push %rdi
    mov 8(%rsp), %rdi
    mov %rax, GPR(RAX)(%rdi)
    mov %rcx, GPR(RCX)(%rdi)
    mov %rdx, GPR(RDX)(%rdi)
    mov %rbx, GPR(RBX)(%rdi)
    mov %rbp, GPR(RBP)(%rdi)
    mov %rsi, GPR(RSI)(%rdi)
    mov %r8, GPR(8)(%rdi)
    mov %r9, GPR(9)(%rdi)
    mov %r10, GPR(10)(%rdi)
    mov %r11, GPR(11)(%rdi)
    mov %r12, GPR(12)(%rdi)
    mov %r13, GPR(13)(%rdi)
    mov %r14, GPR(14)(%rdi)
    mov %r15, GPR(15)(%rdi)
    pop GPR(RDI)(%rdi)
    mov %rdi, %rbx
    lea 48(%rsp), %rbp
    call vmx_exit
    mov %rbx, %rdi
    test %al, %al
    jnz enter

leave:
    add $8, %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbx
    pop %rbp
    ret

set_host_rsp:
    mov %rsp, HOST_RSP_CACHE(%rdi)
    mov $HOST_RSP, %eax
    vmwrite %rsp, %rax
    jmp enter

    .section .note.GNU-stack, "", @progbits
