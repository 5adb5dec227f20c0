"""Noticing that a client has left while its answer is still being made.

A thread that waits for a container's next line cannot also read the socket. One watcher thread
a server polls the sockets of all clients that are waited for, and wakes who asked.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Final

_log: Final = logging.getLogger("natlab.api")

LEFT: Final = select.EPOLLRDHUP
"""The client sends nothing more: for HTTP it has left, as Go's server sees it too."""
ENDED: Final = 0
"""Both ways are closed (the kernel always reports that): a half-closed channel lives on."""


class Gone:
    """Whether one client has left, and a way to be woken then.

    It is watched from the first question on. It holds until the response is over, or until the
    connection is hijacked (then `Channel.gone` takes over).
    """

    def __init__(self, watcher: Watcher, sock: socket.socket, events: int = LEFT) -> None:
        self._watcher = watcher
        self._sock = sock
        self._events = events
        self._lock = threading.Lock()
        self._event = threading.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._descriptor = -1
        self._watched = self._over = False

    def is_set(self) -> bool:
        """Whether it has left."""
        self.watch()
        return self._event.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it leaves, at most `timeout` seconds; returns whether it has."""
        self.watch()
        return self._event.wait(timeout)

    def call(self, callback: Callable[[], None]) -> None:
        """Call this once when it leaves, in the watcher's thread; at once if it has left.

        It has to be short (set an event, notify a condition) and may still be running when the
        response is over.
        """
        with self._lock:
            if not self._event.is_set():
                self._callbacks.append(callback)
                callback = _nothing
        callback()
        self.watch()

    def fileno(self) -> int:
        """A descriptor that becomes readable when it leaves, to poll; do not read from it."""
        self.watch()
        with self._lock:
            if self._descriptor < 0 and not self._over:
                self._descriptor = os.eventfd(int(self._event.is_set()), os.EFD_CLOEXEC)
            return self._descriptor

    def watch(self) -> None:
        """Begin to watch; the questions do it themselves."""
        with self._lock:
            if self._watched or self._over:
                return
            self._watched = True
            self._watcher.add(self._sock.fileno(), self._events, self.set)

    def end(self) -> None:
        """The response is over: nobody is woken from here on."""
        with self._lock:
            self._over = True
            if self._watched:
                self._watcher.remove(self._sock.fileno())
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            self._callbacks.clear()

    def hand_over(self) -> Gone:
        """End, and return one that is set only when both ways of the connection are closed."""
        self.end()
        return Gone(self._watcher, self._sock, ENDED)

    def set(self) -> None:
        """It has left: wake everybody who asked. The watcher calls it."""
        with self._lock:
            if self._over or self._event.is_set():
                return
            self._event.set()
            callbacks, self._callbacks = self._callbacks, []
            if self._descriptor >= 0:
                os.eventfd_write(self._descriptor, 1)
        for callback in callbacks:
            try:
                callback()
            except Exception:  # noqa: BLE001 - one bad callback must not end the watcher
                _log.exception("a callback for a client that left failed")


def _nothing() -> None:
    """Stand for a callback that is called later."""


class Watcher:
    """One thread that polls for clients which leave."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watched: dict[int, tuple[int, Callable[[], None]]] = {}
        self._epoll = select.epoll()
        self._stop = os.eventfd(0, os.EFD_CLOEXEC)
        self._closed = False
        self._epoll.register(self._stop, select.EPOLLIN)
        self._thread = threading.Thread(target=self._run, name="natlab-api-watcher", daemon=True)
        self._thread.start()

    def add(self, fd: int, events: int, leave: Callable[[], None]) -> None:
        """Call `leave` once, in this thread, when these events (or the end) come."""
        with self._lock:
            if self._closed:
                return
            self._watched[fd] = (events, leave)
            self._epoll.register(fd, events | select.EPOLLONESHOT)

    def remove(self, fd: int) -> None:
        """Watch it no longer; do it before the descriptor is closed."""
        with self._lock:
            if self._watched.pop(fd, None) is not None and not self._closed:
                self._epoll.unregister(fd)

    def close(self) -> None:
        """End the thread; from here on nobody is watched."""
        os.eventfd_write(self._stop, 1)
        self._thread.join()
        with self._lock:
            self._closed = True
            self._epoll.close()
            os.close(self._stop)

    def _run(self) -> None:
        while True:
            for fd, _ in self._epoll.poll():
                if fd == self._stop:
                    return
                self._report(fd)

    def _report(self, fd: int) -> None:
        with self._lock:
            if fd not in self._watched:
                return
            events, leave = self._watched[fd]
            if not _has(fd, events):  # another client's: the number was closed and used again
                with contextlib.suppress(OSError):
                    self._epoll.modify(fd, events | select.EPOLLONESHOT)
                return
        leave()


def _has(fd: int, events: int) -> bool:
    poll = select.poll()
    poll.register(fd, events)
    return bool(poll.poll(0))
