"""Each way of answering, done."""

from __future__ import annotations

import contextlib
from typing import Final

from natlab.api.channel import Channel
from natlab.api.connection import Connection
from natlab.api.errors import ApiError, ClientLeftError
from natlab.api.heads import common_headers, hijack_head
from natlab.api.request import MAX_JSON, Request
from natlab.api.response import Body, Empty, Hijack, Response, Stream

_BODILESS: Final = frozenset({204, 304})


def send(connection: Connection, request: Request, response: Response) -> int:
    """Answer; returns the status.

    Raises:
        ClientLeftError: the client has gone, which has been told to whoever made the answer.
    """
    if isinstance(response, Body):
        return send_body(connection, response)
    if isinstance(response, Empty):
        return _send_empty(connection, response)
    if isinstance(response, Stream):
        return _send_stream(connection, response)
    return _hijack(connection, request, response)


def send_body(connection: Connection, body: Body) -> int:
    """Answer with bytes."""
    headers = [
        *common_headers(),
        ("Content-Type", body.content_type),
        ("Content-Length", str(len(body.data))),
        *body.headers.items(),
    ]
    connection.answer(body.status, headers, body.data)
    return body.status


def _send_empty(connection: Connection, empty: Empty) -> int:
    headers = [*common_headers(), *empty.headers.items()]
    if empty.status not in _BODILESS:
        headers.append(("Content-Length", "0"))
    connection.answer(empty.status, headers, b"")
    return empty.status


def _send_stream(connection: Connection, stream: Stream) -> int:
    headers = [*common_headers(), ("Content-Type", stream.content_type), *stream.headers.items()]
    with contextlib.ExitStack() as stack:
        if stream.on_close is not None:
            stack.callback(stream.on_close)
        items = iter(stream.items)
        stack.callback(getattr(items, "close", _nothing))
        if connection.begin(stream.status, headers):
            for item in items:
                connection.piece(item)
        connection.finish()
    return stream.status


def _hijack(connection: Connection, request: Request, hijack: Hijack) -> int:
    whole = _skip_body(request)
    early = connection.leave_http()
    channel = Channel(connection.sock, early, request.gone.hand_over())
    multiplexed = hijack.multiplexed and not request.before(1, 42)
    try:
        with contextlib.suppress(OSError):
            channel.send_alone(hijack_head(upgrade=request.upgrade, multiplexed=multiplexed))
        if not whole:
            channel.close()
        with contextlib.suppress(ConnectionError):
            hijack.talk(channel)
    finally:
        channel.gone.set()
        channel.gone.end()
    return 101 if request.upgrade else 200


def _skip_body(request: Request) -> bool:
    try:
        return request.body.skip(MAX_JSON)
    except (ClientLeftError, ApiError):
        return False


def _nothing() -> None:
    """Close what needs no closing."""
