"""Go's text/template, carried out: the text that a template makes of a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from natlab.errors import NatlabError
from natlab.model.go_functions import FUNCTIONS, truth
from natlab.model.go_nodes import Block, Node, Operand, Pipe, written
from natlab.model.go_quote import shown
from natlab.model.go_template import parse
from natlab.model.go_tokens import TemplateError

_NOTHING: Final = object()


class Row(dict[str, Any]):
    """What a list's template sees of one line: fields by name; some are functions.

    Attributes:
        kind: The name of Docker's type for it, which its messages tell.
    """

    kind = "*formatter.Context"

    def plain(self) -> dict[str, Any]:
        """Its fields without the functions, in the order of their names: `{{json .}}`."""
        return {key: self[key] for key in sorted(self) if not callable(self[key])}


class Heads(dict[str, Any]):
    """The titles of a table's columns; there is no error in one that is missing."""


class Texts(dict[str, str]):
    """A map of Go from text to text: one that is missing is `<no value>`, and no error."""


class Template:
    """A template that has been read.

    Args:
        text: The template.
        name: What Go's messages call it.
        functions: Functions that stand in for others of the same names.

    Raises:
        TemplateError: It cannot be read.
    """

    def __init__(
        self, text: str, name: str = "", functions: Mapping[str, Callable[..., Any]] | None = None
    ) -> None:
        self.text, self.name = text, name
        self.functions = {**FUNCTIONS, **(functions or {})}
        self.nodes = parse(text, self.functions, name)

    def __call__(self, value: Any) -> str:
        """Carry it out.

        Raises:
            TemplateError: `template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"`
                and Go's other words.
        """
        return "".join(_Run(self, value).each(self.nodes, value))


class _Run:
    """One run of a template."""

    def __init__(self, template: Template, value: Any) -> None:
        self.template = template
        self.scopes: list[dict[str, Any]] = [{"$": value}]

    def fail(self, operand: Operand, message: str, what: str = "") -> TemplateError:
        """Make the error that says what went wrong, and where; the caller raises it."""
        text, name = self.template.text, self.template.name
        line = text.count("\n", 0, operand.position) + 1
        column = operand.position - (text.rfind("\n", 0, operand.position) + 1)
        return TemplateError(
            f'template: {name}:{line}:{column}: executing "{name}" at'
            f" <{what or operand.text}>: {message}"
        )

    def each(self, nodes: tuple[Node, ...], dot: Any) -> Iterator[str]:
        """Carry nodes out, one after another."""
        for node in nodes:
            if isinstance(node, str):
                yield node
            elif isinstance(node, Block):
                yield from self.block(node, dot)
            else:
                value = self.pipe(node, dot)
                if not node.names:
                    yield shown(value.plain() if isinstance(value, Row) else value)

    def block(self, block: Block, dot: Any) -> Iterator[str]:
        """Carry out an `if`, `range` or `with`."""
        self.scopes.append({})
        if block.word == "range":
            yield from self.range(block, dot)
        else:
            value = self.pipe(block.pipe, dot)
            if truth(value):
                yield from self.each(block.body, value if block.word == "with" else dot)
            else:
                yield from self.each(block.otherwise, dot)
        self.scopes.pop()

    def range(self, block: Block, dot: Any) -> Iterator[str]:
        """Carry a body out for each item; a map's keys come in their order."""
        names = block.pipe.names
        value = self.pipe(Pipe((), block.pipe.commands), dot)
        items: list[tuple[Any, Any]] = []
        if isinstance(value, Mapping):
            items = [(key, value[key]) for key in sorted(value)]
        elif isinstance(value, (list, tuple)):
            items = list(enumerate(value))
        elif value is not None:
            raise self.fail(block.pipe.commands[0][0], f"range can't iterate over {shown(value)}")
        for key, item in items:
            given = (item,) if len(names) == 1 else (key, item)
            self.scopes[-1].update(zip(names, given, strict=False))
            yield from self.each(block.body, item)
        if not items:
            yield from self.each(block.otherwise, dot)

    def pipe(self, pipe: Pipe, dot: Any) -> Any:
        """The value of a pipe; names are set to it."""
        value: Any = _NOTHING
        for command in pipe.commands:
            value = self.command(command, dot, value)
        for name in pipe.names:
            scope = self.scopes[-1] if pipe.declares else self.scope(pipe.commands[0][0], name)
            scope[name] = value
        return value

    def scope(self, operand: Operand, name: str) -> dict[str, Any]:
        """The innermost scope that has a variable."""
        holding = [scope for scope in self.scopes if name in scope]
        if not holding:
            raise self.fail(operand, f"undefined variable: {name}")
        return holding[-1]

    def command(self, command: tuple[Operand, ...], dot: Any, piped: Any) -> Any:
        """The value of a command: a function with what it is given, or an operand."""
        first, *rest = command
        given = [self.value(operand, dot) for operand in rest]
        given += [] if piped is _NOTHING else [piped]
        if first.base == "function":
            function = self.template.functions[first.value]
            return self.call(first, function, given, written(command))
        value = self.value(first, dot, given)
        if given and not (first.fields and first.base in ("dot", "variable")):
            raise self.fail(first, f"can't give argument to non-function {first.text}")
        return value

    def call(
        self, operand: Operand, function: Callable[..., Any], given: list[Any], text: str = ""
    ) -> Any:
        """Call a function; `text` is the whole of the call."""
        try:
            return function(*given)
        except (TypeError, ValueError, LookupError, AttributeError, NatlabError) as error:
            name = operand.text.lstrip(".")
            raise self.fail(operand, f"error calling {name}: {error}", text) from None

    def value(self, operand: Operand, dot: Any, given: list[Any] | None = None) -> Any:
        """The value of an operand; its last field may be a function."""
        value = self.base(operand, dot)
        for i, name in enumerate(operand.fields):
            value = self.field(operand, value, name)
            if callable(value):
                last = i == len(operand.fields) - 1
                value = self.call(operand, value, (given or []) if last else [])
        return value

    def base(self, operand: Operand, dot: Any) -> Any:
        """What an operand begins with."""
        if operand.base == "dot":
            return dot
        if operand.base == "literal":
            return operand.value
        if operand.base == "pipe":
            return self.pipe(operand.value, dot)
        if operand.base == "function":
            return self.call(operand, self.template.functions[operand.value], [])
        name: str = operand.value
        return self.scope(operand, name)[name]

    def field(self, operand: Operand, value: Any, name: str) -> Any:
        """A field of a value."""
        if isinstance(value, (Heads, Texts)):
            return value.get(name)
        if isinstance(value, Row) and name not in value:
            raise self.fail(operand, f"can't evaluate field {name} in type {value.kind}")
        if value is None:
            raise self.fail(operand, f"nil pointer evaluating interface {{}}.{name}")
        if not isinstance(value, Mapping):
            raise self.fail(operand, f"can't evaluate field {name} in type interface {{}}")
        key = _key(value, name)
        if key is None:
            raise self.fail(operand, f'map has no entry for key "{name}"')
        return value[key]


def _key(value: Mapping[str, Any], name: str) -> str | None:
    """The key that a name means: Docker's fields are `ID` and `DNS`, in JSON `Id` and `Dns`."""
    if name in value:
        return name
    if not name[0].isupper():
        return None
    return next((k for k in value if k.lower() == name.lower() and k[:1] == name[0]), None)
