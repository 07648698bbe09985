# SPDX-License-Identifier: MIT
"""A machine in QEMU without a launcher and, unless told otherwise, without a serial line; and what is
read from its screen: from the dots of a picture, by the letters of src/boot/font.txt, or from VGA's
memory where that has the letters' codes."""

import json
import re
import socket
import subprocess
import sys
import time

from appliance import LIMIT, ROOT, make_iso

sys.path[:0] = [str(ROOT / "ci"), str(ROOT / "src/boot")]

from font import HEIGHT, letters  # noqa: E402
from launcher.bochs import BOCHS_BIOS, BOCHS_IPS  # noqa: E402
from launcher.qemu import Qemu  # noqa: E402
from launcher.wanted import Wanted  # noqa: E402

WIDTH = 8
BRIGHT = 0x60  # of 0xff
LETTERS = {rows: letter for letter, rows in letters((ROOT / "src/boot/font.txt").read_text()).items()}
VGA_TEXT, VGA_COLUMNS, VGA_ROWS = 0xb8000, 80, 25
NO_LETTER = "\N{REPLACEMENT CHARACTER}"


def read_picture(ppm, scale=1):
    """The rows of text that a picture (PPM) shows."""
    header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", ppm)
    width, height = int(header[1]), int(header[2])
    green = ppm[header.end() + 1::3]
    dots = ["".join(".#"[dot > BRIGHT] for dot in green[y * width:(y + 1) * width:scale])
            for y in range(0, height, scale)]
    return [read_row(dots[y:y + HEIGHT]) for y in range(0, len(dots) - HEIGHT + 1, HEIGHT)]


def read_row(dots):
    if not any("#" in line for line in dots):
        return ""
    columns = range(0, len(dots[0]) - WIDTH + 1, WIDTH)
    places = [tuple(line[x:x + WIDTH] for line in dots) for x in columns]
    return "".join(LETTERS.get(place, NO_LETTER) for place in places).rstrip()


def read_vga(memory):
    """The rows of text in VGA's memory."""
    codes = memory[:2 * VGA_COLUMNS * VGA_ROWS:2].decode("latin-1")
    return [codes[at:at + VGA_COLUMNS].rstrip() for at in range(0, len(codes), VGA_COLUMNS)]


def wanted_of(run, iso, **more):
    """The launcher's word for a Run's machine."""
    return Wanted(**{"iso": iso, "cpu": run.cpu, "cpus": run.cpus, "memory": run.memory,
                     "firmware": run.firmware, "accel": run.accel, "ips": BOCHS_IPS,
                     "medium": run.medium, "board": run.board, "rtc": None, "log": False,
                     "bios": BOCHS_BIOS, "kvm": "", **more})


class Machine:
    """Boots a Run's ISO. A machine that switches itself off is kept as it is then."""

    def __init__(self, run, directory, *options):
        self.directory = directory
        self.is_text = run.firmware == "bios" and run.grub is None
        command = Qemu(wanted_of(run, make_iso(run, directory))).command(directory, [])
        self.process = subprocess.Popen(
            [*command, "-no-shutdown", "-qmp", "unix:qmp,server=on,wait=off", *options],
            cwd=directory, stdin=subprocess.DEVNULL)
        self.qmp = self._connect()
        self._receive()  # its greeting
        self.ask("qmp_capabilities")

    def _connect(self):
        until = time.monotonic() + LIMIT
        while True:
            connection = socket.socket(socket.AF_UNIX)
            try:
                connection.connect(str(self.directory / "qmp"))
                return connection.makefile("rw")
            except OSError:
                connection.close()
                assert self.process.poll() is None and time.monotonic() < until
                time.sleep(0.1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.qmp.close()

    def _receive(self):
        line = self.qmp.readline()
        assert line, "QEMU has ended"
        return json.loads(line)

    def ask(self, command, **arguments):
        self.qmp.write(json.dumps({"execute": command, "arguments": arguments}))
        self.qmp.flush()
        while True:
            answer = self._receive()
            assert "error" not in answer, answer
            if "return" in answer:
                return answer["return"]

    @property
    def is_off(self):
        """Whether it has switched itself off."""
        return self.ask("query-status")["status"] == "shutdown"

    def text(self):
        """The rows of text on its screen."""
        file = self.directory / "screen"
        if self.is_text:
            self.ask("pmemsave", val=VGA_TEXT, size=2 * VGA_COLUMNS * VGA_ROWS, filename=str(file))
            return read_vga(file.read_bytes())
        self.ask("screendump", filename=str(file))
        return read_picture(file.read_bytes())

    def until(self, wanted):
        """Waits until its screen has a row with this in it; returns all rows."""
        until = time.monotonic() + LIMIT
        while True:
            rows = self.text()
            if any(wanted in row for row in rows):
                return rows
            assert time.monotonic() < until, "\n".join(rows)
            time.sleep(0.3)

    def until_off(self):
        until = time.monotonic() + LIMIT
        while not self.is_off:
            assert time.monotonic() < until, "\n".join(self.text())
            time.sleep(0.3)
