# SPDX-License-Identifier: MIT
"""From `nm -n` to an assembly table of text symbols for backtraces, as boot/ksyms.c reads it.

The names stand in one string, each with a NUL behind it, in the order of their addresses. The pair
of bytes that is most frequent in it becomes one byte that no name uses, and again, until there is
no such byte left: `pairs` has two bytes for each that stands for a pair, and zeros for the others.
`deltas` has what an address is above the one before, 7 bits a byte, the lowest first.
"""

import re
import sys
from collections import Counter

MAX_DEPTH = 16  # of pairs in pairs: KSYMS_DEPTH in boot/ksyms.c
PLAIN = re.compile(rb"[\0A-Za-z0-9_.$]")


def symbols(lines):
    """Addresses and names of the text's symbols, ascending; of two names for a place, the last."""
    found = {}
    for line in lines:
        address, kind, name = line.split()
        if kind in "tT" and not name.startswith("."):
            found[int(address, 16)] = name
    return found


def compress(text):
    """The text with bytes for pairs of bytes, and what they stand for."""
    pairs = {}
    depth = Counter()
    for token in (byte for byte in range(1, 256) if not PLAIN.match(bytes([byte]))):
        counts = Counter(zip(text, text[1:]))
        pair, uses = next((item for item in counts.most_common()
                           if max(depth[byte] for byte in item[0]) < MAX_DEPTH), (None, 0))
        if uses < 3:  # nothing to gain
            break
        pairs[token] = pair
        depth[token] = 1 + max(depth[byte] for byte in pair)
        text = text.replace(bytes(pair), bytes([token]))
    return text, pairs


def variable_length(number):
    while number >= 0x80:
        yield number & 0x7f | 0x80
        number >>= 7
    yield number


def show(name, data):
    print(f".globl {name}\n{name}:")
    for at in range(0, len(data), 16):
        print(".byte", ",".join(map(str, data[at:at + 16])))


def main():
    found = symbols(sys.stdin)
    addresses = list(found)
    deltas = [b - a for a, b in zip(addresses[:1] + addresses, addresses)]
    names, pairs = compress("".join(f"{name}\0" for name in found.values()).encode())
    print('.section .ksyms, "a"')
    print(f".globl ksyms_count\n.balign 4\nksyms_count: .long {len(found)}")
    show("ksyms_pairs", [byte for token in range(256) for byte in pairs.get(token, (0, 0))])
    show("ksyms_deltas", [byte for delta in deltas for byte in variable_length(delta)])
    show("ksyms_names", names)
    print('.section .note.GNU-stack,"",@progbits')


main()
