# SPDX-License-Identifier: MIT
"""Stock gdb and what a guest is caught at: the action `stop`, and `monitor intercept`."""

import re

from appliance import HASWELL, vm
from debugger import HELLO_LIFE, STEPS_LIFE, Scenario

INTERCEPT = Scenario("intercept", vm("steps", cmdline="period=20", cores="0") +
                     vm("hello", cmdline="period=50", cores="1"),
                     long=(HASWELL,), life={"steps": STEPS_LIFE, "hello": HELLO_LIFE})
TWO = Scenario("intercept-two", vm("two", "smp", vcpus=2, cmdline="storm=1000000000") +
               vm("hello", cmdline="period=50"), long=(HASWELL,), life={"hello": HELLO_LIFE})

AGAIN = Scenario("intercept-again", vm("again", "faults", vcpus=2, cmdline="reset") + vm("hello"),
                 long=(HASWELL,), life={"hello": HELLO_LIFE})

CR0_WP, CR0_TS = 1 << 16, 1 << 3
SIGNALS = {"SIGTRAP": "Trace/breakpoint trap", "SIGINT": "Interrupt"}


def begin(bench, symbols="steps.elf"):
    gdb = bench.attach(symbols)
    gdb("monitor intercept remove all")  # what a check that failed has left
    return gdb


def add(gdb, *items, name="steps", prefix=""):
    assert gdb(f"monitor intercept {prefix}add {', '.join(items)}") == \
        "".join(f"{name}: {item} added\n" for item in items)


def remove(gdb, what="all"):
    assert " removed\n" in gdb(f"monitor intercept remove {what}")


def hits(gdb, name=""):
    """The items of a VM and their hits."""
    out = gdb(f"monitor intercept {name}")
    found = re.findall(r"^(\d+) +(\S+) +(\d+)$", out, re.M)
    assert len(found) == len(out.splitlines()), out
    assert [int(number) for number, _, _ in found] == list(range(1, len(found) + 1)), out
    return {item: int(count) for _, item, count in found}


def caught(out, text, at=None, thread="steps/0", signal="SIGTRAP"):
    """gdb says what was caught, then that it was stopped."""
    assert re.search(f"^{thread} caught {text}\n+(Program|Thread \\S+) received signal {signal}, "
                     f"{SIGNALS[signal]}.", out, re.M), out
    assert out.count(" caught ") == 1, out
    if at is not None:
        assert at[0].value("$pc") == at[0].value(f"(long) &{at[1]}"), out


def stopped_at(gdb, function):
    """Runs until the function's first instruction."""
    gdb(f"tbreak *{function}")
    out = gdb("continue")
    assert "Temporary breakpoint" in out, out


def goes_on(bench, gdb):
    """The guest runs without a stop."""
    gdb.run_on()
    bench.goes_on("steps")
    assert "SIGINT" in gdb.interrupt()


@INTERCEPT.check
def test_stop_at_one_port(bench):
    """A7: at the OUT, before it is carried out; each continue is once through the loop. What is not
    asked for does not stop."""
    gdb = begin(bench)
    add(gdb, "io:0x80:w=stop", "io:0x81:w=stop", "io:0x80:r=stop")
    caught(gdb("continue"), r"io:0x80:w: OUT 0x80, 1 byte, value 0x\w\w", (gdb, "at_out"))
    for number in range(2, 6):
        before, registers = gdb.value("own_breakpoints"), gdb("info registers")
        assert gdb("info registers") == registers
        caught(gdb("continue"), f"io:0x80:w: OUT 0x80, 1 byte, value 0x{gdb.value('$al'):02x}",
               (gdb, "at_out"))
        assert gdb.value("own_breakpoints") == before + 1
        assert hits(gdb) == {"io:0x80:w=stop": number, "io:0x81:w=stop": 0, "io:0x80:r=stop": 0}
    remove(gdb)
    goes_on(bench, gdb)
    assert gdb("monitor intercept") == "none\n"
    bench.detach(gdb)


