// SPDX-License-Identifier: MIT
// Entry to and exit from the guest, and the way from one to the other that nearly every exit takes.
// The host's stack pointer in the VMCS is that of vmm_loop's frame, so an exit finds the vCPU on top
// of the stack.
#include "vmx/offsets.h"

#define EXIT_REASON      0x4402
#define HOST_RSP         0x6c14
#define PREEMPTION_TIMER 0x482e
#define GPR(n)           (8 * n)
#define RAX 0
#define RCX 1
#define RDX 2
#define RBX 3
#define RBP 5
#define RSI 6
#define RDI 7

#ifdef COUNT_VMX
#define COUNT(n) lock incq vmx_counts + 8 * n
#else
#define COUNT(n)
#endif
#define COUNT_VMREAD  0
#define COUNT_VMWRITE 1
#define COUNT_EXIT    3
#define COUNT_ROOT    4

// RAX: the TSC at an exit, or at an entry. RDX is lost.
#ifdef COUNT_VMX
#define ROOT_BEGINS \
    rdtsc; shl $32, %rdx; or %rdx, %rax; mov %rax, %gs:CORE_EXIT_TSC
#define ROOT_ENDS \
    mov %rax, %rdx; sub %gs:CORE_EXIT_TSC, %rdx; lock add %rdx, vmx_counts + 8 * COUNT_ROOT
#else
#define ROOT_BEGINS
#define ROOT_ENDS
#endif

// The guest's general registers from the vCPU in RBX.
.macro load_registers
    mov GPR(RAX)(%rbx), %rax
    mov GPR(RCX)(%rbx), %rcx
    mov GPR(RDX)(%rbx), %rdx
    mov GPR(RBP)(%rbx), %rbp
    mov GPR(RSI)(%rbx), %rsi
    mov GPR(RDI)(%rbx), %rdi
    mov GPR(8)(%rbx), %r8
    mov GPR(9)(%rbx), %r9
    mov GPR(10)(%rbx), %r10
    mov GPR(11)(%rbx), %r11
    mov GPR(12)(%rbx), %r12
    mov GPR(13)(%rbx), %r13
    mov GPR(14)(%rbx), %r14
    mov GPR(15)(%rbx), %r15
    mov GPR(RBX)(%rbx), %rbx
.endm

// Sets the preemption timer, which does not count in root mode and so is set at each entry
// (SDM 27.7.4). It takes the low 32 bits: a deadline further away costs an exit in 2^32 counts.
.macro arm_timer due
    mov %gs:CORE_DEADLINE, %rsi
    rdtsc
    shl $32, %rdx
    or %rdx, %rax
    sub %rax, %rsi
    jbe \due
    ROOT_ENDS
    mov vmx_caps + CAPS_PREEMPTION_SHIFT, %ecx
    shr %cl, %rsi
    mov $PREEMPTION_TIMER, %eax
    COUNT(COUNT_VMWRITE)
    vmwrite %rsi, %rax
    jbe vmwrite_refused
.endm

    .text
    .globl vmm_loop, vmx_exit_entry
    .balign 16
vmm_loop:                                   // its frame: the vCPU's place at RSP, which is a
    .cfi_startproc                          // multiple of 16
    // It never returns. RBP is for backtraces alone: the caller's frame may be relative to it.
    .cfi_undefined rbx
    .cfi_undefined r12
    .cfi_undefined r13
    .cfi_undefined r14
    .cfi_undefined r15
    push %rbp
    .cfi_adjust_cfa_offset 8
    .cfi_rel_offset rbp, 0
    sub $16, %rsp
    .cfi_adjust_cfa_offset 16
next:
    call vmm_next
    mov %rax, %rbx
    mov %rbx, (%rsp)
    cmp %rsp, VCPU_HOST_RSP(%rbx)
    je 1f
    mov %rsp, VCPU_HOST_RSP(%rbx)
    mov $HOST_RSP, %eax
    COUNT(COUNT_VMWRITE)
    vmwrite %rsp, %rax
    jbe vmwrite_refused
1:  testb $1, VCPU_LAUNCHED(%rbx)
    jnz prepared
    ROOT_BEGINS                             // a launch does not count: nothing of its VM ran before
    arm_timer due_launch
launch:
    movb $1, VCPU_LAUNCHED(%rbx)
    load_registers
    vmlaunch
    jmp refused

    .balign 16
vmx_exit_entry:
    push %rbx
    .cfi_adjust_cfa_offset 8
    mov 8(%rsp), %rbx
    mov %rax, GPR(RAX)(%rbx)
    mov %rcx, GPR(RCX)(%rbx)
    mov %rdx, GPR(RDX)(%rbx)
    mov %rbp, GPR(RBP)(%rbx)
    mov %rsi, GPR(RSI)(%rbx)
    mov %rdi, GPR(RDI)(%rbx)
    mov %r8, GPR(8)(%rbx)
    mov %r9, GPR(9)(%rbx)
    mov %r10, GPR(10)(%rbx)
    mov %r11, GPR(11)(%rbx)
    mov %r12, GPR(12)(%rbx)
    mov %r13, GPR(13)(%rbx)
    mov %r14, GPR(14)(%rbx)
    mov %r15, GPR(15)(%rbx)
    pop GPR(RBX)(%rbx)
    .cfi_adjust_cfa_offset -8
    mov %rbx, %rdi
    ROOT_BEGINS
    COUNT(COUNT_EXIT)
    COUNT(COUNT_VMREAD)
    mov $EXIT_REASON, %eax
    vmread %rax, %rax
    jbe vmread_refused
    mov %eax, VCPU_REASON(%rdi)
    cmp VCPU_PLAIN_REASONS(%rdi), %eax
    jae special
    incq VCPU_EXITS(%rdi, %rax, 8)
    call *exit_handlers(, %rax, 8)

// Before each entry. RBX: the vCPU.
prepared:
    mov VCPU_REQUESTS(%rbx), %eax
    or %gs:CORE_ATTENTION, %eax
    jnz requested
    arm_timer due
enter:
    load_registers
    vmresume

refused:
    // Only a refused VMLAUNCH or VMRESUME comes here; the flags say which kind.
    setc %al
    mov (%rsp), %rdi
    movzbl %al, %esi
    movb $0, VCPU_LAUNCHED(%rdi)
    call vmx_entry_refused
    jmp next

special:                          // a failed entry, a reason that we do not know, or interception
    call vcpu_special_exit
    jmp prepared

requested:
    mov %rbx, %rdi
    call vcpu_requested
    test %al, %al
    jnz prepared
    jmp next

due:                                        // or there is no preemption timer
    mov %rbx, %rdi
    call vcpu_deadline
    test %al, %al
    jnz enter
    jmp prepared

due_launch:
    mov %rbx, %rdi
    call vcpu_deadline
    test %al, %al
    jnz launch
    mov %rbx, %rdi
    call vcpu_withdraw
    jmp next

vmread_refused:
    mov $EXIT_REASON, %edi
    call vmread_failed
vmwrite_refused:
    mov %rax, %rdi
    call vmwrite_failed
    .cfi_endproc

    .section .note.GNU-stack, "", @progbits
