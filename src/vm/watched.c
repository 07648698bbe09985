// SPDX-License-Identifier: MIT
// Pages of RAM whose writes are announced: those with breakpoints. The first vCPU that is about to
// write to one opens it and steps over its instruction; others that come meanwhile do the same, and
// the last that is done closes it. All that under one lock, so that no page is opened or closed
// between another's look and what follows from it; and under it what writes on a guest's behalf
// (x86/guest_memory.h).
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

static void withhold(struct vm *vm, struct watched_page *w, u32 permissions)
{
    w->open = permissions == 0;
    if (w->writes != NULL)
        (void)ept_change(&vm->guest.ept, w->writes, permissions);
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
        withhold(vm, w, 0);
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
    flush_ept(&vm->guest.ept); // the mapping may be stale alone
    if (opened)
        step_over(v, STEP_OVER_PAGE);
    return true;
}

// A write that no vCPU's own instruction makes. To a page that is open it was announced already.
static void announce(struct vm *vm, gpa_t gpa, u64 len, bool before)
{
    for (unsigned i = 0; i < vm->watched_count; i++) {
        const struct watched_page *w = &vm->watched[i];
        if (!w->open && w->page.v < gpa.v + len && gpa.v < w->page.v + PAGE_SIZE)
            vm_page_written(vm, w->page, before);
    }
}

static void before_write(struct guest_watcher *w, gpa_t gpa, u64 len)
{
    struct vm *vm = CONTAINER_OF(w, struct vm, watcher);
    spin_lock(&vm->watch_lock);
    announce(vm, gpa, len, true);
}

static void after_write(struct guest_watcher *w, gpa_t gpa, u64 len)
{
    struct vm *vm = CONTAINER_OF(w, struct vm, watcher);
    announce(vm, gpa, len, false);
    spin_unlock(&vm->watch_lock);
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
        withhold(vm, w, EPT_WRITE);
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
    ASSERT_OWNER(v);
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
    vm->watched_count++;
    return e;
}

static void unwatch(struct vm *vm, struct watched_page *w)
{
    if (w->writes != NULL)
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
    if (w == NULL)
        e = on ? watch(vm, page) : OK;
    else if (on)
        withhold(vm, w, EPT_WRITE);
    else
        unwatch(vm, w);
    vm->watcher = (struct guest_watcher){before_write, after_write};
    __atomic_store_n(&vm->guest.memory.watcher, vm->watched_count > 0 ? &vm->watcher : NULL,
                     __ATOMIC_RELEASE);
    spin_unlock(&vm->watch_lock);
    guest_request_flush(&vm->guest, NULL);
    return e;
}

const struct memory_ops vm_memory_ops = {.write_protected = watched_write,
                                         .page_stepped = watched_stepped};
