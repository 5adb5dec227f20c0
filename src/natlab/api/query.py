"""A request's query, read the way Docker reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from natlab.api.errors import ApiError

_FALSE: Final = frozenset({"", "0", "no", "false", "none"})


class Query:
    """The values behind the question mark."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read `a=1&b=2`; a name may be there several times.

        Raises:
            ApiError: 400 if it is no UTF-8.
        """
        values: dict[str, list[str]] = {}
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict")
        except ValueError:
            raise ApiError(400, f"invalid query {text!r}: it is no UTF-8") from None
        for name, value in pairs:
            values.setdefault(name, []).append(value)
        return cls(values)

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def values(self, name: str) -> list[str]:
        """Every value of that name, in order."""
        return list(self._values.get(name, ()))

    def text(self, name: str, default: str = "") -> str:
        """The first value; `default` when the name is not there."""
        return next(iter(self._values.get(name, ())), default)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Docker's bool: "", 0, no, false and none are false, anything else is true.

        `default` is for a name that is not there. Source: moby's httputils.BoolValue.
        """
        if name not in self._values:
            return default
        return self.text(name).strip().lower() not in _FALSE

    def number(self, name: str, default: int | None = None) -> int | None:
        """A whole number; `default` when the name is not there or empty.

        Raises:
            ApiError: 400 if it is no number.
        """
        text = self.text(name).strip()
        if not text:
            return default
        try:
            return int(text)
        except ValueError:
            raise ApiError(400, f"invalid value for {name}: {text!r} is no whole number") from None
