"""A block of code whose new sockets live in a node: `with node.inside(): …`.

A process cannot simply enter a lab: an ordinary user's may not once it has threads, and a
namespace entered by one thread would be left in by whatever that thread does next. What can be
had is what most code means by it: every internet socket that is made in the block is made in the
node instead. Which node, is kept in a context variable, so other threads and other asyncio tasks
notice nothing; a task that is started inside the block is inside.

Not routed: names (`getaddrinfo` asks the machine's own resolver), subprocesses (use `Node.run`),
threads started in the block (enter it there again), sockets that C code makes by itself, unix
sockets, and for an ordinary user `bind` below port 1024 on a host (use `Node.listen`).
"""

from __future__ import annotations

import contextlib
import functools
import socket
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, Final

from natlab.kernel import sockets
from natlab.kernel.agent import Namespace

_ROUTED: Final = (socket.AF_INET, socket.AF_INET6)

_standing: ContextVar[Namespace | None] = ContextVar("natlab_inside", default=None)


class _Detour:
    """The change to `socket.socket`: there while at least one block is open, and only then."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open = 0
        self._plain: Callable[..., None] = socket.socket.__init__

    def enter(self) -> None:
        with self._lock:
            if self._open == 0:
                self._plain = socket.socket.__init__
                socket.socket.__init__ = _detoured(self._plain)  # type: ignore[method-assign]
            self._open += 1

    def leave(self) -> None:
        with self._lock:
            self._open -= 1
            if self._open == 0:
                socket.socket.__init__ = self._plain  # type: ignore[method-assign]


_detour = _Detour()


def _detoured(plain: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(plain)
    def made(
        self: socket.socket,
        family: int = -1,
        type: int = -1,  # noqa: A002 - as it is called there
        proto: int = -1,
        fileno: int | None = None,
    ) -> None:
        place = _standing.get()
        family_or_default = socket.AF_INET if family == -1 else family
        if place is None or fileno is not None or family_or_default not in _ROUTED:
            plain(self, family, type, proto, fileno)
            return
        kind = socket.SOCK_STREAM if type == -1 else type
        fd = place.call(sockets.open_socket, int(family_or_default), int(kind), max(proto, 0))
        plain(self, fileno=fd.detach())

    return made


@contextlib.contextmanager
def inside(place: Namespace) -> Iterator[None]:
    """Make the internet sockets of a block in a place; see the module's first lines."""
    _detour.enter()
    token: Any = _standing.set(place)
    try:
        yield
    finally:
        _standing.reset(token)
        _detour.leave()
