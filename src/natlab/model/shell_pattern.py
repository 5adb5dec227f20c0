"""Patterns of the shell as Go's path.Match reads them: `*`, `?`, `[a-z]`, `[^0-9]`."""

from __future__ import annotations

import re
from typing import Final

from natlab.model.refusal import Refusal

_PARTS: Final = re.compile(
    r"(?P<any>[*?])|\[(?P<no>\^?)(?P<set>[^\]\\^][^\]\\]*)\]|\\(?P<escaped>.)|(?P<plain>[^*?\[\\])",
    re.DOTALL,
)
_RANGE: Final = re.compile(r"(.)-(.)|(.)", re.DOTALL)


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Translate a pattern into a regular expression for `fullmatch`.

    `*` and `?` stop at a slash; a backslash takes the meaning from what follows it.

    Equivalent to: the pattern of `docker images --filter reference=PATTERN`.

    Raises:
        Refusal: `syntax error in pattern`.
    """
    found = list(_PARTS.finditer(pattern))
    if "".join(match[0] for match in found) != pattern:
        raise Refusal("syntax error in pattern")
    try:
        return re.compile("".join(map(_translated, found)), re.DOTALL)
    except re.error:
        raise Refusal("syntax error in pattern") from None


def _translated(match: re.Match[str]) -> str:
    if match["any"]:
        return "[^/]*" if match["any"] == "*" else "[^/]"
    if match["set"]:
        return f"[{match['no']}{_RANGE.sub(_escaped, match['set'])}]"
    return re.escape(match["escaped"] or match["plain"])


def _escaped(match: re.Match[str]) -> str:
    if match[3]:
        return re.escape(match[3])
    return f"{re.escape(match[1])}-{re.escape(match[2])}"
