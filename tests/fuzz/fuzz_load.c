// SPDX-License-Identifier: MIT
// The loaders over arbitrary files. The input: a request of 24 bytes, then the kernel's file. Guest
// RAM is 4 MiB in two allocations, so that a byte written beside it is seen.
// clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc tests/fuzz/fuzz_load.c src/vm/load*.c
//       src/lib/format.c
#include <stdlib.h>
#include <string.h>

#include "vm/load.h"

#define RAM_SIZE (4 * MiB)
#define SPLIT    (3 * MiB)

static void check(bool condition)
{
    if (!condition)
        abort();
}

static bool is_ram(u64 gpa)
{
    return gpa < LOW_RAM_END || (gpa >= HIGH_RAM && gpa < RAM_SIZE);
}

static struct guest_memory *guest_ram(void)
{
    static struct guest_memory m;
    if (m.count == 0) {
        m = (struct guest_memory){
            .region = {{GPA(0), SPLIT, malloc(SPLIT)},
                       {GPA(SPLIT), RAM_SIZE - SPLIT, malloc(RAM_SIZE - SPLIT)}},
            .count = 2};
        check(m.region[0].host != NULL && m.region[1].host != NULL);
    }
    return &m;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    struct PACKED {
        u8 format, modules, interrupts, initrd;
        u32 load, entry, initrd_size;
        u64 rsdp;
    } in;
    if (size < sizeof(in))
        return 0;
    memcpy(&in, data, sizeof(in));
    size -= sizeof(in);
    u8 *file = malloc(size == 0 ? 1 : size);
    check(file != NULL);
    memcpy(file, data + sizeof(in), size);

    struct load_request r = {
        .format = (enum image_format)(in.format % IMAGE_FORMATS),
        .kernel = {"kernel", file, size},
        .modules = in.modules % (LOAD_MODULES + 1),
        .cmdline = "one two",
        .memory = RAM_SIZE,
        .rsdp = GPA(in.rsdp),
        .load = GPA(in.load),
        .entry = GPA(in.entry),
        .interrupts = in.interrupts != 0,
    };
    if (in.initrd != 0)
        r.initrd = (struct image){"initrd", file, in.initrd_size % (size + 1)};
    for (unsigned i = 0; i < r.modules; i++)
        r.module[i] = (struct load_module){{"module", file, size}, "args"};

    struct entry_state checked, entry;
    struct load_failure why = {.key = NULL};
    enum error e = load_image(&r, NULL, &checked, &why);
    check(e == OK || (why.key != NULL && why.text[0] != '\0'));
    check(load_image(&r, guest_ram(), &entry, &why) == e);
    if (e == OK) {
        check(memcmp(&checked, &entry, sizeof(entry)) == 0);
        check(is_ram(entry.regs.rip + entry.regs.seg[SEG_CS].base));
        check((entry.format != FORMAT_MULTIBOOT && entry.format != FORMAT_MULTIBOOT2 &&
               entry.format != FORMAT_PVH) ||
              is_ram(entry.regs.gpr[RBX]));
    }
    char what[80];
    check(strlen(image_text(&r.kernel, what, sizeof(what))) > 0);
    free(file);
    return 0;
}
