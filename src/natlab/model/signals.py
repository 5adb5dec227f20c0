"""Signals as Docker's clients name them: `SIGTERM`, `term`, `15`, `RTMIN+3`."""

from __future__ import annotations

import re
from typing import Final

from natlab.model.names import one_line
from natlab.model.refusal import Refusal

_ORDINARY: Final = (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP "
    "TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
)
_RTMIN: Final = 34
_RTMAX: Final = 64

_NUMBERS: Final = {
    **{name: number for number, name in enumerate(_ORDINARY.split(), start=1)},
    "CLD": 17,
    "IOT": 6,
    "POLL": 29,
    "RTMIN": _RTMIN,
    "RTMAX": _RTMAX,
    **{f"RTMIN+{step}": _RTMIN + step for step in range(1, 16)},
    **{f"RTMAX-{step}": _RTMAX - step for step in range(1, 15)},
}
_KNOWN: Final = frozenset(_NUMBERS.values())
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,18}")


def parse_signal(text: str) -> int:
    """Give a signal's number; upper and lower case, with and without `SIG`, are the same.

    Equivalent to: `docker kill --signal TEXT` (moby/sys/signal, its map for Linux).

    Raises:
        Refusal: `invalid signal: x`; or `the linux daemon does not support signal 99`.
    """
    if _NUMBER.fullmatch(text):
        return _check_number(int(text), text)
    number = _NUMBERS.get(text.upper().removeprefix("SIG"))
    if number is None:
        raise Refusal(f"invalid signal: {one_line(text)}")
    return number


def _check_number(number: int, text: str) -> int:
    if number == 0:
        raise Refusal(f"invalid signal: {text}")
    if number not in _KNOWN:
        raise Refusal(f"the linux daemon does not support signal {number}")
    return number
