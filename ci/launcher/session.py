# SPDX-License-Identifier: MIT
"""One run of the appliance: the emulator, its two serial lines, and how it ends."""

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass

from .ports import Port, TerminalPort
from .process import Emulator, interrupted_make
from .ticks import LOOK, Patience, Ticks
from .verdict import Verdict

STATUS_OK = 0
STATUS_FAILED = 1
STATUS_TIMED_OUT = 124
STATUS_SIGNAL = 128  # and the signal's number

# The emulator is given this long to end after the appliance's last line: thousand millions of
# ticks, seconds at the least, and seconds where it does not count.
GRACE, GRACE_LEAST, GRACE_UNCOUNTED = 4, 10, 60
# Seconds that a reader is given to take the last lines: one that has a pty open and reads no more,
# as a script may when it has seen what it wanted, must not keep the machine for long.
DRAIN = 10
# How often to look whether a program has come to a line that nobody had open.
LOOK_AROUND = 0.05

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


class Signals:
    """Signals turned into something that poll() sees, while in use as a context."""

    def __init__(self) -> None:
        self.received: int | None = None

    def __enter__(self) -> "Signals":
        self.read_fd, self._write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._old_wakeup = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        self._old_handlers = {
            number: signal.signal(number, self._receive)
            for number in (*ENDING_SIGNALS, signal.SIGCHLD)
            # Somebody who ignores a signal for us, as nohup does, means it.
            if number == signal.SIGCHLD or signal.getsignal(number) != signal.SIG_IGN
        }
        return self

    def _receive(self, number: int, _frame: object) -> None:
        if number in ENDING_SIGNALS and self.received is None:
            self.received = number

    def clear(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self.read_fd, 4096)

    def __exit__(self, *_: object) -> None:
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self.read_fd)
        os.close(self._write_fd)


class Carrier:
    """Carries the lines' bytes between the machine's end of each and the user's."""

    def __init__(self, lines: list[tuple[Port, Port]], signals: Signals) -> None:
        self.lines = lines
        self.signals = signals

    def _ways(self) -> list[tuple[Port, Port]]:
        """Each port that is read, and where that goes."""
        ways = []
        for machine, client in self.lines:
            ways += [(machine, client), (client, machine)]
            ways += [(member, machine) for member in client.members]
        return ways

    def wants_end(self) -> bool:
        return any(isinstance(port, TerminalPort) and port.wants_end for _, port in self.lines)

    def has_to_look(self) -> bool:
        # Each port is asked, since asking is what makes it look.
        clients = [client for _, client in self.lines]
        return any([port.check() for client in clients for port in (client, *client.members)])

    def carry(self, seconds: float | None, watched: int | None = None) -> bool:
        """Wait until something can be read or written, and do that. True: the watched file can be
        read."""
        for machine, client in self.lines:
            machine.send(client.last_words())
        poller = select.poll()
        events: dict[int, int] = {self.signals.read_fd: select.POLLIN}
        if watched is not None:
            events[watched] = select.POLLIN
        ways = self._ways()
        for port, other in ways:
            if port.read_fd is not None and other.has_room():
                events[port.read_fd] = events.get(port.read_fd, 0) | select.POLLIN
            if port.outgoing and port.write_fd is not None:
                events[port.write_fd] = events.get(port.write_fd, 0) | select.POLLOUT
        for fd, mask in events.items():
            poller.register(fd, mask)
        ready = dict(poller.poll(None if seconds is None else seconds * 1000 + 1))

        if self.signals.read_fd in ready:
            self.signals.clear()
        for port, other in ways:
            if port.read_fd in ready and other.has_room():
                self.pass_on(port, other)
        for port, _ in ways:
            if ready.get(port.write_fd, 0) & (select.POLLOUT | select.POLLERR):
                port.flush()
        return watched in ready

    def pass_on(self, port: Port, other: Port) -> bool:
        """Pass on what the port has; False if it has nothing."""
        data = port.read()
        other.send(data)
        return bool(data)


