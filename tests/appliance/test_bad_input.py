# SPDX-License-Identifier: MIT
"""Configurations and images that are refused: by `make iso`, and by the appliance at boot."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from appliance import ENDS_BY_ITSELF, LIMIT, ROOT, Run, runs, vm

GOOD = vm("hello", cmdline="ticks=2 period=10")


@pytest.mark.parametrize("line, key", [
    ("colour = red", "colour"), ("memory = many", "memory"), ("memory = 1", "memory"),
    ("vcpus = 0", "vcpus"), ("weight = 0", "weight"), ("cores = 3-1", "cores"),
    ("cores = x", "cores"), ("reset = perhaps", "reset"), ("initrd = not-there", "initrd"),
    ("intercept = hlt, io:0x3f8:x", "intercept: 'io:0x3f8:x': access 'x' is not one of r, w, rw"),
    ("intercept = hlt, hlt=log", "intercept: 'hlt' is there already"),
    ("hlt = perhaps", "hlt: 'perhaps' is not one of caught, through"),
])
def test_iso_names_file_line_and_key(tmp_path, line, key):
    config, iso = tmp_path / "bad.conf", tmp_path / "bad.iso"
    config.write_text(f"[vm one]\nkernel = hello\n{line}\n")
    made = subprocess.run([ROOT / "ci/mkiso", "--config", config, "--output", iso],
                          capture_output=True, text=True, check=False)
    assert made.returncode != 0 and not iso.exists()
    reasons = [text for text in made.stderr.splitlines() if "bad.conf:3:" in text]
    assert len(reasons) == 1 and key in reasons[0], made.stderr


def mkiso(directory, config, *options):
    """ci/mkiso's exit status and what it says, without the file's folder."""
    (directory / "my.conf").write_text(config)
    made = subprocess.run([ROOT / "ci/mkiso", "--config", directory / "my.conf", "--output",
                           directory / "my.iso", *options], capture_output=True, text=True, check=False)
    return made.returncode, made.stderr.replace(f"{directory}/", "")


def test_all_errors_are_told_at_once(tmp_path):
    """An unknown key hides no missing image, nor does one image another."""
    status, said = mkiso(tmp_path, "[vm one]\nkernel = gone\ninitrd = gone2\nvcpu = 2\nmemory = 16MB\n"
                                   "[vm two]\nkernel = gone3\n")
    assert status == 1 and not (tmp_path / "my.iso").exists()
    assert re.fullmatch(r"""my.conf:4: vcpu: unknown key; did you mean 'vcpus'\?
