# SPDX-License-Identifier: MIT
"""Stock gdb on Debian's Linux, with the symbols that build/images/vmlinux.sym.elf has. The numbers in
the tests' words are those of GDB.md's list "First: what every attach needs"."""

import re

from appliance import HASWELL, linux, vm
from debugger import HELLO_LIFE, LINUX_LIFE, LINUX_LOOP, Scenario, complaints

SYMBOLS = "vmlinux.sym.elf"
# Where no masked step may lead: the entries of interrupts.
HANDLER = re.compile(r"asm_(sysvec_|common_interrupt|exc_|int)|sysvec_|common_interrupt|irq_entries")


def busy(bench):
    """Linux at its shell, with a loop in the background that keeps it in system calls and asleep in
    turns, and the shell free."""
    bench.wait("vitrine-guest: shell ready on ttyS0", 0)
    bench.wait("linux:/# ", 0)
    bench.type(f"{LINUX_LOOP} &\r")


def symbol(gdb, address="$pc"):
    return gdb(f"info symbol {address}").split(" in section")[0]


def attach_in_kernel(bench):
    """A gdb that has Linux stopped in its kernel. In a program, a Linux that isolates its page tables
    (Haswell) maps nothing of the kernel but its entry."""
    gdb = bench.attach(SYMBOLS)
    gdb("tbreak uptime_proc_show")
    assert "uptime_proc_show (" in gdb("continue")
    return gdb


LINUX = Scenario("linux", linux("linux", exit="", cmdline="quiet", cores="0") +
                 vm("hello", cmdline="period=50", cores="1"), long=(HASWELL,), prepare=busy,
                 life={"linux": LINUX_LIFE, "hello": HELLO_LIFE})


@LINUX.check
def test_attach_while_it_runs(bench):
    """H1, H3, H5, H6: thread text, backtrace by symbols, code, registers."""
    gdb = bench.attach(SYMBOLS)

    def look():
        out = gdb("info threads")
        assert re.search(r"\* 1 +Thread 1\.1 \(linux/0 (stopped|halted) on core 0, ring [03], 64-bit\)",
                         out), out
        out = gdb("x/20i $pc")
        assert len(out.splitlines()) == 20 and out.startswith("=> 0x"), out
        out = gdb("info registers")
        for name in ("rax", "rip", "eflags", "cs", "fs_base", "k_gs_base", "cr0", "cr3", "efer"):
            assert re.search(f"^{name} ", out, re.M), out

    bench.stands("linux", look)
    gdb("break do_sys_openat2")
    gdb("continue")
    out = gdb("backtrace 2")
    assert re.search(r"#0 +0xffffffff\w+ in do_sys_openat2 \(\)\n"
                     r"#1 +0xffffffff\w+ in __x64_sys_openat \(\)", out), out
    bench.detach(gdb)


@LINUX.check
def test_breakpoint_by_symbol(bench):
    """H7: hit, and hit again; finish."""
    gdb = bench.attach(SYMBOLS)
    gdb("break do_sys_openat2")
    for _ in range(4):
        out = gdb("continue")
        assert re.search(r"Breakpoint 1, 0x\w+ in do_sys_openat2 \(\)", out), out
    out = gdb("finish")
    assert "Run till exit from #0" in out and "_sys_openat ()" in out, out
    assert gdb.value("$rax") < 256  # the file descriptor
    bench.detach(gdb)


@LINUX.check
def test_breakpoint_before_its_page(bench):
    """H7: on a program's first instruction, set by the kernel that has just made its address space."""
    gdb = bench.attach(SYMBOLS)
    gdb("tbreak *start_thread")
    gdb("continue")
    entry = gdb.value("$rsi")
    assert "Cannot access memory" in gdb(f"x/i {entry}")
    gdb(f"break *{entry}")
    for _ in range(2):
        out = gdb("continue")
        assert gdb.value("$pc") == entry and "ring 3" in gdb("info threads"), out
    bench.detach(gdb)


