"""What a Go template consists of, once it is read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from natlab.model.go_quote import quote, shown


@dataclass(frozen=True)
class Operand:
    """Something that has a value: what `base` names, and fields of it.

    Attributes:
        base: "dot", "variable", "literal", "function" or "pipe".
        value: The variable's or function's name, the literal, or the pipe.
        fields: The names behind it.
        position: Where Go's messages place it.
    """

    base: str
    value: Any
    fields: tuple[str, ...]
    position: int

    @property
    def text(self) -> str:
        """As it was written."""
        head = "." if self.base == "dot" and not self.fields else ""
        if self.base in ("variable", "function"):
            head = self.value
        elif self.base == "literal":
            head = quote(self.value) if isinstance(self.value, str) else shown(self.value)
        elif self.base == "pipe":
            head = f"({' | '.join(written(command) for command in self.value.commands)})"
        return head + "".join(f".{name}" for name in self.fields)


def written(command: tuple[Operand, ...]) -> str:
    """A command as it was written."""
    return " ".join(operand.text for operand in command)


@dataclass(frozen=True)
class Pipe:
    """Commands, each of which gets what the one before gave.

    Attributes:
        names: The variables that are set to its value.
        commands: An operand each, or a function and what it is given.
        declares: Whether the variables are new ones (`:=`).
    """

    names: tuple[str, ...]
    commands: tuple[tuple[Operand, ...], ...]
    declares: bool = True


@dataclass(frozen=True)
class Block:
    """An `if`, `range` or `with`."""

    word: str
    pipe: Pipe
    body: tuple[Node, ...]
    otherwise: tuple[Node, ...]


Node: TypeAlias = "str | Pipe | Block"
