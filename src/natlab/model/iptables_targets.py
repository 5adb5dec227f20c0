"""What a rule does, in iptables' words: its target, and what is printed of the target's options."""

from __future__ import annotations

import re
from collections.abc import Sequence

from natlab.model.ruleset import Raw, Statement, Translation, Verdict

_LOG_LEVELS = ("emerg", "alert", "crit", "err", "warn", "notice", "info", "debug")
_LOG_FLAGS = (
    ("flags tcp sequence", 1),
    ("sequence,options", 2),
    ("flags tcp options", 2),
    ("flags ip options", 4),
    ("flags skuid", 8),
    ("flags ether", 32),
    ("flags all", 0x2F),
)
_MARK = re.compile(r"(?:meta )?mark set (0x[0-9a-f]+)")


def target_of(statements: Sequence[Statement]) -> tuple[str, list[str]]:
    """The target column, and the words that follow the conditions.

    A rule of nft may do several things; the verdict or translation is the target then, and the
    others are told in words. Limits are left out: in iptables they are conditions.
    """
    deeds = [s for s in statements if not (isinstance(s, Raw) and s.text.startswith("limit "))]
    told = [_told(deed) for deed in deeds]
    decisive = next((i for i, deed in enumerate(deeds) if not isinstance(deed, Raw)), 0)
    target = told[decisive][0] if told else ""
    order = [*(t for i, t in enumerate(told) if i != decisive), *told[decisive : decisive + 1]]
    return target, [words for _, words in order if words]


def _told(deed: Statement) -> tuple[str, str]:
    if isinstance(deed, Verdict):
        return _verdict(deed)
    if isinstance(deed, Translation):
        return deed.kind.upper(), _translation(deed)
    return _raw(deed.text)


def _verdict(deed: Verdict) -> tuple[str, str]:
    if deed.kind == "reject":
        return "REJECT", f"reject-with {_answer(deed.reason)}"
    if deed.chain is not None:
        return deed.chain, ""
    return ("", "continue") if deed.kind == "continue" else (deed.kind.upper(), "")


def _answer(reason: str | None) -> str:
    """A reject's answer, by iptables' name (libipt_REJECT)."""
    if reason is None:
        return "icmp-port-unreachable"
    return reason.replace("icmpx", "icmp").replace("prot-", "proto-").replace(" ", "-")


def _translation(deed: Translation) -> str:
    names = {"fully-random": "random-fully"}
    flags = " ".join(names.get(flag, flag) for flag in deed.flags)
    if deed.to is None:
        return flags
    start = {"redirect": "redir ports ", "masquerade": "masq ports: "}.get(deed.kind, "to:")
    to = deed.to if start == "to:" else deed.to.removeprefix(":")
    return f"{start}{to} {flags}".strip()


def _raw(text: str) -> tuple[str, str]:
    if mark := _MARK.fullmatch(text):
        return "MARK", f"MARK set {int(mark[1], 16):#x}"
    if text == "notrack":
        return "CT", "CT notrack"
    if re.match(r"log\b(?!.*\bgroup )", text):
        return "LOG", _log(text)
    return "", text


def _log(text: str) -> str:
    prefix = re.search(r'prefix ("[^"]*")', text)
    options = text.replace(prefix[0], "") if prefix else text
    level = re.search(r"level (\w+)", options)
    number = _LOG_LEVELS.index(level[1]) if level and level[1] in _LOG_LEVELS else 4
    flags = sum(bit for words, bit in _LOG_FLAGS if words in options)
    return f"LOG flags {flags} level {number}" + (f" prefix {prefix[1]}" if prefix else "")
