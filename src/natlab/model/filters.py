"""Filters: what `--filter` sends, and whether an object passes.

A client sends `{"name":{"web":true}}`, an old one `{"name":["web"]}`. An object passes a key
when one of the key's values fits it (for labels: all of them), and a key that is not given lets
everything pass (moby api/types/filters).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from natlab.model.container_status import parse_since
from natlab.model.names import one_line
from natlab.model.refusal import Refusal
from natlab.model.shell_pattern import compile_pattern

_NEGATED: Final = "label!"


@dataclass(frozen=True)
class Filters:
    """The filters of one request: each key with its values."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __contains__(self, key: str) -> bool:
        return key in self.fields

    def get(self, key: str) -> tuple[str, ...]:
        """Give a key's values; none when it is not given."""
        return self.fields.get(key, ())

    def exact(self, key: str, *values: str) -> bool:
        """Whether one of the object's values is one of the key's."""
        wanted = self.get(key)
        return not wanted or any(value in wanted for value in values)

    def prefix(self, key: str, *values: str) -> bool:
        """Whether one of the object's values begins with one of the key's."""
        wanted = self.get(key)
        return not wanted or any(value.startswith(wanted) for value in values)

    def pattern(self, key: str, *values: str) -> bool:
        """Whether one of the key's values, a regular expression, is found in one of these.

        What is no regular expression is compared as it stands. So Docker filters by names and
        ids; for a container's name give both `web` and `/web`.
        """
        return self.exact(key, *values) or any(
            _found(pattern, value) for pattern in self.get(key) for value in values
        )

    def glob(self, key: str, *values: str) -> bool:
        """Whether one of these fits one of the key's values, a pattern of the shell.

        `*` and `?` stop at a slash. So Docker filters images by their reference; give both
        `myapp:v1` and `myapp` (distribution/reference FamiliarMatch).

        Raises:
            Refusal: `syntax error in pattern`.
        """
        patterns = [compile_pattern(pattern) for pattern in self.get(key)]
        return not patterns or any(p.fullmatch(value) for p in patterns for value in values)

    def labels(self, key: str, labels: Mapping[str, str]) -> bool:
        """Whether the object has all of the key's labels: `k`, or `k=v`.

        With the key `label`, the key `label!` counts too: an object that has all of its labels
        does not pass.
        """
        if key == "label" and _NEGATED in self and self.labels(_NEGATED, labels):
            return False
        return all(_has_label(wanted, labels) for wanted in self.get(key))

    def flag(self, key: str, *, default: bool) -> bool:
        """Give the yes or no of a key such as `dangling`; `default` when it is not given.

        Raises:
            Refusal: `invalid filter 'dangling=[maybe]'`.
        """
        if key not in self:
            return default
        values = self.get(key)
        yes = any(value in values for value in ("1", "true"))
        no = any(value in values for value in ("0", "false"))
        if yes == no:
            shown = f"=[{one_line(' '.join(values))}]" if values else ""
            raise Refusal(f"invalid filter '{key}{shown}'")
        return yes

    def until(self, now: int, key: str = "until") -> int | None:
        """Give the moment before which an object was made; None when it is not given.

        Equivalent to: `docker image prune --filter until=10m`.

        Args:
            now: The moment from which durations count, in nanoseconds since 1970.
            key: The filter's name.

        Returns:
            Nanoseconds since 1970.

        Raises:
            Refusal: `more than one until filter specified`, or as `parse_since`.
        """
        values = self.get(key)
        if not values:
            return None
        if len(values) > 1:
            raise Refusal("more than one until filter specified")
        return parse_since(values[0], now)


def parse_filters(text: str | None, known: Iterable[str]) -> Filters:
    """Read the `filters` of a request.

    Args:
        text: What the client sent; empty or None for no filters.
        known: The keys that this request takes.

    Raises:
        Refusal: `invalid filter` when it is no JSON of the right form, `invalid filter 'foo'`
            when a key is not known.
    """
    if not text:
        return Filters()
    try:
        sent = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal("invalid filter") from None
    if sent is None:
        return Filters()
    if not isinstance(sent, dict):
        raise Refusal("invalid filter")
    fields = {key: _values(value) for key, value in sent.items()}
    accepted = frozenset(known)
    for key in fields:
        if key not in accepted:
            raise Refusal(f"invalid filter '{one_line(key)}'")
    return Filters(fields)


def _values(sent: object) -> tuple[str, ...]:
    if sent is None:
        return ()
    if isinstance(sent, list) and all(isinstance(value, str) for value in sent):
        return tuple(dict.fromkeys(sent))
    if isinstance(sent, dict) and all(isinstance(given, bool) for given in sent.values()):
        return tuple(value for value, given in sent.items() if given)
    raise Refusal("invalid filter")


def _found(pattern: str, value: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except (re.error, OverflowError, RecursionError):
        return False


def _has_label(wanted: str, labels: Mapping[str, str]) -> bool:
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)
