"""A connection that has left HTTP: raw bytes both ways."""

from __future__ import annotations

import contextlib
import os
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

    def send_alone(self, data: bytes) -> None:
        """Send something that the client receives by itself, whatever is sent after it.

        docker-py reads an answer's head through a buffer, and what follows past it: what came
        with the head would be lost. A descriptor goes along, since the kernel never gives more
        in one piece than up to the end of a message that has one; who does not ask for it does
        not get it (unix(7), unix_stream_read_generic in the kernel).

        Raises:
            OSError: as with `send`.
        """
        nothing = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        try:
            with self._sending:
                sent = socket.send_fds(self._sock, [data], [nothing], socket.MSG_NOSIGNAL)
                self._sock.sendall(data[sent:], socket.MSG_NOSIGNAL)
        finally:
            os.close(nothing)

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
