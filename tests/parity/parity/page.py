"""The page `docs/parity.md`, made from a run."""

from __future__ import annotations

import datetime as dt
import textwrap
from collections.abc import Iterator

from parity import listing
from parity.differences import NOT_YET, purposes
from parity.flows import Seen
from parity.results import Results, cases
from parity.running import Pair
from parity.scenario import Scenario

_HEAD = """# Parity with a real Docker engine

Made by `make parity` on {date}: {version} on one side, natlab on the
other. Do not edit.

**{summary}.**

Both engines run on `ubuntu1` of a lab of their own, with the same `outside` and `ubuntu2` on the
same LAN, and get the same lines from the same unmodified `docker` client. Each flow is sent through
sockets in the nodes' namespaces. Compared are: the outcome (answered, refused, or dropped: no
answer within {silence} s), who got it, with which source address and whether with the client's own
port, whom the answer came from, the client's entry in the host's connection table (`P` is its own
port), and which rules of NAT and of FORWARD counted. `=` means that natlab's result is the same.
"""


def page(results: Results, version: str, silence: float) -> str:
    """The whole page."""
    lines = [
        _HEAD.format(
            date=dt.datetime.now(dt.UTC).date(),
            version=version,
            summary=results.summary,
            silence=silence,
        ),
        "## What differs on purpose\n",
        *_on_purpose(results),
        "",
        "## What is not there yet\n",
        *(_wrapped("- ", f"{item.what}. It needs {item.needs}") for item in NOT_YET),
        "",
        "## Flows\n",
        *_flows(results),
        "## Everything else\n",
        *_answers(results),
        listing.page_part(),
    ]
    return "\n".join(line.rstrip() for line in "\n".join(lines).split("\n")).rstrip() + "\n"


def _on_purpose(results: Results) -> Iterator[str]:
    for number, (purpose, pairs) in enumerate(results.on_purpose.items(), start=1):
        text = f"**{purpose.name}** ({len(pairs)}). {purpose.reason} Source: {purpose.source}."
        yield _wrapped(f"{number}. ", text)


def _wrapped(mark: str, text: str) -> str:
    """An item of a list, in lines of at most 100 characters."""
    return mark + f"\n{' ' * len(mark)}".join(textwrap.wrap(text, 96, break_on_hyphens=False))


def _number(results: Results, pair: Pair) -> str:
    names = list(results.on_purpose)
    return ", ".join(str(names.index(purpose) + 1) for purpose in purposes(pair))


def _verdict(results: Results, pair: Pair) -> str:
    if not pair.differing:
        return "="
    if not purposes(pair):
        return "**different**"
    return f"{_shown(pair.natlab)} (on purpose: {_number(results, pair)})"


def _shown(value: Seen | str) -> str:
    if isinstance(value, Seen):
        return str(value)
    text = value.replace("\n", " ⏎ ").replace("|", "\\|")
    return f"`{text}`" if text else "(nothing)"


def _flows(results: Results) -> Iterator[str]:
    for case in cases():
        if not isinstance(case, Scenario) or case.name not in results.pairs:
            continue
        yield f"### {case.name}\n\n{case.about}\n"
        typed = [f"{where}# {line}" for where, line in case.before]
        typed += [f"dockerd {' '.join(case.options)}"] if case.options else []
        typed += [f"docker {line}" for line in case.docker]
        typed += [f"{where}# {line}" for where, line in case.after]
        yield "```sh\n" + "\n".join(typed) + "\n```\n"
        yield "| Flow | Docker | Rules that counted | natlab |\n|---|---|---|---|"
        for pair in results.pairs[case.name]:
            seen = pair.docker
            rules = [*seen.nat, *seen.filter] if isinstance(seen, Seen) else []
            shown = "<br>".join(f"`{rule}`" for rule in rules)
            yield f"| {pair.what} | {_shown(seen)} | {shown} | {_verdict(results, pair)} |"
        yield ""


def _answers(results: Results) -> Iterator[str]:
    for case in cases():
        if isinstance(case, Scenario) or case.name not in results.pairs:
            continue
        yield f"### {case.name}\n\n{case.about}\n"
        yield "```sh\n" + "\n".join(f"docker {line}" for line in case.docker) + "\n```\n"
        yield "| Asked | Docker | natlab |\n|---|---|---|"
        for pair in results.pairs[case.name]:
            what = pair.what.replace("|", "\\|")
            yield f"| `{what}` | {_shown(pair.docker)} | {_verdict(results, pair)} |"
        yield ""
