// SPDX-License-Identifier: MIT
// The keys of the configuration and their values.
#include "lib/string.h"
#include "vm/config_internal.h"

#define QUOTE(s) (int)MIN((s).len, (size_t)40), (s).p

// Why a value is not taken.
#define REFUSE(v, ...) explain(&(v)->why, ERR_INVALID, __VA_ARGS__)

static enum error parse_in_range(struct value *v, u64 min, u64 max, u64 *out)
{
    if (!str_number(v->s.p, v->s.len, out))
        return REFUSE(v, "'%.*s' is not a number", QUOTE(v->s));
    if (*out < min || *out > max)
        return REFUSE(v, "%.*s is outside %lu to %lu", QUOTE(v->s), min, max);
    return OK;
}

static enum error parse_choice(struct value *v, const char *const *names, unsigned count,
                               unsigned *out)
{
    for (unsigned i = 0; i < count; i++) {
        if (slice_is(v->s, names[i])) {
            *out = i;
            return OK;
        }
    }
    enum error e = REFUSE(v, "'%.*s' is not one of", QUOTE(v->s));
    for (unsigned i = 0; i < count; i++)
        text_add(&v->why, "%s %s", i == 0 ? "" : ",", names[i]);
    return e;
}

static bool is_image_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '+' || c == '-' || c == '~';
}

// An image's name is a file's name beside the configuration and a module's name in GRUB's menu:
// no folders, and nothing that either would take for more than a name.
static enum error copy_image_name(struct value *v, struct slice s, char out[CONFIG_IMAGE_MAX + 1])
{
    if (s.len == 0)
        return REFUSE(v, "names no image");
    if (s.len > CONFIG_IMAGE_MAX)
        return REFUSE(v, "an image's name has at most %u characters", CONFIG_IMAGE_MAX);
    for (size_t i = 0; i < s.len; i++) {
        if (!is_image_char(s.p[i]))
            return REFUSE(v,
                          "'%.*s' is no image's name: letters, digits and ._+-~ only, no folders",
                          QUOTE(s));
    }
    if (s.p[0] == '.' || s.p[0] == '-')
        return REFUSE(v, "an image's name does not begin with '%c'", s.p[0]);
    if (slice_is(s, "vitrine.conf") || slice_is(s, "vitrine.bin") || slice_is(s, "grub"))
        return REFUSE(v, "'%.*s' is one of the appliance's own files", QUOTE(s));
    memcpy(out, s.p, s.len);
    out[s.len] = '\0';
    return OK;
}

static enum error set_kernel(struct config_vm *vm, struct value *v)
{
    return copy_image_name(v, v->s, vm->kernel);
}

static enum error set_initrd(struct config_vm *vm, struct value *v)
{
    return copy_image_name(v, v->s, vm->initrd);
}

static enum error set_module(struct config_vm *vm, struct value *v)
{
    if (vm->modules == LOAD_MODULES)
        return REFUSE(v, "there are %u modules already, the most there can be", LOAD_MODULES);
    size_t n = 0;
    while (n < v->s.len && v->s.p[n] != ' ' && v->s.p[n] != '\t')
        n++;
    struct slice args = slice_trim((struct slice){v->s.p + n, v->s.len - n});
    if (args.len > CONFIG_ARGS_MAX)
        return REFUSE(v, "%zu characters of arguments, more than the %u there can be", args.len,
                      CONFIG_ARGS_MAX);
    struct config_module *m = &vm->module[vm->modules];
    if (copy_image_name(v, (struct slice){v->s.p, n}, m->image) != OK)
        return ERR_INVALID;
    memcpy(m->args, args.p, args.len);
    m->args[args.len] = '\0';
    vm->modules++;
    return OK;
}

static enum error set_cmdline(struct config_vm *vm, struct value *v)
{
    if (v->s.len > CONFIG_CMDLINE_MAX)
        return REFUSE(v, "%zu characters, more than the %u there can be", v->s.len,
                      CONFIG_CMDLINE_MAX);
    memcpy(vm->cmdline, v->s.p, v->s.len);
    vm->cmdline[v->s.len] = '\0';
    return OK;
}

