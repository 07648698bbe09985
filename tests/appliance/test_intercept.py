# SPDX-License-Identifier: MIT
"""Interception as the configuration chooses it (COVERAGE A1 to A12), by the guest `intercept`."""

from appliance import ENDS_BY_ITSELF, HASWELL, on_each_cpu, vm

PLAIN = ENDS_BY_ITSELF + vm("all", "intercept") + vm("both", "intercept", cmdline="part=both", vcpus=2)


@on_each_cpu(PLAIN)
def test_without_items(record):
    """What the guest wants of itself holds where nothing is caught."""
    record.check_done()
    record.check_passed("all", "A1", "A2", "A3", "A5", "A6", "A7", "A8", "A9", "A10", "A12")
    record.check_passed("both", "A11")
    absent = ["SKIP A12: no RDSEED"] if record.run.cpu == HASWELL else []
    assert record.verdicts("all", "SKIP") == absent, record
