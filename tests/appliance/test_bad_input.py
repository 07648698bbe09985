# SPDX-License-Identifier: MIT
"""Configurations and images that are refused: by `make iso`, and by the appliance at boot."""

import re
import subprocess

import pytest

from appliance import ENDS_BY_ITSELF, ROOT, Run, runs, vm

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
    there are not; the rest runs."""
    record.check_failed("absent: .*")
    lines = BAD.splitlines()
    for wanted, key, reason in [("kernel = absent", "kernel", "there is no image 'absent'"),
                                ("memory = 8G", "memory", "big wants 8388608 KiB"),
                                ("cores = 9", "cores", "this machine has no core 9 online"),
                                ("intercept = hlt, io:0x3f8:x", "intercept",
                                 "'io:0x3f8:x': access 'x' is not one of r, w, rw"),
                                ("hlt = through", "hlt",
                                 "'through' does not go with 'intercept = hlt'")]:
        place = f"vitrine.conf:{lines.index(wanted) + 1}: "
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
