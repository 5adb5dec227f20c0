"""The course's commands: steps, show, do, check, hint, reset."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import typer

from natlab.cli import INTERRUPTED
from natlab.cli.common import say
from natlab.course import manifest, progress
from natlab.course.manifest import Course, Step
from natlab.errors import UsageError

if TYPE_CHECKING:
    from natlab.course.checks import Result
    from natlab.engine.lab import Lab

WELL_DONE = "Well done: that is docker0 and its volumes, and you built them."
_SIGNS = {"pass": "✓", "fail": "✗", "blocked": "·", "broken": "!"}
_COLOURS = {"pass": "32", "fail": "31", "blocked": "90", "broken": "35"}


def paint(text: str, colour: str) -> str:
    """Colour a text if the output is a terminal."""
    return f"\033[{colour}m{text}\033[0m" if sys.stdout.isatty() else text


def steps(name: str) -> None:
    """Print the syllabus with progress."""
    done = progress.passed(name)
    course = manifest.load()
    for step in course.steps:
        say(f"  {paint('✓', '32') if step.number in done else ' '} {step.number}  {step.title}")
    left = [step for step in course.steps if step.number not in done]
    say()
    if not left:
        say(f"All {len(course.steps)} steps have passed. {WELL_DONE}")
    else:
        passed = f"{len(course.steps) - len(left)} of {len(course.steps)} passed"
        say(f"{passed}. Next: `natlab show {left[0].number}`")


def show(word: str) -> None:
    """Print a step's README."""
    sys.stdout.write(manifest.load().step(word).readme)


@contextlib.contextmanager
def _lab(name: str, *, throwaway: bool = False) -> Iterator[Lab]:
    if throwaway:
        from natlab.engine.lab import Lab

        with Lab() as lab:
            yield lab
        return
    from natlab.engine import keep

    with keep.opened(name) as lab:
        yield lab


def _chosen(course: Course, word: str | None, *, everything: bool, name: str) -> Sequence[Step]:
    if everything:
        if word is not None:
            raise UsageError(f"give a step or --all, not both (step {word})")
        return course.steps
    if word is not None:
        return [course.step(word)]
    done = progress.passed(name)
    return [next((s for s in course.steps if s.number not in done), course.steps[-1])]


def do(word: str | None, *, everything: bool, check: bool, throwaway: bool, name: str) -> int:
    """Build steps; with `check`, check each one and print a summary."""
    from natlab.course import runner

    if word is None and not everything:
        raise UsageError("which step? `natlab do 4`, or `natlab do --all`")
    course = manifest.load()
    chosen = _chosen(course, word, everything=everything, name=name)
    collected: list[Result] = []
    with _lab(name, throwaway=throwaway) as lab:
        for step in chosen:
            with _undone_if_interrupted(lab, step):
                runner.do(course, step, lab)
                if check:
                    results = runner.check(step, lab)
                    _print_results(step, results)
                    collected += results
                else:
                    say(f"step {step.number} is built: {step.title}.")
                    say(f"Check it: `natlab check {step.number}`")
    if not check:
        return 0
    _summary(len(chosen), collected)
    return runner.exit_code(collected)


@contextlib.contextmanager
def _undone_if_interrupted(lab: Lab, step: Step) -> Iterator[None]:
    """An interrupted step leaves the lab as it was at first, not half-built."""
    try:
        yield
    except KeyboardInterrupt:
        lab.clean()
        sys.stderr.write(
            f"natlab: interrupted in step {step.number}; the lab is back in its first state:"
            f" go on with `natlab do {step.number}`\n"
        )
        raise typer.Exit(INTERRUPTED) from None


def check(word: str | None, *, everything: bool, name: str) -> int:
    """Check steps against the lab as it stands now."""
    from natlab.course import runner

    course = manifest.load()
    chosen = _chosen(course, word, everything=everything, name=name)
    collected: list[Result] = []
    with _lab(name) as lab:
        for step in chosen:
            results = runner.check(step, lab)
            _print_results(step, results)
            collected += results
            if runner.exit_code(results) == 0:
                progress.remember(name, step.number)
    _summary(len(chosen), collected)
    if runner.exit_code(collected) == 0 and not everything:
        _say_next(course, chosen[-1])
    return runner.exit_code(collected)


def _say_next(course: Course, step: Step) -> None:
    later = course.steps[course.steps.index(step) + 1 :]
    if later:
        say(f"Next: `natlab show {later[0].number}` ({later[0].title})")
    else:
        say(f"That was the last step. {WELL_DONE}")


def hint(word: str | None, *, name: str) -> int:
    """Print the hint for the first thing that is missing."""
    from natlab.course import runner

    course = manifest.load()
    [step] = _chosen(course, word, everything=False, name=name)
    with _lab(name) as lab:
        results = runner.check(step, lab)
    advice = runner.hint(results)
    if advice is None and runner.exit_code(results) == 0:
        advice = f"step {step.number} is complete: `natlab check {step.number}` notes it"
    say(f"{step.number} · {step.title}")
    say(f"  {advice or 'a checker broke: run `natlab check` and report what it prints'}")
    return 0 if advice else 3


def reset(word: str, *, name: str) -> None:
    """Take the lab to the beginning of a step."""
    from natlab.course import runner

    course = manifest.load()
    step = course.step(word)
    with _lab(name) as lab, _undone_if_interrupted(lab, step):
        runner.reset(course, step, lab)
    say(f"the lab stands where step {step.number} begins: `natlab show {step.number}`")


def _print_results(step: Step, results: Sequence[Result]) -> None:
    say(f"{step.number} · {step.title}")
    for result in results:
        status = result.status.value
        say(f"  {paint(_SIGNS[status], _COLOURS[status])} {result.title}")
        for label, text in _details(result):
            say(f"      {label}{text}")
    say()


def _details(result: Result) -> list[tuple[str, str]]:
    status = result.status.value
    if status == "pass":
        return [("", line) for line in result.proved.splitlines()]
    if status == "fail":
        pairs = [
            ("expected  ", result.expected),
            ("found     ", result.actual),
            ("hint      ", result.hint),
        ]
        return [pair for pair in pairs if pair[1]]
    if status == "blocked":
        return [("", result.actual)]
    lines = [("", f"this checker is broken, which is not your fault: {result.actual}")]
    return lines + [("", line) for line in result.detail.splitlines()]


def _summary(steps_count: int, results: Sequence[Result]) -> None:
    counts = {status: sum(r.status.value == status for r in results) for status in _SIGNS}
    words = {"pass": "passed", "fail": "failed", "blocked": "blocked", "broken": "broken"}
    told = ", ".join(
        f"{n} {words[status]}" for status, n in counts.items() if n or status == "pass"
    )
    plural = "" if steps_count == 1 else "s"
    say(f"{steps_count} step{plural}, {len(results)} checks: {told}")
