"""What happened in an engine, told to whoever listens: `docker events`."""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

_KEPT: Final = 256
"""How many past events `--since` can give: as many as Docker keeps (moby daemon/events)."""


@dataclass(frozen=True)
class Event:
    """Something that happened to an object of the engine."""

    kind: str
    """`container`, `image`, `network` or `volume`."""
    action: str
    id: str
    attributes: Mapping[str, str]
    time: int = field(default_factory=time.time_ns)
    """Nanoseconds since 1970."""

    def to_json(self) -> dict[str, Any]:
        """As the Engine API sends it; `status`, `id` and `from` are for old clients."""
        old = {"status": self.action, "id": self.id, "from": self.attributes.get("image", "")}
        return {
            **(old if self.kind == "container" else {}),
            "Type": self.kind,
            "Action": self.action,
            "Actor": {"ID": self.id, "Attributes": dict(self.attributes)},
            "scope": "local",
            "time": self.time // 1_000_000_000,
            "timeNano": self.time,
        }


class Events:
    """The last events, and those that come."""

    def __init__(self) -> None:
        self._kept: collections.deque[tuple[int, Event]] = collections.deque(maxlen=_KEPT)
        self._count = 0
        self._changed = threading.Condition()
        self._closed = False

    def tell(self, kind: str, action: str, ident: str, attributes: Mapping[str, str]) -> None:
        """Note what happened just now."""
        with self._changed:
            self._count += 1
            self._kept.append((self._count, Event(kind, action, ident, attributes)))
            self._changed.notify_all()

    def close(self) -> None:
        """Let every listener's loop end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def listen(self, since: int | None = None, until: int | None = None) -> Listener:
        """Events from a moment on (nanoseconds; None: from now on) until another one."""
        with self._changed:
            first = self._count + 1
            if since is not None:
                past = [number for number, event in self._kept if event.time >= since]
                first = past[0] if past else first
        return Listener(self, first, until)


class Listener:
    """One listener; iterate over it from one thread, `stop` it from any."""

    def __init__(self, events: Events, first: int, until: int | None) -> None:
        self._events = events
        self._next = first
        self._until = until
        self._stopped = False

    def stop(self) -> None:
        """Let the loop over it end now."""
        with self._events._changed:  # noqa: SLF001 - the two are one mechanism
            self._stopped = True
            self._events._changed.notify_all()  # noqa: SLF001

    def __iter__(self) -> Iterator[Event]:
        while (event := self._wait()) is not None:
            yield event

    def _wait(self) -> Event | None:
        events = self._events
        with events._changed:  # noqa: SLF001
            while True:
                if self._stopped:
                    return None
                for number, event in events._kept:  # noqa: SLF001
                    if number >= self._next:
                        self._next = number + 1
                        late = self._until is not None and event.time > self._until
                        return None if late else event
                if events._closed:  # noqa: SLF001
                    return None
                left = None if self._until is None else (self._until - time.time_ns()) / 1e9
                if left is not None and left <= 0:
                    return None
                events._changed.wait(left)  # noqa: SLF001
