# SPDX-License-Identifier: MIT
"""Stock gdb with several VMs and vCPUs, and a debugger's line on which things go wrong. The numbers
in the tests' words are those of GDB.md's list "First: what every attach needs"."""

import random
import re
import subprocess

from appliance import HASWELL, ROOT, linux, vm
from assembly import assemble
from debugger import HELLO_LIFE, LINUX_LIFE, LINUX_LOOP, Scenario, complaints

SYMBOLS = "vmlinux.sym.elf"
TRIPLE_FAULT = assemble("""
        cli
        lidt %cs:empty
        int3
empty:  .word 0
        .long 0
""", at=0x7c00)
CONFIG = (vm("absent", "hello", cores="7") +  # left out at boot
          linux("linux", exit="", cmdline="quiet", vcpus=2, cores="0-1") +
          vm("hello", cmdline="period=50", cores="1") +
          vm("resets", "resets.bin", format="flat", load="0x7c00", cores="1"))


def busy(bench):
    """Linux at its shell, with loops in the background that keep both vCPUs in system calls."""
    bench.wait("linux:/# ", 0)
    bench.type(f"{LINUX_LOOP} &\r")
    bench.type("while :; do cat /proc/version > /dev/null; done &\r")


LINE = Scenario("line", CONFIG, long=(HASWELL,), prepare=busy,
                images=(("resets.bin", TRIPLE_FAULT),),
                life={"linux": LINUX_LIFE, "hello": HELLO_LIFE})


@LINE.check
def test_two_vcpus(bench):
    """H2, H3, H8: a thread each; one is stepped while the other runs, and while it stays."""
    gdb = bench.attach(SYMBOLS)
    out = gdb("info threads")
    for number in (1, 2):
        assert re.search(rf"Thread 1\.{number} \(linux/{number - 1} (stopped|halted) on core \d, ring "
                         r"[03], 64-bit\) +0x\w+ in ", out), out
    gdb("break do_sys_openat2")
    seen = set()
    for _ in range(60):
        out = gdb("continue")
        seen.add(re.search(r"Thread ([12]) hit Breakpoint 1, 0x\w+ in do_sys_openat2 \(\)", out)[1])
        if len(seen) == 2:
            break
    assert seen == {"1", "2"}
    gdb("delete")

    def place(thread):
        gdb(f"thread {thread}")
        return gdb.value("$pc")

    gdb("set scheduler-locking on")
    for thread, other in ((1, 2), (2, 1)):
        stays, goes = place(other), place(thread)
        gdb("stepi 3")
        assert place(other) == stays and place(thread) != goes
    gdb("set scheduler-locking off")
    for _ in range(3):
        gdb("stepi")
    gdb.run_on()
    bench.goes_on()
    assert "received signal SIGINT" in gdb.interrupt()
    bench.detach(gdb)


@LINE.check
def test_second_vm(bench):
    """H1, H2: by add-inferior and attach; it is stopped, run and let go for itself, and with the
    other."""
    gdb = bench.attach(SYMBOLS)
    gdb("add-inferior")
    gdb("inferior 2")
    gdb("file " + str(bench.symbols("hello.elf")))
    out = gdb("attach 2")
    assert "Attaching to program" in out, out
    out = gdb("info threads")
    assert re.search(r"^  1\.1 .*Thread 1\.1 \(linux/0 ", out, re.M), out
    assert re.search(r"^\* 2\.1 .*Thread 2\.1 \(hello/0 ", out, re.M), out
    gdb("break tick")

    def hit():
        assert re.search(r'hit Breakpoint 1.*, tick \(number=', gdb("continue"))

    hit()
    since = bench.now
    for _ in range(5):  # it runs alone
        hit()
    bench.wait(HELLO_LIFE, since, 4)
    assert len(set(re.findall(LINUX_LIFE, bench.text[since:]))) <= 1
    assert gdb.value("counter.value") > 0
    gdb("set schedule-multiple on")
    since = bench.now
    gdb("delete")
    gdb.run_on()
    bench.wait(HELLO_LIFE, since, 2)
    bench.wait(LINUX_LIFE, since, 2)
    assert "received signal SIGINT" in gdb.interrupt()
    gdb("set schedule-multiple off")
    out = gdb("detach")
    assert "[Inferior 2 (process 2) detached]" in out, out
    bench.stands("linux", lambda: None)
    gdb("inferior 1")
    assert "in " in gdb("stepi")
    bench.detach(gdb)


