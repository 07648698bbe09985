// SPDX-License-Identifier: MIT
#include "gdbstub/monitor.h"

#include "gdbstub/attach.h"
#include "gdbstub/breakpoints.h"
#include "gdbstub/memory.h"
#include "gdbstub/reg_table.h"
#include "gdbstub/regs.h"
#include "gdbstub/session.h"
#include "lib/string.h"

#define PIECE ((GDB_PACKET_SIZE - 16) / 2) // bytes of text in one packet

#define ANY_NUMBER 255

struct command {
    const char *name, *args, *help;
    u8 least, most; // arguments
    // Adds its output (NULL: target_monitor() does). False: it takes no such arguments.
    bool (*run)(struct session *session, const char *args);
};

static bool help(struct session *session, const char *args);
static bool list_breakpoints(struct session *session, const char *args);
static bool show_translation(struct session *session, const char *args);
static bool dump_physical(struct session *session, const char *args);
static bool layout(struct session *session, const char *args);
static bool connect(struct session *session, const char *args);

static const struct command commands[] = {
    {"help", "", "this list; in a command $rip, $cr3, ... are the current vCPU's registers", 0, 0,
     help},
    {"vms", "", "the VMs, their pids and states", 0, 0, NULL},
    {"vcpus", "", "the vCPUs: where they are, what they do", 0, 0, NULL},
    {"cores", "", "the cores and their run queues", 0, 0, NULL},
    {"vmcs", "[FIELD]", "the current vCPU's VMCS, or the fields with this in their names", 0, 1,
     NULL},
    {"rdmsr", "MSR", "an MSR of the current vCPU (hexadecimal)", 1, 1, NULL},
    {"wrmsr", "MSR VALUE", "writes one", 2, 2, NULL},
    {"translate", "ADDRESS", "the guest's page tables' way to an address, then the EPT's", 1, 1,
     show_translation},
    {"phys", "ADDRESS [BYTES]", "guest-physical memory (hexadecimal)", 1, 2, dump_physical},
    {"breakpoints", "", "breakpoints and watchpoints of the current VM, and how each is held", 0, 0,
     list_breakpoints},
    {"pending", "", "interrupts that wait for the current vCPU", 0, 0, NULL},
    {"exits", "", "VM exits of the current VM, counted by reason", 0, 0, NULL},
    {"move", "[VM/VCPU] CORE", "moves the current vCPU, or that one, to another core", 1, 2, NULL},
    {"nmi", "", "an NMI to the current vCPU, for when it goes on", 0, 0, NULL},
    {"intercept", "[VM/] [add|remove]",
     "items that a VM is caught at, and hits; adds, removes some", 0, ANY_NUMBER, NULL},
    {"bitmaps", "", "ports and MSRs that the current vCPU uses without an exit", 0, 0, NULL},
    {"log", "[LINES]", "the end of the appliance's log", 0, 1, NULL},
    {"layout", "[32|64|auto]", "registers that the next attach shows: i386, x86-64, as the VM is",
     0, 1, layout},
    {"connect", "VM [32|64|auto]", "the VM that the next gdb gets when it connects, and its layout",
     1, 2, connect},
};

static bool help(struct session *session, const char *args)
{
    (void)args;
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct command *c = &commands[i];
        int width = 28 - (int)strlen(c->name);
        text_add(&session->monitor.out, "%s %-*s %s\n", c->name, width, c->args, c->help);
    }
    return true;
}

// The current thread's registers; says so when there is none.
static bool current_regs(struct session *session, struct vcpu_regs *regs)
{
    struct vcpu *v = current_vcpu(session);

    if (v == NULL) {
        text_add(&session->monitor.out, "no VM is attached\n");
        return false;
    }
    vcpu_read_regs(v, regs);
    return true;
}

static bool list_breakpoints(struct session *session, const char *args)
{
    (void)args;
    breakpoints_list(session, session->client.general_pid, &session->monitor.out);
    if (session->monitor.out.len == 0)
        text_add(&session->monitor.out, "none\n");
    return true;
}

static bool parse_address(const char **args, u64 *address)
{
    while (**args == ' ')
        ++*args;
    skip_word(args, "0x");
    bool ok = hex_number(args, address);
    while (**args == ' ')
        ++*args;
    return ok;
}

