"""Which HTTP status an error becomes, and the body that Docker's clients read it from."""

from __future__ import annotations

import json

from natlab.errors import NatlabError, UnsupportedError, UsageError


class ApiError(NatlabError):
    """A request is answered with this status and ``{"message": …}``.

    `headers` go into the answer too, such as `Allow` beside a 405.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}


class ClientLeftError(ConnectionError):
    """The client closed the connection before its request or its answer was whole."""


def status_of(error: NatlabError) -> int:
    """The HTTP status of an error: its own `status` if it has one, else by its class."""
    status = getattr(error, "status", None)
    if isinstance(status, int):
        return status
    if isinstance(error, UsageError):
        return 400
    if isinstance(error, UnsupportedError):
        return 501
    return 500


def error_body(message: str) -> bytes:
    """The body of every error, as Docker's clients expect it."""
    return json.dumps({"message": message}, separators=(",", ":")).encode() + b"\n"
