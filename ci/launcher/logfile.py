# SPDX-License-Identifier: MIT
"""Files that keep what a run says. A run goes on without one that can take no more."""

import contextlib
import os
import sys
import typing
from pathlib import Path


def without(what: Path | str, error: OSError) -> str:
    """The word that a file was given up."""
    return f"{what}: {error.strerror}; nothing more is written there"


def on_stderr(text: str, end: str = "\n") -> None:
    """Say it there, if that can be written to."""
    with contextlib.suppress(OSError):
        os.write(sys.stderr.fileno(), f"{text}{end}".encode(errors="replace"))


class LogFile:
    """A file that is written from its beginning, and given up, with a word, at the first failure, as
    on a disk that is full: what is in it till then stays."""

    def __init__(self, path: Path | str, tell: typing.Callable[[str], None]) -> None:
        """`tell` is given that word. Raises OSError when the file cannot be opened."""
        self._path = path
        self._tell = tell
        self._file: typing.BinaryIO | None = open(path, "wb", buffering=0)

    def write(self, data: bytes) -> None:
        """All of the data; after a failure, nothing."""
        try:
            while data and self._file:
                data = data[self._file.write(data):]
        except OSError as error:
            self.close()
            self._tell(without(self._path, error))

    def close(self) -> None:
        """To be called once more, or not, after a failure."""
        file, self._file = self._file, None
        if file:
            file.close()
