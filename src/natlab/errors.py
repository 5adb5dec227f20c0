"""natlab's errors: one base, and a subclass only where a caller branches.

Every message is one line that says what happened, to which object, and what to do next.
"""

from __future__ import annotations


class NatlabError(Exception):
    """Something natlab was asked for could not be done; nothing was left half-made."""


class UsageError(NatlabError):
    """The request itself is wrong: an unknown name, a malformed address, a bad option."""


class UnsupportedError(NatlabError):
    """This kernel, machine or user cannot do it; the message names what is missing."""


class PoolFullError(NatlabError):
    """A network has no address left."""


class StaleError(NatlabError):
    """What the caller knew of a machine holds no more: look again."""


class LabGoneError(NatlabError):
    """The lab's process ended (killed, or closed elsewhere), and the lab with it."""


class ExecError(NatlabError):
    """A program could not be run in a container.

    Attributes:
        message: What went wrong, in Docker's words where Docker has some.
        code: The exit code that goes with it: 127 not found, 126 found but it cannot be run.
    """

    def __init__(self, message: str, code: int = 126) -> None:
        super().__init__(message, code)
        self.message = message
        self.code = code

    def __str__(self) -> str:
        return self.message