@LINUX.check
def test_stepi_200(bench):
    """D6, H8: 200 steps in a row through the kernel while its timer ticks; none into a handler."""
    gdb = bench.attach(SYMBOLS)
    gdb("break uptime_proc_show")
    gdb("continue")
    assert gdb.value("$eflags") & 0x200
    places = set(gdb.walk(200))
    assert len(places) > 100
    for place in places:
        assert not HANDLER.match(symbol(gdb, place)), symbol(gdb, place)
    # An interrupt was pending meanwhile: let through, it comes.
    gdb("maintenance packet Qqemu.sstep=1")
    for _ in range(400):
        gdb("stepi")
        if HANDLER.match(symbol(gdb)):
            break
    else:
        raise AssertionError("no interrupt came")
    bench.detach(gdb)


@LINUX.check
def test_step_through_system_call(bench):
    """H8: SYSRET into ring 3, steps there, SYSCALL back, and IRET to what was interrupted."""
    gdb = bench.attach(SYMBOLS)
    gdb("break entry_SYSRETQ_unsafe_stack")
    gdb("continue")
    for _ in range(12):  # clearing buffers, SWAPGS, SYSRET
        [back] = gdb.walk(1)
        if back < 1 << 47:
            break
    assert back < 1 << 47 and gdb.value("$cs") == 0x33, back
    assert "ring 3" in gdb("info threads")
    assert "syscall" in gdb(f"x/i {back - 2:#x}")
    gdb("delete")
    gdb(f"break *{back - 2:#x}")
    out = gdb("continue")
    assert gdb.value("$pc") == back - 2, out
    gdb("stepi")
    assert symbol(gdb) == "entry_SYSCALL_64" and gdb.value("$rcx") == back
    gdb("delete")
    gdb("break native_irq_return_iret")
    gdb("continue")
    target = gdb.value("*(unsigned long *) $rsp")
    gdb("stepi")
    assert gdb.value("$pc") == target
    bench.detach(gdb)


@LINUX.check
def test_step_over_hlt(bench):
    """H8: HLT in the idle loop is one step."""
    gdb = bench.attach(SYMBOLS)
    out = gdb("disassemble native_safe_halt, +32")
    hlt = re.search(r"0x(\w+) <native_safe_halt\+\d+>:\thlt", out)
    if hlt is None:
        out = gdb("disassemble acpi_idle_do_entry, +96")
        hlt = re.search(r"0x(\w+) <.*>:\thlt", out)
    gdb(f"break *0x{hlt[1]}")
    for _ in range(3):
        gdb("continue")
        assert gdb.walk(1) == [int(hlt[1], 16) + 1]
    bench.detach(gdb)


@LINUX.check
def test_memory(bench):
    """H6: by virtual and by physical address, read and written; Linux works with what was written."""
    gdb = attach_in_kernel(bench)
    assert "Linux version 6" in gdb("x/s &linux_banner")
    physical = gdb.value("(unsigned long) &linux_banner - 0xffffffff80000000")
    setting = gdb.value("(unsigned long) &panic_timeout - 0xffffffff80000000")
    out = gdb(f"monitor translate {gdb.value('&linux_banner'):x}")
    assert f"is guest-physical {physical:x}, page of 2048 KiB" in out, out
    gdb("maintenance packet Qqemu.PhyMemMode:1")
    assert "Linux version 6" in gdb(f"x/s {physical}")
    assert "Cannot access memory" in gdb("x/s &linux_banner")
    out = gdb(f"maintenance packet M{setting:x},4:e1100000")
    assert 'received: "OK"' in out, out
    gdb("maintenance packet Qqemu.PhyMemMode:0")
    assert gdb.text("{int} &panic_timeout") == "4321"
    bench.detach(gdb)
    since = bench.now
    bench.type("cat /proc/sys/kernel/panic\r")
    bench.wait("^linux[|] 4321$", since)


def crc(data):
    """As gdb's compare-sections wants it."""
    value = 0xffffffff
    for byte in data:
        value ^= byte << 24
        for _ in range(8):
            value = value << 1 & 0xffffffff ^ (0x04c11db7 if value >> 31 else 0)
    return value