static enum error set_memory(struct config_vm *vm, struct value *v)
{
    struct slice s = v->s;
    unsigned shift = 0;
    char suffix = s.len > 0 ? s.p[s.len - 1] : '\0';
    if (suffix == 'K' || suffix == 'k')
        shift = 10;
    else if (suffix == 'M' || suffix == 'm')
        shift = 20;
    else if (suffix == 'G' || suffix == 'g')
        shift = 30;
    if (shift != 0)
        s.len--;
    u64 n;
    if ((suffix == 'B' || suffix == 'b') && s.len > 1 && !str_number(s.p, s.len, &n))
        return REFUSE(
            v, "'%.*s' is not a size: without the %c; one is a number with K, M or G behind it",
            QUOTE(v->s), suffix);
    if (!str_number(s.p, s.len, &n))
        return REFUSE(v, "'%.*s' is not a size; one is a number with K, M or G behind it",
                      QUOTE(v->s));
    if (n > (MEMORY_MAX >> shift))
        return REFUSE(v, "%.*s is more than the %luG there can be", QUOTE(v->s), MEMORY_MAX / GiB);
    u64 bytes = n << shift;
    if (bytes < MEMORY_MIN)
        return REFUSE(v, "%.*s is less than 1M%s", QUOTE(v->s),
                      shift == 0 ? "; without K, M or G it is in bytes" : "");
    if (bytes % PAGE_SIZE != 0)
        return REFUSE(v, "%.*s is not a multiple of 4K", QUOTE(v->s));
    vm->memory = bytes;
    return OK;
}

static enum error set_vcpus(struct config_vm *vm, struct value *v)
{
    u64 n;
    if (parse_in_range(v, 1, CONFIG_VCPUS, &n) != OK)
        return ERR_INVALID;
    vm->vcpus = (unsigned)n;
    return OK;
}

static enum error parse_core(struct value *v, struct slice s, unsigned *core)
{
    u64 n;
    s = slice_trim(s);
    if (!str_number(s.p, s.len, &n))
        return REFUSE(v, "'%.*s' is not a core's number; a list is like 0,2 or 1-3", QUOTE(s));
    if (n >= CONFIG_CORES)
        return REFUSE(v, "core %.*s: numbers go up to %u", QUOTE(s), CONFIG_CORES - 1);
    *core = (unsigned)n;
    return OK;
}

static enum error set_cores(struct config_vm *vm, struct value *v)
{
    struct core_set set = {{0}};
    struct slice rest = v->s, item;
    if (slice_is(v->s, "all"))
        return OK;
    while (slice_next(&rest, ',', &item)) {
        const char *dash = memchr(item.p, '-', item.len);
        unsigned first = 0, last = 0;
        struct slice from = item, to = item;
        if (dash != NULL) {
            from.len = (size_t)(dash - item.p);
            to = (struct slice){dash + 1, item.len - from.len - 1};
        }
        if (parse_core(v, from, &first) != OK || parse_core(v, to, &last) != OK)
            return ERR_INVALID;
        if (first > last)
            return REFUSE(v, "%u-%u runs backwards", first, last);
        for (unsigned core = first; core <= last; core++)
            core_set_add(&set, core);
    }
    vm->cores = set;
    return OK;
}

static enum error set_weight(struct config_vm *vm, struct value *v)
{
    u64 n;
    if (parse_in_range(v, 1, 10000, &n) != OK)
        return ERR_INVALID;
    vm->weight = (unsigned)n;
    return OK;
}

static enum error add_intercept(struct config_vm *vm, const struct intercept *i, struct text *why)
{
    if (vm->intercepts == INTERCEPTS_MAX)
        return explain(why, ERR_NO_MEMORY, "there are %u already, the most there can be",
                       INTERCEPTS_MAX);
    for (unsigned n = 0; n < vm->intercepts; n++) {
        if (intercept_same(&vm->intercept[n], i)) {
            text_add(why, "'");
            intercept_print(i, false, why);
            return explain(why, ERR_INVALID,
                           "' is there already; expected each once, with one action");
        }
    }
    vm->intercept[vm->intercepts++] = *i;
    return OK;
}

static enum error set_intercept(struct config_vm *vm, struct value *v)
{
    struct slice rest = v->s;
    while (rest.len > 0) {
        struct intercept i;
        if (intercept_parse(&rest.p, &rest.len, &i, &v->why) != OK ||
            add_intercept(vm, &i, &v->why) != OK)
            return ERR_INVALID;
    }
    return OK;
}

static enum error set_hlt(struct config_vm *vm, struct value *v)
{
    static const char *const names[] = {"caught", "through"};
    unsigned i;
    if (parse_choice(v, names, ARRAY_SIZE(names), &i) != OK)
        return ERR_INVALID;
    vm->hlt_through = i == 1;
    return OK;
}

static enum error set_reset(struct config_vm *vm, struct value *v)
{
    static const char *const names[] = {"restart", "stop"};
    unsigned i;
    if (parse_choice(v, names, ARRAY_SIZE(names), &i) != OK)
        return ERR_INVALID;
    vm->reset_stops = i == 1;
    return OK;
}

