# SPDX-License-Identifier: MIT
"""Faults in root mode, by the boot option `test.fault`: what the appliance leaves when it ends."""

import re

import pytest

from appliance import ENDS_BY_ITSELF, Run, vm

CONFIG = vm("hello")


def fault(name):
    return Run(CONFIG, cmdline=f"test.fault={name}")


def check_panic(record, reason, first_function, outermost="boot_core_main+"):
    assert record.status == 1, record
    lines = record.texts("panic")
    assert lines[0].startswith(reason), record
    frames = [line.split() for line in lines if line.startswith("  #")]
    assert frames[0][0] == "#0" and frames[0][2].startswith(first_function), record
    assert any(frame[2].startswith(outermost) for frame in frames), record
    assert record.done.startswith("failed: "), record


@pytest.mark.parametrize("record", [fault("ud")], indirect=True, ids=str)
def test_exception_prints_registers_and_backtrace(record):
    check_panic(record, "exception 6 (#UD invalid opcode) in root mode", "undefined_opcode+")
    registers = " ".join(record.texts("panic"))
    for name in ("rax", "rsp", "r15", "rflags", "cr2", "cr3"):
        assert f"{name} " in registers, record


@pytest.mark.parametrize("record", [fault("text")], indirect=True, ids=str)
def test_text_cannot_be_written(record):
    check_panic(record, "exception 14 (#PF page fault) in root mode", "write_text+")
    assert "error code 3" in record.texts("panic")[0], record  # present, write


@pytest.mark.parametrize("record", [fault("wx")], indirect=True, ids=str)
def test_the_walk_finds_a_writable_executable_page(record):
    """B4: test_no_page_is_writable_and_executable can fail."""
    assert "1 pages are writable and executable" in record.texts("panic")[0], record
    assert record.status == 1, record


@pytest.mark.parametrize("record", [fault("data")], indirect=True, ids=str)
def test_data_cannot_be_executed(record):
    check_panic(record, "exception 14 (#PF page fault) in root mode", "?")
    assert "error code 11" in record.texts("panic")[0], record  # present, fetch


@pytest.mark.parametrize("record", [fault("stack")], indirect=True, ids=str)
def test_stack_ends_in_its_guard_page(record):
    check_panic(record, "exception 8 (#DF double fault) in root mode", "grow_stack+",
                outermost="grow_stack+")  # the backtrace has a limit


@pytest.mark.parametrize("record", [fault("panic")], indirect=True, ids=str)
def test_panic_gives_its_reason(record):
    check_panic(record, "asked for by test.fault", "do_panic+")
    assert record.done == "failed: asked for by test.fault", record


@pytest.mark.parametrize("record", [fault("screen")], indirect=True, ids=str)
def test_what_fails_in_drawing_is_not_drawn(record):
    """Another fault there would leave the machine on, without a word."""
    check_panic(record, "exception 14 (#PF page fault) in root mode", "surface_put+")


FAILURES = {
    "vmread": "VMREAD 681e failed: VMfailInvalid: no current VMCS",
    "vmread-field": "VMREAD 7ffe (address) failed: VMfailValid, error 12: VMREAD/VMWRITE from/to "
                    "unsupported VMCS component",
    "vmwrite-field": "VMWRITE 7ffe (address) failed: VMfailValid, error 12: VMREAD/VMWRITE from/to "
                     "unsupported VMCS component",
    "vmclear": "VMCLEAR 123 (address) failed: VMfailValid, error 2: VMCLEAR with invalid physical "
               "address",
    "vmptrld": "VMPTRLD [0-9a-f]+ (address) failed: VMfailValid, error 10: VMPTRLD with VMXON pointer",
    "invept": "INVEPT type 1 of 9e failed: VMfailValid, error 28: invalid operand to INVEPT/INVVPID",
    "invvpid": "INVVPID type 1 of 0 failed: VMfailValid, error 28: invalid operand to INVEPT/INVVPID",
}


@pytest.mark.parametrize("record", [fault(name) for name in FAILURES], indirect=True, ids=str)
def test_a_vmx_instruction_that_fails_is_named(record):
    """C3: with the SDM's text of its error."""
    reason = FAILURES[record.run.cmdline.partition("=")[2]]
    pattern = reason.replace("(", r"\(").replace(")", r"\)")
    assert re.fullmatch(pattern, record.texts("panic")[0]), record
    assert record.status == 1, record


@pytest.mark.parametrize("record", [Run(ENDS_BY_ITSELF + vm("hello", cmdline="ticks=1 period=5"),
                                        cmdline="test.fault=nonsense")], indirect=True, ids=str)
def test_a_fault_that_is_none(record):
    record.check_done()
    assert "test.fault=nonsense: no such test" in record.texts("boot"), record
