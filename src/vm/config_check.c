// SPDX-License-Identifier: MIT
// What only the machine and the images can tell about a configuration.
#include "lib/string.h"
#include "vm/config_internal.h"

static unsigned line_of(const struct config_vm *vm, enum config_vm_key key)
{
    return vm->key_line[key] != 0 ? vm->key_line[key] : vm->line;
}

static unsigned line_of_name(const struct config_vm *vm, const char *key)
{
    for (unsigned k = 0; k < VM_KEYS; k++) {
        if (strcmp(config_vm_key_name((enum config_vm_key)k), key) == 0)
            return line_of(vm, (enum config_vm_key)k);
    }
    return vm->line;
}

static unsigned valid_vms(const struct config *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->vms; i++)
        n += c->vm[i].valid;
    return n;
}

static void check_cores(struct reporter *r, struct config_vm *vm, const struct core_set *online)
{
    struct core_set both = {{0}}, all;
    bool any = false;
    memset(&all, 0xff, sizeof(all));
    bool named = memcmp(&vm->cores, &all, sizeof(all)) != 0; // else: whatever there is
    for (unsigned core = 0; core < CONFIG_CORES; core++) {
        if (!core_set_has(&vm->cores, core))
            continue;
        if (core_set_has(online, core)) {
            core_set_add(&both, core);
            any = true;
        } else if (named && vm->valid) {
            config_report(r, vm, line_of(vm, VM_CORES), "cores: this machine has no core %u online",
                          core);
        }
    }
    if (!any && vm->valid)
        config_report(r, vm, line_of(vm, VM_CORES), "cores: none is online");
    vm->cores = both;
}

unsigned config_check_machine(struct config *c, const struct core_set *online, u64 memory,
                              config_report_fn *report, void *ctx)
{
    struct reporter r = {c, report, ctx};
    u64 left = memory;
    for (unsigned i = 0; i < c->vms; i++) {
        struct config_vm *vm = &c->vm[i];
        if (vm->valid)
            check_cores(&r, vm, online);
        if (!vm->valid)
            continue;
        if (vm->memory > left) {
            config_report(&r, vm, line_of(vm, VM_MEMORY),
                          "memory: %s wants %lu KiB, and %lu of this machine's %lu are left",
                          vm->name, vm->memory / KiB, left / KiB, memory / KiB);
            continue;
        }
        left -= vm->memory;
    }
    return valid_vms(c);
}

static bool shares_irq(unsigned n, int other)
{
    return other >= 0 && (DEVICES_BESIDE(n) & BIT(other));
}

enum error config_device_free(unsigned n, int console, int debugger, struct text *why)
{
    if (console == (int)n)
        return explain(why, ERR_BUSY, "it is the appliance's console (boot option console=)");
    if (debugger == (int)n)
        return explain(why, ERR_BUSY,
                       "it is the debugger's line; gdb=none on the boot command line frees it");
    if (shares_irq(n, console))
        return explain(
            why, ERR_BUSY,
            "it shares its interrupt with the appliance's console (boot option console=)");
    if (shares_irq(n, debugger))
        return explain(why, ERR_BUSY,
                       "it shares its interrupt with the debugger's line (boot option gdb=)");
    return OK;
}

unsigned config_check_devices(struct config *c, config_device_fn *check, config_report_fn *report,
                              void *ctx)
{
    struct reporter r = {c, report, ctx};
    for (unsigned i = 0; i < c->vms; i++) {
        struct config_vm *vm = &c->vm[i];
        for (unsigned n = 0; n < CONFIG_DEVICES && vm->valid; n++) {
            char why[100];
            if ((vm->devices & BIT(n)) && check(n, &TEXT(why)) != OK)
                config_report(&r, vm, line_of(vm, VM_DEVICES), "devices: com%u: %s", n + 1, why);
        }
    }
    return valid_vms(c);
}

