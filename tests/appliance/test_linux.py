# SPDX-License-Identifier: MIT
"""Debian's Linux as a guest."""

import pytest

from appliance import CPU_MODELS, ENDS_BY_ITSELF, Run, linux


def at_the_shell(console):
    console.expect("vitrine-guest: shell ready on ttyS0")
    console.shell("linux", "uname -a")
    console.type("poweroff\r")


SHELL = ENDS_BY_ITSELF + linux("linux", exit="")


@pytest.mark.parametrize("record", [Run(SHELL, cpu=cpu, script=at_the_shell) for cpu in CPU_MODELS],
                         indirect=True, ids=str)
def test_shell(record):
    record.check_done()
    assert record.ended("linux") == "poweroff", record
