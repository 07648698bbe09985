# SPDX-License-Identifier: MIT
"""From src/boot/font.txt, on standard input, to the bytes of a C array: 16 a letter, one for each row
of dots, the leftmost dot in the highest bit."""

import sys

FIRST, LAST, HEIGHT = " ", "~", 16


def letters(text):
    """Each letter's rows, as strings of # and ., by letter."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith(";")]
    found = [rows for at in range(0, len(lines), HEIGHT)
             for rows in zip(*lines[at:at + HEIGHT], strict=True)]
    names = [chr(code) for code in range(ord(FIRST), ord(LAST) + 1)]
    return dict(zip(names, found, strict=True))


def number(row):
    assert len(row) == 8 and set(row) <= set("#."), row
    return int(row.replace("#", "1").replace(".", "0"), 2)


if __name__ == "__main__":
    for rows in letters(sys.stdin.read()).values():
        assert len(rows) == HEIGHT, rows
        print("{" + ", ".join(f"{number(row):#04x}" for row in rows) + "},")
