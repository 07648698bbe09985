// SPDX-License-Identifier: MIT
// From a loader (Multiboot 1 or 2, PVH: 32-bit protected mode, no paging) to long mode with the first
// 4 GiB mapped to themselves, and from there to runtime_start().
#include "segments.h"

#define HEADER_FLAGS 3 // modules page-aligned; memory information wanted

    .section .multiboot, "a"
    .balign 4
    .long MULTIBOOT_HEADER_MAGIC, HEADER_FLAGS, -(MULTIBOOT_HEADER_MAGIC + HEADER_FLAGS)

    .balign 8
multiboot2_header:
    .long MULTIBOOT2_HEADER_MAGIC, 0, multiboot2_end - multiboot2_header
    .long -(MULTIBOOT2_HEADER_MAGIC + (multiboot2_end - multiboot2_header))
    .short 6, 0 // modules page-aligned
    .long 8
    .short 0, 0
    .long 8
multiboot2_end:

    .section .note.Xen, "a", @note
    .balign 4
    .long 4, 4, 18 // the entry of a PVH start
    .asciz "Xen"
    .long pvh_start

    .section .text.boot, "ax"
    .code32
pvh_start:
    mov $PVH_START_MAGIC, %eax
    .globl _start
_start:
    cli
    cld
    mov $boot_stack_top, %esp
    mov %cs, boot_selectors
    mov %ds, boot_selectors + 2
    mov %ss, boot_selectors + 4
    mov %eax, boot_magic
    mov %ebx, boot_information
    pushl $0
    popfl
    lgdt gdt_pointer
    ljmp $SEL_CODE32, $1f
1:  mov $SEL_DATA, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov %eax, %fs
    mov %eax, %gs
    call build_page_tables
    call start32
    mov $boot_stack_top, %esp
    mov $start64, %edi

// Turns on long mode and jumps to the 64-bit code at EDI. Keeps ESP, EBX, ESI.
    .globl enter_long_mode
enter_long_mode:
    mov %cr4, %eax
    or $CR4_PAE, %eax
    mov %eax, %cr4
    mov $pml4, %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    rdmsr
    or $EFER_LME, %eax
    wrmsr
    mov %cr0, %eax
    and $~(CR0_CD | CR0_NW), %eax // set by INIT
    or $(CR0_PG | CR0_WP | CR0_PE), %eax
    mov %eax, %cr0
    ljmp $SEL_CODE64, $1f
    .code64
1:  mov %edi, %edi
    jmp *%rdi

start64:
    mov $boot_stack_top, %rsp
    xor %ebp, %ebp
    mov boot_magic, %edi
    mov boot_information, %esi
    call runtime_start

    .code32
// PML4, PDPT and four page directories of 2 MiB pages. The last GiB is devices: not cached.
build_page_tables:
    movl $(pdpt + 3), pml4
    mov $pdpt, %edi
    mov $(page_directories + 3), %eax
    mov $4, %ecx
1:  mov %eax, (%edi)
    add $4096, %eax
    add $8, %edi
    loop 1b
    mov $page_directories, %edi
    mov $0x83, %eax
    mov $2048, %ecx
2:  mov %eax, (%edi)
    add $0x200000, %eax
    cmp $(0xc0000000 | 0x83), %eax
    jne 3f
    or $0x10, %eax
3:  add $8, %edi
    loop 2b
    ret

// A guest that wants to do something before paging is on defines start32 itself. It may use all
// registers but ESP and returns with paging off.
    .weak start32
start32:
    ret

    .section .rodata
    .balign 8
    .globl gdt, gdt_pointer
gdt:
    .quad 0
    .quad 0x00af9b000000ffff // SEL_CODE64
    .quad 0x00cf93000000ffff // SEL_DATA
    .quad 0x00cf9b000000ffff // SEL_CODE32
    .quad 0x00009b000000ffff // SEL_CODE16
    .quad 0x000093000000ffff // SEL_DATA16
gdt_end:
gdt_pointer:
    .word gdt_end - gdt - 1
    .quad gdt

    .bss
    .balign 4096
    .globl pml4
pml4:
    .skip 4096
pdpt:
    .skip 4096
page_directories:
    .skip 4 * 4096
boot_stack:
    .skip 16384
boot_stack_top:
    .globl boot_selectors
boot_selectors: // CS, DS, SS as they came
    .skip 8
boot_magic:
    .skip 4
boot_information:
    .skip 4

    .section .note.GNU-stack, "", @progbits