@dataclass(frozen=True)
class Bounds:
    """What a session has; None: no bound."""

    ticks: Ticks | None = None  # the machine's count
    patience: Patience | None = None
    seconds: float | None = None  # of real time


class Session(Carrier):
    """Carries the lines' bytes until the appliance, the user or a bound ends it."""

    def __init__(
        self,
        emulator: Emulator,
        lines: list[tuple[Port, Port]],
        signals: Signals,
        bounds: Bounds = Bounds(),
    ) -> None:
        super().__init__(lines, signals)  # the first is the console
        self.emulator = emulator
        self.bounds = bounds
        self.verdict = Verdict()
        self.message: str | None = None  # why the status is not 0
        self.switched_off = False  # by the user

    def run(self) -> int:
        """Run until the end and return the exit status. The emulator has ended then."""
        bounds = self.bounds
        self._heeds_make = interrupted_make() is not None
        deadline = None if bounds.seconds is None else time.monotonic() + bounds.seconds
        grace = None  # after the appliance's last line
        while not self.emulator.has_ended():
            if self.verdict.is_known and grace is None:
                grace = Patience(bounds.ticks, GRACE, GRACE_LEAST, GRACE_UNCOUNTED)
            if self.signals.received is not None:
                return self._stopped_by_user(self.signals.received)
            if self._heeds_make and interrupted_make():
                return self._stopped_by_user(signal.SIGINT)
            if self.wants_end():
                self.switched_off = True
                return self._stopped_by_user(signal.SIGINT)
            if grace:
                if grace.over():
                    break
            elif over := self._over(deadline):
                self.emulator.kill()
                self._carry_the_rest()
                if self.verdict.is_known:
                    break
                self.message = f"not done {over}"
                return STATUS_TIMED_OUT
            try:
                seconds = self._time_to_wait(None if grace else deadline, grace or bounds.patience)
                if self.carry(seconds, self.emulator.output_fd):
                    self.emulator.read_output()
            except BrokenPipeError:
                self.emulator.kill()
                self.message = "nobody reads the console any more"
                return STATUS_FAILED
        return self._judge()

    def _over(self, deadline: float | None) -> str | None:
        if deadline is not None and time.monotonic() >= deadline:
            return f"after {self.bounds.seconds:g} seconds"
        return self.bounds.patience.over() if self.bounds.patience else None

    def _stopped_by_user(self, number: int) -> int:
        self.emulator.kill()
        self.message = ("switched off" if self.switched_off
                        else f"ended by {signal.Signals(number).name}")
        return STATUS_SIGNAL + number

    def _judge(self) -> int:
        ended_by_itself = self.emulator.has_ended()
        self.emulator.kill()
        self._carry_the_rest()
        if self.verdict.is_ok:
            return STATUS_OK
        if self.verdict.is_known:
            self.message = self.verdict.text
        elif ended_by_itself:
            self.message = "\n".join([
                f"the emulator ended ({self.emulator.how_it_ended()}) before the appliance "
                "said that it was done. The emulator's last lines:",
                *(f"| {line}" for line in self.emulator.last_lines),
            ])
        return STATUS_FAILED

    def _time_to_wait(self, deadline: float | None, patience: Patience | None) -> float | None:
        ends = []
        if deadline is not None:
            ends.append(max(0.0, deadline - time.monotonic()))
        if patience or self._heeds_make:
            ends.append(LOOK / 2)
        if self.has_to_look():
            ends.append(LOOK_AROUND)
        return min(ends, default=None)

    def pass_on(self, port: Port, other: Port) -> bool:
        data = port.read()
        if port is self.lines[0][0]:
            self.verdict.feed(data)
        other.send(data)
        return bool(data)

    def _carry_the_rest(self) -> None:
        """What the emulator wrote before it ended is still in the lines: let it out."""
        while self.emulator.read_output():
            pass
        for emulator_port, client in self.lines:
            while self.pass_on(emulator_port, client):
                self._drain(client)
            self._drain(client)

    def _drain(self, client: Port) -> None:
        patience = Patience(None, 0, uncounted=DRAIN)
        with contextlib.suppress(BrokenPipeError):
            client.drain(lambda: self.signals.received or patience.over())
