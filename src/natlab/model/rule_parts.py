"""The parts of a rule: what it matches, what it counts, and what it does."""

from __future__ import annotations

import re
from dataclasses import dataclass

from natlab.errors import UsageError

OPERATORS = ("==", "!=", "!", "<", ">", "<=", ">=")
VERDICTS = ("accept", "drop", "return", "continue", "jump", "goto", "reject")
TRANSLATIONS = ("dnat", "snat", "masquerade", "redirect")

_DESTINATION = re.compile(r"(?:\[(?P<v6>[0-9a-fA-F:.]+)\]|(?P<v4>[0-9.]+))(?::(?P<port>\d{1,5}))?")
_PLAIN_V6 = re.compile(r"[0-9a-fA-F]*:[0-9a-fA-F:.]*:[0-9a-fA-F.]*")


@dataclass(frozen=True, slots=True)
class Match:
    """One condition of a rule: `iifname != "docker0"` is Match("iifname", "!=", "docker0").

    `key` is nft's own word for it ("ip saddr", "tcp dport", "fib daddr type", "ct state",
    "meta l4proto" …), with its mask if there is one ("ip saddr & 255.0.255.0"). `value` is the
    text after the operator, without the quotes of a single name. The operator `!` is nft's "none
    of these bits" (`tcp flags ! syn,ack`); of `ct state`, where a packet has just one, it reads
    as `!=`.
    """

    key: str
    op: str
    value: str

    def __post_init__(self) -> None:
        """Refuse an operator that nft does not have."""
        if self.op not in OPERATORS:
            raise UsageError(f"match on {self.key}: operator {self.op!r} is none of {OPERATORS}")

    @property
    def values(self) -> tuple[str, ...]:
        """The value's members: of `{ 80, 443 }` or `related,established`, each; else itself."""
        inner = self.value.strip("{} ") if self.value.startswith("{") else self.value
        return tuple(part.strip().strip('"') for part in inner.split(","))


@dataclass(frozen=True, slots=True)
class Counter:
    """Packets and bytes (of whole IP packets, 0 or more) that reached a rule's counter.

    `name` is set when the rule refers to a counter that the table holds by name.
    """

    packets: int = 0
    bytes: int = 0
    name: str | None = None

    def __post_init__(self) -> None:
        """Refuse negative counts."""
        if self.packets < 0 or self.bytes < 0:
            raise UsageError(
                f"a counter cannot be negative: {self.packets} packets {self.bytes} bytes"
            )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What happens to the packet: accept, drop, return, continue, jump X, goto X, reject.

    `chain` is the target of jump and goto; `reason` is what a reject answers with
    ("tcp reset", "icmp host-unreachable"), None for the default, port unreachable.
    """

    kind: str
    chain: str | None = None
    reason: str | None = None

    def __post_init__(self) -> None:
        """Refuse an unknown verdict, or a jump to nowhere."""
        if self.kind not in VERDICTS:
            raise UsageError(f"verdict {self.kind!r} is none of {VERDICTS}")
        if (self.kind in ("jump", "goto")) != (self.chain is not None):
            raise UsageError(f"verdict {self.kind}: jump and goto name a chain, the others do not")


@dataclass(frozen=True, slots=True)
class Translation:
    """An address translation: dnat, snat, masquerade or redirect.

    `to` is the text after `to` ("172.17.0.2:8080", "10.0.0.1-10.0.0.5:100-200", ":99", or an
    expression with a map), None if there is none; `flags` are "random", "fully-random" and
    "persistent".
    """

    kind: str
    to: str | None = None
    flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse an unknown translation."""
        if self.kind not in TRANSLATIONS:
            raise UsageError(f"translation {self.kind!r} is none of {TRANSLATIONS}")

    @property
    def destination(self) -> tuple[str, int | None] | None:
        """The one address and port it names; None for a range, a map or a bare port."""
        if self.to is None:
            return None
        if _PLAIN_V6.fullmatch(self.to):
            return self.to, None
        found = _DESTINATION.fullmatch(self.to)
        if found is None:
            return None
        return found["v6"] or found["v4"], int(found["port"]) if found["port"] else None


@dataclass(frozen=True, slots=True)
class Raw:
    """A statement kept as nft's text: `log prefix "x"`, `meta mark set 0x5`, `oif vmap @ports`."""

    text: str


Statement = Verdict | Translation | Raw
