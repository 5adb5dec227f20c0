"""Docker's commands: their manuals, and what a command line said."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from natlab.errors import UsageError

FLAG_ERROR: Final = 125
"""Docker's exit code for an option that it does not take."""

_FLAG: Final = re.compile(r" +(?:-(\w), |    )--([\w-]+)(?: ([\w-]+))? {2,}(\S.*)")

Reader = Callable[[str], Any]
"""Makes a value of an option's text; raises UsageError, or Refusal, with Docker's reason."""


class CommandLineError(UsageError):
    """A command line that Docker does not take.

    Attributes:
        code: The exit code that goes with it: 125 for an option, 1 for arguments.
    """

    def __init__(self, message: str, code: int = FLAG_ERROR) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Flag:
    """An option of a command.

    Attributes:
        name: `detach`.
        short: `d`, or nothing.
        kind: Docker's word for its value, `list`, `int`; empty for a switch.
        about: What it does.
    """

    name: str
    short: str
    kind: str
    about: str

    @property
    def shown(self) -> str:
        """How messages call it: `-d, --detach`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


@dataclass(frozen=True)
class Options:
    """What a command line said."""

    values: dict[str, Any]
    arguments: list[str]

    def text(self, name: str) -> str:
        """The value of an option; empty if it was not given."""
        value: str = self.values.get(name, "")
        return value

    def given(self, name: str) -> bool:
        """Whether an option was given at all."""
        return name in self.values

    def get(self, name: str, default: Any = None) -> Any:
        """An option's value as it was read."""
        return self.values.get(name, default)

    def on(self, name: str) -> bool:
        """Whether a switch is on."""
        return bool(self.values.get(name, False))

    def all(self, name: str) -> list[Any]:
        """Every value of an option that may be given several times."""
        return list(self.values.get(name, ()))


@dataclass(frozen=True)
class Command:
    """One command: its manual, and where its code is.

    Attributes:
        name: `run`, `network ls`.
        code: `module:function`, below `natlab.cli`; imported when it is needed.
        usage: What follows the name: `[OPTIONS] IMAGE [COMMAND] [ARG...]`.
        about: What it does, in one sentence.
        manual: Its options, laid out as `--help` prints them.
        least: How many arguments it needs.
        most: How many it takes; None for any number.
        mixed: Whether options may follow arguments.
        aliases: Its other names.
        raw: Whether its words are not read at all.
    """

    name: str
    code: str
    usage: str
    about: str
    manual: str = ""
    least: int = 0
    most: int | None = 0
    mixed: bool = True
    aliases: tuple[str, ...] = ()
    raw: bool = False

    @property
    def flags(self) -> list[Flag]:
        """Its options, as the manual has them."""
        found = (_FLAG.fullmatch(line) for line in self.manual.splitlines())
        return [Flag(m[2], m[1] or "", m[3] or "", m[4]) for m in found if m]

    @property
    def help(self) -> str:
        """What `--help` prints."""
        words = f" {self.usage}" if self.usage else ""
        lines = [f"Usage:  docker {self.name}{words}", "", self.about]
        if self.aliases:
            names = ", ".join(f"docker {name}" for name in (*self.aliases, self.name))
            lines += ["", "Aliases:", f"  {names}"]
        if self.manual:
            lines += ["", "Options:", self.manual.rstrip("\n")]
        return "\n".join(lines)
