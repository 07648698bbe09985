// SPDX-License-Identifier: MIT
// The fw_cfg interface of QEMU's PC, ports 0x510 (selector, 16 bits) and 0x511 (data, 8 bits), so
// that kernels written for it find their CPU count, command line and images. The DMA interface is
// not offered, and the ID item says so. The caller serializes.
#pragma once

#include "lib/error.h"
#include "lib/types.h"

#define FWCFG_SELECTOR  0x510 // port
#define FWCFG_DATA      0x511
#define FWCFG_ITEMS     24
#define FWCFG_FILES     8
#define FWCFG_NAME_SIZE 56 // bytes, with the terminator

struct fwcfg_image {
    gpa_t address; // where it lies in the guest
    const u8 *data;
    u32 size; // bytes
};

// What the items say. Everything pointed at must outlive the device.
struct fwcfg_config {
    u16 vcpus;
    u64 memory;          // bytes
    const char *cmdline; // NULL: empty
    gpa_t cmdline_gpa;   // where it lies in the guest
    struct fwcfg_image kernel, initrd, setup;
    gpa_t kernel_entry;
};

struct fwcfg_item {
    u16 key;
    u32 size;       // bytes
    const u8 *data; // NULL: `value`, little-endian
    u64 value;
};

struct fwcfg_file {
    char name[FWCFG_NAME_SIZE];
    const u8 *data;
    u32 size; // bytes
};

struct fwcfg {
    struct fwcfg_item item[FWCFG_ITEMS];
    unsigned items;
    struct fwcfg_file file[FWCFG_FILES]; // by name
    unsigned files;
    u16 key;
    u32 offset; // bytes of the selected item that were read
};

void fwcfg_init(struct fwcfg *f, const struct fwcfg_config *config);

// Adds a named file, before the guest starts (the keys of files follow from the names' order).
// ERR_NO_MEMORY when the table is full, ERR_INVALID when the name is too long or is there.
enum error fwcfg_add_file(struct fwcfg *f, const char *name, const void *data, u32 size);

void fwcfg_select(struct fwcfg *f, u16 key);

// The next byte of the selected item; 0 behind its end and for an unknown key.
u8 fwcfg_read(struct fwcfg *f);
