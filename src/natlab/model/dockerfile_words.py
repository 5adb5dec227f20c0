r"""Words as a Dockerfile's instructions are made of: quotes, backslashes, variables.

    A=1 B="two words" C=three\\ words        split as the shell does
    $HOME ${HOME} ${HOME:-/root} ${A:+set}    replaced by the variables known so far

The rules are those of buildkit's frontend (dockerfile/parser and dockerfile/shell).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from natlab.model.names import one_line
from natlab.model.refusal import Refusal

_VARIABLE: Final = re.compile(
    r"\$(?:(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|\{(?P<braced>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<how>:[-+])(?P<word>[^{}]*))?\})"
)
_ESCAPED_IN_DOUBLE: Final = frozenset('"$\\')


def instructions(text: str) -> Iterator[str]:
    """Give a Dockerfile's instructions: comments dropped, lines ending in a backslash joined."""
    pending = ""
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        stripped = line.rstrip()
        if stripped.endswith("\\"):
            pending += stripped[:-1]
            continue
        yield (pending + line).strip()
        pending = ""
    if pending.strip():
        yield pending.strip()


def split_words(text: str) -> tuple[str, ...]:
    """Split at white space outside quotes; quotes and backslashes stay in the words."""
    words: list[str] = []
    word, quote, index = "", "", 0
    while index < len(text):
        char = text[index]
        step = 2 if char == "\\" and quote != "'" else 1
        if step == 1 and char in "'\"":
            quote = "" if quote == char else quote or char
        if char.isspace() and not quote:
            words += [word] if word else []
            word = ""
        else:
            word += text[index : index + step]
        index += step
    return (*words, word) if word else tuple(words)


def expand(word: str, env: Mapping[str, str]) -> str:
    """Take the quotes and backslashes out of a word, and put the variables' values in.

    Raises:
        Refusal: A quote is not closed, or `failed to process "x": unsupported …`.
    """
    result, quote, index = "", "", 0
    while index < len(word):
        char = word[index]
        if char == "\\" and quote != "'" and index + 1 < len(word):
            following = word[index + 1]
            keep = quote == '"' and following not in _ESCAPED_IN_DOUBLE
            result += f"\\{following}" if keep else following
            index += 2
        elif char == "$" and quote != "'":
            value, index = _variable(word, index, env)
            result += value
        else:
            if char in "'\"" and quote in ("", char):
                quote = "" if quote else char
            else:
                result += char
            index += 1
    if quote:
        raise Refusal(
            f'failed to process "{one_line(word)}": unexpected end of statement while looking '
            f"for matching {'double' if quote == chr(34) else 'single'}-quote"
        )
    return result


def json_words(text: str) -> tuple[str, ...] | None:
    """Read the JSON form of a command, `["sh", "-c", "ls"]`; None when it is no JSON list.

    Raises:
        Refusal: The list holds something else than strings.
    """
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not all(isinstance(item, str) for item in value):
        raise Refusal("when using JSON array syntax, arrays must be comprised of strings only")
    return tuple(value)


def _variable(word: str, index: int, env: Mapping[str, str]) -> tuple[str, int]:
    """Give the value of the variable that begins at index, and where it ends."""
    match = _VARIABLE.match(word, index)
    if match is None:
        if word.startswith("${", index):
            raise Refusal(f'failed to process "{one_line(word)}": unsupported modifier in variable')
        return "$", index + 1
    value = env.get(match["name"] or match["braced"], "")
    if match["how"] == ":-":
        value = value or expand(match["word"], env)
    elif match["how"] == ":+":
        value = expand(match["word"], env) if value else ""
    return value, match.end()
