// SPDX-License-Identifier: MIT
// Lines, sections and errors of the configuration file; keys and values are in config_keys.c.
#include "vm/config.h"

#include "lib/string.h"
#include "vm/config_internal.h"

#define QUOTE_MAX 40 // characters of the file repeated in a message

struct parser {
    struct reporter report;
    struct config *c;
    unsigned line;
    enum { IN_NOTHING, IN_APPLIANCE, IN_VM, IN_SKIPPED } section;
    struct config_vm *vm; // in IN_VM
    bool appliance_seen;
    unsigned appliance_line[CONFIG_APPLIANCE_KEYS];
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool slice_is(struct slice s, const char *text)
{
    return s.len == strlen(text) && memcmp(s.p, text, s.len) == 0;
}

struct slice slice_trim(struct slice s)
{
    while (s.len > 0 && is_blank(s.p[0])) {
        s.p++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.p[s.len - 1]))
        s.len--;
    return s;
}

bool slice_next(struct slice *rest, char separator, struct slice *out)
{
    if (rest->p == NULL)
        return false;
    const char *end = memchr(rest->p, separator, rest->len);
    if (end == NULL) {
        *out = *rest;
        *rest = (struct slice){NULL, 0};
    } else {
        size_t n = (size_t)(end - rest->p);
        *out = (struct slice){rest->p, n};
        *rest = (struct slice){end + 1, rest->len - n - 1};
    }
    return true;
}

void config_report(struct reporter *r, struct config_vm *vm, unsigned line, const char *fmt, ...)
{
    char buf[300];
    va_list args;
    va_start(args, fmt);
    str_vformat(buf, sizeof(buf), fmt, args);
    va_end(args);

    if (vm != NULL && vm->valid) {
        vm->valid = false;
        str_format(vm->reason, sizeof(vm->reason), "%s", buf);
    }
    r->config->errors++;
    if (r->config->errors <= CONFIG_REPORTS_MAX)
        r->fn(r->ctx, line, buf);
    else if (r->config->errors == CONFIG_REPORTS_MAX + 1)
        r->fn(r->ctx, line, "file: more errors follow that are not listed");
}

void config_note(const struct reporter *r, unsigned line, const char *fmt, ...)
{
    char buf[300];
    va_list args;
    va_start(args, fmt);
    str_vformat(buf, sizeof(buf), fmt, args);
    va_end(args);
    r->fn(r->ctx, line, buf);
}

static int quote_len(struct slice s)
{
    return (int)MIN(s.len, (size_t)QUOTE_MAX);
}

#define REPORT(p, ...) config_report(&(p)->report, (p)->vm, (p)->line, __VA_ARGS__)

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

static bool name_is_good(struct slice name)
{
    if (name.len == 0 || name.len > CONFIG_NAME_MAX || name.p[0] == '-')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (!is_name_char(name.p[i]))
            return false;
    }
    return true;
}

static void vm_init(struct config_vm *vm, struct slice name, unsigned line)
{
    memset(vm, 0, sizeof(*vm));
    memcpy(vm->name, name.p, name.len);
    vm->valid = true;
    vm->memory = 256 * MiB;
    vm->vcpus = 1;
    memset(&vm->cores, 0xff, sizeof(vm->cores));
    vm->weight = 100;
    vm->load = vm->entry = GPA(0x7c00);
    vm->line = line;
}

static void begin_vm(struct parser *p, struct slice name)
{
    if (!name_is_good(name)) {
        REPORT(
            p,
            "[vm %.*s]: a VM's name has 1 to %u characters: letters, digits, '_' and, not as the "
            "first, '-'",
            quote_len(name), name.p, CONFIG_NAME_MAX);
        return;
    }
    if (p->c->vms == CONFIG_VMS) {
        REPORT(p, "[vm %.*s]: there are %u VMs already, the most there can be", quote_len(name),
               name.p, CONFIG_VMS);
        return;
    }
    struct config_vm *vm = &p->c->vm[p->c->vms];
    vm_init(vm, name, p->line);
    p->vm = vm;
    p->section = IN_VM;
    for (unsigned i = 0; i < p->c->vms; i++) {
        if (strcmp(p->c->vm[i].name, vm->name) == 0) {
            REPORT(p, "[vm %s]: this name is in use since line %u", vm->name, p->c->vm[i].line);
            break;
        }
    }
    p->c->vms++;
}

