"""What a failed test's lab looked like: sections for the report, in words that fit a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from natlab.engine.host import Host
from natlab.engine.lab import Lab
from natlab.engine.survey import survey
from natlab.errors import NatlabError
from natlab.model.draw_text import draw
from natlab.model.iptables_view import listing

Section = tuple[str, str]

_LOG_LINES: Final = 40
_ENTRIES: Final = 40


def sections(labs: Iterable[Lab], users: Iterable[Any]) -> list[Section]:
    """The picture, the rules with their counters, the connections and the logs of labs.

    Args:
        labs: The labs, as they stand now.
        users: What else the test has: objects with `containers` that have logs.
    """
    return [*_of_labs(labs), *_of_users(users)]


def _of_labs(labs: Iterable[Lab]) -> Iterator[Section]:
    for lab in labs:
        yield from _section("lab", lambda lab=lab: draw(survey(lab)))  # type: ignore[misc]
        for host in lab.hosts.values():
            yield from _section(f"rules of {host.name}", lambda host=host: _rules(host))  # type: ignore[misc]
            yield from _section(f"connections of {host.name}", lambda host=host: _connections(host))  # type: ignore[misc]


def _of_users(users: Iterable[Any]) -> Iterator[Section]:
    for user in users:
        for name, read in user.all_logs():
            yield from _section(f"log of {name}", read)


def _section(title: str, read: Callable[[], str]) -> Iterator[Section]:
    """A section, unless there is nothing to say; a lab that is gone must not hide the failure."""
    try:
        text = read().rstrip()
    except (NatlabError, OSError, RuntimeError) as error:
        text = f"could not be looked at: {error}"
    if text:
        yield f"natlab: {title}", text


def _rules(host: Host) -> str:
    ruleset = host.ruleset()
    if not ruleset.tables:
        return ""
    texts = [
        f"{table}:\n{text}"
        for table in ("nat", "filter", "raw")
        if (text := _filled(listing(ruleset, table, numeric=True, verbose=True)))
    ]
    return "\n\n".join(texts)


def _filled(text: str) -> str:
    """The chains that have rules."""
    chains = (chain for chain in text.strip("\n").split("\n\n"))
    return "\n".join(chain for chain in chains if chain.count("\n") > 1)


def _connections(host: Host) -> str:
    entries = [str(entry) for entry in host.conntrack()]
    more = len(entries) - _ENTRIES
    return "\n".join([*entries[:_ENTRIES], *([f"and {more} more"] if more > 0 else [])])


def last_lines(text: str) -> str:
    """The end of a log."""
    lines = text.splitlines()
    more = len(lines) - _LOG_LINES
    return "\n".join([*([f"({more} lines before)"] if more > 0 else []), *lines[-_LOG_LINES:]])
