"""Go's text/template, read: what `--format '{{range .Ports}}{{.}}{{end}}'` of Docker takes.

Actions, pipes, variables, `if`, `range`, `with`, `else`, comments and trimming are there; templates
within templates (`define`, `template`, `block`) are not. The messages are Go's.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

from natlab.model.go_nodes import Block, Node, Operand, Pipe
from natlab.model.go_quote import unquote
from natlab.model.go_tokens import TemplateError, Token, cut

_ACTION: Final = re.compile(r"\{\{(- )?(.*?)( -)?\}\}", re.DOTALL)
_COMMENT: Final = re.compile(r"\{\{(- )?/\*.*?\*/( -)?\}\}", re.DOTALL)
_TRIM: Final = " \t\r\n"


def parse(text: str, functions: Collection[str], name: str = "") -> tuple[Node, ...]:
    """Read a template.

    Args:
        text: The template.
        functions: The functions that there are.
        name: What Go's messages call it.

    Raises:
        TemplateError: `template: :1: unclosed action` and Go's other words.
    """
    return _Reader(text, functions, name).whole()


class _Reader:
    """Reads one template from its beginning to its end."""

    def __init__(self, text: str, functions: Collection[str], name: str) -> None:
        self.text, self.functions, self.name = text, functions, name
        self.position = 0
        self.trim = False
        self.tokens: list[Token] = []
        self.opened: list[str] = []

    def fail(self, message: str, position: int | None = None) -> TemplateError:
        """Make the error; the caller raises it."""
        line = self.text.count("\n", 0, self.position if position is None else position) + 1
        return TemplateError(f"template: {self.name}:{line}: {message}")

    def whole(self) -> tuple[Node, ...]:
        """Read all of it."""
        nodes, ended_by = self.nodes()
        if ended_by:
            raise self.fail(f"unexpected {{{{{ended_by}}}}}")
        return nodes

    def nodes(self) -> tuple[tuple[Node, ...], str]:
        """Read up to the end of a block: the nodes, and the word that ended them."""
        found: list[Node] = []
        while self.action(found):
            word = self.tokens[0].text if self.tokens else ""
            if word == "end" and len(self.tokens) == 1:
                return tuple(found), word
            if word == "else":
                return tuple(found), word
            if word in ("if", "range", "with"):
                del self.tokens[0]
                found.append(self.block(word))
            else:
                found.append(self.pipe())
        if self.opened:
            raise self.fail("unexpected EOF")
        return tuple(found), ""

    def block(self, word: str) -> Block:
        """Read a block whose word has been read."""
        pipe = self.pipe()
        self.opened.append(word)
        body, ended_by = self.nodes()
        self.opened.pop()
        otherwise: tuple[Node, ...] = ()
        if ended_by == "else":
            del self.tokens[:2]  # the word and the space behind it
            if self.tokens and self.tokens[0].text == word and word != "range":
                del self.tokens[0]
                return Block(word, pipe, body, (self.block(word),))
            self.opened.append("else")
            otherwise, ended_by = self.nodes()
            self.opened.pop()
        if ended_by != "end":
            raise self.fail(f"expected end; found {{{{{ended_by}}}}}")
        return Block(word, pipe, body, otherwise)

    def action(self, found: list[Node]) -> bool:
        """Go to the next action and cut it into tokens; False at the end."""
        start = self.text.find("{{", self.position)
        plain = self.text[self.position : start if start >= 0 else None]
        plain = plain.lstrip(_TRIM) if self.trim else plain
        if start < 0:
            self.position = len(self.text)
            found += [plain] if plain else []
            return False
        comment = _COMMENT.match(self.text, start)
        match = comment or _ACTION.match(self.text, start)
        if self.text.startswith("{{- ", start):
            plain = plain.rstrip(_TRIM)
        found += [plain] if plain else []
        if match is None:
            self.position = start
            raise self.fail("unclosed action")
        self.trim = match[0].endswith(" -}}")
        self.position = start
        if comment:
            self.position = match.end()
            return self.action(found)
        try:
            self.tokens = cut(match[2], match.start(2))
        except TemplateError as error:
            raise self.fail(str(error)) from None
        self.position = match.end()
        if not self.tokens:
            raise self.fail("missing value for command")
        return True

    def pipe(self) -> Pipe:
        """Read what the tokens hold: names to be set, then commands."""
        names: list[str] = []
        declares = True
        signs = [token.text for token in self.tokens]
        for sign in (":=", "="):
            if sign in signs:
                place = signs.index(sign)
                names = [t.text for t in self.tokens[:place] if t.kind == "variable"]
                del self.tokens[: place + 1]
                declares = sign == ":="
                break
        commands = self.commands()
        if self.tokens:
            raise self.fail(f'unexpected "{self.tokens[0].text}" in operand')
        return Pipe(tuple(names), commands, declares)

    def commands(self) -> tuple[tuple[Operand, ...], ...]:
        """Read commands up to a closing parenthesis, or the end."""
        commands: list[tuple[Operand, ...]] = []
        words: list[Operand] = []
        while self.tokens and self.tokens[0].text != ")":
            token = self.tokens.pop(0)
            if token.text == "|":
                commands.append(tuple(words))
                words = []
            elif token.kind != "space":
                words.append(self.operand(token))
        commands.append(tuple(words))
        if not all(commands):
            raise self.fail("missing value for command")
        return tuple(commands)

    def operand(self, token: Token) -> Operand:
        """Read an operand, and the fields that follow without a space."""
        base, value, position = self.base(token)
        fields = [token.text[1:]] if token.kind == "field" else []
        if self.tokens and self.tokens[0].kind == "field":
            position = self.tokens[0].position
        while self.tokens and self.tokens[0].kind == "field":
            fields.append(self.tokens.pop(0).text[1:])
        return Operand(base, value, tuple(fields), position)

    def base(self, token: Token) -> tuple[str, Any, int]:
        """What an operand begins with."""
        if token.kind in ("field", "dot"):
            return "dot", None, token.position
        if token.kind == "variable":
            return "variable", token.text, token.position
        if token.kind == "string":
            return "literal", unquote(token.text), token.position
        if token.kind == "number":
            return "literal", self.number(token), token.position
        if token.kind == "word":
            return self.word(token)
        if token.text != "(":
            raise self.fail(f'unexpected "{token.text}" in operand')
        commands = self.commands()
        if not self.tokens:
            raise self.fail("unclosed left paren")
        del self.tokens[0]
        return "pipe", Pipe((), commands), token.position

    def word(self, token: Token) -> tuple[str, Any, int]:
        """A constant or a function."""
        constants = {"true": True, "false": False, "nil": None}
        if token.text in constants:
            return "literal", constants[token.text], token.position
        if token.text not in self.functions:
            raise self.fail(f'function "{token.text}" not defined')
        return "function", token.text, token.position

    def number(self, token: Token) -> int | float:
        """A number as it is written."""
        for kind in (lambda text: int(text, 0), float):
            try:
                return kind(token.text)
            except ValueError:
                continue
        raise self.fail(f'bad number syntax: "{token.text}"')
