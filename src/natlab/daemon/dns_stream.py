"""DNS over TCP: messages with their length in front, on a socket that never blocks."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Final

from natlab.daemon.dns_loop import READ, WRITE, Loop

_CHUNK: Final = 65536
_ENOUGH: Final = 1 << 18
"""Bytes that wait to be sent from which on nothing more is read."""


class Stream:
    """A connection on which messages come and go.

    Args:
        sock: Connected, or on its way to be; the stream closes it.
        heard: Called with each message that has come.
        ended: Called once, when the stream was closed by itself: the peer has gone, or nothing
            has come or gone for `idle` seconds.
    """

    def __init__(
        self,
        loop: Loop,
        sock: socket.socket,
        heard: Callable[[bytes], None],
        ended: Callable[[], None],
        *,
        idle: float,
    ) -> None:
        self._loop, self._sock, self._idle = loop, sock, idle
        self._heard, self._ended = heard, ended
        self._come, self._going = bytearray(), bytearray()
        self._last = time.monotonic()
        self._at_end = False
        self.owed = 0
        """Answers that the owner is still going to send; a peer who has said all may wait."""
        loop.watch(sock, READ, self._ready)
        self._timer = loop.after(idle, self._check_idle)

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""
        return self._sock.fileno() < 0

    def send(self, message: bytes) -> None:
        """Send a message when the peer takes it; to a closed stream, do nothing."""
        if not self.closed:
            self._going += len(message).to_bytes(2, "big") + message
            self._last = time.monotonic()
            self._wait()

    def close(self) -> None:
        """Close it; closing twice does nothing."""
        self._timer.cancel()
        self._loop.remove(self._sock)

    def _end(self) -> None:
        self.close()
        self._ended()

    def _ready(self, events: int) -> None:
        try:
            if events & WRITE and self._going:
                del self._going[: self._sock.send(self._going)]
                self._last = time.monotonic()
            if events & READ and self._reading:
                data = self._sock.recv(_CHUNK)
                self._come += data
                self._at_end = not data
                self._last = time.monotonic()
        except BlockingIOError:
            pass
        except OSError:
            self._end()
        self._deliver()
        if self.closed:
            return
        if self._at_end and not self.owed and not self._going:
            self._end()
        else:
            self._wait()

    def _deliver(self) -> None:
        """Hand on what has come whole, as long as the peer takes its answers."""
        while not self.closed and len(self._going) < _ENOUGH:
            size = int.from_bytes(self._come[:2], "big")
            if len(self._come) < 2 + size:
                return
            message = bytes(self._come[2 : 2 + size])
            del self._come[: 2 + size]
            self._heard(message)

    @property
    def _reading(self) -> bool:
        return not self._at_end and len(self._going) < _ENOUGH

    def _wait(self) -> None:
        events = (READ if self._reading else 0) | (WRITE if self._going else 0)
        self._loop.watch(self._sock, events, self._ready)

    def _check_idle(self) -> None:
        left = self._last + self._idle - time.monotonic()
        if left > 0:
            self._timer = self._loop.after(left, self._check_idle)
        else:
            self._end()
