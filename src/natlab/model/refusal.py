"""A refusal of the Docker engine: its message, and the HTTP status that goes with it."""

from __future__ import annotations

from natlab.errors import NatlabError


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
