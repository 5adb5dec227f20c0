"""What a request line asks for: the API version, the path and the query."""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import unquote

from natlab.api.errors import ApiError

API_VERSION: Final = "1.51"
"""The newest version of the Engine API that is spoken, and the one a client gets without asking."""
MIN_API_VERSION: Final = "1.24"

_VERSION: Final = re.compile(r"v([0-9]{1,9})\.([0-9]{1,9})")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9a-fA-F]{2})")


class Target(NamedTuple):
    """A request target, taken apart."""

    segments: tuple[str, ...]
    api_version: tuple[int, int] | None
    query: str


def parse_target(text: str) -> Target:
    """Take `/v1.51/containers/web/json?size=1` apart.

    The path is split at its slashes first and decoded then, once; `..`, `//` and encoded slashes
    stay what they are.

    Raises:
        ApiError: 400, it has a broken escape, a NUL, or is no UTF-8.
    """
    path, _, query = text.partition("?")
    segments = [_decode(part, text) for part in path.split("/")]
    if segments.pop(0) or not segments:
        raise ApiError(404, "page not found")
    version = _VERSION.fullmatch(segments[0])
    if version is None or len(segments) == 1:
        return Target(tuple(segments), None, query)
    return Target(tuple(segments[1:]), (int(version[1]), int(version[2])), query)


def check_version(version: tuple[int, int] | None) -> None:
    """Refuse a version that is not spoken, with Docker's words.

    Raises:
        ApiError: 400, it is too old or too new.
    """
    if version is None:
        return
    said = "{}.{}".format(*version)
    if version < _numbers(MIN_API_VERSION):
        raise ApiError(
            400,
            f"client version {said} is too old. Minimum supported API version is "
            f"{MIN_API_VERSION}, please upgrade your client to a newer version",
        )
    if version > _numbers(API_VERSION):
        raise ApiError(
            400,
            f"client version {said} is too new. Maximum supported API version is {API_VERSION}",
        )


def _numbers(version: str) -> tuple[int, int]:
    major, minor = version.split(".")
    return int(major), int(minor)


def _decode(part: str, target: str) -> str:
    if "%" not in part:
        return part
    try:
        text = unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise ApiError(400, f"invalid path {target!r}: it is no UTF-8") from None
    if _BAD_ESCAPE.search(part) or "\0" in text:
        raise ApiError(400, f"invalid path {target!r}: it has a broken escape or a NUL")
    return text
