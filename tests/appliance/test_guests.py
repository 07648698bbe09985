# SPDX-License-Identifier: MIT
"""The project's own guests in the appliance."""

import pytest

from appliance import CPU_MODELS, ENDS_BY_ITSELF, Run, vm

HELLO = ENDS_BY_ITSELF + vm("hello", cmdline="ticks=3 period=10")


@pytest.mark.parametrize("record", [Run(HELLO, cpu=cpu) for cpu in CPU_MODELS], indirect=True, ids=str)
def test_hello(record):
    record.check_done()
    lines = record.guest("hello")
    assert "64-bit guest with 1 CPUs and 15 MiB" in lines[0], record
    assert lines[1].endswith("ticks=3 period=10"), record
    assert [line for line in lines if line.startswith("hello: tick 3 ")], record
    assert record.ended("hello") == "exit 0", record
