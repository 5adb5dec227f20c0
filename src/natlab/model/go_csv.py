"""One line of comma-separated fields, as Go's encoding/csv reads it."""

from __future__ import annotations

from natlab.errors import UsageError

_QUOTE = '"'


def fields(text: str) -> list[str]:
    """The fields of `a,"b,c",d`.

    Raises:
        UsageError: `EOF` for an empty text, or `parse error on line 1, column 8: …`.
    """
    line, found, at = text.partition("\n")[0], [], 0
    if not line:
        raise UsageError("EOF")
    while at <= len(line):
        read = _quoted if line.startswith(_QUOTE, at) else _bare
        value, at = read(line, at)
        found.append(value)
    return found


def _bare(line: str, at: int) -> tuple[str, int]:
    value = line[at:].partition(",")[0]
    if _QUOTE in value:
        raise _damaged(line, at + value.index(_QUOTE), "bare")
    return value, at + len(value) + 1


def _quoted(line: str, at: int) -> tuple[str, int]:
    value, at = "", at + 1
    while (end := line.find(_QUOTE, at)) >= 0:
        value, at = value + line[at:end], end + 1
        if at == len(line) or line[at] == ",":
            return value, at + 1
        if line[at] != _QUOTE:
            raise _damaged(line, end, "extraneous or missing")
        value, at = value + _QUOTE, at + 1
    raise _damaged(line, len(line), "extraneous or missing")


def _damaged(line: str, at: int, what: str) -> UsageError:
    column = len(line[:at].encode()) + 1
    kind = "non-quoted" if what == "bare" else "quoted"
    return UsageError(f'parse error on line 1, column {column}: {what} " in {kind}-field')
