"""Checks: a title, a look at the kernel, a live probe, and one of four ends.

A check is a function of the lab. It returns a sentence that says what was proved, or raises
`Fail`. Anything else that it raises means that the checker is broken, which is not the
student's fault and is never reported as a fail.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from natlab.errors import LabGoneError, NatlabError

if TYPE_CHECKING:
    from natlab.engine.lab import Lab

CheckFunction = Callable[["Lab"], str]


class Fail(Exception):  # noqa: N818 - a result of a lesson, not an error of the program
    """The state is not what the step asks for.

    Args:
        expected: What should be the case.
        actual: What is the case.
        hint: What to do about it, from what is missing now.
    """

    def __init__(self, *, expected: str, actual: str, hint: str) -> None:
        super().__init__(f"expected {expected}; found {actual}")
        self.expected, self.actual, self.hint = expected, actual, hint


class Status(Enum):
    """How a check ended."""

    PASS = "pass"  # noqa: S105 - a word, not a password
    FAIL = "fail"
    BLOCKED = "blocked"
    BROKEN = "broken"


@dataclass(frozen=True)
class Check:
    """One thing to be proved about a lab."""

    title: str
    function: CheckFunction
    needs: tuple[str, ...] = ()
    """Titles of checks without which this one says nothing."""

    def __call__(self, lab: Lab) -> str:
        """Prove it, or raise `Fail`."""
        return self.function(lab)


@dataclass(frozen=True)
class Result:
    """What came of one check."""

    title: str
    status: Status
    proved: str = ""
    expected: str = ""
    actual: str = ""
    hint: str = ""
    detail: str = ""
    """For a broken checker: the traceback, to be reported."""


def check(title: str, *, needs: Sequence[Check] = ()) -> Callable[[CheckFunction], Check]:
    """Make a check of a function.

    Args:
        title: What is proved, as a sentence in the present tense.
        needs: Checks that must have passed; otherwise this one is blocked.
    """
    return lambda function: Check(title, function, tuple(other.title for other in needs))


def run(checks: Sequence[Check], lab: Lab) -> list[Result]:
    """Run checks in order; one that needs a check which did not pass is blocked."""
    results: dict[str, Result] = {}
    for one in checks:
        missing = [need for need in one.needs if results[need].status is not Status.PASS]
        results[one.title] = _blocked(one, missing[0]) if missing else _run_one(one, lab)
    return list(results.values())


def _blocked(one: Check, need: str) -> Result:
    return Result(one.title, Status.BLOCKED, actual=f"waits for: {need}")


def _run_one(one: Check, lab: Lab) -> Result:
    try:
        return Result(one.title, Status.PASS, proved=one(lab))
    except Fail as fail:
        return Result(
            one.title, Status.FAIL, expected=fail.expected, actual=fail.actual, hint=fail.hint
        )
    except LabGoneError:
        raise
    except NatlabError as error:
        return Result(
            one.title, Status.FAIL, expected=one.title, actual=str(error), hint=str(error)
        )
    except Exception as error:  # noqa: BLE001 - a broken checker is a result of its own
        detail = "".join(traceback.format_exception(error))
        return Result(
            one.title, Status.BROKEN, actual=f"{type(error).__name__}: {error}", detail=detail
        )
