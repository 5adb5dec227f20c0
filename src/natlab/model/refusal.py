"""A refusal of the Docker engine: its message, and the HTTP status that goes with it."""

from __future__ import annotations

from typing import Final

from natlab.errors import NatlabError

_DOCKERS: Final = (
    "Address already in use",
    "Pool overlaps with other one on this address space",
    "failed to bind host port",
)


def dockers_words(error: NatlabError) -> str:
    """An error's message without what natlab adds in parentheses to texts that Docker has too."""
    head, _, _ = str(error).partition(" (")
    return head if head.startswith(_DOCKERS) else str(error)


class Refusal(NatlabError):  # noqa: N818 - named for what the client gets
    """The engine refuses a request; `Refusal(message, 404)` is a `No such …`.

    Attributes:
        message: The one line that the client prints behind `Error response from daemon: `.
        status: The HTTP status: 400 bad request, 404 not found, 409 conflict, 500 the rest.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message, status)
        self.message = message
        self.status = status

    def __str__(self) -> str:
        return self.message