@INTERCEPT.check
def test_stop_at_in(bench):
    """A7: the value is not there yet at the stop, and it is right after a step."""
    gdb = begin(bench)
    stopped_at(gdb, "go_through_emulated")
    add(gdb, "io:0x3f8-0x3ff:r=stop")
    caught(gdb("continue"), r"io:0x3f8-0x3ff:r: IN 0x3fd, 1 byte", (gdb, "at_in"))
    assert gdb.value("$al") != 0x60
    gdb("set $al = 1")
    out = gdb("stepi")
    assert "caught" not in out and "SIG" not in out, out
    assert gdb.value("$pc") == gdb.value("(long) &at_in + 1") and gdb.value("$al") & 0x60 == 0x60
    assert hits(gdb) == {"io:0x3f8-0x3ff:r=stop": 1}
    remove(gdb, "io:0x3f8-0x3ff:r")
    bench.detach(gdb)


@INTERCEPT.check
def test_stop_at_cpuid_and_msr(bench):
    """A8, A12: the registers are the guest's until it goes on, and then those that it would have."""
    gdb = begin(bench)
    stopped_at(gdb, "go_through_emulated")
    add(gdb, "cpuid=stop", "msr:apic_base:r=stop", "msr:apic_base:w=stop")
    caught(gdb("continue"), "cpuid: CPUID, leaf 0x0", (gdb, "at_cpuid"))
    gdb("set $rbx = 0x1234567812345678")
    gdb("stepi")
    assert gdb.value("$pc") == gdb.value("(long) &at_cpuid + 2")
    assert gdb.value("$ebx") != 0x12345678 and gdb.value("$eax") >= 0xb
    gdb("set $rdx = 0x1111111122222222")
    caught(gdb("continue"), "msr:apic_base:r: RDMSR 0x1b", (gdb, "at_rdmsr"))
    gdb("stepi")
    assert gdb.value("$pc") == gdb.value("(long) &at_rdmsr + 2")
    assert gdb.value("$eax") & 0xfffff900 == 0xfee00900 and gdb.value("$rdx") == 0
    assert hits(gdb) == {"cpuid=stop": 1, "msr:apic_base:r=stop": 1, "msr:apic_base:w=stop": 0}
    remove(gdb)
    bench.detach(gdb)


@INTERCEPT.check
def test_stop_at_a_bit_of_cr0(bench):
    """A10: WP's writes, and not TS's. gdb puts the MOV there."""
    gdb = begin(bench)
    stopped_at(gdb, "say")
    add(gdb, "cr0:wp=stop")
    place, cr0 = gdb.value("(long) &landing + 0x800"), gdb.value("$cr0")
    gdb(f"set $saved_pc = $pc, $saved_rax = $rax, {{int}}{place} = 0x90c0220f")
    for bit, stops in ((CR0_TS, False), (CR0_WP, True), (CR0_WP, True)):
        gdb(f"set $rax = $cr0 ^ {bit}, $pc = {place}")
        before = gdb.value("$cr0")
        if stops:
            caught(gdb("stepi"), r"cr0:wp: .*CR0.*", signal="SIGINT")
            assert gdb.value("$pc") == place and gdb.value("$cr0") == before
        assert "caught" not in gdb("stepi")
        assert gdb.value("$pc") == place + 3 and gdb.value("$cr0") == before ^ bit
    assert hits(gdb) == {"cr0:wp=stop": 2}
    gdb(f"set $cr0 = {cr0}, $rax = $saved_rax, $pc = $saved_pc")
    remove(gdb, "cr0:wp")
    goes_on(bench, gdb)
    bench.detach(gdb)


