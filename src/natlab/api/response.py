"""What a handler answers with: one class for each way of answering."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from natlab.api.channel import Channel

JSON_TYPE: Final = "application/json"
RAW_STREAM: Final = "application/vnd.docker.raw-stream"
MULTIPLEXED_STREAM: Final = "application/vnd.docker.multiplexed-stream"
TAR_TYPE: Final = "application/x-tar"


@dataclass(frozen=True, slots=True)
class Body:
    """Bytes of a known length."""

    data: bytes
    content_type: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Empty:
    """No body: 204 after most commands, 304 when there was nothing to do."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Stream:
    """A body that comes in pieces; the headers leave before the first piece is waited for.

    Each item leaves at once as one chunk. When the client goes, `items` (if it has a `close`, as
    a generator has) and then `on_close` are called, always and once, in the thread that iterates.
    While that thread waits for the next item nobody can close it: let it wait for something
    that `request.gone.call(...)` or `request.gone.fileno()` wakes.

    A generator that never began runs none of its `finally`; what the handler took before it
    returned (a subscription, say) belongs into `on_close`.

    An exception from `items` is logged and cuts the connection, so that the client does not take
    the half for the whole.
    """

    items: Iterable[bytes]
    content_type: str = JSON_TYPE
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    on_close: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Hijack:
    """Leave HTTP: the connection becomes a raw two-way channel (attach, exec start).

    `talk` is always called, even when the client has gone in the meantime (sending then fails,
    receiving is at its end), so that it can clean up. When it returns, the connection ends.
    `multiplexed` says that what `talk` sends is framed (`streams.frame`); as with Docker only a
    client that asks for an upgrade and knows API 1.42 is told so.
    """

    talk: Callable[[Channel], None]
    multiplexed: bool = False


Response: TypeAlias = Body | Empty | Stream | Hijack


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Body:
    """`value` as JSON with a newline behind it, as Go's encoder writes it."""
    data = json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    return Body(data, JSON_TYPE, status, headers or {})


def text_response(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Body:
    """Plain text, such as the OK of `/_ping`."""
    return Body(text.encode(), "text/plain; charset=utf-8", status, headers or {})
