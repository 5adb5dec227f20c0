"""The server: a unix socket, and a thread for each client."""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import threading
import time
from pathlib import Path
from typing import Final, Generic, Self, TypeVar

from natlab.api.errors import ClientLeftError
from natlab.api.gone import Watcher
from natlab.api.listener import Listener
from natlab.api.routing import Routes
from natlab.api.serving import Serving

C = TypeVar("C")

_log: Final = logging.getLogger("natlab.api")
_PATIENCE: Final = 10.0
"""Seconds that `close` waits for handlers that do not notice that their client was cut off."""
_PAUSE_MS: Final = 100
"""How long nobody is let in after the process has run out of descriptors."""


class Server(Generic[C]):
    """Answer the clients of a unix socket from a table of routes.

    It listens from construction on; use it as a context manager, or `close` it. The socket file
    has mode 0600. `context` is what each handler is given beside the request.

    Equivalent to: `dockerd -H unix://PATH`.

    Raises:
        NatlabError: another server listens there, or the file cannot be made there.
    """

    def __init__(self, path: str | Path, routes: Routes[C], context: C) -> None:
        self._listener = Listener(Path(path))
        self.path = self._listener.path
        self._watcher = Watcher()
        self._serving = Serving(routes, context, self._watcher)
        self._lock = threading.Lock()
        self._clients: dict[socket.socket, threading.Thread] = {}
        self._closing = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC)
        self._accepting = threading.Thread(
            target=self._accept_all, name="natlab-api-accept", daemon=True
        )
        self._accepting.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, cut every connection, and wait for their threads.

        Whoever waits on `Request.gone` or `Channel.gone` is woken. Closing twice does nothing.
        """
        with self._lock:
            if self._closing:
                return
            self._closing = True
        os.eventfd_write(self._wake, 1)
        self._accepting.join()
        self._listener.close()
        self._end_clients()
        self._watcher.close()
        os.close(self._wake)

    def _end_clients(self) -> None:
        with self._lock:
            for sock in self._clients:
                _cut(sock)
            threads = set(self._clients.values()) - {threading.current_thread()}
        end = time.monotonic() + _PATIENCE
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        late = sum(thread.is_alive() for thread in threads)
        if late:
            _log.warning("%d requests have not ended %d s after the server", late, _PATIENCE)

    def _accept_all(self) -> None:
        poll = select.poll()
        poll.register(self._wake, select.POLLIN)
        poll.register(self._listener.sock, select.POLLIN)
        while not any(fd == self._wake for fd, _ in poll.poll()):
            self._accept()

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.sock.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError as error:
            _log.warning("cannot take a client: %s", error)
            pause = select.poll()
            pause.register(self._wake, select.POLLIN)
            pause.poll(_PAUSE_MS)
            return
        sock.setblocking(True)
        thread = threading.Thread(
            target=self._serve, args=(sock,), name="natlab-api-client", daemon=True
        )
        with self._lock:
            self._clients[sock] = thread
        try:
            thread.start()
        except RuntimeError as error:
            _log.warning("cannot serve a client: %s", error)
            self._drop(sock)

    def _serve(self, sock: socket.socket) -> None:
        try:
            self._serving.serve(sock)
        except ClientLeftError as error:
            _log.debug("%s", error)
        except Exception:  # noqa: BLE001 - one client's trouble is not the others'
            _log.exception("a connection was cut off")
        finally:
            self._drop(sock)

    def _drop(self, sock: socket.socket) -> None:
        with self._lock:
            del self._clients[sock]
            _cut(sock)
            sock.close()


def _cut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
