// SPDX-License-Identifier: MIT
#include "vdev/fwcfg.h"

#include "lib/string.h"

enum {
    KEY_SIGNATURE = 0x00,
    KEY_ID = 0x01,
    KEY_RAM_SIZE = 0x03,
    KEY_NOGRAPHIC = 0x04,
    KEY_NB_CPUS = 0x05,
    KEY_KERNEL_ADDR = 0x07,
    KEY_KERNEL_SIZE = 0x08,
    KEY_INITRD_ADDR = 0x0a,
    KEY_INITRD_SIZE = 0x0b,
    KEY_MAX_CPUS = 0x0f,
    KEY_KERNEL_ENTRY = 0x10,
    KEY_KERNEL_DATA = 0x11,
    KEY_INITRD_DATA = 0x12,
    KEY_CMDLINE_ADDR = 0x13,
    KEY_CMDLINE_SIZE = 0x14,
    KEY_CMDLINE_DATA = 0x15,
    KEY_SETUP_ADDR = 0x16,
    KEY_SETUP_SIZE = 0x17,
    KEY_SETUP_DATA = 0x18,
    KEY_FILE_DIR = 0x19,
    KEY_FILE_FIRST = 0x20,
};

#define ID_TRADITIONAL 1 // bit 1 would be the DMA interface

static void add_value(struct fwcfg *f, u16 key, u32 size, u64 value)
{
    f->item[f->items++] = (struct fwcfg_item){.key = key, .size = size, .value = value};
}

static void add_data(struct fwcfg *f, u16 key, const void *data, u32 size)
{
    f->item[f->items++] = (struct fwcfg_item){.key = key, .size = size, .data = data};
}

void fwcfg_init(struct fwcfg *f, const struct fwcfg_config *c)
{
    memset(f, 0, sizeof(*f));
    const char *cmdline = c->cmdline != NULL ? c->cmdline : "";
    u32 cmdline_size = (u32)strnlen(cmdline, 65535) + 1;

    add_data(f, KEY_SIGNATURE, "QEMU", 4);
    add_value(f, KEY_ID, 4, ID_TRADITIONAL);
    add_value(f, KEY_RAM_SIZE, 8, c->memory);
    add_value(f, KEY_NOGRAPHIC, 2, 1);
    add_value(f, KEY_NB_CPUS, 2, c->vcpus);
    add_value(f, KEY_MAX_CPUS, 2, c->vcpus);
    add_value(f, KEY_KERNEL_ADDR, 4, c->kernel.address.v);
    add_value(f, KEY_KERNEL_SIZE, 4, c->kernel.size);
    add_value(f, KEY_KERNEL_ENTRY, 4, c->kernel_entry.v);
    add_data(f, KEY_KERNEL_DATA, c->kernel.data, c->kernel.data != NULL ? c->kernel.size : 0);
    add_value(f, KEY_INITRD_ADDR, 4, c->initrd.address.v);
    add_value(f, KEY_INITRD_SIZE, 4, c->initrd.size);
    add_data(f, KEY_INITRD_DATA, c->initrd.data, c->initrd.data != NULL ? c->initrd.size : 0);
    add_value(f, KEY_CMDLINE_ADDR, 4, c->cmdline_gpa.v);
    add_value(f, KEY_CMDLINE_SIZE, 4, cmdline_size);
    add_data(f, KEY_CMDLINE_DATA, cmdline, cmdline_size);
    add_value(f, KEY_SETUP_ADDR, 4, c->setup.address.v);
    add_value(f, KEY_SETUP_SIZE, 4, c->setup.size);
    add_data(f, KEY_SETUP_DATA, c->setup.data, c->setup.data != NULL ? c->setup.size : 0);
}

enum error fwcfg_add_file(struct fwcfg *f, const char *name, const void *data, u32 size)
{
    size_t length = strnlen(name, FWCFG_NAME_SIZE);
    unsigned at = 0;
    if (f->files == FWCFG_FILES)
        return ERR_NO_MEMORY;
    if (length == 0 || length == FWCFG_NAME_SIZE)
        return ERR_INVALID;
    while (at < f->files && strcmp(f->file[at].name, name) < 0)
        at++;
    if (at < f->files && strcmp(f->file[at].name, name) == 0)
        return ERR_INVALID;
    memmove(&f->file[at + 1], &f->file[at], (f->files - at) * sizeof(f->file[0]));
    f->files++;
    struct fwcfg_file *file = &f->file[at];
    memset(file, 0, sizeof(*file));
    memcpy(file->name, name, length);
    file->data = data;
    file->size = size;
    return OK;
}

void fwcfg_select(struct fwcfg *f, u16 key)
{
    f->key = key;
    f->offset = 0;
}

static u8 big_endian(u32 value, u32 size, u32 at)
{
    return (u8)(value >> 8 * (size - 1 - at));
}

// The directory: a count, then for each file its size, key, two bytes of nothing, and name.
static u8 directory_byte(const struct fwcfg *f, u32 offset)
{
    if (offset < 4)
        return big_endian(f->files, 4, offset);
    u32 i = (offset - 4) / 64, at = (offset - 4) % 64;
    if (i >= f->files)
        return 0;
    if (at < 4)
        return big_endian(f->file[i].size, 4, at);
    if (at < 6)
        return big_endian(KEY_FILE_FIRST + i, 2, at - 4);
    return at < 8 ? 0 : (u8)f->file[i].name[at - 8];
}

u8 fwcfg_read(struct fwcfg *f)
{
    u32 offset = f->offset;
    if (offset == UINT32_MAX)
        return 0;
    f->offset++;
    if (f->key == KEY_FILE_DIR)
        return directory_byte(f, offset);
    if (f->key >= KEY_FILE_FIRST && f->key - KEY_FILE_FIRST < (int)f->files) {
        const struct fwcfg_file *file = &f->file[f->key - KEY_FILE_FIRST];
        return offset < file->size ? file->data[offset] : 0;
    }
    for (unsigned i = 0; i < f->items; i++) {
        const struct fwcfg_item *item = &f->item[i];
        if (item->key != f->key)
            continue;
        if (offset >= item->size)
            return 0;
        return item->data != NULL ? item->data[offset] : (u8)(item->value >> 8 * offset);
    }
    return 0;
}
