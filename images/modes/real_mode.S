// SPDX-License-Identifier: MIT
// Long mode to real mode and back: u32 real_mode_trip(void). ESI gathers the result's bits.
#include "segments.h"

#define REAL_SEGMENT  (REAL_MODE_PAGE >> 4)
#define AT(label)     (label - blob)
#define STACK_TOP     0xf00
#define SCRATCH       0xf80 // offset in the page

#define BIT_INT      0x01
#define BIT_FAULT    0x02
#define BIT_SEGMENTS 0x04
#define BIT_CPUID    0x08
#define BIT_PORT     0x10
#define BIT_FLAGS    0x20

    .text
    .code64
    .globl real_mode_trip
real_mode_trip:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    pushfq
    cli
    cld
    sidt saved_idt
    mov %rsp, saved_rsp
    mov $blob, %esi
    mov $REAL_MODE_PAGE, %edi
    mov $(blob_end - blob), %ecx
    rep movsb
    xor %esi, %esi
    ljmp *to_compatibility

    .code32
compatibility:
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %cr0, %eax
    and $~CR0_PG, %eax
    mov %eax, %cr0
    mov $MSR_EFER, %ecx
    rdmsr
    and $~EFER_LME, %eax
    wrmsr
    mov %cr4, %eax
    and $~CR4_PAE, %eax
    mov %eax, %cr4
    ljmp $SEL_CODE16, $(REAL_MODE_PAGE + AT(protected16))

back32:
    mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %eax, %fs
    mov %eax, %gs
    mov $back64, %edi
    jmp enter_long_mode

    .code64
back64:
    mov saved_rsp, %rsp
    lidt saved_idt
    popfq
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    mov %esi, %eax
    ret

    .data
    .balign 8
to_compatibility:
    .long compatibility
    .word SEL_CODE32
saved_idt:
    .skip 10
    .balign 8
saved_rsp:
    .quad 0

// Runs at REAL_MODE_PAGE.
    .section .rodata
    .code16
blob:
protected16:
    mov $SEL_DATA16, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov %ax, %fs
    mov %ax, %gs
    mov %cr0, %eax
    and $~CR0_PE, %eax
    mov %eax, %cr0
    ljmp $REAL_SEGMENT, $AT(real)

real:
    mov %cs, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $STACK_TOP, %sp
    lidtl AT(real_idt)
    xor %ax, %ax
    mov %ax, %fs
    mov %ax, %gs
    pushl %fs:(0x60 * 4)
    pushl %fs:0
    movw $AT(on_int), %fs:(0x60 * 4)
    movw %cs, %fs:(0x60 * 4 + 2)
    movw $AT(on_divide), %fs:0
    movw %cs, %fs:2

    mov %sp, %bp
    int $0x60
    cmp %sp, %bp
    je 1f
    and $~BIT_INT, %si

1:  mov $1, %ax
    xor %cx, %cx
divide:
    div %cl
after_divide:

    mov $(REAL_SEGMENT + 0x50), %ax
    mov %ax, %es
    movw $0x5aa5, %es:(SCRATCH - 0x500)
    cmpw $0x5aa5, SCRATCH
    jne 1f
    or $BIT_SEGMENTS, %si

1:  xor %eax, %eax
    cpuid
    test %eax, %eax
    jz 1f
    or $BIT_CPUID, %si

1:  in $0x21, %al // the PIC's mask: the runtime masked everything
    cmp $0xff, %al
    jne 1f
    or $BIT_PORT, %si

1:  sti
    pushf
    cli
    pushf
    pop %ax
    pop %bx
    test $0x200, %bx
    jz 1f
    test $0x200, %ax
    jnz 1f
    or $BIT_FLAGS, %si

1:  popl %fs:0
    popl %fs:(0x60 * 4)
    lgdtl AT(real_gdt)
    mov %cr0, %eax
    or $CR0_PE, %eax
    mov %eax, %cr0
    ljmpl $SEL_CODE32, $back32

on_int:
    push %bp
    mov %sp, %bp
    cmpw $REAL_SEGMENT, 4(%bp) // IP, CS, FLAGS above the saved BP
    jne 1f
    or $BIT_INT, %si
1:  pop %bp
    iret

on_divide:
    push %bp
    mov %sp, %bp
    cmpw $AT(divide), 2(%bp) // a fault: IP is the DIV's own
    jne 1f
    or $BIT_FAULT, %si
1:  movw $AT(after_divide), 2(%bp)
    pop %bp
    iret

real_idt:
    .word 0x3ff
    .long 0
real_gdt:
    .word SEL_DATA16 + 7
    .long gdt
blob_end:

    .section .note.GNU-stack, "", @progbits
