// SPDX-License-Identifier: MIT
// The configuration parser over arbitrary bytes. What it takes is in range; what it reports is one
// line of text.
// clang -g -O1 -fsanitize=fuzzer,address,undefined -Isrc tests/fuzz/fuzz_config.c src/vm/config*.c
//       src/vm/load*.c src/vmx/intercept_*.c src/lib/format.c
#include <stdlib.h>
#include <string.h>

#include "vm/config.h"

static struct config config;

static void check(bool condition)
{
    if (!condition)
        abort();
}

static void report(void *ctx, unsigned line, const char *text)
{
    (void)line;
    ++*(unsigned *)ctx;
    check(text[0] != '\0');
    for (; *text != '\0'; text++)
        check((u8)*text >= 0x20 || *text == '\t');
}

static void image(void *ctx, const char *name)
{
    (void)ctx;
    check(name[0] != '\0' && strnlen(name, CONFIG_IMAGE_MAX + 1) <= CONFIG_IMAGE_MAX);
    check(strchr(name, '/') == NULL);
}

static bool lookup(void *ctx, const char *name, struct image *out)
{
    (void)ctx;
    *out = (struct image){name, (const u8 *)name, strlen(name)};
    return name[0] != 'x';
}

static void check_vm(const struct config_vm *vm)
{
    check(strnlen(vm->name, sizeof(vm->name)) < sizeof(vm->name) && vm->name[0] != '\0');
    check(strnlen(vm->cmdline, sizeof(vm->cmdline)) < sizeof(vm->cmdline));
    check(vm->valid || vm->reason[0] != '\0');
    check(vm->modules <= LOAD_MODULES);
    if (!vm->valid)
        return;
    check(vm->kernel[0] != '\0');
    check(vm->memory >= MEMORY_MIN && vm->memory <= MEMORY_MAX && vm->memory % PAGE_SIZE == 0);
    check(vm->vcpus >= 1 && vm->vcpus <= CONFIG_VCPUS);
    check(vm->weight >= 1 && vm->weight <= 10000);
    check(vm->format <= FORMAT_FLAT);
    check(vm->intercepts <= INTERCEPTS_MAX);
    for (unsigned i = 0; i < vm->intercepts; i++) {
        check(vm->intercept[i].what < INTERCEPT_WHATS);
        check(vm->intercept[i].what != INTERCEPT_HLT || !vm->hlt_through);
        for (unsigned n = 0; n < i; n++)
            check(!intercept_same(&vm->intercept[n], &vm->intercept[i]));
    }
    check(vm->load.v <= UINT32_MAX && vm->entry.v <= UINT32_MAX);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
static enum error check_device(unsigned n, struct text *why)
{
    return n == 2 ? explain(why, ERR_NOT_FOUND, "not here") : OK;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
    unsigned reports = 0;
    enum error e = config_parse(&config, (const char *)data, size, report, &reports);
    check((e == OK) == (config.errors == 0) && (reports == 0) == (e == OK));
    check(reports <= CONFIG_REPORTS_MAX + 1);
    check(config.vms <= CONFIG_VMS);
    for (unsigned i = 0; i < config.vms; i++)
        check_vm(&config.vm[i]);
    config_images(&config, image, NULL);

    unsigned valid = config_check_images(&config, lookup, NULL, report, &reports);
    struct core_set online = {{0x0f}};
    check(config_check_devices(&config, check_device, report, &reports) <= valid);
    for (unsigned i = 0, devices = 0; i < config.vms; i++) {
        if (config.vm[i].valid) {
            check((config.vm[i].devices & (devices | 4)) == 0);
            devices |= config.vm[i].devices;
        }
    }
    check(config_check_machine(&config, &online, 1 * GiB, report, &reports) <= valid);
    u64 total = 0;
    for (unsigned i = 0; i < config.vms; i++) {
        if (config.vm[i].valid) {
            total += config.vm[i].memory;
            check((config.vm[i].cores.bits[0] & ~online.bits[0]) == 0);
            check(config.vm[i].cores.bits[0] != 0);
        }
    }
    check(total <= 1 * GiB);
    return 0;
}
