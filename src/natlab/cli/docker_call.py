"""A command that is being carried out, and what commands share."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from natlab.cli.common import say
from natlab.cli.docker_engine import Api
from natlab.cli.docker_wire import EngineError
from natlab.errors import UsageError
from natlab.model.docker_flags import Command, Options

_NOT_FOUND = 404
FROM_DAEMON = "Error response from daemon: "


@dataclass(frozen=True)
class Call:
    """A command, what its line says, and the engine that it is for."""

    command: Command
    options: Options
    api: Api

    @property
    def arguments(self) -> list[str]:
        """The words that are no options."""
        return self.options.arguments


def complain(text: str) -> None:
    """Print a line for the person, beside the output."""
    sys.stdout.flush()
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def part(text: str) -> str:
    """A name as part of a path; the slashes of an image's name stay."""
    return quote(text, safe="/:@")


def container_path(name: str, rest: str = "") -> str:
    """The path of a container: `/containers/web/start`.

    Raises:
        EngineError: A name that cannot be one: an empty path would mean something else.
    """
    if not name.strip("/"):
        raise EngineError(f"No such container: {name}", 404)
    return f"/containers/{quote(name.removeprefix('/'), safe='')}{rest}"


def each(names: Iterable[str], do: Callable[[str], object], *, absent_is_well: bool = False) -> int:
    """Do something to each, print the names of those where it went well, and then what did not.

    Equivalent to: what `docker stop A B` does with several names.

    Returns:
        1 if anything went wrong.
    """
    errors, code = [], 0
    for name in names:
        try:
            do(name)
        except EngineError as error:
            errors.append(f"{FROM_DAEMON}{error.message}")
            code = code if absent_is_well and error.status == _NOT_FOUND else 1
        else:
            say(name)
    for text in errors:
        complain(text)
    return code


def sure(call: Call, warning: str) -> bool:
    """Ask before something is removed, unless `-f` is given."""
    if call.options.on("force"):
        return True
    sys.stdout.write(f"{warning}\nAre you sure you want to continue? [y/N] ")
    sys.stdout.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def read_lines(file: str) -> list[str]:
    """The lines of a file with variables or labels, its comments left out.

    Raises:
        UsageError: `open x: no such file or directory`.
    """
    try:
        text = Path(file).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{file} contains invalid utf8 bytes") from None
    except OSError as error:
        raise UsageError(f"open {file}: {(error.strerror or '').lower()}") from None
    lines = (line.lstrip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith("#")]
