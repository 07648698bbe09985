// SPDX-License-Identifier: MIT
#include "boot_info.h"

#include "cpu.h"
#include "lib/string.h"
#include "segments.h"

// Multiboot Specification 0.6.96, 3.3.
struct multiboot_info {
    u32 flags, mem_lower, mem_upper, boot_device, command_line, mods_count, mods_addr, syms[4];
    u32 mmap_length, mmap_addr;
};
enum { HAS_MEMORY = BIT(0), HAS_COMMAND_LINE = BIT(2), HAS_MODULES = BIT(3), HAS_MMAP = BIT(6) };

struct multiboot_module {
    u32 start, end, text, reserved;
};

struct multiboot_mmap {
    u32 size; // of what follows
    u64 base, length;
    u32 type;
} PACKED;

// Multiboot2 Specification 2.0, 3.6.
struct multiboot2_tag {
    u32 type, size;
    u32 word[];
};
enum {
    TAG_END = 0,
    TAG_COMMAND_LINE = 1,
    TAG_MODULE = 3,
    TAG_MEMORY_MAP = 6,
    TAG_SMBIOS = 13,
    TAG_RSDP_2 = 15,
};

// Xen's public/arch-x86/hvm/start_info.h.
struct pvh_info {
    u32 magic, version, flags, modules;
    u64 module_list, command_line, rsdp, memory_map;
    u32 memory_map_entries, reserved;
};

struct pvh_module {
    u64 start, size, text, reserved;
};

struct pvh_range {
    u64 base, size;
    u32 type, reserved;
};

enum { FW_CFG_SELECT = 0x510, FW_CFG_DATA = 0x511 };
enum { FW_SIGNATURE = 0x00, FW_NB_CPUS = 0x05, FW_CMDLINE_SIZE = 0x14, FW_CMDLINE_DATA = 0x15 };

struct boot_info boot_info;
extern u16 boot_selectors[3]; // boot.S

static void fw_cfg_read(u16 key, void *data, size_t size)
{
    u8 *bytes = data;
    outw(FW_CFG_SELECT, key);
    for (size_t i = 0; i < size; i++)
        bytes[i] = inb(FW_CFG_DATA);
}

static void read_fw_cfg(void)
{
    char signature[4];
    u16 cpus = 0;
    u32 size = 0;
    fw_cfg_read(FW_SIGNATURE, signature, sizeof(signature));
    boot_info.fw_cfg = memcmp(signature, "QEMU", 4) == 0;
    if (!boot_info.fw_cfg)
        return;
    fw_cfg_read(FW_NB_CPUS, &cpus, sizeof(cpus));
    boot_info.cpus = cpus;
    fw_cfg_read(FW_CMDLINE_SIZE, &size, sizeof(size));
    if (boot_info.command_line[0] == '\0')
        fw_cfg_read(FW_CMDLINE_DATA, boot_info.command_line,
                    MIN(size, sizeof(boot_info.command_line) - 1));
}

static void add_memory(u64 base, u64 size, u32 type)
{
    if (boot_info.memory_ranges < MEMORY_RANGES)
        boot_info.memory[boot_info.memory_ranges++] = (struct memory_range){base, size, type};
    if (type == MEMORY_RAM)
        boot_info.memory_total += size;
}

static void set_command_line(const char *line)
{
    size_t length = strnlen(line, sizeof(boot_info.command_line) - 1);
    memcpy(boot_info.command_line, line, length);
}

static void add_file(u64 start, u64 size, u64 text)
{
    if (boot_info.files < BOOT_MODULES)
        boot_info.file[boot_info.files++] =
            (struct boot_file){(const u8 *)start, size, (const char *)text};
}

static void read_multiboot(const struct multiboot_info *info)
{
    boot_info.protocol = BOOT_MULTIBOOT;
    if ((info->flags & HAS_COMMAND_LINE) != 0)
        set_command_line((const char *)(u64)info->command_line);
    if ((info->flags & HAS_MODULES) != 0) {
        const struct multiboot_module *m = (const void *)(u64)info->mods_addr;
        for (unsigned i = 0; i < info->mods_count; i++)
            add_file(m[i].start, m[i].end - m[i].start, m[i].text);
    }
    if ((info->flags & HAS_MMAP) != 0) {
        u64 at = info->mmap_addr, end = at + info->mmap_length;
        while (at + sizeof(struct multiboot_mmap) <= end) {
            const struct multiboot_mmap *m = (const void *)at;
            add_memory(m->base, m->length, m->type);
            at += sizeof(m->size) + m->size;
        }
    } else if ((info->flags & HAS_MEMORY) != 0) {
        add_memory(0, info->mem_lower * KiB, MEMORY_RAM);
        add_memory(MiB, info->mem_upper * KiB, MEMORY_RAM);
    }
}