my.conf:5: memory: '16MB' is not a size: without the B; one is a number with K, M or G behind it
my.conf:2: kernel: there is no image 'gone'
my.conf:3: initrd: there is no image 'gone2'
my.conf:7: kernel: there is no image 'gone3'
my.conf: images were looked for in .*
mkiso: my.conf is not taken; no ISO was made
""", said), said


def test_ports_that_the_appliance_has_are_noted(tmp_path):
    """The command line can be edited at boot, so the ISO is made."""
    config = vm("one", "hello", devices="com1") + vm("two", "hello", devices="com2")
    console = ("my.conf:3: devices: note: com1: it is the appliance's console (boot option console=); one "
               "is left out at boot\n")
    assert mkiso(tmp_path, config) == (0, console + (
        "my.conf:7: devices: note: com2: it is the debugger's line; gdb=none on the boot command line "
        "frees it; two is left out at boot\n"))
    assert mkiso(tmp_path, config, "--cmdline", "console=com1,115200 gdb=none") == (0, console)
    assert mkiso(tmp_path, config, "--cmdline", "gdb=none console=none") == (0, "")
    assert mkiso(tmp_path, config, "--cmdline", "screen=off console=com4 gdb=com3,9600") == (0, (
        "my.conf:3: devices: note: com1: it shares its interrupt with the debugger's line (boot option "
        "gdb=); one is left out at boot\n"
        "my.conf:7: devices: note: com2: it shares its interrupt with the appliance's console (boot option "
        "console=); two is left out at boot\n"))


def test_what_make_run_has_not_is_noted(tmp_path):
    """The ISO may be for a machine that has it."""
    status, said = mkiso(tmp_path, vm("far", "hello", cores="1,9") + vm("near", "hello", memory="60M") +
                         vm("all", "hello", cores="all"), "--cpus", "4", "--memory", "64")
    assert (status, said) == (0, (
        "my.conf:3: cores: note: core 9 is there with CPUS=10 and more; `make run` has 4, and leaves "
        "far out\n"
        "my.conf: memory: note: the VMs want 92 MiB together; `make run` has 64 (MEMORY=), and leaves "
        "some out\n")), said
    assert (tmp_path / "my.iso").exists()
    assert mkiso(tmp_path, vm("far", "hello", cores="1,9"), "--cpus", "10")[1] == ""


@pytest.mark.parametrize("option, name, values", [
    ("--cpus", "CPUS=", ["0", "-1", "257", "x", "", "99999999999999999999"]),
    ("--memory", "MEMORY=", ["0", "-1", "x", "1G", "99999999999999999999"])])
def test_what_make_run_cannot_have_is_not_the_configurations_fault(tmp_path, option, name, values):
    for value in values:
        status, said = mkiso(tmp_path, GOOD, option, value)
        assert status == 1 and re.fullmatch(
            rf"mkiso: {option} \({name}\) takes a number .*from 1 to \d+, not '{value}'\n", said), said
    assert not (tmp_path / "my.iso").exists()


@pytest.mark.parametrize("key", ["kernel", "initrd"])
@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
def test_an_image_that_is_no_file_is_named_and_not_waited_for(tmp_path, key, kind):
    pipe = tmp_path / "pipe"
    if kind == "fifo":
        os.mkfifo(pipe)
    elif kind == "folder":
        pipe.mkdir()
    else:
        pipe.symlink_to("/dev/zero")
    config = f"[vm one]\nkernel = {'pipe' if key == 'kernel' else 'hello'}\n"
    if key == "initrd":
        config += "initrd = pipe\n"
    status, said = mkiso(tmp_path, config)
    assert status == 1 and "my.conf: pipe: is no regular file\n" in said, said
    assert re.search(rf"^my.conf:\d: {key}: there is no image 'pipe'", said, re.M), said


@pytest.mark.parametrize("command", [
    ["ci/mkiso", "--output", "x.iso", "--config"], ["ci/smoke", "--expect", "mine=x", "--config"],
    ["ci/gdb", "--how", "--line", "gdb", "--config"], ["build/host/vitrine-config", "check"],
    ["ci/mkiso", "--output", "x.iso", "--config", "my.conf", "--kernel"]])
def test_a_pipe_for_a_file_is_not_waited_for(tmp_path, command):
    """Each reads it more than once."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "my.conf").write_text(GOOD)
    done = subprocess.run([ROOT / command[0], *command[1:], "pipe"], cwd=tmp_path, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=LIMIT, check=False)
    assert done.returncode != 0
    assert "pipe is no regular file" in (done.stdout + done.stderr).replace("pipe: is", "pipe is")


@pytest.mark.parametrize("kind", ["fifo", "device", "folder"])
@pytest.mark.parametrize("linked", [False, True])
def test_iso_replaces_no_device(tmp_path, kind, linked):
    """Nor a folder, nor a link to one: what is no file stays as it is, and nothing is left there."""
    there = tmp_path / "there"
    if kind == "fifo":
        os.mkfifo(there)
    elif kind == "folder":
        there.mkdir()
    else:
        there = Path(os.ttyname(os.openpty()[1]))
    if linked:
        (tmp_path / "link").symlink_to(there)
    before, output = there.stat(), tmp_path / "link" if linked else there
    status, said = mkiso(tmp_path, GOOD, "--output", output)
    assert status == 1 and " is no regular file; " in said, said
    assert (there.stat().st_mode, there.stat().st_ino) == (before.st_mode, before.st_ino)
    assert output.is_symlink() == linked
    assert kind != "folder" or os.listdir(there) == []