@LINE.check
def test_ci_gdb(bench):
    """H1: `make gdb` finds the VM by its name though one before it was left out at boot, and goes straight
    there: the first one is not stopped, and gdb has nothing to warn of."""
    def session(*words):
        done = subprocess.run(
            [ROOT / "ci/gdb", "--config", bench.console.directory / "test.conf", "--line",
             bench.line, *words, "--", "-nx", "-batch", "-ex", "info threads", "-ex", "detach"],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        return done.stdout + done.stderr

    out = session("hello")
    assert "Thread 2.1 (hello/0 " in out and "at images/" in out, out
    assert "arning" not in out and "process 1" not in out and "linux/" not in out, out
    out = session()
    assert "Thread 1.1 (linux/0 " in out and "Thread 1.2 (linux/1 " in out, out
    assert "no VM 'absent' runs; these do: linux hello resets" in session("absent")
    gdb = bench.attach(SYMBOLS)  # a second one is refused, and the first one knows nothing of it
    out = session("hello")
    assert re.fullmatch(r"gdb: \S+ is in use by process \d+ \(gdb\): one debugger at a time; "
                        r"quit that one first\n", out), out
    assert re.search(r"^\* 1 .*Thread 1\.1 \(linux/0 ", gdb("info threads"), re.M)
    assert "in " in gdb("stepi")
    bench.detach(gdb)


@LINE.check
def test_garbage(bench):
    """H9: while guests run and while one is stopped, in packets and outside; gdb works afterwards."""
    noise = random.Random(1)

    def garbage(wire, count):
        wire.write(bytes(noise.randrange(256) for _ in range(count)))

    with bench.wire() as wire:
        garbage(wire, 2000)
        bench.goes_on()
        wire.write(b"\x03\x03++--$#$}}#}#00$" + b"a" * 9000 + b"#00")
        bench.goes_on()
        wire.write(b"\x03")
        wire.got = b""
        wire.write(wire.packet("qSupported:multiprocess+"))
        wire.read_until(rb"\+\$PacketSize")
        wire.write(b"+")
        bench.stands("linux", lambda: garbage(wire, 2000))
    gdb = bench.attach(SYMBOLS)
    gdb("break do_sys_openat2")
    gdb.run_on()
    gdb.wait()
    gdb("delete")
    gdb.run_on()
    with bench.wire() as wire:  # what is not ^C is noise: it stops nobody
        wire.write(bytes(byte for byte in range(256) if byte not in (3, ord("$"))))
    bench.goes_on()
    assert "received signal SIGINT" in gdb.interrupt()
    assert "in " in gdb("stepi")
    bench.detach(gdb)


@LINE.check
def test_packets_damaged(bench):
    """H1: a wrong checksum gets a `-`, and the packet again its answer; one that is too long or
    unknown is told so."""
    with bench.wire() as wire:
        wire.ask("qSupported:multiprocess+")
        wire.got = b""
        wire.write(b"$qC#00")
        wire.read_until(rb"^-")
        assert wire.ask("qC") == "QCp1.1"
        wire.write(b"$" + b"m" * 70000 + b"#00")
        wire.read_until(rb"-")
        assert wire.ask("vMustReplyEmpty") == ""
        assert wire.ask("m0,zz").startswith("E")
        assert wire.ask("Hg p9.9".replace(" ", "")).startswith("E")
        wire.write(b"$vCont;c#")  # cut off: the next `$` begins anew
        assert wire.ask("qC") == "QCp1.1"
        assert wire.ask("D") == "OK"


@LINE.check
def test_gdb_killed_in_a_packet(bench):
    """H9: SIGKILL while gdb writes memory, which takes it a minute of the guests' time, and half a
    packet comes; each time the guests go on."""
    gdb = bench.attach("hello.elf", pid=2)
    room = bench.console.directory / "room"
    size = 255 * 4000
    room.write_bytes(bytes(range(1, 256)) * 4000)
    gdb.send(f"restore {room} binary 0xa00000")
    bench.goes_on("linux")
    gdb.kill()
    with bench.wire() as wire:
        wire.write(b"$Xa00000,ff:" + bytes(range(0x40, 0x60)))
    bench.goes_on()
    gdb = bench.attach("hello.elf", pid=2)
    assert "hello/0 " in gdb("info threads")
    written = gdb.value("*(unsigned char *) 0xa00000")
    end = gdb.value(f"*(unsigned char *) ({0xa00000 + size - 1})")
    assert (written, end) in ((1, 0), (0, 0)), "it was not killed in the middle"
    gdb("break tick")
    gdb.run_on()
    assert "Breakpoint 1, tick (" in gdb.wait()
    gdb.kill()
    bench.goes_on()
    gdb = bench.attach(SYMBOLS)
    gdb("break do_sys_openat2")
    gdb("continue")
    gdb.run_on()
    gdb.kill()  # while guests run
    bench.goes_on()
    gdb = bench.attach(SYMBOLS)
    assert gdb("monitor breakpoints") == "none\n"
    assert "in " in gdb("stepi")
    bench.detach(gdb)


@LINE.check
def test_kill_between_two_starts(bench):
    """H2: a VM that resets at once is started again after a second, and killed in between."""
    gdb = bench.gdb()
    gdb.connect()
    gdb("detach")
    bench.wait("vm: resets reset .*, starting it again")
    out = gdb("attach 3")
    assert "process 3" in out, out
    out = gdb("monitor vms")
    assert re.search(r"^3 +resets +starting", out, re.M), out
    since = bench.now
    assert "[Inferior 1 (process 3) killed]" in gdb("kill")
    bench.wait("vm: resets ended: killed", since)
    gdb.quit()


@LINE.check
def test_kill_linux(bench):
    """H2: with both of its vCPUs running; the other VM goes on, and is attached next."""
    gdb = bench.attach(SYMBOLS)
    gdb("break do_sys_openat2")
    gdb("continue")
    since = bench.now
    del bench.life["linux"]
    assert "[Inferior 1 (process 1) killed]" in gdb("kill")
    bench.wait("vm: linux ended: killed", since)
    bench.goes_on()
    out = gdb("attach 1")
    assert "failed" in out, out
    gdb.quit()
    gdb = bench.gdb("hello.elf")
    gdb.connect()
    assert "Thread 2.1 (hello/0" in gdb("info threads")
    bench.detach(gdb)


@LINE.check_console
def test_nothing_was_noticed(record):
    """No soft lockup, no stall, no doubt about a clock."""
    record.check_sound()
    assert complaints(record, "linux") == [], record
    assert record.ended("linux") == "killed" and record.ended("hello") is None, record
    assert "absent left out" in " ".join(record.texts("vm")), record