# The item, the instruction for it, registers before it, what must hold after it.
INSTRUCTIONS = (
    ("rdtsc", "0f 31", "$rdx = -1", "$rdx < 0x1000"),
    ("rdtscp", "0f 01 f9", "$rdx = -1", "$rdx < 0x1000"),
    ("rdrand", "48 0f c7 f0", "$eflags = 2", "($eflags & 1) == 1"),
    ("rdseed", "48 0f c7 f8", "$eflags = 2", "($eflags & 0x8d4) == 0"),
    ("invlpg", "0f 01 3f", "$rdi = &landing", "$rdi == &landing"),
    ("wbinvd", "0f 09", "$rax = 7", "$rax == 7"),
    ("pause", "f3 90", "$rax = 7", "$rax == 7"),
    ("desc:r", "0f 01 07", "$rdi = &landing + 0xc00", "*(long *) ($rdi + 2) == $gdtr_base"),
    ("desc:w", "0f 00 d0", "$rax = 0", "$rax == 0"),
    ("dr:w", "0f 23 d0", "$rax = 0x123400", "$rax == 0x123400"),
    ("dr:r", "0f 21 d3", "$rbx = 0", "$rbx == 0x123400"),
    ("cr3:r", "0f 20 d8", "$rax = 0", "$rax == $cr3"),
    ("cr3:w", "0f 22 d8", "$rax = $cr3", "$rax == $cr3"),
    ("cr8:w", "44 0f 22 c0", "$rax = 3", "$cr8 == 3"),
    ("cr8:r", "44 0f 20 c3", "$rbx = 0", "$rbx == 3"),
    ("cr8:w", "44 0f 22 c0", "$rax = 0", "$cr8 == 0"),
    ("cr0:ts", "0f 06", "$cr0 = $cr0 | 8", "($cr0 & 8) == 0"),
    ("cr4:de", "0f 22 e0", "$rax = $cr4 | 8", "($cr4 & 8) == 8"),
    ("msr:efer:r", "0f 32", "$rcx = 0xc0000080", "$rax == $efer && $rdx == 0"),
    ("msr:efer:w", "0f 30", "$rcx = 0xc0000080, $rax = $efer, $rdx = 0", "$rax == $efer"),
)


@INTERCEPT.check
def test_stop_at_each_kind(bench):
    """A2, A8, A9, A10, A12: before it and with nothing done; a step carries it out, once, and the
    debugger sees its effect. gdb puts the instructions there."""
    gdb = begin(bench)
    stopped_at(gdb, "say")
    place = gdb.value("(long) &landing + 0x800")
    registers = ("pc", "rax", "rbx", "rcx", "rdx", "rdi", "cr0", "cr4", "eflags")
    for name in registers:
        gdb(f"set $saved_{name} = $" + name)
    for item, code, before, after in INSTRUCTIONS:
        added = gdb(f"monitor intercept add {item}=stop")
        if "no control" in added:
            continue
        assert added == f"steps: {item}=stop added\n"
        length = len(code.split())
        gdb(f"set var (*(unsigned char (*)[{length}]) {place}) = {{0x{code.replace(' ', ', 0x')}}}")
        gdb(f"set $pc = {place}, {before}")
        state = gdb("info registers general")
        caught(gdb("stepi"), f"{item}: .*", signal="SIGINT")
        assert gdb("info registers general") == state, item
        out = gdb("stepi")
        assert "caught" not in out and gdb.value("$pc") == place + length, (item, out)
        assert gdb.value(after) == 1, item
        assert hits(gdb) == {f"{item}=stop": 1}
        remove(gdb)
    for name in registers:
        gdb(f"set ${name} = $saved_{name}")
    goes_on(bench, gdb)
    bench.detach(gdb)


@INTERCEPT.check
def test_stop_at_an_exception(bench):
    """A5: at the INT3; the guest's handler comes next, and as often as without. gdb's own breakpoints
    are none of the guest's."""
    gdb = begin(bench)
    add(gdb, "exception:bp=stop")
    gdb("break write_watched")
    caught(gdb("continue"), "exception:bp: .*")
    before = gdb.value("own_breakpoints")
    for number in range(1, 3):
        assert gdb.value("*(unsigned char *) $pc") == 0xcc
        assert hits(gdb) == {"exception:bp=stop": number}
        assert re.search(r"Breakpoint \d+, write_watched \(", gdb("continue"))
        assert gdb.value("own_breakpoints") == before + number
        caught(gdb("continue"), "exception:bp: .*")
    place = gdb.value("$pc")
    gdb("stepi")
    assert gdb.value("$pc") not in (place, place + 1)
    assert gdb.value("*(long *) $rsp") == place + 1  # its stack frame: RIP
    gdb("delete")
    remove(gdb, "1")
    goes_on(bench, gdb)
    bench.detach(gdb)


