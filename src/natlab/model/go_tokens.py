"""The words of an action in a Go template."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from natlab.errors import UsageError

_TOKEN: Final = re.compile(
    r"""(?P<space>\s+)|(?P<string>"(?:[^"\\\n]|\\.)*"|`[^`]*`)|(?P<number>[+-]?[0-9][\w.]*)
    |(?P<field>\.[A-Za-z_]\w*)|(?P<dot>\.)|(?P<variable>\$\w*)|(?P<word>[A-Za-z_]\w*)
    |(?P<sign>:=|[|(),=])""",
    re.VERBOSE,
)
_UNTERMINATED: Final = {'"': "unterminated quoted string", "`": "unterminated raw quoted string"}


class TemplateError(UsageError):
    """A template that cannot be read or carried out, in Go's words."""


@dataclass(frozen=True)
class Token:
    """A word of an action, and where in the template it stands."""

    kind: str
    text: str
    position: int


def cut(action: str, start: int) -> list[Token]:
    """Cut what stands between the braces into words; spaces stay where they part operands.

    Args:
        action: The text between `{{` and `}}`.
        start: Where in the template it begins.

    Raises:
        TemplateError: With Go's words: `unterminated quoted string`.
    """
    tokens, place = [], 0
    while place < len(action):
        match = _TOKEN.match(action, place)
        if match is None:
            sign = action[place]
            raise TemplateError(_UNTERMINATED.get(sign, f'unexpected "{sign}" in command'))
        tokens.append(Token(str(match.lastgroup), match[0], start + place))
        place = match.end()
    return [token for i, token in enumerate(tokens) if not _idle(tokens, i)]


def _idle(tokens: list[Token], i: int) -> bool:
    """Whether this is a space that parts nothing."""
    if tokens[i].kind != "space":
        return False
    return i in (0, len(tokens) - 1) or tokens[i + 1].kind == "sign"
