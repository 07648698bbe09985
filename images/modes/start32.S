// SPDX-License-Identifier: MIT
// The 32-bit modes: no paging, 32-bit paging with 4 MiB and 4 KiB pages, PAE.
#include "segments.h"

#define VECTOR_TEST 0x50
#define VECTOR_PF   14
#define ALIAS       0x40000000 // second linear address of test_page
#define NOWHERE     0x80000000 // mapped in no mode
#define PRESENT_RW  0x03
#define LARGE       0x80
#define ACCESSED_DIRTY 0x60

// Offsets in struct mode_result.
#define RESULT_MEMORY      0
#define RESULT_INTERRUPT   1
#define RESULT_PAGE_FAULT  2
#define RESULT_ACCESS_BITS 3

    .text
    .code32
    .globl start32
start32:
    mov $VECTOR_TEST, %ecx
    mov $on_test, %eax
    call set_gate32
    mov $VECTOR_PF, %ecx
    mov $on_page_fault, %eax
    call set_gate32
    lidt idt32_pointer

    mov $mode_unpaged, %edi
    mov $test_page, %ebx
    call check

    // 32-bit paging: the first 8 MiB by two large pages, ALIAS by a page table.
    movl $(PRESENT_RW | LARGE), directory32
    movl $(0x400000 | PRESENT_RW | LARGE), directory32 + 4
    movl $(table32 + PRESENT_RW), directory32 + (ALIAS >> 22) * 4
    movl $(test_page + PRESENT_RW), table32
    mov %cr4, %eax
    or $CR4_PSE, %eax
    mov %eax, %cr4
    mov $directory32, %eax
    call paging_on
    mov $mode_32bit, %edi
    call check_paged
    mov table32, %eax
    call check_access_bits
    call paging_off

    // PAE: the first 16 MiB by 2 MiB pages, ALIAS by a page table. High halves are 0.
    movl $(directory_pae + 1), pointers_pae
    movl $(directory_pae_1 + 1), pointers_pae + (ALIAS >> 30) * 8
    xor %ecx, %ecx
1:  mov %ecx, %eax
    shl $21, %eax
    or $(PRESENT_RW | LARGE), %eax
    mov %eax, directory_pae(, %ecx, 8)
    inc %ecx
    cmp $8, %ecx
    jb 1b
    movl $(table_pae + PRESENT_RW), directory_pae_1
    movl $(test_page + PRESENT_RW), table_pae
    mov %cr4, %eax
    and $~CR4_PSE, %eax
    or $CR4_PAE, %eax
    mov %eax, %cr4
    mov $pointers_pae, %eax
    call paging_on
    mov $mode_pae, %edi
    call check_paged
    mov table_pae, %eax
    call check_access_bits
    call paging_off
    mov %cr4, %eax
    and $~CR4_PAE, %eax
    mov %eax, %cr4
    ret

// Gate ECX of the IDT: a 32-bit interrupt gate to EAX.
set_gate32:
    lea idt32(, %ecx, 8), %edx
    mov %ax, (%edx)
    movw $SEL_CODE32, 2(%edx)
    movw $0x8e00, 4(%edx)
    shr $16, %eax
    mov %ax, 6(%edx)
    ret

paging_on: // EAX: the value for CR3
    mov %eax, %cr3
    mov %cr0, %eax
    or $(CR0_PG | CR0_WP), %eax
    mov %eax, %cr0
    jmp 1f
1:  ret

paging_off:
    mov %cr0, %eax
    and $~(CR0_PG | CR0_WP), %eax
    mov %eax, %cr0
    jmp 1f
1:  ret

// test_page through EBX and through its own address, and an interrupt. EDI: the result.
check:
    movl $0x13579bdf, (%ebx)
    cmpl $0x13579bdf, test_page
    jne 1f
    notl test_page
    cmpl $~0x13579bdf, (%ebx)
    sete RESULT_MEMORY(%edi)
1:  movl $0, interrupts_seen
    mov %esp, %esi
    int $VECTOR_TEST
    cmp %esp, %esi
    jne 1f
    cmpl $1, interrupts_seen
    sete RESULT_INTERRUPT(%edi)
1:  ret

check_paged:
    mov $ALIAS, %ebx
    call check
    movl $0, fault_address
    movl $1f, fault_resume
    mov NOWHERE, %eax
1:  cmpl $NOWHERE, fault_address
    jne 2f
    cmpl $0, fault_error // a read by the supervisor of a page not present
    sete RESULT_PAGE_FAULT(%edi)
2:  ret

check_access_bits: // EAX: the page-table entry
    and $ACCESSED_DIRTY, %eax
    cmp $ACCESSED_DIRTY, %eax
    sete RESULT_ACCESS_BITS(%edi)
    ret

on_test:
    cmpl $SEL_CODE32, 4(%esp)
    jne 1f
    incl interrupts_seen
1:  iret

on_page_fault:
    push %eax
    mov %cr2, %eax
    mov %eax, fault_address
    pop %eax
    pop fault_error
    push fault_resume
    pop (%esp)
    iret

    .data
    .globl mode_unpaged, mode_32bit, mode_pae
mode_unpaged:
    .long 0
mode_32bit:
    .long 0
mode_pae:
    .long 0
    .balign 4
idt32_pointer:
    .word (VECTOR_TEST + 1) * 8 - 1
    .long idt32

    .bss
    .balign 4096
test_page:
    .skip 4096
directory32:
    .skip 4096
table32:
    .skip 4096
directory_pae:
    .skip 4096
directory_pae_1:
    .skip 4096
table_pae:
    .skip 4096
pointers_pae:
    .skip 32
idt32:
    .skip (VECTOR_TEST + 1) * 8
interrupts_seen:
    .skip 4
fault_address:
    .skip 4
fault_error:
    .skip 4
fault_resume:
    .skip 4

    .section .note.GNU-stack, "", @progbits
