"""Shapes of JSON that came from outside: what is not as it must be is refused in one line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from natlab.model.names import one_line
from natlab.model.refusal import Refusal


def parse_json(where: str, data: bytes | str) -> Any:
    """Read JSON.

    Args:
        where: What is read, for the message: `manifest.json`.
        data: The text.

    Raises:
        Refusal: `invalid JSON: manifest.json …`.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Refusal(f"invalid JSON: {one_line(where)} cannot be read") from None


def as_object(where: str, value: Any) -> Mapping[str, Any]:
    """Give the value if it is an object; null counts as an empty one.

    Raises:
        Refusal: `invalid JSON: WHERE must be an object`.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise _wrong(where, "an object")
    return value


def as_list(where: str, value: Any) -> list[Any]:
    """Give the value if it is a list; null counts as an empty one.

    Raises:
        Refusal: `invalid JSON: WHERE must be a list`.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise _wrong(where, "a list")
    return value


def as_text(where: str, value: Any) -> str:
    """Give the value if it is a string; null counts as an empty one.

    Raises:
        Refusal: `invalid JSON: WHERE must be a string`.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(where, "a string")
    return value


def as_texts(where: str, value: Any) -> tuple[str, ...]:
    """Give the value if it is a list of strings; null counts as an empty one.

    Raises:
        Refusal: `invalid JSON: WHERE must be a list of strings`.
    """
    items = as_list(where, value)
    if not all(isinstance(item, str) for item in items):
        raise _wrong(where, "a list of strings")
    return tuple(items)


def _wrong(where: str, wanted: str) -> Refusal:
    return Refusal(f"invalid JSON: {one_line(where)} must be {wanted}")
