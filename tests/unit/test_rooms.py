# SPDX-License-Identifier: MIT
"""ci/check-rooms: the order of src/'s rooms, in a tree of a few files and in the project's own."""

import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent

FILES = {
    "docs/architecture.md": "Arrows point down only: vm → vmx → ept →\nlib. More.\n",
    "src/vmx/vmcs_fields.h": "FIELD(GUEST_RIP, 0x681e)\n",
    "src/vmx/exit.c": '#include "ept/ept.h"\n\nu64 rip = vmread(GUEST_RIP);\n',
    "src/vm/life.c": '#include "lib/types.h"\n#include "vm/life_internal.h"\n// vmread(GUEST_RIP)\n',
    "src/ept/ept.c": '#include "lib/types.h"\n',
    "src/main.c": '#include "vm/life.h"\n',
}


def check(directory):
    done = subprocess.run([ROOT / "ci/check-rooms", directory], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.fixture(name="tree")
def fixture_tree(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_project_keeps_to_its_order():
    assert check(ROOT) == (0, "")


def test_a_tree_in_order_passes(tree):
    assert check(tree) == (0, "")


@pytest.mark.parametrize("name, line, told", [
    ("src/ept/ept.c", '#include "vmx/vmcs.h"', "vmx/vmcs.h is of a room above src/ept"),
    ("src/lib/types.h", '#  include "ept/ept.h"', "ept/ept.h is of a room above src/lib"),
    ("src/vm/life.c", '#include "vmx/vcpu_internal.h"', "vmx/vcpu_internal.h is for src/vmx alone"),
    ("src/vm/life.c", '#include "vmx/caps.h"', "vmx/caps.h is not the seam, vmx/backend.h"),
    ("src/main.c", '#include "vmx/caps.h"', "vmx/caps.h is not the seam, vmx/backend.h"),
    ("src/vm/life.c", "    u64 rip = vmread(0x681e);", "vmread belongs to src/vmx"),
    ("src/vm/life.c", "    vmread_safe(0x681e, &rip);", "vmread_safe belongs to src/vmx"),
    ("src/vm/life.c", "    enum vmcs_field f = GUEST_RIP;", "GUEST_RIP belongs to src/vmx"),
    ("src/ept/flush.S", "    invept (%rdi), %rax", "invept belongs to src/vmx"),
    ("src/attic/old.c", "", "src/attic has no place in the order of docs/architecture.md"),
])
def test_what_goes_against_it_is_named(tree, name, line, told):
    path = tree / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(line + "\n")
    assert check(tree) == (1, f"{name}:1: {told}\n")


def test_without_an_order_it_fails(tree):
    (tree / "docs/architecture.md").write_text("Rooms.\n")
    assert check(tree)[0] == 1
