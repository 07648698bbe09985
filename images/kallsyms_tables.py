# SPDX-License-Identifier: MIT
"""The tables that scripts/kallsyms.c puts into a kernel, found without knowing where they are.

Each name is a length and that many bytes, every byte standing for a token of the token table; the
first character of the expanded name is the symbol's type. Every 256th name's offset stands in the
markers. Addresses are 32-bit offsets: without per-CPU symbols in between, from the relative base;
with CONFIG_KALLSYMS_ABSOLUTE_PERCPU a positive one is an absolute value and a negative one counts
from the base, less one.

Up to Linux 6.4 the order is: offsets, base, number, names, markers, token table, token index.
After: number, names, markers, token table, token index, offsets, base. Each starts 8-aligned; an
index of the names by their order (6.2, and in newer 6.1) lies somewhere in between.
"""

import struct

KERNEL_BASE = 0xffffffff80000000
MIN_SYMBOLS, MAX_SYMBOLS = 256, 1 << 22
TYPES = "aAbBcCdDgGiInNpPrRsStTuUvVwW?-"


class TableError(Exception):
    pass


def _align(value):
    return (value + 7) & ~7


def _find_tokens(data):
    """(start of the token table, end of the token index, the 256 tokens)."""
    digits = b"".join(b"%d\0" % digit for digit in range(10))
    at = data.find(digits)
    while at >= 0:
        # The tokens before "0" are as many as its code; walk back to the table's aligned start.
        start = at
        count = ord("0")
        while count > 0 and start > 0:
            start = data.rfind(b"\0", max(0, start - 64), start - 1) + 1
            count -= 1
        # What lies before the first token is padding, so that the first may begin later.
        for first in (start, _align(start), start & ~7):
            found = _check_tokens(data, first)
            if found:
                return found
        at = data.find(digits, at + 1)
    raise TableError("holds no kallsyms token table (CONFIG_KALLSYMS off, or not Linux)")


def _check_tokens(data, first):
    tokens, offsets, at = [], [], first
    for _ in range(256):
        end = data.find(b"\0", at, at + 1024)
        if end < 0:
            return None
        offsets.append(at - first)
        tokens.append(data[at:end])
        at = end + 1
    index = _align(at)
    if data[index:index + 512] != struct.pack("<256H", *(o & 0xffff for o in offsets)):
        return None
    return first, index + 512, tokens


def _name_length(data, at):
    """(bytes of the name at `at`, where they start): one byte, or two for 128 and more."""
    length = data[at]
    if length & 0x80:
        return (length & 0x7f) | data[at + 1] << 7, at + 2
    return length, at + 1


def _looks_like_names(data, start, tokens):
    """Whether the first names there are a type letter and a C identifier each."""
    names = list(_expand(data, start, 16, tokens))
    return all(len(name) > 1 and name[0] in TYPES and name[1:].isprintable() and
               " " not in name for name in names)


def _agrees_with_markers(data, start, number):
    """Whether `number` names from `start` end where markers begin that hold their offsets."""
    offsets, at = [], start
    for i in range(number):
        if i % 256 == 0:
            offsets.append(at - start)
        length, body = _name_length(data, at)
        at = body + length
    return data[_align(at):_align(at) + 4 * len(offsets)] == struct.pack(f"<{len(offsets)}I",
                                                                         *offsets)


def _find_names(data, token_table, tokens):
    """(where the number of symbols stands, that number), the names 8 bytes behind it."""
    words = memoryview(data)[:token_table & ~7].cast("Q")
    for at in range(len(words) - 2, 0, -1):
        number = words[at]
        if not MIN_SYMBOLS <= number <= MAX_SYMBOLS:
            continue
        start = at * 8 + 8
        try:
            if _looks_like_names(data, start, tokens) and \
                    _agrees_with_markers(data, start, number):
                return at * 8, number
        except IndexError:
            continue
    raise TableError("holds a kallsyms token table, but no names that agree with it")


def _expand(data, start, number, tokens):
    at = start
    for _ in range(number):
        length, body = _name_length(data, at)
        at = body + length
        yield b"".join([tokens[token] for token in data[body:at]]).decode("ascii", "replace")


def _find_offsets(data, number_at, number, index_end):
    """(offsets, relative base), before the number or behind the token index."""
    places = [((number_at - 8 - 4 * number) & ~7, number_at - 8),
              (_align(index_end), _align(_align(index_end) + 4 * number))]
    for offsets_at, base_at in places:
        if offsets_at < 0 or base_at + 8 > len(data):
            continue
        base, = struct.unpack_from("<Q", data, base_at)
        if base >= KERNEL_BASE and base & 0xfff == 0:
            return struct.unpack_from(f"<{number}i", data, offsets_at), base
    raise TableError("its kallsyms addresses were not found: an unknown layout")


def read_symbols(vmlinux):
    """[(address, type character, name)] of a kallsyms_elf.Vmlinux, in the kernel's order."""
    data = vmlinux.section_or_all(".rodata")
    token_table, index_end, tokens = _find_tokens(data)
    number_at, number = _find_names(data, token_table, tokens)
    offsets, base = _find_offsets(data, number_at, number, index_end)
    names = list(_expand(data, number_at + 8, number, tokens))
    symbols = [(address, name[0], name[1:]) for address, name in
               zip(_addresses(offsets, base), names)]
    addresses = {name: address for address, _, name in symbols}
    # The kernel's own names say whether all of this was read rightly.
    if "_text" not in addresses or "_etext" not in addresses or \
            not KERNEL_BASE <= addresses["_text"] < addresses["_etext"]:
        raise TableError("its kallsyms give no sensible _text and _etext")
    return symbols


def _addresses(offsets, base):
    if min(offsets) >= 0:
        return [base + offset for offset in offsets]
    return [offset if offset >= 0 else base - 1 - offset for offset in offsets]
