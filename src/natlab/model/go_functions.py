"""The functions of Go's templates, and those that Docker adds: `json`, `join`, `upper`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from natlab.model.go_quote import compact_json, quote, shown

_VERB: Final = re.compile(r"%([-+# 0]*\d*(?:\.\d+)?)([a-zA-Z%])")
_WORD: Final = re.compile(r"(?<!\S)\S")


def truth(value: Any) -> bool:
    """Whether `if` takes a value for true: not nil, false, 0, and nothing empty."""
    return bool(value)


def _json(value: Any) -> str:
    """JSON of a value; of a list's line its fields, with HTML's signs escaped as Docker does."""
    plain = getattr(value, "plain", None)
    return compact_json(plain(), escape_html=True) if plain else compact_json(value)


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if value is None:
            raise LookupError("index of untyped nil")
        if isinstance(value, Mapping):
            value = value.get(key, "")
            continue
        if isinstance(key, bool) or not isinstance(key, int):
            raise TypeError(f"cannot index slice/array with type {_kind(key)}")
        if not 0 <= key < len(value):
            raise LookupError(f"index out of range: {key}")
        value = value[key]
    return value


def _kind(value: Any) -> str:
    names = {str: "string", bool: "bool", int: "int", float: "float64"}
    return names.get(type(value), "interface {}")


def _printf(form: str, *given: Any) -> str:
    rest = list(given)

    def one(match: re.Match[str]) -> str:
        how, verb = match.groups()
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        value = rest.pop(0)
        if verb in "vst":
            return f"%{how}s" % shown(value, inside=True)
        if verb == "q":
            return f"%{how}s" % quote(str(value))
        if verb in "dxXofeEgGc":
            return str(f"%{how}{verb}" % value)
        return f"%!{verb}({_kind(value)}={value})"

    return _VERB.sub(one, form)


def _print(*values: Any) -> str:
    out, before = "", ""
    for value in values:
        apart = out and not isinstance(value, str) and not isinstance(before, str)
        out += (" " if apart else "") + shown(value, inside=True)
        before = value
    return out


def _either(*values: Any) -> Any:
    return next((value for value in values if truth(value)), values[-1])


def _both(*values: Any) -> Any:
    return next((value for value in values if not truth(value)), values[-1])


def _pad(text: str, before: int, after: int) -> str:
    return " " * before + text + " " * after if text else ""


def _title(text: str) -> str:
    return _WORD.sub(lambda match: match[0].upper(), text)


def _join(items: Sequence[Any], between: str) -> str:
    return between.join(str(item) for item in items)


def _slice(value: Sequence[Any], first: int = 0, end: int | None = None) -> Sequence[Any]:
    return value[first:end]


FUNCTIONS: Final[dict[str, Callable[..., Any]]] = {
    "and": _both,
    "eq": lambda first, *others: any(first == other for other in others),
    "ge": lambda a, b: a >= b,
    "gt": lambda a, b: a > b,
    "html": shown,
    "index": _index,
    "join": _join,
    "json": _json,
    "le": lambda a, b: a <= b,
    "len": len,
    "lower": lambda text: text.lower(),
    "lt": lambda a, b: a < b,
    "ne": lambda a, b: a != b,
    "not": lambda value: not truth(value),
    "or": _either,
    "pad": _pad,
    "print": _print,
    "printf": _printf,
    "println": lambda *values: " ".join(shown(v, inside=True) for v in values) + "\n",
    "slice": _slice,
    "split": lambda text, between: text.split(between),
    "title": _title,
    "truncate": lambda text, width: text[:width],
    "upper": lambda text: text.upper(),
}
"""What a template may call."""