static bool show_translation(struct session *session, const char *args)
{
    static const char *const names[] = {"", "PTE", "PDE", "PDPTE", "PML4E", "PML5E"};
    struct vcpu_regs regs;
    struct walk_result walk;
    char gpa[24];
    u64 address;

    if (!parse_address(&args, &address) || *args != '\0')
        return false;
    if (!current_regs(session, &regs))
        return true;
    memset(&walk, 0, sizeof(walk));
    enum error e = translate(session->client.general_pid, &regs, address, &walk);
    for (unsigned i = 0; i < walk.count && i < WALK_LEVELS; i++)
        text_add(&session->monitor.out, "%-5s at %lx: %016lx\n",
                 names[MIN(walk.entry[i].level, 5u)], walk.entry[i].gpa.v, walk.entry[i].value);
    if (e != OK) {
        text_add(&session->monitor.out, "%lx is not mapped: %s\n", address, error_name(e));
        return true;
    }
    if (!in_paged_mode(&regs))
        text_add(&session->monitor.out, "paging is off: %lx is guest-physical %lx\n", address,
                 walk.gpa.v);
    else
        text_add(&session->monitor.out, "%lx is guest-physical %lx, page of %lu KiB, %s%s, %s\n",
                 address, walk.gpa.v, (u64)(walk.page_size / KiB),
                 walk.writable ? "writable" : "read-only", walk.executable ? ", executable" : "",
                 walk.user ? "user" : "supervisor");
    str_format(gpa, sizeof(gpa), "%lx", walk.gpa.v);
    return target_monitor(session->client.general_pid, session->client.general_vcpu, "ept", gpa,
                          &session->monitor.out);
}

static bool dump_physical(struct session *session, const char *args)
{
    struct vcpu_regs regs;
    u8 row[16];
    u64 address, len = 64;

    if (!parse_address(&args, &address) ||
        (*args != '\0' && (!parse_address(&args, &len) || *args != '\0')))
        return false;
    if (!current_regs(session, &regs))
        return true;
    len = MIN(len, 2048ul);
    for (u64 done = 0; done < len; done += sizeof(row)) {
        u64 n = MIN(len - done, (u64)sizeof(row));
        if (gdb_read_memory(session, session->client.general_pid, NULL, address + done, row, n) !=
            n) {
            text_add(&session->monitor.out, "%012lx: no memory\n", address + done);
            return true;
        }
        text_add(&session->monitor.out, "%012lx:", address + done);
        for (u64 i = 0; i < n; i++)
            text_add(&session->monitor.out, " %02x", row[i]);
        text_add(&session->monitor.out, "\n");
    }
    return true;
}

static bool is_layout(const char *s)
{
    return strcmp(s, "32") == 0 || strcmp(s, "64") == 0 || strcmp(s, "auto") == 0;
}

static void set_layout(struct process *p, const char *layout)
{
    p->layout_forced = layout[0] != 'a';
    p->forced_32 = layout[0] == '3';
}

// For those who know the VM before they connect: gdb itself is given one without being asked.
static bool connect(struct session *session, const char *args)
{
    const char *blank = strchr(args, ' ');
    size_t n = blank != NULL ? (size_t)(blank - args) : strlen(args);
    const char *wanted = blank != NULL ? blank + 1 : "auto";
    unsigned pid = 1, count = MIN(target_vm_count(), (unsigned)GDB_MAX_VMS);

    if (!is_layout(wanted))
        return false;
    while (pid <= count &&
           (strlen(target_vm_name(pid)) != n || memcmp(target_vm_name(pid), args, n) != 0))
        pid++;
    if (pid > count || !target_vm_exists(pid)) {
        text_add(&session->monitor.out, "no VM %.*s runs\n", (int)n, args);
        return true;
    }
    set_layout(&session->process[pid], wanted);
    attach_next(session, pid);
    text_add(&session->monitor.out, "the next gdb that connects gets %s\n", target_vm_name(pid));
    return true;
}

static const char *layout_name(bool is_32)
{
    return is_32 ? "i386" : "x86-64";
}

