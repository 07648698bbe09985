# SPDX-License-Identifier: MIT
"""Which programs have a line open: two that read it would each get a part of what comes."""

import contextlib
import os
import time
from pathlib import Path

A_MOMENT = 1.0  # seconds; who goes, or only looks whether somebody is there, has gone after them
A_LOOK = 0.05  # the same, until the next look


def _now(path: str, proc: Path) -> dict[int, str]:
    file = os.path.realpath(path)
    wanted = os.stat(file)
    found = {}
    for process in proc.glob("[1-9]*"):
        # A process can end meanwhile; those of others show nothing.
        with contextlib.suppress(OSError):
            for opened in (process / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(opened) == file and os.path.samestat(os.stat(opened), wanted):
                        found[int(process.name)] = (process / "comm").read_text().strip()
                        break
    found.pop(os.getpid(), None)
    return found


def holders(path: str, proc: Path = Path("/proc")) -> dict[int, str]:
    """The processes that have it open and keep it so, and their names. Those of other users are
    seen by root only.

    `path`: a device or a pty, or a link to one.
    """
    found = _now(path, proc)
    until = time.monotonic() + A_MOMENT
    while found and time.monotonic() < until:
        time.sleep(A_LOOK)
        now = _now(path, proc)
        found = {pid: name for pid, name in now.items() if pid in found}
    return found
