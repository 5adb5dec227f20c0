"""A request's body, read when the handler asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from natlab.api.errors import ApiError


class RequestBody:
    """The pieces of one body.

    `pull` returns the next piece and b"" at the end; `expected` is whether the client announced
    a body; `finished` is whether it was read to its end.
    """

    def __init__(self, pull: Callable[[], bytes], *, expected: bool) -> None:
        self._pull = pull
        self.expected = expected
        self.finished = False

    def chunks(self) -> Iterator[bytes]:
        """The pieces as they come in.

        Raises:
            ClientLeftError: the client left before the end.
            ApiError: 400, the body is not framed as HTTP wants it.
        """
        while piece := self._next():
            yield piece

    def read(self, limit: int) -> bytes:
        """All of it.

        Raises:
            ApiError: 413 if it is longer than `limit` bytes; the rest is left unread.
        """
        data = bytearray()
        for piece in self.chunks():
            data += piece
            if len(data) > limit:
                raise ApiError(413, f"request body too large: the limit is {limit} bytes")
        return bytes(data)

    def skip(self, limit: int) -> bool:
        """Read the rest and forget it; False if more than `limit` bytes were left."""
        skipped = 0
        for piece in self.chunks():
            skipped += len(piece)
            if skipped > limit:
                return False
        return True

    def _next(self) -> bytes:
        if self.finished:
            return b""
        piece = self._pull()
        self.finished = not piece
        return piece
