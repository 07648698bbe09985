// SPDX-License-Identifier: MIT
// What can be said in 32-bit mode: on COM1, and on the screen that the boot loader has set up.

#define IMAGE_BASE      0xffffffff80000000
#define PHYS(symbol)    (symbol - IMAGE_BASE)

#define COM1            0x3f8
#define COM1_STATUS     0x3fd
#define STATUS_THRE     0x20
#define POLLS           1000000

#define VGA_TEXT        0xb8000
#define VGA_GREY        0x07

// The boot information's tags (Multiboot2 specification, 3.6).
#define TAG_END         0
#define TAG_FRAMEBUFFER 8
#define TAG_SIZE        4
#define FB_START        8
#define FB_PITCH        16
#define FB_BITS         28
#define FB_KIND         29
#define KIND_RGB        1
#define KIND_TEXT       2

#define LETTER_SIZE     16 // bytes, one for each row of dots

    .section .entry, "ax"
    .code32
    .globl last_words
// esi: the text; edi: the boot information; ebp: bytes from link address to load address; a stack.
// Does not return.
last_words:
    push %esi
1:  mov $POLLS, %ecx                        // no transmitter is waited for, for long
2:  mov $COM1_STATUS, %dx
    in %dx, %al
    test $STATUS_THRE, %al
    jnz 3f
    loop 2b
3:  lodsb
    test %al, %al
    jz 4f
    mov $COM1, %dx
    out %al, %dx
    jmp 1b
4:  pop %esi

    mov (%edi), %ecx
    add %edi, %ecx                          // the tags' end
    lea 8(%edi), %ebx
5:  lea FB_KIND(%ebx), %eax
    cmp %ecx, %eax
    jae 6f
    mov (%ebx), %eax
    cmp $TAG_END, %eax
    je 6f
    cmp $TAG_FRAMEBUFFER, %eax
    je 7f
    mov TAG_SIZE(%ebx), %eax
    add $7, %eax
    and $~7, %eax
    jz 6f
    add %eax, %ebx
    jmp 5b
6:  mov $VGA_TEXT, %edi                     // nothing is said of a screen
    jmp letters
7:  cmpl $0, (FB_START + 4)(%ebx)
    jne stop                                // out of reach
    mov FB_START(%ebx), %edi
    cmpb $KIND_TEXT, FB_KIND(%ebx)
    je letters
    cmpb $KIND_RGB, FB_KIND(%ebx)
    jne stop

    // In dots: white ones have all bits set, whatever the colours' places are.
8:  lodsb
    sub $' ', %al
    jb stop                                 // the text, or its line, ends
    movzbl %al, %eax
    shl $4, %eax
    lea PHYS(font)(%ebp,%eax), %edx
    push %esi
    push %edi
    mov $LETTER_SIZE, %ch
9:  mov (%edx), %ah                         // a row of dots, the leftmost in the highest bit
    inc %edx
    push %edi
    mov $8, %cl
10: shl %ah
    sbb %al, %al
    push %ecx
    movzbl FB_BITS(%ebx), %ecx
    add $7, %ecx
    shr $3, %ecx
    rep stosb
    pop %ecx
    dec %cl
    jnz 10b
    mov %edi, %esi                          // behind the letter
    pop %edi
    add FB_PITCH(%ebx), %edi
    dec %ch
    jnz 9b
    sub (%esp), %esi                        // 15 rows down, and a letter's width
    pop %edi
    add %esi, %edi
    mov FB_PITCH(%ebx), %eax
    imul $(LETTER_SIZE - 1), %eax, %eax
    sub %eax, %edi
    pop %esi
    jmp 8b

letters:
    lodsb
    cmp $' ', %al
    jb stop
    mov $VGA_GREY, %ah
    stosw
    jmp letters

stop:
    hlt
    jmp stop

    .section .note.GNU-stack, "", @progbits