// gdb reads the registers' description when it attaches, and keeps to it.
static bool layout(struct session *session, const char *args)
{
    struct process *p = process_attached(session, session->client.general_pid);

    if (*args != '\0' && !is_layout(args))
        return false;
    if (p == NULL) {
        text_add(&session->monitor.out, "no VM is attached\n");
        return true;
    }
    if (*args != '\0')
        set_layout(p, args);
    bool next_32 =
        p->layout_forced ? p->forced_32 : regs_layout_wanted(session->client.general_pid);
    text_add(&session->monitor.out, "now %s; the next attach: %s%s\n", layout_name(p->layout_32),
             p->layout_forced ? "" : "as the VM is, ", layout_name(next_32));
    return true;
}

static bool in_name(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

// gdb sends the command as it was typed. $NAME stands for a register of the current vCPU, several
// blanks for one.
static bool expand(struct session *session, const char *from, struct text *to)
{
    struct vcpu_regs regs;
    bool have_regs = false;
    u64 value;

    while (*from != '\0') {
        if (*from != '$') {
            if (*from != ' ' || from[1] != ' ')
                text_add(to, "%c", *from);
            from++;
            continue;
        }
        size_t n = 0;
        for (from++; in_name(from[n]); n++)
            ;
        if (!have_regs && !current_regs(session, &regs))
            return false;
        have_regs = true;
        if (!reg_by_name(session, session->client.general_pid, &regs, from, n, &value)) {
            text_add(&session->monitor.out, "no register $%.*s\n", (int)n, from);
            return false;
        }
        text_add(to, "%lx", value);
        from += n;
    }
    if (to->cut)
        text_add(&session->monitor.out, "too long\n");
    return !to->cut;
}

static unsigned count_words(const char *s)
{
    unsigned n = *s != '\0';

    for (; *s != '\0'; s++)
        n += *s == ' ';
    return n;
}

static bool carry_out(struct session *session, const struct command *c, const char *args)
{
    unsigned words = count_words(args);

    if (words < c->least || words > c->most)
        return false;
    if (c->run != NULL)
        return c->run(session, args);
    return target_monitor(session->client.general_pid, session->client.general_vcpu, c->name, args,
                          &session->monitor.out);
}

static void execute(struct session *session, char *text)
{
    char *args = strchr(text, ' ');

    if (args != NULL)
        *args++ = '\0';
    else
        args = text + strlen(text);
    for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
        const struct command *c = &commands[i];
        if (strcmp(c->name, text) != 0)
            continue;
        if (!carry_out(session, c, args))
            text_add(&session->monitor.out, "usage: %s%s%s\n", c->name, *c->args != '\0' ? " " : "",
                     c->args);
        return;
    }
    text_add(&session->monitor.out, "unknown command \"%s\"; `monitor help` lists them\n", text);
}

// All but the last piece go ahead of the reply, as console output.
static void send_output(struct session *session)
{
    size_t at = 0;

    for (; session->monitor.out.len - at > PIECE; at += PIECE)
        reply_console(session, session->monitor.buffer + at, PIECE);
    reply_start(session);
    if (session->monitor.out.len == 0)
        reply_ok(session);
    else
        text_hex(&session->reply, session->monitor.buffer + at, session->monitor.out.len - at);
}

void packet_monitor(struct session *session, const struct packet_args *a)
{
    struct monitor *m = &session->monitor;
    char *text = m->typed;
    struct text all = TEXT(m->expanded);
    size_t n = a->length;

    if (n >= sizeof(m->typed)) {
        reply_error(session, E_FORMAT, "malformed command");
        return;
    }
    memcpy(text, a->bytes, n);
    text[n] = '\0';
    while (n > 0 && text[n - 1] == ' ')
        text[--n] = '\0';
    for (size_t i = 0; i < n; i++) {
        if (text[i] < ' ' || text[i] > '~')
            text[i] = '?';
    }
    m->out = TEXT(m->buffer);
    m->buffer[0] = m->expanded[0] = '\0';
    if (n == 0)
        (void)help(session, text);
    else if (expand(session, text, &all))
        execute(session, m->expanded);
    send_output(session);
}
