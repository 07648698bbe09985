// SPDX-License-Identifier: MIT
// Pages of RAM whose writes are announced: those with breakpoints. The first vCPU that is about to
// write to one opens it and steps over its instruction; others that come meanwhile do the same, and
// the last that is done closes it. All that under one lock, so that no page is opened or closed
// between another's look and what follows from it.
#include "vm/vm.h"

void (*vm_page_written)(struct vm *vm, gpa_t page, bool before);

static struct watched_page *watched_page(struct vm *vm, gpa_t page)
{
    for (unsigned i = 0; i < vm->watched_count; i++) {
        if (vm->watched[i].page.v == page.v)
            return &vm->watched[i];
    }
    return NULL;
}

static bool steps_over(const struct vcpu *v, gpa_t page)
{
    for (unsigned i = 0; i < v->step.pages; i++) {
        if (v->step.page[i].v == page.v)
            return true;
    }
    return false;
}

static bool others_step_over(const struct vm *vm, const struct vcpu *v, gpa_t page)
{
    for (unsigned i = 0; i < vm->vcpus; i++) {
        if (vm->vcpu[i] != v && steps_over(vm->vcpu[i], page))
            return true;
    }
    return false;
}

// Whether v can have the page open for its next instruction; then it has.
static bool open_page(struct vcpu *v, struct watched_page *w)
{
    struct vm *vm = vm_of(v);
    if (!steps_over(v, w->page)) {
        if (v->step.pages == STEP_PAGES)
            return false;
        v->step.page[v->step.pages++] = w->page;
    }
    if (!w->open) {
        vm_page_written(vm, w->page, true);
        (void)ept_change(&vm->guest.ept, w->writes, 0);
        w->open = true;
    }
    return true;
}

static bool is_writable(const struct vm *vm, gpa_t gpa)
{
    hpa_t hpa;
    u32 permissions;
    u64 size;
    return ept_lookup(&vm->guest.ept, 0, gpa, &hpa, &permissions, &size) && permissions == EPT_RWX;
}

bool watched_write(struct vcpu *v, gpa_t gpa)
{
    struct vm *vm = vm_of(v);
    spin_lock(&vm->watch_lock);
    struct watched_page *w = watched_page(vm, GPA(gpa.v & PAGE_MASK));
    bool watched = w != NULL, opened = watched && open_page(v, w);
    spin_unlock(&vm->watch_lock);
    if (watched && !opened) {
        vcpu_crash(v, "an instruction writes to more than %u pages with breakpoints", STEP_PAGES);
        return true;
    }
    if (!opened && !is_writable(vm, gpa))
        return false;
    ept_flush(&vm->guest.ept); // the mapping may be stale alone
    if (opened)
        step_over(v, STEP_OVER_PAGE);
    return true;
}

bool watched_write_ram(struct vcpu *v, gpa_t gpa, const void *value, unsigned size)
{
    struct vm *vm = vm_of(v);
    if (vm->watched_count == 0) // which changes while all vCPUs are held
        return guest_write(&vm->guest.memory, gpa, value, size) == OK;
    spin_lock(&vm->watch_lock);
    const struct watched_page *w = watched_page(vm, GPA(gpa.v & PAGE_MASK));
    bool closed = w != NULL && !w->open;
    if (closed)
        vm_page_written(vm, w->page, true);
    bool done = guest_write(&vm->guest.memory, gpa, value, size) == OK;
    if (closed)
        vm_page_written(vm, w->page, false);
    spin_unlock(&vm->watch_lock);
    return done;
}

void watched_stepped(struct vcpu *v)
{
    struct vm *vm = vm_of(v);
    gpa_t closed[STEP_PAGES];
    unsigned count = 0;
    spin_lock(&vm->watch_lock);
    for (unsigned i = 0; i < v->step.pages; i++) {
        gpa_t page = v->step.page[i];
        struct watched_page *w = watched_page(vm, page);
        if (w == NULL || others_step_over(vm, v, page))
            continue;
        (void)ept_change(&vm->guest.ept, w->writes, EPT_WRITE);
        w->open = false;
        closed[count++] = page;
    }
    v->step.pages = 0;
    if (count > 0)
        guest_request_flush(&vm->guest, NULL);
    while (count > 0)
        vm_page_written(vm, closed[--count], false);
    spin_unlock(&vm->watch_lock);
}

void watched_forget(struct vcpu *v)
{
    struct vm *vm = vm_of(v);
    spin_lock(&vm->watch_lock);
    v->step.pages = 0;
    spin_unlock(&vm->watch_lock);
}

static enum error watch(struct vm *vm, gpa_t page)
{
    if (vm->watched_count == VM_WATCHED_PAGES)
        return ERR_NO_MEMORY;
    struct watched_page *w = &vm->watched[vm->watched_count];
    *w = (struct watched_page){.page = page};
    enum error e = ept_restrict(&vm->guest.ept, page, page, EPT_ALL_VIEWS, EPT_WRITE, &w->writes);
    vm->watched_count += e == OK;
    return e;
}

static void unwatch(struct vm *vm, struct watched_page *w)
{
    ept_unrestrict(&vm->guest.ept, w->writes);
    *w = vm->watched[--vm->watched_count];
}

// A vCPU that was stopped on its way over the page finds it closed, and opens it again.
enum error vm_protect_page(struct vm *vm, gpa_t page, bool on)
{
    enum error e = OK;
    if (guest_ptr(&vm->guest.memory, page, PAGE_SIZE) == NULL)
        return ERR_NOT_FOUND;
    spin_lock(&vm->watch_lock);
    struct watched_page *w = watched_page(vm, page);
    if (on && w == NULL)
        e = watch(vm, page);
    else if (!on && w != NULL)
        unwatch(vm, w);
    spin_unlock(&vm->watch_lock);
    guest_request_flush(&vm->guest, NULL);
    return e;
}

const struct memory_ops vm_memory_ops = {.write_protected = watched_write,
                                         .page_stepped = watched_stepped,
                                         .write_ram = watched_write_ram};
