"""The frames in which a program's output and error output share a stream, and detaching keys."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

from natlab.errors import UsageError
from natlab.model.names import one_line

DEFAULT_KEYS: Final = b"\x10\x11"
"""Ctrl-P, Ctrl-Q: what leaves a program alone."""

_HEAD: Final = struct.Struct(">BxxxL")
_STDERR: Final = 2


class Frames:
    """Takes a stream apart: eight bytes say which stream, and how much follows."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Give what the data completes: 1 or 2 for the stream, and the bytes."""
        self._rest += data
        while len(self._rest) >= _HEAD.size:
            stream, length = _HEAD.unpack_from(self._rest)
            end = _HEAD.size + length
            if len(self._rest) < end:
                return
            yield (_STDERR if stream == _STDERR else 1), self._rest[_HEAD.size : end]
            self._rest = self._rest[end:]


class Keys:
    """Watches what is typed for the keys that detach.

    Args:
        text: As `--detach-keys` takes it: `ctrl-p,ctrl-q`, `a,b`; empty for Docker's own.

    Raises:
        UsageError: `Unknown character: 'ctrl-ä'`.
    """

    def __init__(self, text: str = "") -> None:
        self.keys = b"".join(_key(word) for word in text.split(",")) if text else DEFAULT_KEYS
        self._held = b""

    def feed(self, data: bytes) -> bytes | None:
        """Give what is to be handed on; None when the keys are complete."""
        passed = b""
        for byte in data:
            key = bytes([byte])
            self._held += key
            if self._held == self.keys:
                return None
            while self._held and not self.keys.startswith(self._held):
                passed, self._held = passed + self._held[:1], self._held[1:]
        return passed


def _key(word: str) -> bytes:
    name = word.removeprefix("ctrl-")
    if len(name) == 1 and name.isascii():
        if name == word:
            return name.encode()
        code = ord(name.upper()) - 64
        if 0 <= code < 32:  # noqa: PLR2004 - ASCII's control characters
            return bytes([code])
    raise UsageError(f"Unknown character: '{one_line(word)}'")
