"""One request, as a handler sees it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from natlab.api.body import RequestBody
from natlab.api.errors import ApiError
from natlab.api.gone import Gone
from natlab.api.query import Query

MAX_JSON: Final = 8 << 20
"""The most bytes of a JSON body that are read."""


@dataclass(slots=True)
class Request:
    """One request.

    `segments` are the path's parts, decoded, without the version; `params` are the values of the
    route's placeholders; `headers` have lower-case names; `api_version` is None when the client
    named none. `gone` tells when the client leaves.
    """

    method: str
    segments: tuple[str, ...]
    api_version: tuple[int, int] | None
    query: Query
    headers: Mapping[str, str]
    body: RequestBody
    gone: Gone
    params: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The decoded path without the version, for messages."""
        return "/" + "/".join(self.segments)

    @property
    def upgrade(self) -> bool:
        """Whether the client asked to leave HTTP; like Docker, by the header's mere presence."""
        return "upgrade" in self.headers

    def before(self, major: int, minor: int) -> bool:
        """Whether the client speaks an API older than this one."""
        return self.api_version is not None and self.api_version < (major, minor)

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes in, of any size (a tar to unpack or to load)."""
        return self.body.chunks()

    def json(self) -> dict[str, Any]:
        """The body's JSON object; an empty body and `null` are an empty one.

        Raises:
            ApiError: 400 if it is no JSON object or says it is something else, 413 if it is
                larger than `MAX_JSON`.
        """
        content_type = self.headers.get("content-type", "")
        if not content_type and not self.body.expected:
            return {}
        if not _JSON_TYPE.match(content_type):
            raise ApiError(
                400,
                f"unsupported Content-Type header ({content_type}): must be 'application/json'",
            )
        data = self.body.read(MAX_JSON)
        return _parse(data) if data else {}


_JSON_TYPE: Final = re.compile(r"\s*application/json\s*(;|$)", re.IGNORECASE)
_ESCAPED_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def _parse(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data.decode(), parse_constant=_no_constant)
        if _ESCAPED_SURROGATE.search(data):
            json.dumps(value, ensure_ascii=False).encode()
    except RecursionError:
        raise ApiError(400, "invalid JSON: nested too deeply") from None
    except ValueError as error:
        raise ApiError(400, f"invalid JSON: {error}") from None
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ApiError(400, f"invalid JSON: expected an object, got {_KINDS[type(value)]}")
    return value


_KINDS: Final = {
    list: "a list",
    str: "a string",
    int: "a number",
    float: "a number",
    bool: "a bool",
}


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON value")