static enum error find_image(const char *key, const char *name, config_lookup_fn *lookup, void *ctx,
                             struct image *out, struct load_failure *why)
{
    if (lookup(ctx, name, out)) {
        out->name = name;
        return OK;
    }
    why->key = key;
    str_format(why->text, sizeof(why->text), "there is no image '%s'", name);
    return ERR_NOT_FOUND;
}

enum error config_load_request(const struct config_vm *vm, config_lookup_fn *lookup,
                               void *lookup_ctx, struct load_request *r, struct load_failure *why)
{
    *r = (struct load_request){
        .format = vm->format,
        .cmdline = vm->cmdline,
        .memory = vm->memory,
        .load = vm->load,
        .entry = vm->entry,
        .interrupts = vm->interrupts,
    };
    enum error e = find_image("kernel", vm->kernel, lookup, lookup_ctx, &r->kernel, why);
    if (e == OK && vm->initrd[0] != '\0')
        e = find_image("initrd", vm->initrd, lookup, lookup_ctx, &r->initrd, why);
    for (; e == OK && r->modules < vm->modules; r->modules++) {
        const struct config_module *m = &vm->module[r->modules];
        r->module[r->modules].args = m->args;
        e = find_image("module", m->image, lookup, lookup_ctx, &r->module[r->modules].image, why);
    }
    return e;
}

// Each image of the VM that there is not. Returns whether all are there.
static bool check_names(struct reporter *r, struct config_vm *vm, config_lookup_fn *lookup,
                        void *lookup_ctx)
{
    bool all = vm->kernel[0] != '\0';
    for (unsigned i = 0; i < 2 + vm->modules; i++) {
        enum config_vm_key key = i == 0 ? VM_KERNEL : i == 1 ? VM_INITRD : VM_MODULE;
        const char *name = i == 0 ? vm->kernel : i == 1 ? vm->initrd : vm->module[i - 2].image;
        struct image image;
        struct load_failure why;
        if (name[0] == '\0' ||
            find_image(config_vm_key_name(key), name, lookup, lookup_ctx, &image, &why) == OK)
            continue;
        config_report(r, vm, line_of(vm, key), "%s: %s", why.key, why.text);
        all = false;
    }
    return all;
}

unsigned config_check_images(struct config *c, config_lookup_fn *lookup, void *lookup_ctx,
                             config_report_fn *report, void *ctx)
{
    struct reporter r = {c, report, ctx};
    for (unsigned i = 0; i < c->vms; i++) {
        struct config_vm *vm = &c->vm[i];
        struct load_request request;
        struct entry_state entry;
        struct load_failure why = {.key = "kernel"};
        if (!check_names(&r, vm, lookup, lookup_ctx) || vm->unsure)
            continue;
        enum error e = config_load_request(vm, lookup, lookup_ctx, &request, &why);
        if (e == OK)
            e = load_image(&request, NULL, &entry, &why);
        if (e != OK)
            config_report(&r, vm, line_of_name(vm, why.key), "%s: %s", why.key, why.text);
        else if (entry.note != NULL)
            config_note(&r, line_of(vm, VM_KERNEL), "kernel: note: %s: %s", vm->kernel, entry.note);
    }
    return valid_vms(c);
}

// All image names of all VMs in order: VM i's kernel, initrd, modules. NULL at the end.
static const char *nth_image(const struct config *c, unsigned n)
{
    for (unsigned i = 0; i < c->vms; i++) {
        const struct config_vm *vm = &c->vm[i];
        if (!vm->valid)
            continue;
        if (n == 0)
            return vm->kernel;
        if (n == 1)
            return vm->initrd;
        n -= 2;
        if (n < vm->modules)
            return vm->module[n].image;
        n -= vm->modules;
    }
    return NULL;
}

void config_images(const struct config *c, void (*each)(void *ctx, const char *name), void *ctx)
{
    const char *name;
    for (unsigned i = 0; (name = nth_image(c, i)) != NULL; i++) {
        bool seen = name[0] == '\0';
        for (unsigned j = 0; j < i && !seen; j++)
            seen = strcmp(nth_image(c, j), name) == 0;
        if (!seen)
            each(ctx, name);
    }
}
