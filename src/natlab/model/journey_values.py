"""What a journey consists of: stages, in order, and how it ended. Anybody may draw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final

from natlab.errors import UsageError
from natlab.model.journey_input import Flow
from natlab.model.rewrite import Rewrite, Side

KINDS: Final = ("interface", "hook", "rule", "rewrite", "routing", "conntrack", "end")
OUTCOMES: Final = ("answered", "refused", "no answer")
LOCAL: Final = "local process"
"""What stands for the interface where a packet begins or ends on a node itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One thing that happened to the packet on its way.

    Attributes:
        way: "forward", or "back" for the reply.
        node: Where.
        kind: One of `KINDS`; says which of the following are set.
        packet: The packet in one line, as it was then.
        interface: interface: its name.
        direction: interface: "in" or "out".
        at_ns: interface: when.
        hook: hook, rule: "prerouting", "input", "forward", "output", "postrouting".
        table: hook, rule: "ip nat".
        chain: hook, rule: the chain's name.
        handle: rule: its handle.
        rule: rule, rewrite: the rule's text.
        verdict: hook, rule: what was decided, such as "accept" or "jump DOCKER".
        rewrite: rewrite: what was changed.
        in_interface: routing: where it came from; `LOCAL` for a process.
        out_interface: routing: where it goes; `LOCAL` for a process.
        next_hop: routing: whom it is handed to.
        entry: conntrack: the entry, in the form of `conntrack -L`.
        note: Something to say about it.
    """

    way: str
    node: str
    kind: str
    packet: str | None = None
    interface: str | None = None
    direction: str | None = None
    at_ns: int | None = None
    hook: str | None = None
    table: str | None = None
    chain: str | None = None
    handle: int | None = None
    rule: str | None = None
    verdict: str | None = None
    rewrite: Rewrite | None = None
    in_interface: str | None = None
    out_interface: str | None = None
    next_hop: str | None = None
    entry: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise UsageError(f"stage kind {self.kind!r}: use {', '.join(KINDS)}")

    @property
    def text(self) -> str:
        """What happened, in words."""
        return f"{self._what()} ({self.note})" if self.note else self._what()

    def _what(self) -> str:
        words: Mapping[str, str] = {
            "interface": f"{self.direction} {self.interface}",
            "hook": f"{self.hook or 'hook'}: {self.table} {self.chain}, {self.verdict}",
            "rule": f"rule in {self.chain}: {self.rule}",
            "rewrite": f"rewrite: {self.rewrite}",
            "routing": f"route: {self.in_interface} → {self.out_interface}{self._hop()}",
            "conntrack": f"conntrack: {self.entry}",
            "end": f"{self.verdict}",
        }
        return words[self.kind]

    def _hop(self) -> str:
        return f", next hop {self.next_hop}" if self.next_hop else ""

    def to_dict(self) -> dict[str, Any]:
        """Return the stage with all its keys, whatever its kind; absent values are None."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        if self.rewrite is not None:
            values["rewrite"] = {
                "what": self.rewrite.what,
                "before": _side(self.rewrite.before),
                "after": _side(self.rewrite.after),
            }
        return {**values, "text": self.text}


def _side(side: Side) -> dict[str, Any]:
    return {"address": side.address, "port": side.port}


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One packet's way there, and its answer's way back.

    Attributes:
        flow: What was asked for.
        outcome: "answered", "refused" (a reset or an ICMP error came back) or "no answer".
        verdict: The outcome in words, with the place where a lost packet was seen last.
        stages: Everything that happened, in order; those of the reply follow.
    """

    flow: Flow
    outcome: str
    verdict: str
    stages: tuple[Stage, ...]

    def __post_init__(self) -> None:
        if self.outcome not in OUTCOMES:
            raise UsageError(f"outcome {self.outcome!r}: use {', '.join(OUTCOMES)}")

    def way(self, name: str) -> tuple[Stage, ...]:
        """Return the stages of the way "forward" or "back"."""
        return tuple(stage for stage in self.stages if stage.way == name)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON, with the same keys for every journey."""
        return {
            "from": self.flow.origin,
            "proto": self.flow.proto,
            "to": str(Side(self.flow.dst, self.flow.dport)),
            "outcome": self.outcome,
            "verdict": self.verdict,
            "forward": [stage.to_dict() for stage in self.way("forward")],
            "back": [stage.to_dict() for stage in self.way("back")],
        }

    def rows(self) -> tuple[tuple[str, str, str, str], ...]:
        """Return table rows: number, where, what, packet; "←" marks the reply's way."""
        return tuple(
            (
                str(number),
                stage.node if stage.way == "forward" else f"← {stage.node}",
                stage.text,
                stage.packet or "",
            )
            for number, stage in enumerate(self.stages, start=1)
        )