@INTERCEPT.check
def test_steps_and_breakpoints_there(bench):
    """A7: a step by lines stops there too, and so does gdb's step over its own breakpoint."""
    gdb = begin(bench)
    stopped_at(gdb, "at_out")
    add(gdb, "io:0x80:w=stop")
    caught(gdb("step"), "io:0x80:w: .*", (gdb, "at_out"), signal="SIGINT")
    assert "caught" not in gdb("step")
    assert gdb.value("$pc") == gdb.value("(long) &at_out + 1")
    gdb("break *&at_out")
    for _ in range(2):
        out = gdb("continue")
        assert re.search(r"Breakpoint \d+, ", out) and "caught" not in out, out
        assert gdb.value("$pc") == gdb.value("(long) &at_out")
        caught(gdb("continue"), "io:0x80:w: .*", (gdb, "at_out"), signal="SIGINT")
    assert hits(gdb) == {"io:0x80:w=stop": 3}
    gdb("delete")
    remove(gdb)
    bench.detach(gdb)


@INTERCEPT.check
def test_detach_where_it_was_caught(bench):
    """A7: it goes on, and says in the log what it would have been stopped at."""
    gdb = begin(bench)
    add(gdb, "io:0x80:w=stop")
    caught(gdb("continue"), "io:0x80:w: .*")
    since = bench.now
    gdb("detach")
    bench.wait(r"intercept: steps vcpu 0: io:0x80:w at \w+: OUT 0x80, 1 byte", since)
    bench.goes_on("steps")
    gdb("attach 1")
    assert hits(gdb)["io:0x80:w=stop"] > 1
    remove(gdb)
    bench.detach(gdb)


@INTERCEPT.check
def test_gdb_goes_elsewhere(bench):
    """A12: what gdb leaves is not carried out, what it comes back to is caught again."""
    gdb = begin(bench)
    add(gdb, "cpuid=stop")
    caught(gdb("continue"), "cpuid: .*", (gdb, "at_cpuid"))
    gdb("set $rbx = 0x77")
    gdb("set $pc = &at_cpuid + 2")
    gdb("stepi")
    assert gdb.value("$pc") > gdb.value("(long) &at_cpuid + 2") and gdb.value("$rbx") == 0x77
    gdb("set $pc = &at_cpuid")
    caught(gdb("stepi"), "cpuid: .*", (gdb, "at_cpuid"), signal="SIGINT")
    assert "caught" not in gdb("stepi") and gdb.value("$rbx") != 0x77
    assert hits(gdb) == {"cpuid=stop": 2}
    caught(gdb("continue"), "cpuid: .*", (gdb, "at_cpuid"))
    assert gdb.value("read_watched()") == gdb.value("watched")
    caught(gdb("continue"), "cpuid: .*", (gdb, "at_cpuid"))
    assert hits(gdb) == {"cpuid=stop": 4}
    remove(gdb)
    bench.detach(gdb)


@INTERCEPT.check
def test_stop_at_halt_and_time(bench):
    """A1, A8: HLT behind its STI sleeps when it goes on, and an interrupt ends it; the timer is set by
    a WRMSR that was caught: the guest's ticks come as ever."""
    gdb = begin(bench)
    add(gdb, "hlt=stop")
    for number in range(1, 4):
        caught(gdb("continue"), "hlt: HLT")
        assert gdb.value("*(unsigned char *) $pc") == 0xf4 and "halt_once" in gdb("backtrace 1")
        assert hits(gdb) == {"hlt=stop": number}
    place = gdb.value("$pc")
    assert "caught" not in gdb("stepi")
    assert gdb.value("$pc") == place + 1
    remove(gdb)
    add(gdb, "msr:tsc_deadline:w=stop")
    for _ in range(2):
        caught(gdb("continue"), r"msr:tsc_deadline:w: WRMSR 0x6e0, value 0x\w+")
    assert hits(gdb) == {"msr:tsc_deadline:w=stop": 2}
    remove(gdb)
    goes_on(bench, gdb)
    bench.detach(gdb)


