// SPDX-License-Identifier: MIT
#include "vm/appliance.h"

#include "boot/log.h"
#include "boot/memory.h"
#include "boot/multiboot2.h"
#include "boot/paging.h"
#include "boot/power.h"
#include "lib/string.h"
#include "smp/lost.h"
#include "vm/hostdev.h"
#include "vm/vm.h"

#define CONFIG_MODULE "vitrine.conf"

struct vm *vms[VMS_MAX];
unsigned vm_count;

static struct config *config;
static const char *config_name = CONFIG_MODULE; // as it was called when the ISO was made
static unsigned failed;
static char first_failure[200];

bool appliance_image(void *ctx, const char *name, struct image *out)
{
    (void)ctx;
    for (unsigned i = 0; i < boot_info.modules; i++) {
        const struct boot_module *m = &boot_info.module[i];
        if (strcmp(m->name, name) == 0) {
            *out = (struct image){.name = m->name, .data = phys_to_virt(m->start), .size = m->size};
            return true;
        }
    }
    return false;
}

static void report(void *ctx, unsigned line, const char *text)
{
    (void)ctx;
    if (line != 0)
        log_line("config", "%s:%u: %s", config_name, line, text);
    else
        log_line("config", "%s: %s", config_name, text);
}

static void note_failure(const char *name, const char *what)
{
    if (failed++ == 0)
        str_format(first_failure, sizeof(first_failure), "%s: %s", name, what);
}

static void finish(void)
{
    char lost[200];
    const struct core *c = lost_first();
    console_finish();
    if (c != NULL) {
        str_format(lost, sizeof(lost), "core %u was lost: %s", c->number, c->lost_by);
        power_off(lost);
    }
    power_off(failed == 0 ? NULL : first_failure);
}

static enum error read_config(void)
{
    struct image file;
    if (!appliance_image(NULL, CONFIG_MODULE, &file)) {
        log_line("config", "the boot menu gives no module named %s", CONFIG_MODULE);
        return ERR_NOT_FOUND;
    }
    for (unsigned i = 0; i < boot_info.modules; i++) {
        const struct boot_module *m = &boot_info.module[i];
        if (strcmp(m->name, CONFIG_MODULE) == 0 && m->args[0] != '\0')
            config_name = m->args;
    }
    hpa_t memory = memory_alloc(ALIGN_UP(sizeof(*config), PAGE_SIZE), PAGE_SIZE);
    if (memory.v == 0)
        return ERR_NO_MEMORY;
    config = phys_to_virt(memory);
    // What is wrong was reported, and VMs with mistakes are left out.
    (void)config_parse(config, (const char *)file.data, file.size, report, NULL);

    struct core_set online = {0};
    for (unsigned i = 0; i < core_count; i++) {
        if (cores[i]->vmm != NULL)
            core_set_add(&online, i);
    }
    config_check_devices(config, hostdev_check, report, NULL);
    config_check_images(config, appliance_image, NULL, report, NULL);
    config_check_machine(config, &online, memory_free_bytes(), report, NULL);
    return OK;
}

static enum error make_vm(const struct config_vm *c, struct vm **out, struct text *why)
{
    hpa_t memory = memory_alloc(ALIGN_UP(sizeof(struct vm), PAGE_SIZE), PAGE_SIZE);
    if (memory.v == 0)
        return explain(why, ERR_NO_MEMORY, "no memory for it");
    *out = phys_to_virt(memory);
    memset(*out, 0, sizeof(**out));
    return vm_create(*out, vm_count + 1, c, why);
}

unsigned appliance_start(void)
{
    if (read_config() != OK)
        power_off("no configuration");
    for (unsigned i = 0; i < config->vms; i++) {
        struct config_vm *c = &config->vm[i];
        if (!c->valid) {
            log_line("vm", "%s left out: %s", c->name, c->reason);
            note_failure(c->name, c->reason);
            continue;
        }
        char why[160];
        struct vm *vm = NULL;
        if (make_vm(c, &vm, &TEXT(why)) != OK) {
            log_line("vm", "%s left out: %s", c->name, why);
            note_failure(c->name, why);
            continue;
        }
        vms[vm_count++] = vm;
    }
    vm_ends_init();
    for (unsigned i = 0; i < vm_count; i++)
        vm_start(vms[i]);
    if (vm_count == 0) {
        log_line("vm", "no VM can be started");
        power_off(failed > 0 ? first_failure : "no VM");
    }
    return vm_count;
}

void appliance_look(void)
{
    for (unsigned i = 0; i < vm_count; i++) {
        if (vms[i]->state != VM_ENDED)
            return;
    }
    if (config->poweroff_when_all_stopped)
        finish();
    log_line("vm", "all VMs have ended; the appliance waits (poweroff = never)");
}

void appliance_vm_ended(struct vm *vm)
{
    if (vm->ending == END_CRASH)
        note_failure(vm->config->name, vm->reason);
    else if (vm->ending == END_KILLED)
        note_failure(vm->config->name, "killed");
    char code[40];
    str_format(code, sizeof(code), "its exit code is %u, not 0", vm->exit_value);
    if (vm->ending == END_EXIT && vm->exit_value != 0)
        note_failure(vm->config->name, code);
    appliance_look();
}
