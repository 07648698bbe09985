# SPDX-License-Identifier: MIT
"""An ELF64 kernel read, and written again with a symbol table."""

import bisect
import struct

SECTION = struct.Struct("<IIQQQQIIQQ")
HEADER_SIZE, SEGMENT_SIZE, SYMBOL_SIZE = 64, 56, 24
PT_LOAD = 1
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_NOBITS = 1, 2, 3, 8
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR = 1, 2, 4
SHN_ABS = 0xfff1
STT_NOTYPE, STT_OBJECT, STT_FUNC = 0, 1, 2
STB_LOCAL, STB_GLOBAL, STB_WEAK = 0, 1, 2
LAST_SIZE = 16  # bytes given to the last symbol of a section


class ElfError(Exception):
    pass


class Section:
    def __init__(self, name, kind, flags, address, body):
        self.name, self.kind, self.flags, self.address = name, kind, flags, address
        self.body = body
        self.size = len(body)
        self.link = self.info = self.entry_size = 0
        self.align = 16


class Vmlinux:
    def __init__(self, data):
        self.data = data
        if len(data) < HEADER_SIZE or data[:6] != b"\x7fELF\x02\x01":
            raise ElfError("is not a 64-bit little-endian ELF file")
        self.entry, self.phoff, self.shoff = struct.unpack_from("<QQQ", data, 24)
        self.phnum, = struct.unpack_from("<H", data, 56)
        self.shnum, self.shstrndx = struct.unpack_from("<HH", data, 60)
        try:
            self.sections = self._sections() or self._from_segments()
        except (struct.error, IndexError) as error:
            raise ElfError("is cut short: its headers point beyond the file") from error
        if not any(section.flags & SHF_EXECINSTR for section in self.sections):
            raise ElfError("holds no code")

    def _sections(self):
        if self.shnum == 0:
            return []
        raw = [SECTION.unpack_from(self.data, self.shoff + i * SECTION.size)
               for i in range(self.shnum)]
        names = self.data[raw[self.shstrndx][4]:][:raw[self.shstrndx][5]]
        sections = []
        for name, kind, flags, address, offset, size, *_ in raw:
            if not flags & SHF_ALLOC:
                continue
            end = names.index(b"\0", name)
            body = b"" if kind == SHT_NOBITS else self.data[offset:offset + size]
            section = Section(names[name:end].decode(), kind, flags, address, body)
            section.size = size
            sections.append(section)
        return sections

    def _from_segments(self):
        """Without section headers, one section per segment."""
        sections = []
        for i in range(self.phnum):
            kind, flags, offset, address, _, size = struct.unpack_from(
                "<IIQQQQ", self.data, self.phoff + i * SEGMENT_SIZE)
            if kind == PT_LOAD:
                body = self.data[offset:offset + size]
                bits = SHF_ALLOC | (SHF_EXECINSTR if flags & 1 else 0) | (SHF_WRITE if flags & 2
                                                                        else 0)
                sections.append(Section(f".segment{i}", SHT_PROGBITS, bits, address, body))
        return sections

    def section_or_all(self, name):
        for section in self.sections:
            if section.name == name:
                return section.body
        return self.data

    def _holding(self):
        """(addresses, indexes in the file written) of the sections, by address."""
        order = sorted((section.address, i + 1) for i, section in enumerate(self.sections)
                       if section.size > 0)
        return [address for address, _ in order], [index for _, index in order]

    def _symbol_tables(self, symbols):
        starts, indexes = self._holding()
        following = sorted({address for address, _, _ in symbols})
        local, others = [], []
        strings = bytearray(b"\0")
        for address, kind, name in symbols:
            at = bisect.bisect_right(starts, address) - 1
            index, size = SHN_ABS, 0
            if at >= 0:
                section = self.sections[indexes[at] - 1]
                end = section.address + section.size
                if address <= end:
                    index = indexes[at]
                    after = bisect.bisect_right(following, address)
                    until = following[after] if after < len(following) else address + LAST_SIZE
                    size = max(0, min(until, end) - address)
            if kind in "tTwW":
                kind_bits = STT_FUNC
            elif kind in "dDbBrRvV":
                kind_bits = STT_OBJECT
            else:
                kind_bits = STT_NOTYPE
            bind = STB_WEAK if kind in "wWvV" else STB_GLOBAL if kind.isupper() else STB_LOCAL
            symbol = struct.pack("<IBBHQQ", len(strings), bind << 4 | kind_bits, 0, index, address,
                                 size)
            (local if bind == STB_LOCAL else others).append(symbol)
            strings += name.encode() + b"\0"
        symtab = Section(".symtab", SHT_SYMTAB, 0, 0,
                         bytes(SYMBOL_SIZE) + b"".join(local) + b"".join(others))
        symtab.entry_size, symtab.info = SYMBOL_SIZE, len(local) + 1
        return symtab, Section(".strtab", SHT_STRTAB, 0, 0, bytes(strings))

    def with_symbols(self, symbols):
        """The bytes of an ELF file: this kernel's sections, and these symbols."""
        symtab, strtab = self._symbol_tables(symbols)
        names = Section(".shstrtab", SHT_STRTAB, 0, 0, b"")
        sections = [*self.sections, symtab, strtab, names]
        symtab.link = len(sections) - 1
        strings, name_at = bytearray(b"\0"), []
        for section in sections:
            name_at.append(len(strings))
            strings += section.name.encode() + b"\0"
        names.body, names.size = bytes(strings), len(strings)

        out = bytearray(HEADER_SIZE)
        headers = [bytes(SECTION.size)]
        for section, name in zip(sections, name_at):
            out += b"\0" * (-len(out) % section.align)
            headers.append(SECTION.pack(name, section.kind, section.flags, section.address,
                                        len(out), section.size, section.link, section.info,
                                        section.align, section.entry_size))
            out += section.body
        out += b"\0" * (-len(out) % 16)
        out[:HEADER_SIZE] = struct.pack("<16sHHIQQQIHHHHHH", self.data[:16], 2, 62, 1, self.entry,
                                        0, len(out), 0, HEADER_SIZE, SEGMENT_SIZE, 0, SECTION.size,
                                        len(headers), len(headers) - 1)
        return bytes(out + b"".join(headers))
