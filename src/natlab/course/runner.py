"""Working through the course: build a step, go back to its beginning, check it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from natlab.course import checks as checking
from natlab.course.checks import Result, Status
from natlab.course.manifest import Course, Step

if TYPE_CHECKING:
    from natlab.engine.lab import Lab


def reset(course: Course, step: Step, lab: Lab) -> None:
    """Take the lab to the beginning of a step, whatever stood before."""
    lab.clean()
    for earlier in course.way_to(step):
        earlier.build(lab)


def do(course: Course, step: Step, lab: Lab) -> None:
    """Take the lab to the end of a step, whatever stood before."""
    reset(course, step, lab)
    step.build(lab)


def check(step: Step, lab: Lab) -> list[Result]:
    """Check a step as the lab stands now."""
    return checking.run(step.checks, lab)


def exit_code(results: list[Result]) -> int:
    """0: all passed; 1: a check failed or was blocked; 3: a checker broke."""
    found = {result.status for result in results}
    if Status.BROKEN in found:
        return 3
    return int(bool(found - {Status.PASS}))


def hint(results: list[Result]) -> str | None:
    """What to do next, from the first thing that is missing; None if all is well."""
    return next((result.hint for result in results if result.status is Status.FAIL), None)
