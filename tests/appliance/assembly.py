# SPDX-License-Identifier: MIT
"""Machine code for guests of a few instructions."""

import functools
import subprocess
import tempfile
from pathlib import Path

TARGETS = {16: ("--32", "elf_i386"), 32: ("--32", "elf_i386"), 64: ("--64", "elf_x86_64")}


@functools.cache
def assemble(source, bits=16, at=0):
    """The bytes of what GNU as makes of a source in AT&T's syntax, for code of 16, 32 or 64 bits that
    lies at this address."""
    option, emulation = TARGETS[bits]
    with tempfile.TemporaryDirectory() as directory:
        code, binary = Path(directory, "code.o"), Path(directory, "code.bin")
        for words, given in (
                (["as", option, "-o", code, "-"], f".code{bits}\n{source}\n"),
                (["ld", "-m", emulation, "-Ttext", hex(at), "-e", "0", "-z", "noexecstack",
                  "--oformat", "binary", "-o", binary, code], "")):
            done = subprocess.run(words, input=given, text=True, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, check=False)
            assert done.returncode == 0, done.stdout + source
        return binary.read_bytes()
