// SPDX-License-Identifier: MIT
// Pages of RAM whose writes are announced: those with breakpoints. The first vCPU that is about to
// write to one opens it and steps over its instruction; others that come meanwhile do the same, and
// the last that is done closes it. All that under one lock, so that no page is opened or closed
// between another's look and what follows from it.
#include "vm/vm.h"

#define CLOSED (EPT_READ | EPT_EXECUTE)

void (*vm_page_written)(struct vm *vm, gpa_t page, bool before);

static bool is_watched(const struct vm *vm, gpa_t page)
{
    for (unsigned i = 0; i < vm->watched_count; i++) {
        if (vm->watched[i].v == page.v)
            return true;
    }
    return false;
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
static bool open_page(struct vcpu *v, gpa_t page, u32 permissions)
{
    struct vm *vm = vm_of(v);
    if (!steps_over(v, page)) {
        if (v->step.pages == STEP_PAGES)
            return false;
        v->step.page[v->step.pages++] = page;
    }
    if (permissions != EPT_RWX) {
        vm_page_written(vm, page, true);
        guest_protect(&vm->guest, page, EPT_RWX);
    }
    return true;
}

bool watched_write(struct vcpu *v, gpa_t gpa)
{
    struct vm *vm = vm_of(v);
    gpa_t page = GPA(gpa.v & PAGE_MASK);
    hpa_t hpa;
    u32 permissions = 0;
    u64 size;
    spin_lock(&vm->watch_lock);
    bool there = ept_lookup(&vm->guest.ept, gpa, &hpa, &permissions, &size);
    bool watched = there && is_watched(vm, page),
         opened = watched && open_page(v, page, permissions);
    spin_unlock(&vm->watch_lock);
    if (watched && !opened) {
        vcpu_crash(v, "an instruction writes to more than %u pages with breakpoints", STEP_PAGES);
        return true;
    }
    if (!opened && permissions != EPT_RWX)
        return false;
    guest_flush(&vm->guest); // the mapping may be stale alone
    if (opened)
        step_over(v, STEP_OVER_PAGE);
    return true;
}

bool watched_write_ram(struct vcpu *v, gpa_t gpa, const void *value, unsigned size)
{
    struct vm *vm = vm_of(v);
    gpa_t page = GPA(gpa.v & PAGE_MASK);
    hpa_t hpa;
    u32 permissions;
    u64 page_size;
    if (vm->watched_count == 0) // which changes while all vCPUs are held
        return guest_write(&vm->guest.memory, gpa, value, size) == OK;
    spin_lock(&vm->watch_lock);
    bool closed = ept_lookup(&vm->guest.ept, gpa, &hpa, &permissions, &page_size) &&
                  !(permissions & EPT_WRITE);
    if (closed)
        vm_page_written(vm, page, true);
    bool done = guest_write(&vm->guest.memory, gpa, value, size) == OK;
    if (closed)
        vm_page_written(vm, page, false);
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
        if (!is_watched(vm, page) || others_step_over(vm, v, page))
            continue;
        guest_protect(&vm->guest, page, CLOSED);
        closed[count++] = page;
    }
    v->step.pages = 0;
    for (unsigned i = 0; count > 0 && i < vm->vcpus; i++)
        vcpu_request(vm->vcpu[i], REQUEST_FLUSH);
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
    if (is_watched(vm, page))
        return OK;
    if (vm->watched_count == VM_WATCHED_PAGES)
        return ERR_NO_MEMORY;
    vm->watched[vm->watched_count++] = page;
    return OK;
}

static void unwatch(struct vm *vm, gpa_t page)
{
    for (unsigned i = 0; i < vm->watched_count; i++) {
        if (vm->watched[i].v == page.v)
            vm->watched[i] = vm->watched[--vm->watched_count];
    }
}

// A vCPU that was stopped on its way over the page finds it closed, and opens it again.
enum error vm_protect_page(struct vm *vm, gpa_t page, bool on)
{
    spin_lock(&vm->watch_lock);
    enum error e = on ? watch(vm, page) : OK;
    if (e == OK)
        e = guest_protect(&vm->guest, page, on ? CLOSED : EPT_RWX);
    if (e != OK || !on)
        unwatch(vm, page);
    spin_unlock(&vm->watch_lock);
    if (!on)
        ept_join(&vm->guest.ept, page);
    for (unsigned i = 0; i < vm->vcpus; i++)
        vcpu_request(vm->vcpu[i], REQUEST_FLUSH);
    return e;
}
