// SPDX-License-Identifier: MIT
// What the second CPU runs: from real mode to the mode asked for, then the slots; and what takes its
// exceptions. Copied to VICTIM_BASE.
#include "segments.h"
#include "victim.h"

#define AT(label)     (label - victim_code)
#define LINEAR(label) (VICTIM_BASE + label - victim_code)
#define PARAM(x)      (AT_PARAM + PARAM_##x)
#define FLAT(offset)  (VICTIM_BASE + offset)
#define EFLAGS_VM     0x20000

// What is the same in each size of code. The flat ones: the segments and the stack, and the current
// slot's offset in EAX, or `done`.
    .macro find_slot done
    mov $SEL_DATA, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    mov %ecx, %ss
    mov $FLAT(STACK_TOP), %esp
    mov FLAT(PARAM(SLOT)), %eax
    cmp FLAT(PARAM(SLOTS)), %eax
    jae \done
    shl $4, %eax
    .endm

    .macro say_done at
    movl $1, \at
1:  cli
    hlt
    jmp 1b
    .endm

    .macro stubs common
vector = 0
    .rept 33
    .balign 8
    mov $vector, %al
    jmp \common
vector = vector + 1
    .endr
    .endm

    .section .rodata
    .balign 16
    .globl victim_code, victim_code_end
    .globl victim_ivt_pointer, victim_idt32_pointer, victim_idt64_pointer
    .globl victim_stubs16, victim_stubs32, victim_stubs64
    .code16
victim_code:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $STACK_TOP, %sp
    lidtl AT(victim_ivt_pointer)
    lgdtl AT(gdt_pointer16)
    movl PARAM(MODE), %eax
    movl $1, PARAM(BEGAN)
    test %eax, %eax
    jz next16
    mov %cr0, %eax
    or $CR0_PE, %eax
    mov %eax, %cr0
    ljmpl $SEL_CODE32, $LINEAR(protected)

// Goes to the slot that is the current one.
next16:
    mov %cs, %ax
    mov %ax, %ds
    mov %ax, %ss
    mov $STACK_TOP, %sp
    mov PARAM(SLOT), %eax
    cmp PARAM(SLOTS), %eax
    jae done16
    shl $4, %ax
    add $AT_BODY, %ax
    jmp *%ax
done16:
    say_done PARAM(DONE)

// AL: the vector.
common16:
    mov %cs, %bx
    mov %bx, %ds
    mov PARAM(SLOT), %ebx
    mov %al, PARAM(VECTORS)(%bx)
    incl PARAM(SLOT)
    jmp next16

    .balign 8
victim_stubs16:
    stubs common16

    .code32
protected:
    mov $SEL_DATA, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    mov %ecx, %ss
    mov %ecx, %fs
    mov %ecx, %gs
    mov $FLAT(STACK_TOP), %esp
    mov FLAT(PARAM(MODE)), %ebx
    mov FLAT(PARAM(CR3)), %eax
    mov %eax, %cr3
    cmp $MODE_LONG, %ebx
    jae enter_long
    lidt FLAT(AT(victim_idt32_pointer))
    mov $SEL_TSS32, %ecx
    ltr %cx
    cmp $MODE_PAGED, %ebx
    jb next32
    mov %cr4, %eax
    or $CR4_PSE, %eax
    cmp $MODE_PAE, %ebx
    jne 1f
    or $CR4_PAE, %eax
1:  mov %eax, %cr4
    mov %cr0, %eax
    or $CR0_PG, %eax
    mov %eax, %cr0

next32:
    find_slot done32
    add $AT_BODY, %eax
    cmpl $MODE_V86, FLAT(PARAM(MODE))
    je enter_v86
    add $VICTIM_BASE, %eax
    jmp *%eax
enter_v86:
    mov $(VICTIM_BASE >> 4), %ecx
    push %ecx // GS, FS, DS, ES, SS
    push %ecx
    push %ecx
    push %ecx
    push %ecx
    push $(STACK_TOP - 0x400)
    push $(EFLAGS_VM | 0x3002) // IOPL 3
    push %ecx
    push %eax
    iretl
done32:
    say_done FLAT(PARAM(DONE))

common32:
    mov $SEL_DATA, %ecx
    mov %ecx, %ds
    mov FLAT(PARAM(SLOT)), %ebx
    mov %al, FLAT(PARAM(VECTORS))(%ebx)
    incl FLAT(PARAM(SLOT))
    jmp next32

    .balign 8
victim_stubs32:
    stubs common32

enter_long:
    mov %cr4, %eax
    or $CR4_PAE, %eax
    mov %eax, %cr4
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov %cr0, %eax
    and $~(CR0_CD | CR0_NW), %eax
    or $CR0_PG, %eax
    mov %eax, %cr0
    ljmp $SEL_CODE64, $LINEAR(in_long)

    .code64
in_long:
    lidt FLAT(AT(victim_idt64_pointer))
    mov $SEL_TSS64, %ecx
    ltr %cx
next64:
    find_slot done64
    add $FLAT(AT_BODY), %eax
    cmpl $MODE_COMPAT, FLAT(PARAM(MODE))
    je 1f
    jmp *%rax
1:  push $SEL_CODE32
    push %rax
    lretq
done64:
    say_done FLAT(PARAM(DONE))

common64:
    mov FLAT(PARAM(SLOT)), %ebx
    mov %al, FLAT(PARAM(VECTORS))(%rbx)
    incl FLAT(PARAM(SLOT))
    jmp next64

    .balign 8
victim_stubs64:
    stubs common64

    .balign 8
victim_ivt_pointer:
    .word 0x3ff
    .long FLAT(AT_IVT)
victim_idt32_pointer:
    .word 0x7ff
    .long FLAT(AT_IDT32)
victim_idt64_pointer:
    .word 0xfff
    .quad FLAT(AT_IDT64)
gdt_pointer16:
    .word 0x47
    .long FLAT(AT_GDT)
victim_code_end:

    .section .note.GNU-stack, "", @progbits
