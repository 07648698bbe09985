// SPDX-License-Identifier: MIT
// ELF kernels made for the loaders' tests: two segments at 1 MiB and 2 MiB (ELF32), one at 1 MiB
// that is linked high (ELF64). At HEADER there is room for a header that a boot protocol wants.
#pragma once

#include "load_helper.h"

#define FILE_SIZE 0x1000

// Places in the file.
#define PHDRS    0x80
#define HEADER   0x200
#define TEXT_AT  0x280
#define TEXT_LEN 0x100
#define STRTAB   0x400
#define SHDRS    0xf00

static u8 file[FILE_SIZE];

static inline void set16(u8 *p, u16 v)
{
    memcpy(p, &v, sizeof(v));
}

static inline void put_phdr32(unsigned n, u32 type, u32 offset, u32 vaddr, u32 paddr, u32 filesz,
                              u32 memsz)
{
    const u32 words[8] = {type, offset, vaddr, paddr, filesz, memsz, 7, 4};
    memcpy(file + PHDRS + n * 32, words, sizeof(words));
}

static inline void put_shdr32(unsigned n, u32 type, u32 flags, u32 addr, u32 offset, u32 size)
{
    const u32 words[10] = {0, type, flags, addr, offset, size};
    memcpy(file + SHDRS + n * 40, words, sizeof(words));
}

static inline void make_file(void)
{
    load_setup();
    memset(file, 0, sizeof(file));
    for (unsigned i = 0; i < TEXT_LEN; i++)
        file[TEXT_AT + i] = (u8)(i ^ 0x3c);
    request.kernel = (struct image){"kernel", file, sizeof(file)};
}

static inline void make_elf32(void)
{
    make_file();
    memcpy(file, "\177ELF\1\1\1", 7);
    set16(file + 16, 2); // ET_EXEC
    set16(file + 18, 3); // EM_386
    set32(file + 24, 0x100010);
    set32(file + 28, PHDRS);
    set16(file + 42, 32);
    set16(file + 44, 2);
    put_phdr32(0, 1, TEXT_AT, 0x100000, 0x100000, TEXT_LEN, TEXT_LEN);
    put_phdr32(1, 1, TEXT_AT, 0x200000, 0x200000, 0x10, 0x2000);
}

static inline void make_elf64(void)
{
    make_file();
    memcpy(file, "\177ELF\2\1\1", 7);
    set16(file + 16, 2);
    set16(file + 18, 62); // EM_X86_64
    set64(file + 24, 0xffffffff80100020);
    set64(file + 32, PHDRS);
    set16(file + 54, 56);
    set16(file + 56, 1);
    u8 *ph = file + PHDRS;
    set32(ph, 1);
    set64(ph + 8, TEXT_AT);
    set64(ph + 16, 0xffffffff80100000); // virtual
    set64(ph + 24, 0x100000);           // physical
    set64(ph + 32, TEXT_LEN);
    set64(ph + 40, 0x3000);
}

// Sections of the ELF32 file: code, debug information, symbols, and strings.
static inline void add_sections(void)
{
    set32(file + 32, SHDRS);
    set16(file + 46, 40);
    set16(file + 48, 5);
    set16(file + 50, 4);
    put_shdr32(1, 1, 2, 0x100000, TEXT_AT, TEXT_LEN); // .text
    put_shdr32(2, 1, 0, 0, TEXT_AT, TEXT_LEN);        // .debug_info
    put_shdr32(3, 2, 0, 0, TEXT_AT, 0x30);            // .symtab
    put_shdr32(4, 3, 0, 0, STRTAB, 9);                // .shstrtab
    memcpy(file + STRTAB, "\0.shstrta", 9);
}

// Puts extremes into every field but the text's: refused or loaded, never a fault.
static inline void try_extremes(void)
{
    static const u64 values[] = {0, 1, 0x7fffffff, 0x80000000, UINT32_MAX, INT64_MAX, UINT64_MAX};
    for (unsigned at = 0; at < FILE_SIZE; at += 2) {
        if (at == TEXT_AT)
            at = SHDRS;
        for (unsigned i = 0; i < ARRAY_SIZE(values); i++) {
            for (unsigned width = 2; width <= 8 && width <= FILE_SIZE - at; width *= 2) {
                u8 saved[8];
                memcpy(saved, file + at, width);
                memcpy(file + at, &values[i], width);
                (void)load_image(&request, &memory, &entry, &why);
                memcpy(file + at, saved, width);
            }
        }
    }
}

// Cuts the file at every length: each is refused, as long as the text is not whole.
static inline void try_truncations(void)
{
    for (u64 size = 0; size < FILE_SIZE; size++) {
        request.kernel = copy_image("kernel", file, size);
        enum error e = load_image(&request, &memory, &entry, &why);
        assert_true(e == ERR_TRUNCATED || e == ERR_FORMAT || size >= TEXT_AT + TEXT_LEN);
        free_image(&request.kernel);
    }
}