// A section that cannot be used is read over up to the next one: its keys belong to no other.
static void begin_section(struct parser *p, struct slice s)
{
    p->section = IN_SKIPPED;
    p->vm = NULL;
    if (s.p[s.len - 1] != ']') {
        REPORT(p, "%.*s: a section's line ends with ']'", quote_len(s), s.p);
        return;
    }
    struct slice body = slice_trim((struct slice){s.p + 1, s.len - 2});
    if (slice_is(body, "appliance")) {
        if (p->appliance_seen)
            REPORT(p, "[appliance]: this section was there already");
        p->appliance_seen = true;
        p->section = IN_APPLIANCE;
    } else if (body.len >= 2 && memcmp(body.p, "vm", 2) == 0 &&
               (body.len == 2 || is_blank(body.p[2]))) {
        begin_vm(p, slice_trim((struct slice){body.p + 2, body.len - 2}));
    } else {
        REPORT(p, "%.*s: sections are [appliance] and [vm NAME]", quote_len(s), s.p);
    }
}

static void unknown_key(struct parser *p, struct slice key, const char *nearest)
{
    if (nearest != NULL)
        REPORT(p, "%.*s: unknown key; did you mean '%s'?", quote_len(key), key.p, nearest);
    else
        REPORT(p, "%.*s: unknown key", quote_len(key), key.p);
}

static void appliance_key(struct parser *p, struct slice key, struct value *v)
{
    unsigned k = config_find_appliance_key(key);
    if (k == CONFIG_APPLIANCE_KEYS) {
        unknown_key(p, key, config_nearest_appliance_key_name(key));
    } else if (p->appliance_line[k] != 0) {
        REPORT(p, "%.*s: given in line %u already", quote_len(key), key.p, p->appliance_line[k]);
    } else {
        p->appliance_line[k] = p->line;
        if (config_set_appliance_key(p->c, k, v) != OK)
            REPORT(p, "%.*s: %s", quote_len(key), key.p, v->why.buf);
    }
}

// Whether what becomes of the images hangs on the key.
static bool is_loaders(enum config_vm_key k)
{
    return k == VM_KERNEL || k == VM_INITRD || k == VM_MODULE || k == VM_CMDLINE ||
           k == VM_MEMORY || k == VM_FORMAT || k == VM_LOAD || k == VM_ENTRY;
}

static void vm_key(struct parser *p, struct slice key, struct value *v)
{
    enum config_vm_key k = config_find_vm_key(key);
    if (k == VM_KEYS) {
        const char *nearest = config_nearest_vm_key_name(key);
        if (nearest != NULL)
            p->vm->unsure |=
                is_loaders(config_find_vm_key((struct slice){nearest, strlen(nearest)}));
        unknown_key(p, key, nearest);
    } else if (p->vm->key_line[k] != 0 && !config_vm_key_repeats(k)) {
        REPORT(p, "%.*s: given in line %u already", quote_len(key), key.p, p->vm->key_line[k]);
    } else {
        if (p->vm->key_line[k] == 0)
            p->vm->key_line[k] = p->line;
        if (config_set_vm_key(p->vm, k, v) != OK) {
            p->vm->unsure |= is_loaders(k);
            REPORT(p, "%.*s: %s", quote_len(key), key.p, v->why.buf);
        }
    }
}

static void key_line(struct parser *p, struct slice s)
{
    const char *equals = memchr(s.p, '=', s.len);
    struct slice key = s;
    if (equals != NULL)
        key = slice_trim((struct slice){s.p, (size_t)(equals - s.p)});
    if (p->section == IN_SKIPPED)
        return;
    if (p->section == IN_NOTHING) {
        REPORT(p, "%.*s: stands before the first section", quote_len(key), key.p);
        return;
    }
    if (equals == NULL || key.len == 0) {
        REPORT(p, "%.*s: a line is 'key = value', a [section] or a comment", quote_len(s), s.p);
        return;
    }
    char why[256] = "";
    struct value v = {.s = {equals + 1, s.len - (size_t)(equals + 1 - s.p)}, .why = TEXT(why)};
    v.s = slice_trim(v.s);
    if (p->section == IN_APPLIANCE)
        appliance_key(p, key, &v);
    else
        vm_key(p, key, &v);
}

