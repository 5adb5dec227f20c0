"""The commands that show something: status, doctor, iptables, journey, map."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import NoReturn

from natlab.cli.common import say
from natlab.cli.lessons import paint
from natlab.errors import NatlabError, UsageError

_LEVEL_COLOURS = {"ok": "32", "warning": "33", "problem": "31"}


def status() -> int:
    """Print the labs of this user, and what is in each; 1 if none is up."""
    from natlab.engine import keep

    records = keep.records()
    for record in records:
        if not record.alive:
            say(f"{record.name}: gone, its keeper (process {record.pid}) was killed.")
            say("  `natlab up` starts it again.")
            continue
        with keep.opened(record.name) as lab:
            say(f"{record.name}: up, kept by process {record.pid}")
            for host in lab.hosts.values():
                names = [container.name for container in host.containers()]
                bridges = [network.bridge for network in host.networks()]
                inside = ", ".join([*bridges, *names]) or "nothing yet"
                say(f"  {host.name:8} {host.ip!s:15} {inside}")
    if not records:
        say("no lab is up: start one with `natlab up`")
    return int(not any(record.alive for record in records))


def doctor() -> int:
    """Print the findings; 1 if one of them is a problem."""
    from natlab.engine.doctor import examine

    findings = examine()
    for finding in findings:
        level = paint(f"{finding.level:8}", _LEVEL_COLOURS[finding.level])
        say(f"{level} {finding.topic}: {finding.says}")
        if finding.remedy:
            say(f"{'':8} → {finding.remedy}")
    counts = {level: sum(f.level == level for f in findings) for level in _LEVEL_COLOURS}
    say()
    say(f"{counts['ok']} ok, {counts['warning']} warnings, {counts['problem']} problems")
    return int(counts["problem"] > 0)


class _Options(argparse.ArgumentParser):
    """iptables' own options, bundled as people type them (`-nvL`)."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"iptables: {message}: natlab lists rules: `natlab iptables -t nat -nvL`")


def iptables(name: str, host: str, words: list[str]) -> int:
    """Print a host's rules in iptables' own form."""
    from natlab.engine import keep
    from natlab.model.iptables_view import listing

    options = _parse(words)
    with keep.opened(name) as lab:
        text = listing(
            lab.host(host).ruleset(),
            options.table,
            numeric=options.numeric,
            verbose=options.verbose,
            line_numbers=options.line_numbers,
            exact=options.exact,
        )
    say(_only_chain(text, options.list) if options.list else text.rstrip("\n"))
    return 0


def _parse(words: list[str]) -> argparse.Namespace:
    parser = _Options(prog="natlab iptables", add_help=False, allow_abbrev=False)
    parser.add_argument(
        "-t", "--table", default="filter", choices=("filter", "nat", "mangle", "raw")
    )
    parser.add_argument("-n", "--numeric", action="store_true")
    parser.add_argument("-v", "--verbose", action="store_true")
    parser.add_argument("-x", "--exact", action="store_true")
    parser.add_argument("--line-numbers", action="store_true")
    parser.add_argument("-L", "--list", nargs="?", const="", default="")
    return parser.parse_args(words)


def _only_chain(text: str, chain: str) -> str:
    blocks = [
        block for block in text.strip("\n").split("\n\n") if block.startswith(f"Chain {chain} ")
    ]
    if not blocks:
        raise NatlabError(f"no chain {chain} in this table: `natlab iptables -nvL` lists them all")
    return "\n\n".join(blocks)


def journey(name: str, origin: str, target: str, *, udp: bool, as_json: bool) -> int:
    """Send one packet and print its way; 1 if it was not answered."""
    from natlab.engine import keep
    from natlab.engine.journey import travel
    from natlab.model.draw_journey import table

    where, port = _target(target)
    proto = "icmp" if port is None else "udp" if udp else "tcp"
    with keep.opened(name) as lab:
        trip = travel(lab, lab.node(origin), where, port, proto=proto)  # type: ignore[arg-type]
    say(json.dumps(trip.to_dict(), indent=2) if as_json else table(trip))
    return int(trip.outcome != "answered")


def _target(text: str) -> tuple[str, int | None]:
    where, colon, port = text.rpartition(":")
    if not colon:
        return text, None
    if not port.isdigit() or not 1 <= int(port) <= 65535:  # noqa: PLR2004 - the highest port
        raise UsageError(f"{port!r} in {text} is not a port: ports go from 1 to 65535")
    return where, int(port)


def draw_map(name: str, *, svg: str | None, mermaid: bool, as_json: bool) -> int:
    """Draw the lab as it stands now."""
    from natlab.engine import keep
    from natlab.engine.survey import survey
    from natlab.model import draw_mermaid, draw_svg, draw_text

    with keep.opened(name) as lab:
        picture = survey(lab)
    if svg is not None:
        _write(svg, draw_svg.draw(picture))
    if mermaid:
        say(draw_mermaid.draw(picture).rstrip("\n"))
    elif as_json:
        say(json.dumps(picture.to_dict(), indent=2))
    elif svg is None:
        say(draw_text.draw(picture).rstrip("\n"))
    return 0


def _write(file: str, text: str) -> None:
    try:
        Path(file).write_text(text, encoding="utf-8")
    except OSError as error:
        raise NatlabError(f"{file} cannot be written: {error.strerror}") from error
    say(f"written: {file}")
