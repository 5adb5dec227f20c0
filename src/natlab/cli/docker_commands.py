"""Docker's commands, read from their manual."""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Sequence
from typing import Final

from natlab.cli.docker_missing import MISSING
from natlab.model.docker_flags import Command, CommandLineError
from natlab.model.names import nearest, one_line

GROUPS: Final = {
    "container": "Manage containers",
    "image": "Manage images",
    "network": "Manage networks",
    "system": "Manage Docker",
    "volume": "Manage volumes",
}
"""The commands that have commands of their own."""

_BLOCK: Final = "\n%% "


@functools.cache
def commands() -> dict[str, Command]:
    """Every command, by each of its names."""
    text = importlib.resources.files("natlab.cli").joinpath("docker_manual.txt").read_text("utf-8")
    found: dict[str, Command] = {}
    for block in text.split(_BLOCK)[1:]:
        command = _command(block)
        found.update(dict.fromkeys((command.name, *command.aliases), command))
    return found


def _command(block: str) -> Command:
    head, _, manual = block.partition("\n\n")
    name, *lines = head.splitlines()
    said = dict(line.split(": ", 1) for line in lines if ": " in line)
    least, most = said["arguments"].split()
    return Command(
        name=name,
        code=said["code"],
        usage=said.get("usage", ""),
        about=said["about"],
        manual=manual.rstrip("\n"),
        least=int(least),
        most=None if most == "any" else int(most),
        mixed=said.get("options") != "first",
        aliases=tuple(said["aliases"].split(", ")) if "aliases" in said else (),
    )


def find(words: Sequence[str]) -> tuple[Command, list[str]]:
    """Give the command that the words begin with, and the rest of them.

    Raises:
        CommandLineError: `docker: unknown command: docker foo`.
    """
    known = commands()
    length = 2 if words[0] in GROUPS and len(words) > 1 else 1
    name = " ".join(words[:length])
    if name in known:
        return known[name], list(words[length:])
    if name in MISSING:
        return _missing(name), list(words[length:])
    prefix = f"{words[0]} " if words[0] in GROUPS else ""
    others = [other for other in (*known, *GROUPS) if other.startswith(prefix)]
    close = [f"docker {other}" for other in nearest(name, others)]
    instead = f"did you mean `{'` or `'.join(close)}`?" if close else "see `docker --help`"
    raise CommandLineError(f"docker: unknown command: docker {one_line(name)}: {instead}", code=1)


def _missing(name: str) -> Command:
    """A command that natlab has not: the engine says why."""
    return Command(name, "docker_missing:ask", "", "", most=None, raw=True)


def overview(options: str) -> str:
    """What `docker --help` prints.

    Args:
        options: The options that stand before a command.
    """
    single = {c.name: c.about for c in commands().values() if " " not in c.name}
    rows = [*sorted(single.items()), *GROUPS.items()]
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(
        [
            "Usage:  natlab docker [OPTIONS] COMMAND",
            "",
            "Docker's command line, for machines without a Docker client",
            "",
            "Commands:",
            *(f"  {name.ljust(width)}{about}" for name, about in rows),
            "",
            "Options:",
            options,
            "",
            "Run 'natlab docker COMMAND --help' for more information on a command.",
        ]
    )


def group_help(group: str) -> str:
    """What `docker network --help` prints."""
    prefix = f"{group} "
    rows = {
        name.removeprefix(prefix): command.about
        for name, command in sorted(commands().items())
        if name.startswith(prefix)
    }
    width = max(map(len, rows)) + 2
    lines = [f"  {name.ljust(width)}{about}" for name, about in rows.items()]
    return "\n".join(
        [
            f"Usage:  docker {group} COMMAND",
            "",
            GROUPS[group],
            "",
            "Commands:",
            *lines,
            "",
            f"Run 'docker {group} COMMAND --help' for more information on a command.",
        ]
    )