@INTERCEPT.check
def test_stop_at_an_interrupt(bench):
    """A3: one that ends the guest's turn on its core, those of the debugger's line among them; nothing
    of the guest's is lost by it."""
    gdb = begin(bench)
    gdb("set var orders.spin = 1")
    gdb("tbreak spin_deaf")
    gdb("continue")
    add(gdb, "extint=stop")
    seen = 0
    for _ in range(3):
        caught(gdb("continue"), "extint: .*")
        assert "spin_deaf" in gdb("info symbol $pc")
        seen += 1 + gdb("stepi").count(" caught ")
        assert hits(gdb) == {"extint=stop": seen}
    remove(gdb)
    gdb("set var orders.spin = 0")
    goes_on(bench, gdb)
    bench.detach(gdb)


@INTERCEPT.check
def test_stop_at_memory(bench):
    """A12: the one store to a variable, before it is done; its neighbours do not stop."""
    gdb = begin(bench)
    place = gdb.value("(long) &watched")
    add(gdb, f"mem:0x{place:x}+0x8:w=stop")
    caught(gdb("continue"), f"mem:0x{place:x}.*:w: .*")
    before = gdb.value("watched")
    assert "write_watched" in gdb("info symbol $pc")
    assert "caught" not in gdb("stepi")
    assert gdb.value("watched") == before + 1
    caught(gdb("continue"), f"mem:0x{place:x}.*:w: .*")
    assert gdb.value("watched") == before + 1 and list(hits(gdb).values()) == [2]
    remove(gdb)
    goes_on(bench, gdb)
    bench.detach(gdb)


@INTERCEPT.check
def test_stop_at_a_gate(bench):
    """A12, D4: stopped while an event is delivered, which then comes once: by `continue`, and by `stepi`
    to its handler's first instruction."""
    gdb = begin(bench)
    gate, timer = (gdb.value(f"(long) &idt[{vector}]") for vector in (0x30, 0xec))
    add(gdb, f"mem:0x{gate:x}+0x10:r=stop")
    for _ in range(3):
        caught(gdb("continue"), f"mem:.*:r: read of 0x{gate:x}, 8 bytes, linear 0x{gate:x}",
               (gdb, "at_int"))
    for symbol in ("gate", "at_iret", "after_int"):
        gdb("stepi")
        assert gdb.value("$pc") == gdb.value(f"(long) &{symbol}"), symbol
    assert list(hits(gdb).values()) == [3]
    remove(gdb)
    add(gdb, f"mem:0x{timer:x}+0x10:r=stop")
    caught(gdb("continue"), f"mem:.*:r: read of 0x{timer:x}, 8 bytes, .*")
    taken = gdb.value("interrupts[0xec]")
    for number in range(1, 4):
        caught(gdb("continue"), f"mem:.*:r: read of 0x{timer:x}, 8 bytes, .*")
        assert gdb.value("interrupts[0xec]") == taken + number
    remove(gdb)
    goes_on(bench, gdb)
    bench.detach(gdb)


@INTERCEPT.check
def test_a_vm_that_runs(bench):
    """A1, A6: items of a VM that gdb is not attached to take effect at once, and its hits grow."""
    gdb = begin(bench)
    since = bench.now
    add(gdb, "io:0x3f8:w=count", "hlt=stop", name="hello", prefix="hello/ ")
    bench.wait("intercept: hello vcpu 0: hlt at ", since)
    before = hits(gdb, "hello")
    bench.goes_on("hello")
    after = hits(gdb, "hello/")
    assert all(after[item] > before[item] for item in after), (before, after)
    assert gdb("monitor intercept") == "none\n"
    assert gdb("monitor intercept hello/ remove hlt") == "hello: hlt=stop removed\n"
    assert gdb("monitor intercept hello/remove all") == "hello: io:0x3f8:w=count removed\n"
    assert gdb("monitor intercept hello") == "none\n"
    bench.detach(gdb)


