// SPDX-License-Identifier: MIT
#include "gdbstub/target_intercept.h"

#include "gdbstub/target.h"
#include "intercept/intercept.h"
#include "lib/string.h"
#include "vm/vm.h"

// Of an item and of what is wrong with one.
#define TEXT_SIZE 200

const char *target_caught_text(unsigned pid, unsigned index)
{
    return target_vcpu(pid, index)->intercept.text;
}

bool target_still_catches(unsigned pid, unsigned index)
{
    const struct vcpu *v = target_vcpu(pid, index);
    for (unsigned n = intercept_count(v->guest); n-- > 0;) {
        char item[sizeof(v->intercept.text)] = "";
        struct text t = TEXT(item);
        struct intercept i;
        u64 hits;
        intercept_get(v->guest, n, &i, &hits);
        intercept_print(&i, false, &t);
        if (i.action == INTERCEPT_STOP && memcmp(v->intercept.text, item, t.len) == 0 &&
            (t.cut || v->intercept.text[t.len] == ':'))
            return true;
    }
    return false;
}

static void add_item(const struct intercept *i, struct text *out)
{
    intercept_print(i, false, out);
    text_add(out, "=%s", intercept_action_name(i->action));
}

static void list(struct vm *vm, struct text *out)
{
    unsigned count = intercept_count(&vm->guest);
    if (count == 0)
        text_add(out, "none\n");
    for (unsigned n = 0; n < count; n++) {
        char item[TEXT_SIZE] = "";
        struct text t = TEXT(item);
        struct intercept i;
        u64 hits;
        intercept_get(&vm->guest, n, &i, &hits);
        add_item(&i, &t);
        text_add(out, "%-2u  %-32s  %lu\n", n + 1, item, hits);
    }
}

// Says what has become of an item; with an error, why nothing has. Returns the error.
static enum error said(struct vm *vm, enum error e, const struct intercept *i, const char *what,
                       const struct text *why, struct text *out)
{
    if (e == OK) {
        text_add(out, "%s: ", vm->config->name);
        add_item(i, out);
        text_add(out, " %s\n", what);
    } else {
        text_add(out, "%s\n", why->buf);
    }
    return e;
}

static enum error remove_at(struct vm *vm, unsigned n, struct text *out)
{
    char buf[TEXT_SIZE] = "";
    struct text why = TEXT(buf);
    struct intercept i;
    u64 hits;
    intercept_get(&vm->guest, n, &i, &hits);
    return said(vm, intercept_remove(&vm->guest, n, &why), &i, "removed", &why, out);
}

static enum error remove_same(struct vm *vm, const struct intercept *wanted, struct text *out)
{
    for (unsigned n = intercept_count(&vm->guest); n-- > 0;) {
        struct intercept i;
        u64 hits;
        intercept_get(&vm->guest, n, &i, &hits);
        if (intercept_same(&i, wanted))
            return remove_at(vm, n, out);
    }
    text_add(out, "%s has no item ", vm->config->name);
    intercept_print(wanted, false, out);
    text_add(out, "\n");
    return ERR_NOT_FOUND;
}

// Goes through the items twice: nothing changes unless all make sense.
static void change(struct vm *vm, bool add, const char *args, struct text *out)
{
    for (unsigned pass = 0; pass < 2; pass++) {
        const char *p = args;
        size_t len = strlen(args);
        while (len > 0) {
            char buf[TEXT_SIZE] = "";
            struct text why = TEXT(buf);
            struct intercept i;
            enum error e = intercept_parse(&p, &len, &i, &why);
            if (e == OK && add && pass == 0)
                e = intercept_possible(&i, &why);
            if (e != OK)
                text_add(out, "%s\n", buf);
            else if (pass > 0 && add)
                e = said(vm, intercept_add(&vm->guest, &i, &why), &i, "added", &why, out);
            else if (pass > 0)
                e = remove_same(vm, &i, out);
            if (e != OK)
                return;
        }
    }
}

// The places count from 1.
static void remove_items(struct vm *vm, const char *args, struct text *out)
{
    unsigned count = intercept_count(&vm->guest), number = 0;
    if (strcmp(args, "all") == 0) {
        while (count > 0 && remove_at(vm, count - 1, out) == OK)
            count--;
        return;
    }
    const char *p = args;
    for (; *p >= '0' && *p <= '9'; p++)
        number = MIN(number * 10 + (unsigned)(*p - '0'), 1000u);
    if (*p != '\0')
        change(vm, false, args, out);
    else if (number == 0 || number > count)
        text_add(out, "%s has no item %s\n", vm->config->name, args);
    else
        (void)remove_at(vm, number - 1, out); // it says what has become of it
}

// Whether *args begins with the word; moves it behind that and the blanks that follow.
static bool take(const char **args, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(*args, word, n) != 0 || ((*args)[n] != ' ' && (*args)[n] != '\0'))
        return false;
    for (*args += n; **args == ' ';)
        ++*args;
    return true;
}

// Reads the VM's name, and the blanks that follow. False: there is no such VM.
static bool take_vm(const char **args, struct vm **vm, struct text *out)
{
    const char *p = *args, *name = p;
    while (*p != '\0' && *p != ' ' && *p != '/')
        p++;
    size_t n = (size_t)(p - name);
    p += *p == '/';
    while (*p == ' ')
        p++;
    *args = p;
    for (unsigned i = 0; i < vm_count; i++) {
        *vm = vms[i];
        if (strlen((*vm)->config->name) == n && memcmp((*vm)->config->name, name, n) == 0)
            return true;
    }
    text_add(out, "there is no VM %.*s\n", (int)n, name);
    return false;
}

void monitor_intercept(struct vm *vm, const char *args, struct text *out)
{
    const char *p = args;
    bool add = take(&p, "add"), less = !add && take(&p, "remove");
    if (!add && !less && *p != '\0') {
        if (!take_vm(&p, &vm, out))
            return;
        add = take(&p, "add");
        less = !add && take(&p, "remove");
    }
    if ((add || less) == (*p == '\0'))
        text_add(out, "usage: intercept [VM] | [VM/] add ITEM[, ITEM]... | "
                      "[VM/] remove all|NUMBER|ITEM[, ITEM]...\n");
    else if (vm == NULL)
        text_add(out, "no VM is attached\n");
    else if (*p == '\0')
        list(vm, out);
    else if (__atomic_load_n(&vm->state, __ATOMIC_ACQUIRE) == VM_ENDED)
        text_add(out, "%s has ended\n", vm->config->name);
    else if (add)
        change(vm, true, p, out);
    else
        remove_items(vm, p, out);
}
