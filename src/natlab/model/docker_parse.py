"""How the words of a Docker command line are read.

    -d  --detach  --detach=false     a switch
    -e A=1  -eA=1  --env A=1         an option with a value
    -itd                             switches together; the last one may take a value

A command that runs another one (`run`, `create`, `exec`) takes options up to its first argument
only: what follows belongs to the other. The rules and messages are those of spf13/pflag; what
natlab adds to a message stands in parentheses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from natlab.errors import NatlabError, UsageError
from natlab.model.docker_flags import Command, CommandLineError, Flag, Options, Reader
from natlab.model.docker_values import READERS
from natlab.model.go_quote import quote
from natlab.model.names import nearest, one_line

_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_MANY: Final = frozenset({"list", "strings", "map", "filter", "mount", "network", "ulimit"})


def parse(command: Command, words: Sequence[str]) -> Options:
    """Read a command line.

    Raises:
        CommandLineError: An unknown option, a value that is missing or wrong, or too few or too
            many arguments.
    """
    if command.raw:
        return Options({}, list(words))
    options = _Parser(command).parse(words)
    count = len(options.arguments)
    few, many = count < command.least, command.most is not None and count > command.most
    if (few or many) and not options.on("help"):
        raise CommandLineError(
            f"docker: 'docker {command.name}' {_wanted(command.least, command.most)}:"
            f" {f'docker {command.name} {command.usage}'.rstrip()}",
            code=1,
        )
    return options


def _wanted(least: int, most: int | None) -> str:
    """How many arguments a command takes, in Docker's words."""
    if most == 0:
        return "accepts no arguments"
    if most is None or most == least:
        number = f"at least {least}" if most is None else str(least)
        return f"requires {number} argument{'' if least == 1 else 's'}"
    if least == 0:
        return f"requires at most {most} argument{'' if most == 1 else 's'}"
    return f"requires at least {least} and at most {most} arguments"


class _Parser:
    """Reads one command line."""

    def __init__(self, command: Command) -> None:
        self.command = command
        flags = [*command.flags, Flag("help", "", "", "Print usage")]
        self.long = {flag.name: flag for flag in flags}
        self.short = {flag.short: flag for flag in flags if flag.short}
        self.short.setdefault("h", self.long["help"])
        self.values: dict[str, Any] = {}

    def parse(self, words: Sequence[str]) -> Options:
        """Read the words."""
        arguments: list[str] = []
        rest = iter(words)
        for word in rest:
            if word == "--":
                arguments += rest
            elif word.startswith("--"):
                self._long(word, rest)
            elif word.startswith("-") and word != "-":
                self._short(word, rest)
            elif self.command.mixed:
                arguments.append(word)
            else:
                arguments += [word, *rest]
        return Options(self.values, arguments)

    def _long(self, word: str, rest: Iterator[str]) -> None:
        name, equals, value = word[2:].partition("=")
        flag = self.long.get(name)
        if flag is None:
            close = [f"--{near}" for near in nearest(name, self.long)]
            raise CommandLineError(f"unknown flag: --{one_line(name)}{_instead(close)}")
        if equals:
            self._set(flag, value)
        elif not flag.kind:
            self._set(flag, "true")
        else:
            self._set(flag, _next(rest, f"--{name}"))

    def _short(self, word: str, rest: Iterator[str]) -> None:
        letters = word[1:]
        while letters:
            letter, after = letters[0], letters[1:]
            flag = self.short.get(letter)
            if flag is None:
                known = [f"-{key}" for key in sorted(self.short)]
                raise CommandLineError(
                    f"unknown shorthand flag: {letter!r} in -{one_line(letters)}"
                    f" (there {'are' if len(known) > 1 else 'is'} {', '.join(known)})"
                )
            if after.startswith("="):
                self._set(flag, after[1:])
                return
            if not flag.kind:
                self._set(flag, "true")
                letters = after
                continue
            self._set(flag, after or _next(rest, f"{letter!r} in -{letters}"))
            return

    def _set(self, flag: Flag, text: str) -> None:
        try:
            value = self._read(flag, text)
        except NatlabError as error:
            raise CommandLineError(
                f'invalid argument {quote(text)} for "{flag.shown}" flag: {error}'
            ) from None
        if flag.kind in _MANY:
            values = self.values.setdefault(flag.name, [])
            values += value if flag.kind == "strings" else [value]
        else:
            self.values[flag.name] = value

    def _read(self, flag: Flag, text: str) -> Any:
        reader = READERS.get(flag.name) if flag.kind else None
        return (reader or _KINDS.get(flag.kind, str))(text)


def _next(rest: Iterator[str], shown: str) -> str:
    for word in rest:
        return word
    raise CommandLineError(f"flag needs an argument: {shown}")


def _instead(close: list[str]) -> str:
    return f" (did you mean {' or '.join(close)}?)" if close else ""


def _switch(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise UsageError(f'strconv.ParseBool: parsing "{one_line(text)}": invalid syntax')


def _integer(text: str) -> int:
    try:
        return int(text, 10)
    except ValueError:
        raise UsageError(f'strconv.ParseInt: parsing "{one_line(text)}": invalid syntax') from None


def _filter(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError("bad format of filter (expected name=value)")
    return key.strip().lower(), value.strip()


_KINDS: Final[dict[str, Reader]] = {
    "": _switch,
    "int": _integer,
    "uint16": _integer,
    "filter": _filter,
    "strings": lambda text: text.split(","),
}
