"""Reading the text of `nft -a list ruleset`.

Text, not JSON: libnftables' JSON leaves out the content of the `xt` expressions that iptables-nft
stores, while its text translates them (`fib daddr type local`, `dnat to 172.17.0.2:8080`). So a
rule that was typed with `iptables` reads here like its twin that was typed with `nft`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from natlab.errors import UsageError
from natlab.model.nft_rule import parse_rule
from natlab.model.nft_words import unquoted
from natlab.model.rule_parts import Counter
from natlab.model.ruleset import Chain, NamedObject, Rule, Ruleset, Table

_WARNING = re.compile(r"# Warning: table (\S+) (\S+) is managed by iptables-nft")
_OPENING = re.compile(r"(?P<head>[a-z][^{]*?)\s*\{(?P<note>\s*#.*)?")
_ONE_LINE = re.compile(r"(?P<head>[a-z][^{]*?)\s*\{\s*(?P<body>.*\S)\s*\}(?P<note>\s*#.*)?")
_HANDLE = re.compile(r"# handle (\d{1,20})\b")
_BASE = re.compile(
    r"type (?P<type>\S+) hook (?P<hook>\S+)(?: devices? (?:= )?(?:\{[^}]*\}|\S+))?"
    r" priority (?P<priority>[^;]+);(?: policy (?P<policy>\w+);)?"
)
_PRIORITY = re.compile(r"(?P<name>[a-z]+)?\s*(?P<offset>[+-]?\s*\d{1,10})?")
_COUNTS = re.compile(r"packets (\d{1,20}) bytes (\d{1,20})")
_ELEMENTS = re.compile(r"elements = \{(.*)\}", re.DOTALL)
_ELEMENT = re.compile(r'(?:"[^"]*"|[^,"])+')

_PRIORITIES = {
    "raw": -300,
    "mangle": -150,
    "dstnat": -100,
    "filter": 0,
    "security": 50,
    "srcnat": 100,
}
_BRIDGE_PRIORITIES = {"dstnat": -300, "filter": -200, "out": 100, "srcnat": 300}


def parse(text: str) -> Ruleset:
    """Read a ruleset's listing, or the listing of one table.

    Equivalent to: `nft -a list ruleset` read by a person. Handles are None without `-a`. The
    names of priorities are those of nft(8), for the bridge family its own.

    nft writes its warnings (`# Warning: table ip nat is managed by iptables-nft, do not touch!`) to
    its error stream, for tables with rules that only iptables can express: hand in both streams'
    text, in any order of whole lines, for `managed_by_iptables` to be known.

    Raises:
        UsageError: The text is not a listing. What stands inside a rule is never an error.
    """
    lines = _Lines(text)
    tables: list[Table] = []
    managed: set[tuple[str, str]] = set()
    for line in lines:
        if found := _WARNING.match(line):
            managed.add((found[1], found[2]))
        elif not line.startswith("#"):
            tables.append(_table(line, lines))
    return Ruleset(
        tuple(replace(t, managed_by_iptables=(t.family, t.name) in managed) for t in tables)
    )


class _Lines:
    """The listing's lines that say something, stripped, with the number of the last one read."""

    def __init__(self, text: str) -> None:
        self._lines = enumerate(text.split("\n"), start=1)
        self.number = 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        for number, line in self._lines:
            self.number = number
            if line.strip():
                return line.strip()
        raise StopIteration

    def block(self) -> Iterator[str]:
        """The lines up to the brace that closes the block being read."""
        for line in self:
            if line == "}":
                return
            yield line
        raise UsageError(
            f"nft listing ends at line {self.number} inside a block; "
            "pass the whole output of `nft -a list ruleset`"
        )

    def unexpected(self, line: str) -> UsageError:
        """What to raise for a line that no listing has in this place."""
        return UsageError(
            f"nft listing, line {self.number}: {line[:60]!r} is not expected here; "
            "pass the output of `nft -a list ruleset`"
        )


