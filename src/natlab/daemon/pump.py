"""One thread that watches the descriptors of all programs: their output, and their end."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import selectors
import threading
from collections.abc import Callable
from typing import Final

_CHUNK: Final = 65536
_log = logging.getLogger("natlab.daemon")


class Pump:
    """Reads what programs print as it comes, and tells when they end.

    What is to be done at an end may take its time, and takes the engine's lock: it is done in a
    second thread, in the order of the ends.
    """

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._woken, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self._closing = False
        self._ends: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=target, name=name, daemon=True)
            for target, name in ((self._watch, "natlab-pump"), (self._finish, "natlab-ends"))
        ]
        for thread in self._threads:
            thread.start()

    def read(self, fd: int, take: Callable[[bytes], None], end: Callable[[], None]) -> None:
        """Hand on what comes out of a descriptor, then close it and say so."""

        def ready() -> None:
            try:
                data = os.read(fd, _CHUNK)
            except BlockingIOError:
                return
            except OSError:  # EIO: the last one at the other end of a terminal has gone
                data = b""
            if data:
                take(data)
                return
            self._forget(fd)
            end()

        self._add(fd, ready)

    def end_of(self, pidfd: int, end: Callable[[], None]) -> None:
        """Say when a process has ended, and close its pidfd."""

        def ready() -> None:
            self._forget(pidfd)
            end()

        self._add(pidfd, ready)

    def later(self, work: Callable[[], None]) -> None:
        """Do something in the second thread, after what waits there already."""
        self._ends.put(work)

    def close(self) -> None:
        """Watch nothing any more; what waits in the second thread is still done."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        self._wake()
        self._ends.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        for key in list(self._selector.get_map().values()):
            os.close(key.fd)
        self._selector.close()
        os.close(self._waker)

    def _add(self, fd: int, ready: Callable[[], None]) -> None:
        with self._lock:
            self._selector.register(fd, selectors.EVENT_READ, ready)
        self._wake()

    def _forget(self, fd: int) -> None:
        with self._lock:
            self._selector.unregister(fd)
        os.close(fd)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.write(self._waker, b"x")

    def _watch(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select():
                if key.data is None:
                    os.read(self._woken, 4096)
                else:
                    _guarded(key.data)

    def _finish(self) -> None:
        while (work := self._ends.get()) is not None:
            _guarded(work)


def _guarded(work: Callable[[], None]) -> None:
    """One program's trouble is not the others'."""
    try:
        work()
    except Exception:  # noqa: BLE001 - logged, whatever it is
        _log.exception("natlab: internal error")
