"""Messages between a process and its agent: one pickled object each, with file descriptors.

Descriptors travel beside the message (SCM_RIGHTS, unix(7)): wherever an `Fd` stands in the
object, the receiver finds an `Fd` with a descriptor of its own. Both ends are one program and
one user, joined by a socket pair that no other process can reach, which is what makes pickle
safe here.
"""

from __future__ import annotations

import array
import os
import pickle
import socket
import struct
import threading
from typing import Any, Final

_HEADER: Final = struct.Struct("!QI")
_MAX_FDS: Final = 64


class _Luggage(threading.local):
    """The descriptors of the message that this thread is packing or unpacking."""

    def __init__(self) -> None:
        self.fds: list[Fd] = []


_luggage = _Luggage()


class Fd:
    """A file descriptor on its way from one process to another.

    The sender of an argument lends it; the sender of a result gives it away.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def __reduce__(self) -> tuple[Any, tuple[int]]:
        _luggage.fds.append(self)
        return _claim, (len(_luggage.fds) - 1,)

    def detach(self) -> int:
        """Take the descriptor out; closing it is the taker's business now."""
        number, self.number = self.number, -1
        return number

    def close(self) -> None:
        """Close the descriptor, unless it was taken out."""
        if self.number >= 0:
            os.close(self.detach())


def _claim(position: int) -> Fd:
    return _luggage.fds[position]


def send(sock: socket.socket, message: Any) -> list[int]:
    """Send one object; returns the numbers of the descriptors that went with it.

    Raises:
        ValueError: too many descriptors for one message.
    """
    _luggage.fds = []
    try:
        data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        numbers = [fd.number for fd in _luggage.fds]
    finally:
        _luggage.fds = []
    if len(numbers) > _MAX_FDS:
        raise ValueError(f"{len(numbers)} descriptors in one message; {_MAX_FDS} at most")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers))] if numbers else []
    whole = _HEADER.pack(len(data), len(numbers)) + data
    sent = sock.sendmsg([whole], rights)
    if sent < len(whole):
        sock.sendall(memoryview(whole)[sent:])
    return numbers


def receive(sock: socket.socket) -> tuple[Any, list[Fd]]:
    """Receive one object and the descriptors in it; raises `EOFError` when the peer is gone."""
    header, control, _, _ = sock.recvmsg(
        _HEADER.size, socket.CMSG_SPACE(_MAX_FDS * 4), socket.MSG_CMSG_CLOEXEC
    )
    numbers = array.array("i", b"".join(data for _, _, data in control))
    fds = [Fd(number) for number in numbers]
    try:
        header += _receive_exactly(sock, _HEADER.size - len(header))
        size, _ = _HEADER.unpack(header)
        data = _receive_exactly(sock, size)
        _luggage.fds = fds
        return pickle.loads(data), fds  # noqa: S301 - see the module's first lines
    except BaseException:
        for fd in fds:
            fd.close()
        raise
    finally:
        _luggage.fds = []


def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    chunks = []
    while size:
        chunk = sock.recv(min(size, 1 << 20))
        if not chunk:
            raise EOFError("the peer is gone")
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
