"""One thread that waits for sockets and deadlines, under one lock."""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
import logging
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

READ: Final = selectors.EVENT_READ
WRITE: Final = selectors.EVENT_WRITE

log = logging.getLogger("natlab.daemon")


class Timer:
    """Something that is done at a moment, unless it is cancelled before."""

    def __init__(self, do: Callable[[], None]) -> None:
        self._do: Callable[[], None] | None = do

    def cancel(self) -> None:
        """Don't do it; done or cancelled already is fine."""
        self._do = None

    def fire(self) -> None:
        """Do it now, once."""
        do, self._do = self._do, None
        if do is not None:
            do()


class Loop:
    """A thread that calls what was registered, always with `lock` held.

    Whoever is not that thread takes the lock to change anything. What may wait for somebody
    else's lock (a question to the engine, a call to the agent) is done within `unlocked`, so
    that nobody who closes something has to wait for it.
    """

    def __init__(self, name: str) -> None:
        self.lock = threading.Lock()
        self._selector = selectors.DefaultSelector()
        self._woken, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._woken, READ, None)
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def watch(self, sock: socket.socket, events: int, ready: Callable[[int], None]) -> None:
        """Call `ready` with the events whenever a socket has some of these; 0: wait for none."""
        key = self._selector.get_map().get(sock)
        if key is None:
            if events:
                self._selector.register(sock, events, ready)
        elif not events:
            self._selector.unregister(sock)
        elif key.events != events:
            self._selector.modify(sock, events, ready)

    def remove(self, sock: socket.socket) -> None:
        """Wait for a socket no more, and close it; closed already is fine."""
        if sock.fileno() >= 0:
            if sock in self._selector.get_map():
                self._selector.unregister(sock)
            sock.close()

    def after(self, seconds: float, do: Callable[[], None]) -> Timer:
        """Do something later; for the loop's own thread, which then need not be woken."""
        timer = Timer(do)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._count), timer))
        return timer

    @contextlib.contextmanager
    def unlocked(self) -> Iterator[None]:
        """Let go of the lock for a block; afterwards anything may have been closed."""
        self.lock.release()
        try:
            yield
        finally:
            self.lock.acquire()

    def close(self) -> None:
        """End the thread and wait for its end; every socket should be removed before."""
        with self.lock:
            if self._closing:
                return
            self._closing = True
        os.write(self._waker, b"x")
        self._thread.join()
        self._selector.close()
        os.close(self._woken)
        os.close(self._waker)

    def _run(self) -> None:
        while not self._closing:
            ready = self._selector.select(self._until_next())
            with self.lock:
                for key, events in ready:
                    if key.data is not None and self._selector.get_map().get(key.fd) is key:
                        _guarded(functools.partial(key.data, events))
                self._fire()

    def _until_next(self) -> float | None:
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _fire(self) -> None:
        while self._timers and self._timers[0][0] <= time.monotonic():
            _guarded(heapq.heappop(self._timers)[2].fire)


def _guarded(work: Callable[[], None]) -> None:
    """One container's trouble is not the others'."""
    try:
        work()
    except Exception:
        log.exception("natlab: internal error in the name server")
