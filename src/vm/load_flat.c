// SPDX-License-Identifier: MIT
// Flat images: bytes without a header; the configuration says where they go.
#include "vm/load_internal.h"

#define FLAT_GDT 0x1000 // only for protected mode, whose images lie above 1 MiB or leave it alone

enum error load_flat(struct loader *l)
{
    const struct load_request *r = l->request;
    u64 load = r->load.v, entry = r->entry.v, size = r->kernel.size;

    if (size == 0)
        return load_fail(l, ERR_FORMAT, "kernel", "%s is an empty file", r->kernel.name);
    if (r->initrd.data != NULL)
        return load_fail(l, ERR_UNSUPPORTED, "initrd", "goes with a Linux kernel only");
    if (r->modules > 0)
        return load_fail(l, ERR_UNSUPPORTED, "module", "goes with a Multiboot kernel only");
    char reason[100];
    if (!load_is_ram(l, load, size))
        return load_fail(l, ERR_NO_MEMORY, "load", "0x%lx to 0x%lx is not all RAM: %s", load,
                         (load + size - 1), load_no_ram_text(l, load, size, &TEXT(reason)));
    if (entry < load || entry - load >= size)
        return load_fail(l, ERR_INVALID, "entry", "0x%lx is not inside the image", entry);

    enum error e = OK;
    if (entry >= HIGH_RAM) {
        load_entry_protected(l->out, entry, &gdt_pc, FLAT_GDT, r->interrupts);
        e = load_write(l, FLAT_GDT, gdt_pc.entry, LOAD_GDT_SIZE);
    } else {
        load_entry_real(l->out, entry, r->interrupts);
    }
    if (e == OK)
        e = load_write(l, load, r->kernel.data, size);
    l->out->format = FORMAT_FLAT;
    return e;
}
