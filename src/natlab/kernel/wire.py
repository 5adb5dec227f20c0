"""Messages between a process and its agent: one pickled object each, with file descriptors.

Descriptors travel beside the message (SCM_RIGHTS, unix(7)): wherever an `Fd` stands in the
object, the receiver finds an `Fd` with a descriptor of its own. Both ends are one program and
one user, joined by a socket pair that no other process can reach, which is what makes pickle
safe here.
"""

from __future__ import annotations

import array
import io
import os
import pickle
import socket
import struct
from typing import Any, Final

_HEADER: Final = struct.Struct("!QI")
_MAX_FDS: Final = 64


class Fd:
    """A file descriptor on its way from one process to another.

    The sender of an argument lends it; the sender of a result gives it away.
    """

    def __init__(self, number: int) -> None:
        self.number = number

    def detach(self) -> int:
        """Take the descriptor out; closing it is the taker's business now."""
        number, self.number = self.number, -1
        return number

    def close(self) -> None:
        """Close the descriptor, unless it was taken out."""
        if self.number >= 0:
            os.close(self.detach())


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO, fds: list[int]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._fds = fds

    def persistent_id(self, obj: Any) -> int | None:
        if type(obj) is not Fd:
            return None
        self._fds.append(obj.number)
        return len(self._fds) - 1


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, fds: list[Fd]) -> None:
        super().__init__(file)
        self._fds = fds

    def persistent_load(self, pid: int) -> Fd:
        return self._fds[pid]


def send(sock: socket.socket, message: Any) -> list[int]:
    """Send one object; returns the numbers of the descriptors that went with it."""
    body, fds = io.BytesIO(), list[int]()
    _Pickler(body, fds).dump(message)
    data = body.getvalue()
    if len(fds) > _MAX_FDS:
        raise ValueError(f"{len(fds)} descriptors in one message; {_MAX_FDS} at most")
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([_HEADER.pack(len(data), len(fds))], rights)
    sock.sendall(data)
    return fds


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
        return _Unpickler(io.BytesIO(_receive_exactly(sock, size)), fds).load(), fds
    except BaseException:
        for fd in fds:
            fd.close()
        raise


def _receive_exactly(sock: socket.socket, size: int) -> bytes:
    chunks = []
    while size:
        chunk = sock.recv(min(size, 1 << 20))
        if not chunk:
            raise EOFError("the peer is gone")
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