def _table(line: str, lines: _Lines) -> Table:
    found = _OPENING.fullmatch(line)
    words = found["head"].split() if found else []
    if found is None or len(words) != 3 or words[0] != "table":  # noqa: PLR2004 - "table", family, name
        raise lines.unexpected(line)
    family = words[1]
    chains: list[Chain] = []
    objects: list[NamedObject] = []
    flags = ""
    for inner in lines.block():
        if inner.startswith("flags "):
            flags = inner.removeprefix("flags ").rstrip(";")
        elif inner.startswith("chain "):
            chains.append(_chain(inner, lines, family))
        elif not inner.startswith(("comment ", "#")):
            objects.append(_object(inner, lines))
    counters = {o.name: _counts(o) for o in objects if o.kind == "counter"}
    counted = tuple(_with_named_counters(chain, counters) for chain in chains)
    return Table(family, unquoted(words[2]), counted, tuple(objects), _handle(found["note"]), flags)


def _chain(line: str, lines: _Lines, family: str) -> Chain:
    found = _OPENING.fullmatch(line)
    words = found["head"].split() if found else []
    if found is None or len(words) != 2:  # noqa: PLR2004 - "chain", name
        raise lines.unexpected(line)
    chain = Chain(unquoted(words[1]), _handle(found["note"]))
    rules: list[Rule] = []
    for inner in _joined(lines.block()):
        if base := _BASE.match(inner):
            chain = _based(chain, base, family)
        elif not rules and inner.startswith('comment "') and "# handle" not in inner:
            chain = replace(chain, comment=unquoted(inner.removeprefix("comment ")))
        elif not inner.startswith("#") or _HANDLE.search(inner):
            rules.append(parse_rule(inner))
    return replace(chain, rules=tuple(rules))


def _joined(lines: Iterator[str]) -> Iterator[str]:
    """Put together a rule whose long set was printed over several lines."""
    pending = ""
    for line in lines:
        pending = f"{pending} {line}" if pending else line
        if "{" in pending and pending.endswith(","):
            continue
        yield pending
        pending = ""
    if pending:
        yield pending


def _based(chain: Chain, base: re.Match[str], family: str) -> Chain:
    return replace(
        chain,
        type=base["type"],
        hook=base["hook"],
        priority=_priority(base["priority"], family),
        policy=base["policy"] or "accept",
    )


def _priority(text: str, family: str) -> int | None:
    found = _PRIORITY.fullmatch(text.strip())
    if found is None or not (found["name"] or found["offset"]):
        return None
    offset = int((found["offset"] or "0").replace(" ", ""))
    if found["name"] is None:
        return offset
    named = (_BRIDGE_PRIORITIES if family == "bridge" else _PRIORITIES).get(found["name"])
    return None if named is None else named + offset


def _object(line: str, lines: _Lines) -> NamedObject:
    if (found := _ONE_LINE.fullmatch(line)) is not None:
        body = found["body"]
    elif (found := _OPENING.fullmatch(line)) is not None:
        body = "\n".join(lines.block())
    else:
        raise lines.unexpected(line)
    *kind, name = found["head"].split()
    elements = _ELEMENTS.search(body)
    each = _ELEMENT.findall(elements[1]) if elements else ()
    trimmed = tuple(part.strip() for part in each if part.strip())
    return NamedObject(" ".join(kind), unquoted(name), _handle(found["note"]), body, trimmed)


def _counts(found: NamedObject) -> Counter:
    counts = _COUNTS.search(found.body)
    packets, size = (int(counts[1]), int(counts[2])) if counts else (0, 0)
    return Counter(packets, size, name=found.name)


def _with_named_counters(chain: Chain, counters: dict[str, Counter]) -> Chain:
    def resolved(rule: Rule) -> Rule:
        name = rule.counter.name if rule.counter else None
        return replace(rule, counter=counters[name]) if name in counters else rule

    return replace(chain, rules=tuple(resolved(rule) for rule in chain.rules))


def _handle(note: str | None) -> int | None:
    found = _HANDLE.search(note or "")
    return int(found[1]) if found else None
