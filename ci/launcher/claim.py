# SPDX-License-Identifier: MIT
"""Who has a line or a folder of consoles: one process at a time.

What is claimed is the file NAME.lock beside it, by a record lock: the kernel gives that up when the
process ends, in whatever way, and tells the others whose it is.
"""

import contextlib
import errno
import fcntl
import os
import struct
from pathlib import Path

FLOCK = struct.Struct("@hhqqi4x")  # struct flock: type, whence, start, length, process


class Claim:
    """A name that nobody else can claim until it is closed."""

    _ours: set[str] = set()  # lock files; a record lock does not keep its own process out

    def __init__(self, name: str) -> None:
        """Raises OSError with the name, and who has it, when it is claimed already."""
        self._file = os.path.realpath(f"{name}.lock")
        if self._file in Claim._ours:
            raise OSError(errno.EBUSY, "is named twice", name)
        while True:
            try:
                self._fd = os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            except OSError as error:
                raise OSError(error.errno, error.strerror, name) from None
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                os.close(self._fd)
                if error.errno not in (errno.EACCES, errno.EAGAIN):
                    raise OSError(error.errno, error.strerror, name) from None
                if (who := claimant(name)) is None:
                    continue  # it has just been given up
                raise OSError(errno.EBUSY, f"is in use by {who}", name) from None
            if self._is_there():
                break
            os.close(self._fd)  # whoever had it has removed the file
        Claim._ours.add(self._file)

    def _is_there(self) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._fd), os.stat(self._file))
        return False

    def close(self) -> None:
        Claim._ours.discard(self._file)
        with contextlib.suppress(OSError):
            os.unlink(self._file)
        os.close(self._fd)


def claimant(name: str) -> str | None:
    """What process has claimed the name, in words; None: no other one has."""
    try:
        fd = os.open(f"{name}.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        asked = FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, asked))
    finally:
        os.close(fd)
    if kind == fcntl.F_UNLCK:
        return None
    return f"process {pid}{what_runs(pid)}" if pid > 0 else "a process that cannot be seen from here"


def what_runs(pid: int) -> str:
    """Of a launcher: the configuration that it was given, in brackets."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return f" ({words[words.index(b'--config') + 1].decode(errors='replace')})"
    except (OSError, ValueError, IndexError):
        return ""


def told(error: OSError) -> str:
    """An error as a message: what it is about, and what is wrong."""
    if error.strerror is None:
        return str(error)
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
