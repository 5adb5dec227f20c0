"""Containers end with their agent, whatever they have become meanwhile.

The kernel ends a child with its parent on request (`PR_SET_PDEATHSIG`), but forgets the request
when the child takes another user's identity, as the entry points of many images do (`gosu`,
`su-exec`). An agent that is process 1 of its sandbox needs nothing more. One that only joined a
sandbox has a guard: a child that knows its containers by pidfd, and kills them when the agent's
end of a socket closes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from typing import Final, NoReturn

from natlab.kernel.place import standing
from natlab.kernel.waiting import readable

_FIRST: Final = 1
_STDIO: Final = 3

_guard: socket.socket | None = None


def watch(pidfd: int) -> None:
    """Have a process killed when this one ends; needless, and not done, in process 1."""
    global _guard  # noqa: PLW0603 - one process, one guard
    if os.getpid() == _FIRST:
        return
    if _guard is None:
        _guard = _start()
    try:
        socket.send_fds(_guard, [b"+"], [pidfd])
    except BrokenPipeError:  # somebody killed it
        _guard.close()
        _guard = _start()
        socket.send_fds(_guard, [b"+"], [pidfd])


def _start() -> socket.socket:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        _be(theirs.detach())
    theirs.close()
    return ours


def _be(sock: int) -> NoReturn:
    """Be the guard: in the sandbox itself, so that no host stays because of it."""
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        standing.move(standing.home)
        os.dup2(sock, _STDIO)
        os.closerange(_STDIO + 1, os.sysconf("SC_OPEN_MAX"))
        _serve(socket.socket(fileno=_STDIO))
    finally:
        os._exit(0)


def _serve(sock: socket.socket) -> None:
    watched: set[int] = set()
    while True:
        ready = readable([sock.fileno(), *watched])
        for pidfd in ready & watched:
            os.close(pidfd)
        watched -= ready
        if sock.fileno() in ready:
            data, fds, _, _ = socket.recv_fds(sock, 1, 1)
            if not data:
                break
            watched.update(fds)
    for pidfd in watched:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
