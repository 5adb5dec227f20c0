"""A connection that has left HTTP: raw bytes both ways."""

from __future__ import annotations

import contextlib
import socket
import threading

from natlab.api.gone import Gone


class Channel:
    """The two ways of a hijacked connection; each ends by itself.

    It ends when the function it was given to returns. Sending is safe from several threads: what
    one call sends stays together.
    """

    def __init__(self, sock: socket.socket, early: bytes, gone: Gone) -> None:
        self._sock = sock
        self._early = early
        self._sending = threading.Lock()
        self.gone = gone
        """Tells when both ways are closed, or the channel has ended; a half-closed one lives."""

    def send(self, data: bytes) -> None:
        """Send all of it; waits while the client does not read.

        Raises:
            OSError: the client has left, or this way was closed.
        """
        with self._sending:
            self._sock.sendall(data, socket.MSG_NOSIGNAL)

    def receive(self, size: int = 65536) -> bytes:
        """Wait for what the client sends, at most `size` bytes; b"" when it sends no more.

        Only one thread may receive.
        """
        if self._early:
            data, self._early = self._early[:size], self._early[size:]
            return data
        try:
            return self._sock.recv(size)
        except OSError:
            return b""

    @property
    def early(self) -> bool:
        """Whether `receive` has bytes that came with the request, unknown to `fileno`."""
        return bool(self._early)

    def half_close(self) -> None:
        """Tell the client that nothing more comes; it can still send."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """End both ways, and wake whoever sends or receives."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def fileno(self) -> int:
        """The socket's descriptor, to poll; -1 when the connection has ended."""
        return self._sock.fileno()