def test_iso_is_written_where_a_link_leads(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "link.iso"
    link.symlink_to("elsewhere/real.iso")
    status, said = mkiso(tmp_path, GOOD, "--output", link)
    assert status == 0, said
    assert link.is_symlink() and (tmp_path / "elsewhere/real.iso").stat().st_size > 1 << 20


# What `make iso` would refuse is put into the ISO afterwards.
TAKEN = (ENDS_BY_ITSELF + vm("absent") + vm("big", "hello", memory="8G") +
         vm("far", "hello", cores="9") + GOOD)
BAD = (TAKEN + vm("item", "hello", intercept="hlt, io:0x3f8:x") +
       vm("both", "hello", hlt="through", intercept="pause, hlt=log"))


def without_absent(menu):
    return "".join(line for line in menu.splitlines(True) if "/boot/absent " not in line)


@runs(Run(TAKEN, grub=without_absent, swapped=(("vitrine.conf", BAD.encode()),),
          images=(("absent", (ROOT / "build/images/hello").read_bytes()
                   if (ROOT / "build/images/hello").exists() else b""),)))
def test_boot_leaves_out_what_cannot_start(record):
    """A module missing from the menu, too much memory, a core that is not there, interceptions that
    there are not; the rest runs. The file has the name that it had when the ISO was made."""
    record.check_failed("absent: .*")
    lines = BAD.splitlines()
    for wanted, key, reason in [("kernel = absent", "kernel", "there is no image 'absent'"),
                                ("memory = 8G", "memory", "big wants 8388608 KiB"),
                                ("cores = 9", "cores", "this machine has no core 9 online"),
                                ("intercept = hlt, io:0x3f8:x", "intercept",
                                 "'io:0x3f8:x': access 'x' is not one of r, w, rw"),
                                ("hlt = through", "hlt",
                                 "'through' does not go with 'intercept = hlt'")]:
        place = f"test.conf:{lines.index(wanted) + 1}: "
        about = [text for text in record.texts("config") if text.startswith(place)]
        assert len(about) == 1 and f"{key}: {reason}" in about[0], record
    for name in ["absent", "big", "far", "item", "both"]:
        assert [text for text in record.texts("vm") if text.startswith(f"{name} left out: ")], record
    assert record.ended("hello") == "exit 0", record


def image(name):
    """A built image's bytes; none before there is one, as when tests are only listed."""
    path = ROOT / "build/images" / name
    return path.read_bytes() if path.exists() else b""


WRONG = [  # name, what it is, what is said of it
    ("linux-cut", image("vmlinuz")[:300000], r"truncated: 300000 bytes"),
    ("linux-head", image("vmlinuz")[:700], r"truncated: 700 bytes"),
    ("elf-cut", image("hello")[:6000], r"truncated"),
    ("elf-other", image("vmlinux.sym.elf")[:20000], r"without a Multiboot header"),
    ("text", b"This is no kernel.\n" * 400, r"is a text file"),
    ("empty", b"", r"is an empty file"),
]


@pytest.mark.parametrize("name, content, reason", WRONG, ids=[name for name, *_ in WRONG])
def test_iso_refuses_a_kernel_that_is_none(tmp_path, name, content, reason):
    config, iso = tmp_path / "bad.conf", tmp_path / "bad.iso"
    (tmp_path / name).write_bytes(content)
    config.write_text(f"[vm one]\nkernel = {name}\n")
    made = subprocess.run([ROOT / "ci/mkiso", "--config", config, "--output", iso],
                          capture_output=True, text=True, check=False)
    assert made.returncode != 0 and not iso.exists()
    assert re.search(f"bad.conf:2: kernel: {name} .*{reason}", made.stderr), made.stderr


@runs(Run(ENDS_BY_ITSELF + "".join(vm(name, memory="128M") for name, *_ in WRONG) + GOOD,
          images=tuple((name, image("hello")) for name, *_ in WRONG),
          swapped=tuple((name, content) for name, content, _ in WRONG)))
def test_boot_leaves_out_a_kernel_that_is_none(record):
    """Cut short or of no known format: each is named and left out, the rest runs."""
    record.check_failed("linux-cut: .*")
    for name, _, reason in WRONG:
        about = [text for text in record.texts("vm") if text.startswith(f"{name} ")]
        assert len(about) == 1 and re.search(f"{name} left out: .*{reason}", about[0]), record
    assert record.ended("hello") == "exit 0", record


@runs(Run(ENDS_BY_ITSELF + vm("big", "hello", memory="8G")))
def test_nothing_left_to_run(record):
    """The appliance says so, and ends."""
    record.check_failed("big: .*")