static struct slice without_comment(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.p[i] == '#' && (i == 0 || is_blank(s.p[i - 1])))
            return (struct slice){s.p, i};
    }
    return s;
}

static bool characters_are_good(struct parser *p, struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        u8 ch = (u8)s.p[i];
        if ((ch < 0x20 && ch != '\t') || ch == 0x7f) {
            REPORT(p, "line: character 0x%02x in column %zu; this is not a text file", ch, i + 1);
            return false;
        }
    }
    return true;
}

static void parse_line(struct parser *p, struct slice s)
{
    if (s.len > 0 && s.p[s.len - 1] == '\r')
        s.len--;
    if (s.len > CONFIG_LINE_MAX) {
        REPORT(p, "line: %zu characters, more than the %u there can be", s.len, CONFIG_LINE_MAX);
        return;
    }
    if (!characters_are_good(p, s))
        return;
    s = slice_trim(without_comment(s));
    if (s.len == 0)
        return;
    if (s.p[0] == '[')
        begin_section(p, s);
    else
        key_line(p, s);
}

// Whether an earlier VM has the device, or one that shares its interrupt.
static void check_device(struct parser *p, struct config_vm *vm, unsigned n)
{
    for (const struct config_vm *other = p->c->vm; other < vm; other++) {
        if (other->valid && other->devices & DEVICES_BESIDE(n))
            config_report(&p->report, vm, vm->key_line[VM_DEVICES], "devices: com%u: VM %s has %s",
                          n + 1, other->name,
                          other->devices & BIT(n) ? "it" : "the one that shares its interrupt");
    }
}

// What can only be said once a VM's section is complete.
static void check_vm(struct parser *p, struct config_vm *vm)
{
    if (vm->key_line[VM_KERNEL] == 0)
        config_report(&p->report, vm, vm->line, "kernel: missing in [vm %s]", vm->name);

    static const enum config_vm_key flat_only[] = {VM_LOAD, VM_ENTRY};
    for (unsigned i = 0; i < ARRAY_SIZE(flat_only); i++) {
        unsigned line = vm->key_line[flat_only[i]];
        if (line != 0 && vm->format != FORMAT_FLAT)
            config_report(&p->report, vm, line, "%s: goes with 'format = flat' only",
                          config_vm_key_name(flat_only[i]));
    }
    for (unsigned i = 0; i < vm->intercepts; i++) {
        if (vm->hlt_through && vm->intercept[i].what == INTERCEPT_HLT)
            config_report(&p->report, vm, vm->key_line[VM_HLT],
                          "hlt: 'through' does not go with 'intercept = hlt': what is let through "
                          "cannot be caught");
    }
    if (vm->key_line[VM_ENTRY] == 0)
        vm->entry = vm->load;
    for (unsigned n = 0; n < CONFIG_DEVICES; n++) {
        if (vm->devices & BIT(n))
            check_device(p, vm, n);
    }
}

enum error config_parse(struct config *c, const char *text, u64 len, config_report_fn *report,
                        void *ctx)
{
    memset(c, 0, sizeof(*c));
    struct parser p = {.report = {c, report, ctx}, .c = c};

    if (len > CONFIG_FILE_MAX) {
        REPORT(&p, "file: %lu bytes, more than the %lu there can be", len, CONFIG_FILE_MAX);
        return ERR_INVALID;
    }
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { // a byte-order mark that editors leave
        text += 3;
        len -= 3;
    }
    struct slice rest = {text, (size_t)len}, line;
    while (slice_next(&rest, '\n', &line)) {
        p.line++;
        parse_line(&p, line);
    }
    for (unsigned i = 0; i < c->vms; i++)
        check_vm(&p, &c->vm[i]);
    if (c->vms == 0) {
        p.line = 0;
        p.vm = NULL;
        REPORT(&p, "file: defines no VM; one is a section [vm NAME] with a line 'kernel = IMAGE'");
    }
    return c->errors == 0 ? OK : ERR_INVALID;
}
