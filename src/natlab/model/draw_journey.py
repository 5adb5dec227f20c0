"""A journey as text for a terminal: a table of both ways, and a verdict in one sentence.

web → 192.168.33.20:8080 (tcp)

there
  web      route      local process → eth0, next hop 172.17.0.1
           out eth0   172.17.0.2:40000 → 192.168.33.20:8080 SYN
  ubuntu1  …
         » REWRITE    source 172.17.0.2:40000 → 192.168.33.11:40000
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

from natlab.model.journey_values import Journey, Stage
from natlab.model.rewrite import Side
from natlab.model.ruleset import POLICY_COMMENT

WIDTH: Final = 100
"""Columns; what does not fit goes on below, under itself."""

_NARROWEST: Final = 40
_TITLES: Final = {"forward": "there", "back": "back"}
_SUMMARY: Final = re.compile(r"IP6? (?P<src>\S+) > (?P<dst>\S+): (?P<words>.*)")
_FLAGS: Final = re.compile(r"Flags \[(?P<flags>[^]]*)\]")
_FLAG_NAMES: Final = {"S": "SYN", "F": "FIN", "R": "RST", "P": "PSH", ".": "ACK"}
_POLICY_COUNT: Final = f'counter comment "{POLICY_COMMENT}"'
_PORT_DOTS: Final = 4


def table(journey: Journey, width: int = WIDTH) -> str:
    """Draw a journey, and end with its verdict.

    What only counts (the last rule of natlab's own chains) is left out.
    Equivalent to: `natlab journey FROM TO`.

    Args:
        journey: What to draw.
        width: Columns; no line is wider unless a single word is.
    """
    flow = journey.flow
    lines = [f"{flow.origin} → {Side(flow.dst, flow.dport)} ({flow.proto})"]
    told = [stage for stage in journey.stages if not _is_silent(stage)]
    nodes = max((len(stage.node) for stage in told), default=0)
    labels = max((len(_label(stage)) for stage in told), default=0)
    for way, title in _TITLES.items():
        stages = [stage for stage in told if stage.way == way]
        if stages:
            lines += ["", title, *_rows(stages, nodes, labels, max(width, _NARROWEST))]
    verdict_lines = textwrap.wrap(verdict(journey), max(width, _NARROWEST), break_long_words=False)
    return "\n".join([*lines, "", *verdict_lines])


def _is_silent(stage: Stage) -> bool:
    return stage.kind == "end" or (stage.kind == "rule" and stage.rule == _POLICY_COUNT)


def _rows(stages: Sequence[Stage], nodes: int, labels: int, width: int) -> Iterator[str]:
    node = None
    for stage in stages:
        where = stage.node if stage.node != node else ""
        mark = "»" if stage.kind == "rewrite" else " "
        head = f"  {where:{nodes}}{mark:>2} {_label(stage):{labels}}  "
        yield from textwrap.wrap(
            _text(stage),
            width,
            initial_indent=head,
            subsequent_indent=" " * len(head),
            break_long_words=False,
            break_on_hyphens=False,
        ) or [head.rstrip()]
        node = stage.node


def _label(stage: Stage) -> str:
    """Say in a word what happened."""
    if stage.kind == "interface":
        return f"{stage.direction} {stage.interface}"
    return {"routing": "route", "rewrite": "REWRITE"}.get(stage.kind, stage.kind)


def _text(stage: Stage) -> str:
    """Say what happened, without the word for it."""
    hop = f", next hop {stage.next_hop}" if stage.next_hop not in (None, "on link") else ""
    link = ", on link" if stage.next_hop == "on link" else ""
    words = {
        "interface": _packet(stage.packet),
        "hook": f"{stage.hook or '?'}: chain {stage.chain} of {stage.table}: {stage.verdict}",
        "rule": f"{stage.chain}: {stage.rule}",
        "rewrite": f"{stage.rewrite}",
        "routing": f"{stage.in_interface} → {stage.out_interface}{hop}{link}",
        "conntrack": " ".join((stage.entry or "").split()),
    }
    return f"{words[stage.kind]} ({stage.note})" if stage.note else words[stage.kind]


def _packet(summary: str | None) -> str:
    """Write a packet's one line as `A:1 → B:2 SYN`."""
    found = _SUMMARY.fullmatch(summary or "")
    if found is None:
        return summary or ""
    return f"{_end(found['src'])} → {_end(found['dst'])} {_words(found['words'])}"


def _words(text: str) -> str:
    text = re.sub(r", length \d+$", "", text)
    flags = _FLAGS.fullmatch(text)
    if flags is None:
        return text
    return " ".join(_FLAG_NAMES.get(letter, letter) for letter in flags["flags"])


def _end(text: str) -> str:
    """Write tcpdump's `10.0.0.1.80` as `10.0.0.1:80`; an address alone stays as it is."""
    if ":" in text:
        address, _, port = text.partition(".")
    else:
        parts = text.split(".")
        address, port = ".".join(parts[:_PORT_DOTS]), ".".join(parts[_PORT_DOTS:])
    return str(Side(address, int(port))) if port.isdigit() else text


def verdict(journey: Journey) -> str:
    """Say in one sentence how it ended; for a lost packet, where it was and what was there."""
    note = journey.stages[-1].note if journey.stages else None
    said = {"answered": _answered, "refused": _refused, "no answer": _lost}[journey.outcome](
        journey
    )
    return f"{said}; {note}" if note else said


def _answered(journey: Journey) -> str:
    last = _last_look(journey.way("forward"))
    by = _answering(journey)
    source = next((s for s in journey.way("forward") if _rewrites(s, "source")), None)
    if last is None or source is None:
        return f"answered by {by}"
    return f"answered by {by}, which saw it come from {_sides(last)[0]}"


def _refused(journey: Journey) -> str:
    by = _answering(journey)
    rule = next(
        (s for s in journey.stages if s.kind == "rule" and "reject" in (s.rule or "")), None
    )
    if rule is not None:
        return f"refused on {rule.node} by the rule `{rule.rule}` in {rule.chain}"
    look = _last_look(journey.way("back"))
    if look is None or "RST" in _packet(look.packet):
        return f"refused by {by}: nobody listens there, a reset came back"
    found = _SUMMARY.fullmatch(look.packet or "")
    return f"refused by {by}, which says: {_words(found['words']) if found else look.packet}"


def _lost(journey: Journey) -> str:
    look = _last_look(journey.stages)
    back = bool(journey.way("back")) and look is not None and look.way == "back"
    what = "the answer was " if back else ""
    if look is None:
        seen = f"nothing left {journey.flow.origin}"
    elif back and look.node == journey.flow.origin and look.direction != "out":
        return f"no answer: one came, but from {_sides(look)[0]}, who was not asked"
    else:
        way = "leaving" if look.direction == "out" else "entering"
        seen = f"last seen {way} {look.node} by {look.interface} as {' → '.join(_sides(look))}"
    dropped = _dropped(journey)
    return f"no answer: {what}{seen}; {dropped}" if dropped else f"no answer: {what}{seen}"


def _dropped(journey: Journey) -> str | None:
    """Name the rule, or the chain whose policy, that dropped the packet."""
    found = [stage for stage in journey.stages if stage.verdict == "drop"]
    if not found:
        return None
    last = found[-1]
    by = f"rule `{last.rule}` in" if last.kind == "rule" else "policy of the chain"
    return f"dropped on {last.node} by the {by} {last.chain}"


def _answering(journey: Journey) -> str:
    back = journey.way("back")
    return back[0].node if back else journey.stages[-1].node


def _rewrites(stage: Stage, what: str) -> bool:
    return stage.rewrite is not None and stage.rewrite.what == what


def _last_look(stages: Sequence[Stage]) -> Stage | None:
    return next((stage for stage in reversed(stages) if stage.kind == "interface"), None)


def _sides(stage: Stage) -> tuple[str, str]:
    """The source and the destination that a stage's packet had."""
    found = _SUMMARY.fullmatch(stage.packet or "")
    return (_end(found["src"]), _end(found["dst"])) if found else ("?", "?")
