// SPDX-License-Identifier: MIT
// From GRUB (Multiboot2, 32-bit protected mode, paging off) to main() in 64-bit mode on the boot
// core. The code finds out where it was loaded, so GRUB may relocate the image.

#include "x86/bits.h"
#include "x86/msr_numbers.h"

#define MULTIBOOT2_MAGIC  0xe85250d6
#define IMAGE_BASE        0xffffffff80000000
#define PHYS(symbol)      (symbol - IMAGE_BASE)

#define PTE_P   0x1
#define PTE_W   0x2
#define PTE_PS  0x80

    .section .multiboot2, "a"
    .balign 8
header:
    .long MULTIBOOT2_MAGIC
    .long 0                                 // i386 protected mode
    .long header_end - header
    .long -(MULTIBOOT2_MAGIC + 0 + (header_end - header))
    // Information that we cannot do without: memory map.
    .balign 8
    .short 1, 0
    .long 12
    .long 6
    // Modules on page boundaries.
    .balign 8
    .short 6, 0
    .long 8
    // A screen, if there is one: of dots, of whatever size, or VGA's text.
    .balign 8
    .short 5, 1
    .long 20
    .long 0, 0, 0
    // Relocatable: any page from 1 MiB up, as low as it goes.
    .balign 8
    .short 10, 1
    .long 24
    .long 0x100000, 0xfffff000, 0x1000, 1
    .balign 8
    .short 0, 0
    .long 8
header_end:

    .section .entry, "ax"
    .code32
    .globl entry32
entry32:
    cli
    cld
    mov %eax, %esi                          // Multiboot2 magic
    // No stack yet: the reserved word of the information structure holds one return address.
    lea 8(%ebx), %esp
    call 1f
1:  pop %ebp
    sub $PHYS(1b), %ebp                     // ebp: how far from its link address we were loaded
    rdtsc
    mov %eax, PHYS(boot_handover_tsc)(%ebp)
    mov %edx, PHYS(boot_handover_tsc + 4)(%ebp)

    // Long mode, or there is nothing that we can do.
    mov $0x80000000, %eax
    mov %ebx, %edi
    cpuid
    cmp $0x80000001, %eax
    jb no_long_mode
    mov $0x80000001, %eax
    cpuid
    bt $29, %edx
    jnc no_long_mode
    mov %edx, %eax
    shr $20, %eax
    and $1, %eax                            // NX?
    mov %eax, PHYS(boot_has_nx)(%ebp)
    mov %ebp, PHYS(boot_load_offset)(%ebp)

    // PML4[0] and PML4[256]: the first 4 GiB, by 2 MiB. PML4[511]: the image, by 4 KiB.
    lea PHYS(boot_pml4)(%ebp), %eax
    lea (PHYS(boot_pdpt_low) + PTE_P + PTE_W)(%ebp), %ecx
    mov %ecx, 0(%eax)
    mov %ecx, (256 * 8)(%eax)
    lea (PHYS(boot_pdpt_image) + PTE_P + PTE_W)(%ebp), %ecx
    mov %ecx, (511 * 8)(%eax)

    lea PHYS(boot_pdpt_low)(%ebp), %eax
    lea (PHYS(boot_pd_low) + PTE_P + PTE_W)(%ebp), %ecx
    mov $4, %edx
2:  mov %ecx, (%eax)
    add $8, %eax
    add $4096, %ecx
    dec %edx
    jnz 2b

    lea PHYS(boot_pd_low)(%ebp), %eax
    mov $(PTE_P + PTE_W + PTE_PS), %ecx
    mov $2048, %edx
3:  mov %ecx, (%eax)
    add $8, %eax
    add $0x200000, %ecx
    dec %edx
    jnz 3b

    lea (PHYS(boot_pd_image) + PTE_P + PTE_W)(%ebp), %ecx
    mov %ecx, PHYS(boot_pdpt_image + 510 * 8)(%ebp)
    lea (PHYS(boot_pt_image) + PTE_P + PTE_W)(%ebp), %ecx
    mov %ecx, PHYS(boot_pd_image)(%ebp)
    add $4096, %ecx
    mov %ecx, PHYS(boot_pd_image + 8)(%ebp)
    lea (PTE_P + PTE_W)(%ebp), %ecx         // the image's link address 0 is at ebp
    lea PHYS(boot_pt_image)(%ebp), %eax
    mov $1024, %edx
4:  mov %ecx, (%eax)
    add $8, %eax
    add $4096, %ecx
    dec %edx
    jnz 4b

    mov $(CR4_PAE | CR4_PGE), %eax
    mov %eax, %cr4
    lea PHYS(boot_pml4)(%ebp), %eax
    mov %eax, %cr3
    mov $MSR_EFER, %ecx
    mov $EFER_LME, %eax
    cmpl $0, PHYS(boot_has_nx)(%ebp)
    je 5f
    or $EFER_NXE, %eax
5:  xor %edx, %edx
    wrmsr
    mov $(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE), %eax
    mov %eax, %cr0

    lea PHYS(boot_gdt_pointer)(%ebp), %eax
    lea PHYS(boot_gdt)(%ebp), %ecx
    movw $(boot_gdt_end - boot_gdt - 1), (%eax)
    mov %ecx, 2(%eax)
    lgdt (%eax)
    lea PHYS(entry64_low)(%ebp), %eax
    // A far return without a stack of our own: borrow the top of the boot stack.
    lea PHYS(boot_stack_top)(%ebp), %esp
    pushl $0x08
    push %eax
    lret

no_long_mode:
    lea PHYS(no_long_mode_text)(%ebp), %esi
    lea PHYS(boot_stack_top)(%ebp), %esp
    jmp last_words

no_long_mode_text:
    .asciz "vitrine: this CPU has no 64-bit mode\r\n"

    .code64
entry64_low:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    xor %eax, %eax
    mov %eax, %fs
    mov %eax, %gs
    movabs $entry64, %rax
    jmp *%rax

    .text
entry64:
    .cfi_startproc simple
    .cfi_undefined rip                      // ends backtraces
    lea boot_stack_top(%rip), %rsp
    mov %edi, %eax
    mov %esi, %edi                          // magic
    mov %eax, %esi                          // physical address of the information
    call main
8:  cli
    hlt
    jmp 8b
    .cfi_endproc

    .section .rodata.boot_gdt, "a"
    .balign 8
boot_gdt:
    .quad 0
    .quad 0x00af9b000000ffff                // 0x08: 64-bit code
    .quad 0x00cf93000000ffff                // 0x10: data
boot_gdt_end:

    .section .bss.boot, "aw", @nobits
    .balign 8
boot_gdt_pointer:  .skip 10
    .balign 8
    .globl boot_handover_tsc
boot_handover_tsc: .skip 8
    .globl boot_load_offset
boot_load_offset:  .skip 8                  // bytes from link address to load address
    .globl boot_has_nx
boot_has_nx:       .skip 4

    .section .bss.page, "aw", @nobits
    .balign 4096
    .globl boot_pml4
boot_pml4:       .skip 4096
boot_pdpt_low:   .skip 4096
boot_pd_low:     .skip 4 * 4096
boot_pdpt_image: .skip 4096
boot_pd_image:   .skip 4096
boot_pt_image:   .skip 2 * 4096
boot_stack:      .skip 4 * 4096
boot_stack_top:

    .section .note.GNU-stack, "", @progbits
