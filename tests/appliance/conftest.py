# SPDX-License-Identifier: MIT
"""Boots the runs that the selected tests name, ahead of them, two at a time. Those tests come first,
so that the others have the machine to themselves.

A test names its run by parametrizing the fixture `record`:

    @pytest.mark.parametrize("record", [Run(config=…)], indirect=True, ids=str)
    def test_something(record):
        record.check_done()
"""

import concurrent.futures
import os
import subprocess
import sys

import pytest

sys.dont_write_bytecode = True

from appliance import ROOT, Launcher, Run  # noqa: E402

AT_ONCE = 2

launcher = Launcher()
pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
records = {}  # Run: future Record


def pytest_configure(config):
    config.addinivalue_line("markers", "long: takes minutes; `make test-long` has it")
    # A single test, as CONTRIBUTING says: `make test` has built it before.
    if "BUILT" not in os.environ and not config.option.collectonly:
        subprocess.run([ROOT / "ci/foreign", "make", "-s", "-C", ROOT, f"-j{os.cpu_count()}",
                        "test-parts"], check=True)


def run_of(item):
    """The Run that the test wants; None: none."""
    run = item.callspec.params.get("record") if hasattr(item, "callspec") else None
    return run if isinstance(run, Run) else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: run_of(item) is None)


@pytest.fixture(scope="session", autouse=True)
def boots(request, tmp_path_factory):
    """Carries the runs out in the background, in the order of their tests."""
    for item in request.session.items:
        if hasattr(item.function, "check"):  # of debugger.py
            run_of(item).script.wanted.append(item.function.check)
    for run in filter(None, map(run_of, request.session.items)):
        if run not in records:
            records[run] = pool.submit(launcher.carry_out, run, tmp_path_factory.mktemp("run"))


@pytest.fixture
def record(request):
    """The Record of the run that the test is parametrized with."""
    return records[request.param].result()


def pytest_unconfigure(config):
    launcher.stop()
    pool.shutdown(cancel_futures=True)