@LINUX.check
def test_memory_is_searched_and_compared_at_the_target(bench):
    """H6: 16 MiB, of which not a byte is on the line."""
    gdb = attach_in_kernel(bench)
    begin = gdb.value("&linux_banner") & ~0xfffff
    gdb("set debug remote 1")
    letters = ", ".join(f"'{letter}'" for letter in "Linux version 6")  # a string has its end, too
    out = gdb(f"find /1 {begin:#x}, +0x1000000, {letters}")
    gdb("set debug remote 0")
    assert "$qSearch:memory:" in out and not re.search(r"Sending packet: \$[mx]", out), out
    assert gdb.value("$_") == gdb.value("&linux_banner")
    dump = bench.console.directory / "code"
    gdb(f"dump binary memory {dump} uptime_proc_show uptime_proc_show+3000")
    out = gdb(f"maintenance packet qCRC:{gdb.value('&uptime_proc_show'):x},bb8")
    assert f'received: "C{crc(dump.read_bytes()):x}"' in out, out
    bench.detach(gdb)


@LINUX.check
def test_watch(bench):
    """H7: a variable, written by the kernel on a shell's command."""
    gdb = attach_in_kernel(bench)
    gdb("watch {int} &panic_timeout")
    gdb.run_on()
    bench.type("echo 77 > /proc/sys/kernel/panic\r")
    out = gdb.wait()
    assert "Hardware watchpoint 2:" in out and "Old value = 4321\nNew value = 77\n" in out, out
    assert "do_proc_dointvec" in gdb("backtrace")
    gdb("delete")
    gdb("rwatch {int} &panic_timeout")
    gdb.run_on()
    bench.type("cat /proc/sys/kernel/panic\r")
    out = gdb.wait()
    assert "Hardware read watchpoint 3:" in out and "Value = 77\n" in out, out
    bench.detach(gdb)


@LINUX.check
def test_registers_written(bench):
    """H5: what a system call returns."""
    gdb = bench.attach(SYMBOLS)
    gdb("hbreak __x64_sys_getppid")
    gdb.run_on()
    bench.type("sh -c 'echo parent $PPID'\r")
    out = gdb.wait()
    assert "Breakpoint 1, 0x" in out, out
    gdb("finish")
    gdb("set $rax = 31337")
    since = bench.now
    bench.detach(gdb)
    bench.wait("^linux[|] parent 31337$", since)


@LINUX.check
def test_conditional_breakpoint(bench):
    """H7: one system call of many."""
    gdb = bench.attach(SYMBOLS)
    gdb("break do_syscall_64 if $rsi == 257")
    gdb("continue")
    assert gdb.value("$rsi") == 257
    gdb("tbreak do_sys_openat2")
    assert "Temporary breakpoint" in gdb("continue")
    bench.detach(gdb)


@LINUX.check
def test_ctrl_c(bench):
    """H9: wherever it happens to be."""
    gdb = bench.attach(SYMBOLS)
    for _ in range(3):
        gdb.run_on()
        bench.goes_on()
        assert "received signal SIGINT" in gdb.interrupt()
    bench.detach(gdb)


@LINUX.check
def test_long_stop(bench):
    """H9: the guest's time stands during a stop of more than 30 seconds."""
    gdb = bench.attach(SYMBOLS)
    gdb("break uptime_proc_show")
    gdb("continue")
    since = bench.now
    bench.wait(HELLO_LIFE, since, times=620)  # 31 s of its time
    uptimes = re.findall(r"^linux\| (\d+\.\d\d) \d", bench.text[:since], re.M)
    since = bench.now
    gdb("delete")
    bench.detach(gdb)
    after = bench.wait(r"^linux\| (\d+\.\d\d) \d", since)
    assert float(after[1]) - float(uptimes[-1]) < 5, (uptimes[-1], after[1])


@LINUX.check
def test_killed_gdb_lets_it_go(bench):
    """H9: SIGKILL at a breakpoint, and in the middle of steps: it runs, without breakpoints."""
    gdb = bench.attach(SYMBOLS)
    gdb("break do_sys_openat2")
    gdb("continue")
    gdb.kill()
    bench.goes_on()
    gdb = bench.attach(SYMBOLS)
    assert "none" in gdb("monitor breakpoints")
    gdb("break uptime_proc_show")
    gdb("continue")
    gdb.send("stepi 1000")
    gdb.kill()
    bench.goes_on()
    gdb = bench.attach(SYMBOLS)
    gdb("stepi")
    bench.detach(gdb)


@LINUX.check_console
def test_nothing_was_noticed(record):
    """No soft lockup, no stall, no doubt about a clock: time stood while Linux was stopped."""
    record.check_sound()
    assert complaints(record, "linux") == [], record
    assert record.ended("linux") is None, record