@INTERCEPT.check
def test_hits_are_exact(bench):
    """A5, A7, A9: as many as the guest did, whatever else is caught."""
    gdb = begin(bench)
    stopped_at(gdb, "say")
    add(gdb, "exception:bp=count", "io:0x80:w=pass", "io:0x80=count", "cpuid=count",
        "msr:efer:w=count")
    before = gdb.value("own_breakpoints")
    for _ in range(5):
        stopped_at(gdb, "say")
    rounds = gdb.value("own_breakpoints") - before
    assert hits(gdb) == {"exception:bp=count": rounds, "io:0x80:w=pass": rounds,
                         "io:0x80=count": rounds, "cpuid=count": rounds, "msr:efer:w=count": 0}
    remove(gdb)
    bench.detach(gdb)


@INTERCEPT.check
def test_wrong_items(bench):
    """Each is refused in one line that says what is wrong, and nothing is changed."""
    gdb = begin(bench)
    usage = gdb("monitor intercept add")
    assert usage.startswith("usage: intercept [VM]")
    for words in ("remove", "steps frob", "steps/ add", "steps/ remove"):
        assert gdb(f"monitor intercept {words}") == usage
    for words in ("nobody", "nobody/ add cpuid", "step", "adds cpuid", "ADD cpuid", "/ add cpuid"):
        name = re.match("[^ /]*", words)[0]
        assert gdb(f"monitor intercept {words}") == f"there is no VM {name}\n"
    add(gdb, "io:0x80:w=log")
    for item, part in (("io:0x80:x", "'x' is not one of r, w, rw"), ("frob", "'frob'"),
                       ("io:65536", "65536"), ("hlt:1", "hlt"), ("cpuid=frob", "'frob' is not one of"),
                       ("exception:2", "NMI"), ("cr0:pg:r", "cannot exit"), ("cpuid, frob", "'frob'"),
                       ("cpuid,", "','"), ("io:0x80:w", "already")):
        out = gdb(f"monitor intercept add {item}")
        assert part in out and len(out.splitlines()) == 1, out
        assert list(hits(gdb)) == ["io:0x80:w=log"]
    for what in ("0", "2", "4294967297", "cpuid", "io:0x80"):
        assert gdb(f"monitor intercept remove {what}").startswith("steps has no item ")
    remove(gdb)
    for port in range(32):
        add(gdb, f"io:0x{0x500 + port:x}=count")
    assert "32" in gdb("monitor intercept add cpuid") and len(hits(gdb)) == 32
    remove(gdb, "7")
    remove(gdb, "io:0x510, io:0x511")
    assert len(hits(gdb)) == 29 and "io:0x506=count" not in hits(gdb)
    remove(gdb)
    assert gdb("monitor intercept") == "none\n"
    bench.detach(gdb)


@INTERCEPT.check
def test_step_over_what_is_caught(bench):
    """A9, H8: what is carried out with the control off for one instruction, or by the hypervisor, is one
    step and one hit; so it is while gdb has the debug registers."""
    gdb = begin(bench)
    wanted = {"desc=count": 3, "dr=count": 2, "cr3=count": 2, "invlpg=count": 1, "rdtsc=count": 1}
    add(gdb, *wanted)
    for hardware in (False, True):
        stopped_at(gdb, "go_through_caught")
        if hardware:
            gdb("hbreak *read_watched")
        before = hits(gdb)
        start = gdb.value("$pc")
        places = gdb.walk(9)
        assert places == sorted(set(places)) and places[0] > start, places
        assert places[-1] == gdb.value("(long) &at_ret")
        after = hits(gdb)
        assert {item: after[item] - before[item] for item in wanted} == wanted
    gdb("delete")
    remove(gdb)
    goes_on(bench, gdb)
    bench.detach(gdb)


