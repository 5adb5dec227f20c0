"""Which handler answers a method and a path.

A template is literal segments, `{name}` (exactly one segment that is not empty) and at most one
`{name:path}` (one segment or more, for image names with slashes). Where several fit, the one that
is literal earliest wins. A path is decoded once, segment by segment, and never normalised.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeAlias, TypeVar

from natlab.api.errors import ApiError
from natlab.api.request import Request
from natlab.api.response import Response

C = TypeVar("C")
Handler: TypeAlias = Callable[[C, Request], Response]

_PART: Final = re.compile(r"\{(\w+)(:path)?\}")
_LITERAL, _ONE, _MANY = range(3)


@dataclass(frozen=True, slots=True)
class _Part:
    kind: int
    text: str


class Template:
    """One path with its placeholders.

    Raises:
        ValueError: it does not begin with a slash, or has two `{name:path}`.
    """

    def __init__(self, text: str) -> None:
        if not text.startswith("/"):
            raise ValueError(f"route {text!r}: begin it with a slash")
        self.text = text
        self.parts = tuple(_part(word) for word in text[1:].split("/"))
        self.rank = tuple(part.kind for part in self.parts)
        if self.rank.count(_MANY) > 1:
            raise ValueError(f"route {text!r}: only one {{name:path}} can be told apart")

    def match(self, segments: Sequence[str]) -> dict[str, str] | None:
        """The values of the placeholders, or None if the path is another one."""
        extra = len(segments) - len(self.parts)
        if extra < 0 or (extra and _MANY not in self.rank):
            return None
        values: dict[str, str] = {}
        position = 0
        for part in self.parts:
            width = 1 + (extra if part.kind == _MANY else 0)
            here = segments[position : position + width]
            position += width
            if part.kind == _LITERAL:
                if here[0] != part.text:
                    return None
            elif not all(here):
                return None
            else:
                values[part.text] = "/".join(here)
        return values


def _part(word: str) -> _Part:
    found = _PART.fullmatch(word)
    if found is None:
        return _Part(_LITERAL, word)
    return _Part(_MANY if found[2] else _ONE, found[1])


@dataclass(frozen=True, slots=True)
class _Route(Generic[C]):
    method: str
    template: Template
    handler: Handler[C]


class Routes(Generic[C]):
    """A table of handlers; `C` is what each is given beside the request (the engine)."""

    def __init__(self) -> None:
        self._routes: list[_Route[C]] = []

    def get(self, template: str) -> Callable[[Handler[C]], Handler[C]]:
        """Answer GET, and HEAD with the same headers and no body."""
        return self.on("GET", template)

    def head(self, template: str) -> Callable[[Handler[C]], Handler[C]]:
        """Answer HEAD where it is not a GET without its body."""
        return self.on("HEAD", template)

    def post(self, template: str) -> Callable[[Handler[C]], Handler[C]]:
        """Answer POST."""
        return self.on("POST", template)

    def put(self, template: str) -> Callable[[Handler[C]], Handler[C]]:
        """Answer PUT."""
        return self.on("PUT", template)

    def delete(self, template: str) -> Callable[[Handler[C]], Handler[C]]:
        """Answer DELETE."""
        return self.on("DELETE", template)

    def on(self, method: str, template: str) -> Callable[[Handler[C]], Handler[C]]:
        """Answer this method; the decorated function stays as it is."""

        def keep(handler: Handler[C]) -> Handler[C]:
            self._add(_Route(method, Template(template), handler))
            return handler

        return keep

    def missing(self, method: str, template: str, message: str) -> None:
        """Answer with 501 and one clear sentence about why natlab does not have it."""

        def refuse(_context: C, _request: Request) -> Response:
            raise ApiError(501, message)

        self._add(_Route(method, Template(template), refuse))

    def include(self, other: Routes[C]) -> None:
        """Take in another table's routes."""
        for route in other:
            self._add(route)

    def __iter__(self) -> Iterator[_Route[C]]:
        return iter(self._routes)

    def _add(self, route: _Route[C]) -> None:
        if any(
            one.method == route.method and one.template.text == route.template.text
            for one in self._routes
        ):
            raise ValueError(f"route {route.method} {route.template.text} is there twice")
        self._routes.append(route)
        self._routes.sort(key=lambda one: one.template.rank)

    def find(self, method: str, segments: Sequence[str]) -> tuple[Handler[C], dict[str, str]]:
        """The handler, and the values of its placeholders.

        Raises:
            ApiError: 404 for an unknown path, 405 for a known one with another method.
        """
        fits: dict[str, tuple[Handler[C], dict[str, str]]] = {}
        for route in self._routes:
            values = route.template.match(segments)
            if values is not None:
                fits.setdefault(route.method, (route.handler, values))
        if "GET" in fits:
            fits.setdefault("HEAD", fits["GET"])
        if method in fits:
            return fits[method]
        if not fits:
            raise ApiError(404, "page not found")
        path = "/" + "/".join(segments)
        raise ApiError(
            405, f"method not allowed: {method} {path}", {"Allow": ", ".join(sorted(fits))}
        )
