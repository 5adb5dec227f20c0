"""Values as Go's programs print them: quoted text, JSON, `%v`, sizes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from natlab.errors import UsageError

_SHORT: Final = {
    "\a": r"\a",
    "\b": r"\b",
    "\f": r"\f",
    "\n": r"\n",
    "\r": r"\r",
    "\t": r"\t",
    "\v": r"\v",
    "\\": r"\\",
    '"': r"\"",
}
_HTML: Final = str.maketrans({c: f"\\u{ord(c):04x}" for c in ("<", ">", "&", "\u2028", "\u2029")})
_DECIMAL: Final = ("B", "kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB")
_BINARY: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB")


def quote(text: str) -> str:
    """Put text in double quotes, as strconv.Quote does."""
    return '"' + "".join(_quoted(c) for c in text) + '"'


def _quoted(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable():
        return char
    code = ord(char)
    if code < 0x80:  # noqa: PLR2004 - Go writes ASCII's control characters in two digits
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"  # noqa: PLR2004 - UTF-16's end


def unquote(text: str) -> str:
    """Take text out of its double quotes or backquotes.

    Raises:
        UsageError: An escape that Go does not have.
    """
    if text.startswith("`"):
        return text[1:-1]
    try:
        value = json.loads(text.replace(r"\'", "'"))
    except ValueError:
        raise UsageError(f"bad string syntax: {text}") from None
    return str(value)


def compact_json(value: Any, *, escape_html: bool = False) -> str:
    """Give JSON as encoding/json writes it: no spaces, and `<`, `>`, `&` escaped if so asked."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.translate(_HTML) if escape_html else text


def shown(value: Any, *, inside: bool = False) -> str:
    """Print a value as `%v` does: `true`, `[a b]`, `map[k:v]`; null is `<no value>`."""
    if value is None:
        return "<nil>" if inside else "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        pairs = (f"{key}:{shown(value[key], inside=True)}" for key in sorted(value))
        return f"map[{' '.join(pairs)}]"
    if isinstance(value, (list, tuple)):
        return f"[{' '.join(shown(item, inside=True) for item in value)}]"
    return str(value)


def human_size(size: float, precision: int = 4) -> str:
    """Say a size in powers of 1000: `3.904kB` (docker/go-units, HumanSizeWithPrecision)."""
    return _size(size, 1000, _DECIMAL, precision)


def bytes_size(size: float) -> str:
    """Say a size in powers of 1024: `23.54GiB` (docker/go-units, BytesSize)."""
    return _size(size, 1024, _BINARY, 4)


def _size(size: float, base: int, units: tuple[str, ...], precision: int) -> str:
    step = 0
    while size >= base and step < len(units) - 1:
        size, step = size / base, step + 1
    return f"{size:.{precision}g}{units[step]}"


def ellipsis(text: str, width: int) -> str:
    """Cut text to a width, with `…` at the end if anything is missing."""
    if len(text) <= width:
        return text
    return f"{text[: width - 1]}…" if width > 1 else text[:width]


def indented(raw: str, indent: str = "    ") -> str:
    """Lay JSON out over lines, each number and text as it was written (json.Indent).

    Equivalent to: what `docker inspect` does with the engine's answer.
    """
    out: list[str] = []
    depth, in_text, escaped = 0, False, False
    empty = False
    for char in raw.strip():
        if in_text:
            out.append(char)
            in_text = escaped or char != '"'
            escaped = char == "\\" and not escaped
            continue
        if char.isspace():
            continue
        if empty and char not in "]}":
            out.append("\n" + indent * depth)
        was_empty, empty = empty, char in "{["
        if char in "{[":
            depth += 1
        elif char in "}]":
            depth -= 1
            if not was_empty:
                out.append("\n" + indent * depth)
        out.append(char + {",": "\n" + indent * depth, ":": " "}.get(char, ""))
        in_text = char == '"'
    return "".join(out)