@TWO.check
def test_two_vcpus(bench):
    """A8, A11: each one's text comes with its own stop; both are caught once for each stop."""
    gdb = bench.attach("smp.elf")
    add(gdb, "msr:x2apic_icr:w=stop", name="two")
    seen = []
    for _ in range(20):
        out = gdb("continue")
        match = re.search(r"^two/(\d) caught msr:x2apic_icr:w: WRMSR 0x830, .*\n+Thread (\d) ", out, re.M)
        assert match and int(match[2]) == int(match[1]) + 1 and out.count(" caught ") == 1, out
        seen.append(int(match[1]))
        assert gdb.value("$_thread") == int(match[2])
    assert {0, 1} == set(seen), seen
    told = hits(gdb)["msr:x2apic_icr:w=stop"]
    assert len(seen) <= told <= len(seen) + 1  # one of the other's may not have been told
    # The other goes on while one steps.
    gdb("stepi 3")
    remove(gdb)
    out = gdb("info threads")
    gdb.run_on()
    bench.goes_on()
    assert "SIGINT" in gdb.interrupt()
    # One that counts takes effect on both while they run.
    gdb("detach")
    bench.goes_on()
    gdb("attach 1")
    add(gdb, "msr:x2apic_icr:w=count", name="two")
    sent = "sent[0][1]", "sent[1][0]"
    before = sum(map(gdb.value, sent))
    gdb.run_on()
    bench.goes_on()
    gdb.interrupt()
    more = sum(map(gdb.value, sent)) - before
    assert abs(hits(gdb)["msr:x2apic_icr:w=count"] - more) <= 2 and more > 100
    bench.detach(gdb)
    gdb = bench.gdb()
    gdb.connect()
    remove(gdb)
    bench.detach(gdb)


@AGAIN.check
def test_a_vm_that_starts_again(bench):
    """A7: it keeps its items and their hits, and the vCPU that was caught at the reset resets it."""
    gdb = begin(bench, "faults.elf")
    add(gdb, "io:0xcf9:w=stop", "io:0x3f8:w=count", name="again")
    for _ in range(3):
        for value in (2, 6):
            caught(gdb("continue"), f"io:0xcf9:w: OUT 0xcf9, 1 byte, value 0x{value}", thread="again/0")
    found = hits(gdb)
    assert found["io:0xcf9:w=stop"] == 6 and found["io:0x3f8:w=count"] > 3 * 20
    since = bench.now
    bench.detach(gdb)
    bench.wait("vm: again started", since)


@AGAIN.check
def test_starts_again_as_what_it_was(bench):
    """A 32-bit image that went on to long mode is an x86-64 from its reset on, whenever gdb comes."""
    gdb = begin(bench, "faults.elf")
    add(gdb, "io:0xcf9:w=stop", "cr0:pg=stop", name="again")
    while "io:0xcf9:w" in (out := gdb("continue")):
        pass
    caught(out, "cr0:pg: MOV to CR0, value 0x80010011", thread="again/0")
    assert gdb("p $cr0 >> 31") == "$1 = 0\n"
    assert gdb("monitor layout") == "now x86-64; the next attach: as the VM is, x86-64\n"
    remove(gdb)
    bench.detach(gdb)


@AGAIN.check
def test_line_while_another_vm_starts(bench):
    """No byte of the debugger's line is lost while the core that has it loads a VM."""
    gdb = bench.attach("hello.elf", pid=2)
    gdb("monitor intercept again/ remove all")
    since = bench.now
    for _ in range(80):
        add(gdb, "cpuid=count", name="again", prefix="again/ ")
        gdb("monitor vcpus")
        assert gdb("monitor intercept again/ remove all") == "again: cpuid=count removed\n"
    bench.wait("vm: again started", since)
    bench.detach(gdb)