static enum error set_interrupts(struct config_vm *vm, struct value *v)
{
    static const char *const names[] = {"off", "on"};
    unsigned i;
    if (parse_choice(v, names, ARRAY_SIZE(names), &i) != OK)
        return ERR_INVALID;
    vm->interrupts = i == 1;
    return OK;
}

static enum error set_format(struct config_vm *vm, struct value *v)
{
    const char *names[IMAGE_FORMATS];
    unsigned i;
    for (i = 0; i < IMAGE_FORMATS; i++)
        names[i] = image_format_name((enum image_format)i);
    if (parse_choice(v, names, ARRAY_SIZE(names), &i) != OK)
        return ERR_INVALID;
    vm->format = (enum image_format)i;
    return OK;
}

static enum error set_load(struct config_vm *vm, struct value *v)
{
    return parse_in_range(v, 0, UINT32_MAX, &vm->load.v);
}

static enum error set_entry(struct config_vm *vm, struct value *v)
{
    return parse_in_range(v, 0, UINT32_MAX, &vm->entry.v);
}

static enum error set_devices(struct config_vm *vm, struct value *v)
{
    struct slice rest = v->s, item;
    while (slice_next(&rest, ',', &item)) {
        item = slice_trim(item);
        unsigned n = item.len == 4 && memcmp(item.p, "com", 3) == 0 ? (unsigned)(item.p[3] - '1')
                                                                    : CONFIG_DEVICES;
        if (n >= CONFIG_DEVICES)
            return REFUSE(
                v, "'%.*s' is no device that a VM can have; a list is like com2 or com1,com2",
                QUOTE(item));
        if (vm->devices & BIT(n ^ 2))
            return REFUSE(v, "com%u and com%u share an interrupt", (n ^ 2) + 1, n + 1);
        vm->devices |= (u8)BIT(n);
    }
    return OK;
}

static const struct vm_key {
    const char *name;
    enum error (*set)(struct config_vm *vm, struct value *v);
    bool repeats;
} vm_keys[VM_KEYS] = {
    [VM_KERNEL] = {"kernel", set_kernel},
    [VM_INITRD] = {"initrd", set_initrd},
    [VM_MODULE] = {"module", set_module, .repeats = true},
    [VM_CMDLINE] = {"cmdline", set_cmdline},
    [VM_MEMORY] = {"memory", set_memory},
    [VM_VCPUS] = {"vcpus", set_vcpus},
    [VM_CORES] = {"cores", set_cores},
    [VM_WEIGHT] = {"weight", set_weight},
    [VM_INTERCEPT] = {"intercept", set_intercept, .repeats = true},
    [VM_HLT] = {"hlt", set_hlt},
    [VM_RESET] = {"reset", set_reset},
    [VM_INTERRUPTS] = {"interrupts", set_interrupts},
    [VM_FORMAT] = {"format", set_format},
    [VM_LOAD] = {"load", set_load},
    [VM_ENTRY] = {"entry", set_entry},
    [VM_DEVICES] = {"devices", set_devices},
};

const char *config_vm_key_name(enum config_vm_key key)
{
    return vm_keys[key].name;
}

enum config_vm_key config_find_vm_key(struct slice name)
{
    unsigned i = 0;
    while (i < VM_KEYS && !slice_is(name, vm_keys[i].name))
        i++;
    return (enum config_vm_key)i;
}

bool config_vm_key_repeats(enum config_vm_key key)
{
    return vm_keys[key].repeats;
}

enum error config_set_vm_key(struct config_vm *vm, enum config_vm_key key, struct value *v)
{
    return vm_keys[key].set(vm, v);
}

static const char *const appliance_keys[CONFIG_APPLIANCE_KEYS] = {"poweroff"};

const char *config_appliance_key_name(unsigned key)
{
    return appliance_keys[key];
}

unsigned config_find_appliance_key(struct slice name)
{
    unsigned i = 0;
    while (i < CONFIG_APPLIANCE_KEYS && !slice_is(name, appliance_keys[i]))
        i++;
    return i;
}

enum error config_set_appliance_key(struct config *c, unsigned key, struct value *v)
{
    static const char *const names[] = {"never", "when-all-stopped"};
    unsigned i;
    (void)key; // the only one
    if (parse_choice(v, names, ARRAY_SIZE(names), &i) != OK)
        return ERR_INVALID;
    c->poweroff_when_all_stopped = i == 1;
    return OK;
}
