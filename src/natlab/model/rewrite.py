"""One end of a connection, and what address translation makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from natlab.errors import UsageError


@dataclass(frozen=True, slots=True)
class Side:
    """One end of a connection: an address and, for protocols that have them, a port."""

    address: str
    port: int | None = None

    def __str__(self) -> str:
        if self.port is None:
            return self.address
        return (
            f"[{self.address}]:{self.port}"
            if ":" in self.address
            else f"{self.address}:{self.port}"
        )


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One end of a packet, before and after NAT changed it.

    Attributes:
        what: "source" or "destination".
        before: As the sender wrote it.
        after: As it went on.
    """

    what: str
    before: Side
    after: Side

    def __post_init__(self) -> None:
        if self.what not in ("source", "destination"):
            raise UsageError(f"a rewrite is of the source or the destination, not {self.what!r}")

    def __str__(self) -> str:
        return f"{self.what} {self.before} → {self.after}"
