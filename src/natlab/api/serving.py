"""From a request to its answer: the route, the handler, and what becomes of errors."""

from __future__ import annotations

import logging
import socket
import time
from typing import Final, Generic, TypeVar

import h11

from natlab.api import sending
from natlab.api.body import RequestBody
from natlab.api.connection import Connection
from natlab.api.errors import ApiError, ClientLeftError, error_body, status_of
from natlab.api.gone import Gone, Watcher
from natlab.api.query import Query
from natlab.api.request import Request
from natlab.api.response import JSON_TYPE, Body
from natlab.api.routing import Routes
from natlab.api.target import check_version, parse_target
from natlab.errors import NatlabError

C = TypeVar("C")

_log: Final = logging.getLogger("natlab.api")


class Serving(Generic[C]):
    """Answers requests from a table of routes."""

    def __init__(self, routes: Routes[C], context: C, watcher: Watcher) -> None:
        self._routes = routes
        self._context = context
        self._watcher = watcher

    def serve(self, sock: socket.socket) -> None:
        """Answer one client until it leaves.

        Raises:
            ClientLeftError: it left in the middle of something.
        """
        connection = Connection(sock)
        while self._exchange(connection):
            pass
        connection.linger()

    def _exchange(self, connection: Connection) -> bool:
        try:
            head = connection.next_request()
        except ApiError as error:
            sending.send_body(connection, error_response(error))
            return False
        if head is None:
            return False
        start = time.monotonic()
        gone = Gone(self._watcher, connection.sock)
        try:
            status = self._answer(connection, head, gone)
        finally:
            gone.end()
        _report(head, status, time.monotonic() - start)
        return connection.again()

    def _answer(self, connection: Connection, head: h11.Request, gone: Gone) -> int:
        try:
            request = _request(connection, head, gone)
            handler, request.params = self._routes.find(request.method, request.segments)
            check_version(request.api_version)
            return sending.send(connection, request, handler(self._context, request))
        except ClientLeftError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            if connection.begun:
                expected = isinstance(error, NatlabError)
                _log.error("%s was cut off half-way: %s", _line(head), error, exc_info=not expected)
                return 0
            return sending.send_body(connection, error_response(error, _line(head)))


def error_response(error: Exception, line: str = "") -> Body:
    """What the client is told; what nobody expected goes to the log with its traceback."""
    if isinstance(error, NatlabError):
        headers = error.headers if isinstance(error, ApiError) else {}
        return Body(error_body(str(error)), JSON_TYPE, status_of(error), headers)
    _log.error("%s failed", line, exc_info=error)
    text = " ".join(str(error).split()) or type(error).__name__
    return Body(error_body(f"natlab: internal error: {text}"), JSON_TYPE, 500)


def _request(connection: Connection, head: h11.Request, gone: Gone) -> Request:
    target = parse_target(head.target.decode("ascii"))
    headers: dict[str, str] = {}
    for name, value in head.headers:
        key, text = name.decode("ascii"), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    expected = "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
    return Request(
        method=head.method.decode("ascii"),
        segments=target.segments,
        api_version=target.api_version,
        query=Query.parse(target.query),
        headers=headers,
        body=RequestBody(connection.pull, expected=expected),
        gone=gone,
    )


def _line(head: h11.Request) -> str:
    return f"{head.method.decode('ascii')} {head.target.decode('ascii')}"


def _report(head: h11.Request, status: int, seconds: float) -> None:
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("%s %d %.1f ms", _line(head), status, seconds * 1000)
