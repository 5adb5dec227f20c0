"""Captures: the frames that really crossed an interface, as packets."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from natlab.kernel import sockets
from natlab.kernel.agent import Namespace
from natlab.kernel.waiting import readable
from natlab.model import dissect
from natlab.model.packet import Packet

_SO_TIMESTAMPNS: Final = 35
_OUTGOING: Final = 4


@dataclass(frozen=True)
class Captured:
    """One frame: where it was seen, which way it went, when (ns of the kernel's clock)."""

    interface: str
    packet_type: int
    """As packet(7) has it: 0 to this node, 3 to somebody else's MAC address, 4 outgoing."""
    at_ns: int
    packet: Packet
    frame: bytes

    @property
    def outgoing(self) -> bool:
        """Whether it was on its way out."""
        return self.packet_type == _OUTGOING


class Capture:
    """Sees every frame of an interface (or of all of a node's) from the moment it is made.

    Equivalent to: `tcpdump -ni INTERFACE`. Use as a context manager.
    """

    def __init__(self, place: Namespace, interface: str | None = None) -> None:
        fd = place.call(sockets.open_capture, interface)
        self._sock = socket.socket(fileno=fd.detach())
        self._sock.setblocking(False)
        self.seen: list[Captured] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop looking."""
        self._sock.close()

    def fileno(self) -> int:
        """The socket's descriptor, for select(2)."""
        return self._sock.fileno()

    def packets(self) -> list[Packet]:
        """What was seen so far."""
        self.collect()
        return [captured.packet for captured in self.seen]

    def collect(self) -> list[Captured]:
        """Read what has arrived, without waiting; returns everything seen so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                frame, control, _, source = self._sock.recvmsg(65536, 128)
                self.seen.append(self._captured(frame, control, source))
        return self.seen

    def _captured(
        self,
        frame: bytes,
        control: list[tuple[int, int, bytes]],
        source: tuple[str, int, int, int, bytes],
    ) -> Captured:
        interface, _, kind, _, _ = source
        stamp = next((data for _, what, data in control if what == _SO_TIMESTAMPNS), None)
        seconds, nanos = struct.unpack("@ll", stamp[:16]) if stamp else (0, 0)
        return Captured(
            interface=interface,
            packet_type=kind,
            at_ns=seconds * 1_000_000_000 + nanos,
            packet=dissect.ethernet(frame),
            frame=frame,
        )

    def wait_for(self, wanted: Callable[[Packet], bool], timeout: float = 2.0) -> Packet | None:
        """Wait for a packet; None if there was none within `timeout` seconds."""
        for captured in self._stream(timeout):
            if wanted(captured.packet):
                return captured.packet
        return None

    def _stream(self, timeout: float) -> Iterator[Captured]:
        deadline = time.monotonic() + timeout
        given = 0
        while True:
            self.collect()
            yield from self.seen[given:]
            given = len(self.seen)
            left = deadline - time.monotonic()
            if left <= 0 or not readable([self.fileno()], left):
                return
