"""One exchange with an engine whose connection is needed itself: streams, and waiting.

`docker` (docker-py) asks everything else. It reads ahead on the connections it hands out, so that
the first output of a program could stay behind in its buffer; here nothing is lost, and a program
can wait for several connections at once.
"""

from __future__ import annotations

import json
import socket
from typing import Any, Final
from urllib.parse import urlsplit

import h11

from natlab.errors import UsageError
from natlab.model.names import one_line

_CHUNK: Final = 65536
_OK: Final = 300


class EngineError(Exception):
    """The engine's answer is an error.

    Attributes:
        message: What it says.
        status: The HTTP status.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


class UnreachableError(Exception):
    """No engine answers."""


def connect(url: str) -> socket.socket:
    """Connect to an engine.

    Args:
        url: `unix:///run/docker.sock`, `tcp://127.0.0.1:2375`.

    Raises:
        UnreachableError: With Docker's text: `Cannot connect to the Docker daemon at …`.
        UsageError: An address of another kind.
    """
    parts = urlsplit(url)
    try:
        if parts.scheme == "unix":
            made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                made.connect(parts.path)
            except OSError:
                made.close()
                raise
            return made
        if parts.scheme in ("tcp", "http"):
            return socket.create_connection((parts.hostname or "", parts.port or 2375))
    except PermissionError:
        raise UnreachableError(
            f"permission denied while trying to connect to the Docker daemon socket at {url}"
        ) from None
    except OSError:
        raise UnreachableError(
            f"Cannot connect to the Docker daemon at {url}. Is the docker daemon running?"
        ) from None
    raise UsageError(
        f"no engine can be asked at {one_line(url)}: give unix:///PATH or tcp://HOST:PORT"
    )


class Exchange:
    """A request, and its answer as it comes.

    Args:
        url: Where the engine is.
        target: The path with its version and query.
        body: What is sent with the request.
        upgrade: Whether the connection is to become a plain stream.

    Attributes:
        over: Whether the answer has ended.

    Raises:
        EngineError: The answer is an error.
        UnreachableError: Nobody answers.
    """

    def __init__(
        self, url: str, target: str, body: dict[str, Any] | None = None, *, upgrade: bool = False
    ) -> None:
        self.socket = connect(url)
        self._http = h11.Connection(h11.CLIENT)
        self._plain = False
        self.over = False
        self.tty = False
        try:
            self._ask(target, body, upgrade=upgrade)
        except (OSError, h11.RemoteProtocolError):
            self.close()
            raise UnreachableError(f"the engine at {url} ended the connection") from None
        except BaseException:
            self.close()
            raise

    def _ask(self, target: str, body: dict[str, Any] | None, *, upgrade: bool) -> None:
        data = b"" if body is None else json.dumps(body).encode()
        headers = [("Host", "docker"), ("Content-Length", str(len(data)))]
        headers += [("Content-Type", "application/json")] if data else []
        headers += [("Connection", "Upgrade"), ("Upgrade", "tcp")] if upgrade else []
        request = h11.Request(method="POST", target=target, headers=headers)
        parts = (request, h11.Data(data=data), h11.EndOfMessage())
        self.socket.sendall(b"".join(self._http.send(part) or b"" for part in parts))
        answer = self._event()
        if not isinstance(answer, (h11.Response, h11.InformationalResponse)):
            raise h11.RemoteProtocolError("no answer")
        kind = dict(answer.headers).get(b"content-type", b"")
        self.tty = kind == b"application/vnd.docker.raw-stream"
        self._plain = isinstance(answer, h11.InformationalResponse)
        if answer.status_code >= _OK:
            text = b"".join(iter(self._rest, b"")).decode(errors="replace")
            raise EngineError(message_of(text), answer.status_code)

    def _event(self) -> type[h11.NEED_DATA | h11.PAUSED] | h11.Event:
        """The next event, waited for."""
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(self.socket.recv(_CHUNK))
        return event

    def _rest(self) -> bytes:
        event = self._event()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    def fileno(self) -> int:
        """For poll()."""
        return self.socket.fileno()

    def early(self) -> bytes:
        """What came together with the answer's head; to be asked for once."""
        return bytes(self._http.trailing_data[0]) if self._plain else self._ready()

    def read(self) -> bytes:
        """Read once from the connection: what came, perhaps nothing; `over` tells the end."""
        try:
            data = self.socket.recv(_CHUNK)
            if not self._plain:
                self._http.receive_data(data)
                return self._ready()
        except (ConnectionResetError, h11.RemoteProtocolError):
            self.over = True
            return b""
        self.over = not data
        return data

    def _ready(self) -> bytes:
        found = b""
        while isinstance(event := self._http.next_event(), h11.Data):
            found += bytes(event.data)
        self.over = isinstance(event, (h11.EndOfMessage, h11.ConnectionClosed))
        return found

    def whole(self) -> bytes:
        """All that is still to come."""
        found = self.early()
        while not self.over:
            found += self.read()
        return found

    def close(self) -> None:
        """End it."""
        self.socket.close()


def message_of(text: str) -> str:
    """The message of an error's body."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()
