"""What the client makes of `docker run -v`: docker/cli, cli/compose/loader/volume.go."""

from __future__ import annotations

import os.path
from collections.abc import Iterable
from typing import Final

from natlab.errors import UsageError
from natlab.model.names import one_line

_SHORTEST: Final = 3
"""A shorter text has no colon that parts anything."""
_FIELDS: Final = 3


def volumes_and_binds(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part the values of `-v`: volumes without a name, and what is mounted from somewhere.

    A source that begins with a dot is a path from here. What was said twice counts once.

    Raises:
        UsageError: `invalid spec: …`.
    """
    volumes, binds = [], []
    for text in dict.fromkeys(texts):
        source = _source(text)
        if not source:
            volumes.append(text)
        elif source.startswith("."):
            first, _, rest = text.partition(":")
            binds.append(f"{os.path.abspath(first)}:{rest}")  # noqa: PTH100 - links stay
        else:
            binds.append(text)
    return volumes, binds


def _source(text: str) -> str:
    if not text:
        raise UsageError("invalid empty volume spec")
    parts = _parts(text) if len(text) >= _SHORTEST else [text]
    if "" in parts[:_FIELDS]:
        raise _invalid(text, "empty section between colons")
    if len(parts) > _FIELDS:
        raise _invalid(text, "too many colons")
    return parts[0] if len(parts) > 1 else ""


def _parts(text: str) -> list[str]:
    """The parts between colons; a colon after a single letter is that of a drive of Windows."""
    parts = [""]
    for char in text:
        if char == ":" and not (len(parts[-1]) == 1 and parts[-1].isalpha()):
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _invalid(text: str, reason: str) -> UsageError:
    return UsageError(f"invalid spec: {one_line(text)}: {reason}")
