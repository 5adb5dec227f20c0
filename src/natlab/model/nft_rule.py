"""Reading one rule's line of an nft listing.

A rule is a row of words: conditions first, then what is done, in any mixture. The words are
read from left to right; each condition becomes a `Match`, each known deed its own value, and
whatever is not known is kept as `Raw`, up to the next word that certainly begins a statement.
Reading never fails: nft's language grows, and a listing must still be readable then.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from natlab.model.nft_key import take_key
from natlab.model.nft_words import STATEMENT_WORDS, Words, unquoted
from natlab.model.rule_parts import (
    OPERATORS,
    TRANSLATIONS,
    Counter,
    Match,
    Raw,
    Statement,
    Translation,
    Verdict,
)
from natlab.model.ruleset import Rule

_HANDLE = re.compile(r"\s*# handle (\d{1,20})$")
_FLAGS = frozenset({"random", "fully-random", "persistent"})
_COUNTER_DIGITS = 20  # of the largest 64-bit number
_JOINS = (".", "/", "|")
_ALSO_VALUES = ("dnat", "snat", "redirect")  # `ct status dnat`, `icmp type redirect`

_Part = Match | Counter | Statement


def parse_rule(line: str) -> Rule:
    """Read one line of a chain, with or without its `# handle N`.

    Equivalent to: reading one line of `nft -a list ruleset`. The grammar is that of nft(8) 1.0,
    and of the translations that iptables-nft's rules get there (libxtables' `xlate` functions).
    """
    line = line.strip()
    found = _HANDLE.search(line)
    text = line[: found.start()] if found else line
    words = Words.of(text)
    parts: list[_Part] = []
    comment = None
    while words.left:
        if words.peek() == "comment" and words.peek(1).startswith('"'):
            comment = unquoted(words.take(2)[1])
        else:
            parts.append(_part(words))
    return Rule(
        handle=int(found[1]) if found else None,
        text=text,
        matches=tuple(p for p in parts if isinstance(p, Match)),
        counter=next((p for p in parts if isinstance(p, Counter)), None),
        statements=tuple(p for p in parts if isinstance(p, Verdict | Translation | Raw)),
        comment=comment,
    )


def _part(words: Words) -> _Part:
    read = _READERS.get(words.peek())
    if read is not None:
        return read(words)
    start = words.at
    key = take_key(words)
    part = _condition(words, key) if key is not None else None
    if part is not None:
        return part
    words.at = start
    return _raw(words)


def _condition(words: Words, key: str) -> Match | Raw | None:
    if words.peek() == "set":
        return Raw(" ".join([key, *words.take(1), *words.take_until_statement()]))
    if words.peek() == "vmap":
        return Raw(" ".join([key, *words.take(2)]))
    op = words.take(1)[0] if words.peek() in OPERATORS else "=="
    if not _has_value(words, key):
        return None
    value = words.take(1)
    while words.peek() in _JOINS:
        value += words.take(2)
    text = unquoted(value[0]) if len(value) == 1 else " ".join(value)
    return Match(key, "!=" if (key, op) == ("ct state", "!") else op, text)


def _has_value(words: Words, key: str) -> bool:
    word = words.peek()
    if word in _ALSO_VALUES and key.endswith((" status", " type")):
        return True
    return bool(words.left) and word not in STATEMENT_WORDS


def _raw(words: Words) -> Raw:
    return Raw(" ".join([*words.take(1), *words.take_until_statement()]))


def _counter(words: Words) -> Counter | Raw:
    words.take(1)
    if words.peek() == "name":
        return Counter(name=unquoted(words.take(2)[-1]))
    numbers = (words.peek(1), words.peek(3))
    if words.peek() == "packets" and words.peek(2) == "bytes" and all(map(_is_number, numbers)):
        words.take(4)
        return Counter(int(numbers[0]), int(numbers[1]))
    return Counter()


def _is_number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= _COUNTER_DIGITS


def _plain(words: Words) -> Verdict:
    return Verdict(words.take(1)[0])


def _jump(words: Words) -> Verdict | Raw:
    kind, *target = words.take(2)
    return Verdict(kind, chain=unquoted(target[0])) if target else Raw(kind)


def _reject(words: Words) -> Verdict:
    words.take(1)
    if words.peek() != "with":
        return Verdict("reject")
    words.take(1)
    family = words.take(1)
    if words.peek() == "type":
        words.take(1)
    return Verdict("reject", reason=" ".join([*family, *words.take(1)]))


def _translation(words: Words) -> Translation | Raw:
    kind, *rest = [*words.take(1), *words.take_until_statement()]
    flags: tuple[str, ...] = ()
    if rest and _FLAGS.issuperset(rest[-1].split(",")):
        flags = tuple(rest.pop().split(","))
    if not rest:
        return Translation(kind, None, flags)
    if "to" not in rest:
        return Raw(" ".join([kind, *rest, *flags]))
    return Translation(kind, " ".join(rest[rest.index("to") + 1 :]), flags)


def _log(words: Words) -> Raw:
    taken = words.take(1)
    while words.peek() in ("prefix", "level", "group", "snaplen", "queue-threshold", "flags"):
        taken += words.take(2)
        if taken[-2] == "flags" and taken[-1] in ("tcp", "ip"):
            taken += words.take(1)
    return Raw(" ".join(taken))


def _limit(words: Words) -> Raw:
    taken = words.take(2)
    if words.peek() == "over":
        taken += words.take(1)
    taken += words.take(1)
    if words.peek() == "burst":
        taken += words.take(3)
    return Raw(" ".join(taken))


_READERS: dict[str, Callable[[Words], _Part]] = {
    "counter": _counter,
    "jump": _jump,
    "goto": _jump,
    "reject": _reject,
    "log": _log,
    "limit": _limit,
    **dict.fromkeys(("accept", "drop", "return", "continue"), _plain),
    **dict.fromkeys(TRANSLATIONS, _translation),
}
