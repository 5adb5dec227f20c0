"""One client's connection: HTTP/1.1 by h11's state machine, on a plain blocking socket."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, TypeAlias

import h11

from natlab.api.errors import ApiError, ClientLeftError

MAX_HEAD: Final = 64 << 10
"""The most bytes of a request line with its headers."""
_READ: Final = 64 << 10
_LINGER: Final = 5.0
"""Seconds that a client has, after the last answer, to take note and close."""
_CLOSE: Final = {"Connection": "close"}

Headers: TypeAlias = list[tuple[str, str]]


class Connection:
    """The requests of one client, one after the other."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._head_only = self._handed_over = False

    # The request

    def next_request(self) -> h11.Request | None:
        """Wait for a request's head; None when the client has left in good order.

        Raises:
            ApiError: 400 or 431, this is no HTTP; nothing more can be read.
            ClientLeftError: it left in the middle.
        """
        event = self._next_event()
        if not isinstance(event, h11.Request):
            return None
        self._head_only = event.method == b"HEAD"
        if _size(event) > MAX_HEAD:
            raise ApiError(431, f"request headers too large: the limit is {MAX_HEAD} bytes", _CLOSE)
        return event

    def pull(self) -> bytes:
        """The next piece of the request's body, b"" at its end; asks for it if need be.

        Raises:
            ApiError: 400, the body's framing is broken.
            ClientLeftError: it left in the middle.
        """
        if self._http.their_state is not h11.SEND_BODY:
            return b""
        self._say_continue()
        while isinstance(event := self._next_event(), h11.Data):
            if event.data:
                return bytes(event.data)
        return b""

    @property
    def unread(self) -> bool:
        """Whether some of the request has not come in yet; what has is read and forgotten."""
        while self._http.their_state is h11.SEND_BODY:
            try:
                if self._http.next_event() is h11.NEED_DATA:
                    return True
            except h11.RemoteProtocolError:
                return True
        return self._http.their_state is h11.ERROR

    def _next_event(self) -> object:
        try:
            while True:
                event = self._http.next_event()
                if event is not h11.NEED_DATA:
                    return event
                self._http.receive_data(self._receive())
        except h11.RemoteProtocolError as error:
            raise ApiError(error.error_status_hint, f"bad request: {error}") from None

    def _receive(self) -> bytes:
        try:
            data = self.sock.recv(_READ)
        except OSError as error:
            raise ClientLeftError(f"the client's connection broke: {error}") from None
        if not data and self._http.their_state is not h11.IDLE:
            raise ClientLeftError("the client left in the middle of its request")
        return data

    def _say_continue(self) -> None:
        if self._http.they_are_waiting_for_100_continue:
            head = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self._transmit(self._http.send(head))

    # The answer

    @property
    def begun(self) -> bool:
        """Whether some of the answer has been sent."""
        return self._handed_over or self._http.our_state not in {h11.IDLE, h11.SEND_RESPONSE}

    def answer(self, status: int, headers: Headers, data: bytes) -> None:
        """Send a whole answer, without `data` if the request was a HEAD."""
        if self.unread:
            headers = [*headers, *_CLOSE.items()]
        out = self._http.send(_head(status, headers))
        if data and not self._head_only:
            out += self._http.send(h11.Data(data=data))
        self._transmit(out + self._http.send(h11.EndOfMessage()))

    def begin(self, status: int, headers: Headers) -> bool:
        """Send the head of an answer that comes in pieces; False if the head is all of it."""
        self._say_continue()
        self._transmit(self._http.send(_head(status, headers)))
        return not self._head_only

    def piece(self, data: bytes) -> None:
        """Send a piece of it at once."""
        self._transmit(self._http.send(h11.Data(data=data)))

    def finish(self) -> None:
        """Say that it was the last one."""
        self._transmit(self._http.send(h11.EndOfMessage()))

    def leave_http(self) -> bytes:
        """Hand the socket over; returns what was received beyond the request."""
        self._handed_over = True
        return self._http.trailing_data[0]

    def _transmit(self, data: bytes) -> None:
        try:
            self.sock.sendall(data, socket.MSG_NOSIGNAL)
        except OSError as error:
            raise ClientLeftError(f"the client left before its answer was sent: {error}") from None

    # Afterwards

    def again(self) -> bool:
        """Get ready for the next request; False if there can be none."""
        if self.unread or set(self._http.states.values()) != {h11.DONE}:
            return False
        self._http.start_next_cycle()
        return True

    def linger(self) -> None:
        """Say that nothing more comes, and give the client the time to read what was sent.

        A socket that is closed with bytes in it that were never read resets the connection.
        """
        end = time.monotonic() + _LINGER
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)
            while (left := end - time.monotonic()) > 0:
                self.sock.settimeout(left)
                if not self.sock.recv(_READ):
                    return


def _size(head: h11.Request) -> int:
    fields: Iterable[tuple[bytes, bytes]] = head.headers
    return len(head.target) + sum(len(name) + len(value) + 4 for name, value in fields)


def _head(status: int, headers: Headers) -> h11.Response:
    fields = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers]
    return h11.Response(status_code=status, headers=fields, reason=_reason(status))


def _reason(status: int) -> bytes:
    try:
        return HTTPStatus(status).phrase.encode()
    except ValueError:
        return b""
