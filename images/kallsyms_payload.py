# SPDX-License-Identifier: MIT
"""The kernel proper inside a bzImage (Linux boot protocol, Documentation/arch/x86/boot.rst)."""

import bz2
import lzma
import shutil
import struct
import subprocess
import zlib


class PayloadError(Exception):
    pass


def _with_tool(command, packed):
    if shutil.which(command[0]) is None:
        raise PayloadError(f"is packed with {command[0]}, which is not installed")
    run = subprocess.run(command, input=packed, capture_output=True, check=False)
    # The payload is followed by its unpacked size, of which some tools complain after the end.
    if not run.stdout.startswith(b"\x7fELF"):
        raise PayloadError(f"{' '.join(command)}: {run.stderr.decode(errors='replace').strip()}")
    return run.stdout


def _with_zlib(packed):
    return zlib.decompressobj(wbits=31).decompress(packed)


def _with_lzma(packed):
    return lzma.LZMADecompressor().decompress(packed)


def _with_bz2(packed):
    return bz2.BZ2Decompressor().decompress(packed)


def _with_zstd(packed):
    return _with_tool(["zstd", "-dcq"], packed[:-4])


def _with_lz4(packed):
    return _with_tool(["lz4", "-dcq"], packed[:-4])


FORMATS = [
    (b"\x1f\x8b", _with_zlib),
    (b"\xfd7zXZ\0", _with_lzma),
    (b"\x5d\0\0", _with_lzma),
    (b"BZh", _with_bz2),
    (b"\x28\xb5\x2f\xfd", _with_zstd),
    (b"\x02\x21\x4c\x18", _with_lz4),
]


def unpack(image):
    """The vmlinux inside `image`; an ELF file is returned as it is."""
    if image.startswith(b"\x7fELF"):
        return image
    if len(image) < 0x260 or image[0x202:0x206] != b"HdrS":
        raise PayloadError("is neither a bzImage nor an ELF file")
    setup_sectors = image[0x1f1] or 4
    version, = struct.unpack_from("<H", image, 0x206)
    if version < 0x208:
        raise PayloadError(f"boot protocol {version >> 8}.{version & 255:02} is too old (2.08)")
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    packed = image[start:start + length]
    if length < 16 or len(packed) != length:
        raise PayloadError("is cut short: its payload ends beyond the file")
    for magic, unpacker in FORMATS:
        if packed.startswith(magic):
            try:
                vmlinux = unpacker(packed)
            except (zlib.error, lzma.LZMAError, OSError, EOFError) as error:
                raise PayloadError(f"its payload does not unpack: {error}") from error
            if not vmlinux.startswith(b"\x7fELF"):
                raise PayloadError("its payload is not an ELF file")
            return vmlinux
    raise PayloadError(f"its payload is packed in an unknown way ({packed[:6].hex()})")