static void read_tag(const struct multiboot2_tag *t)
{
    switch (t->type) {
    case TAG_COMMAND_LINE:
        set_command_line((const char *)t->word);
        break;
    case TAG_MODULE:
        add_file(t->word[0], t->word[1] - t->word[0], (u64)&t->word[2]);
        break;
    case TAG_MEMORY_MAP:
        for (u32 at = 16; at + sizeof(struct pvh_range) <= t->size; at += t->word[0]) {
            const struct pvh_range *r = (const void *)((const u8 *)t + at);
            add_memory(r->base, r->size, r->type);
        }
        break;
    case TAG_SMBIOS:
        boot_info.smbios = &t->word[2];
        break;
    case TAG_RSDP_2:
        boot_info.rsdp = t->word;
        break;
    }
}

static void read_multiboot2(const u32 *info)
{
    boot_info.protocol = BOOT_MULTIBOOT2;
    for (u32 at = 8; at < info[0];) {
        const struct multiboot2_tag *t = (const void *)((const u8 *)info + at);
        if (t->type == TAG_END)
            break;
        read_tag(t);
        at += ALIGN_UP(t->size, 8u);
    }
}

static void read_pvh(const struct pvh_info *info)
{
    const struct pvh_module *m = (const void *)info->module_list;
    const struct pvh_range *r = (const void *)info->memory_map;
    boot_info.protocol = BOOT_PVH;
    if (info->command_line != 0)
        set_command_line((const char *)info->command_line);
    for (unsigned i = 0; i < info->modules; i++)
        add_file(m[i].start, m[i].size, m[i].text);
    for (unsigned i = 0; i < info->memory_map_entries; i++)
        add_memory(r[i].base, r[i].size, r[i].type);
    boot_info.rsdp = (const void *)info->rsdp;
}

void boot_info_init(u32 magic, u32 information)
{
    const void *info = (const void *)(u64)information;
    boot_info.cs = boot_selectors[0];
    boot_info.ds = boot_selectors[1];
    boot_info.ss = boot_selectors[2];
    if (magic == MULTIBOOT_BOOT_MAGIC)
        read_multiboot(info);
    else if (magic == MULTIBOOT2_BOOT_MAGIC)
        read_multiboot2(info);
    else if (magic == PVH_START_MAGIC)
        read_pvh(info);
    read_fw_cfg();
}

static const char *next_word(const char *p, size_t *length)
{
    while (*p == ' ')
        p++;
    for (*length = 0; p[*length] != '\0' && p[*length] != ' ';)
        (*length)++;
    return p;
}

// The first word that starts with name, and, when there is to be a value, with '=' after it.
static const char *find(const char *name, bool value, size_t *length)
{
    size_t n = strlen(name);
    for (const char *p = next_word(boot_info.command_line, length); *length > 0;
         p = next_word(p + *length, length)) {
        if (*length < n || memcmp(p, name, n) != 0)
            continue;
        if (!value && *length == n)
            return p;
        if (value && *length > n && p[n] == '=') {
            *length -= n + 1;
            return p + n + 1;
        }
    }
    return NULL;
}

bool option(const char *word)
{
    size_t length;
    return find(word, false, &length) != NULL;
}

bool option_text(const char *name, char *value, size_t size)
{
    size_t length;
    const char *p = find(name, true, &length);
    if (p == NULL || size == 0)
        return false;
    length = MIN(length, size - 1);
    memcpy(value, p, length);
    value[length] = '\0';
    return true;
}

u64 option_number(const char *name, u64 otherwise)
{
    char text[24];
    if (!option_text(name, text, sizeof(text)))
        return otherwise;
    bool hex = text[0] == '0' && text[1] == 'x';
    u64 value = 0;
    for (const char *p = hex ? text + 2 : text; *p != '\0'; p++) {
        u64 digit = *p >= '0' && *p <= '9'          ? (u64)(*p - '0')
                    : hex && *p >= 'a' && *p <= 'f' ? (u64)(*p - 'a' + 10)
                                                    : 99;
        if (digit == 99)
            return otherwise;
        value = value * (hex ? 16 : 10) + digit;
    }
    return value;
}
