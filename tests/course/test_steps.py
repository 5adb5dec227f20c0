"""What is proved of every step: its checks refuse the untouched and the almost right state, and
accept it solved by hand, in both spellings, and by the library; afterwards nothing is left."""

from __future__ import annotations

import os

import pytest
from ordinary_user import AGAIN

from natlab import Lab
from natlab.course import blocks, manifest, runner
from natlab.course.checks import Result, Status

COURSE = manifest.load()
STEPS = [pytest.param(step, id=f"{step.number}-{step.slug}") for step in COURSE.steps]
SPELLED = [
    pytest.param(step, spelling, id=f"{step.number}-{step.slug}-{spelling or 'typed'}")
    for step in COURSE.steps
    for spelling in blocks.spellings(blocks.parse(step.readme))
]
NEAR_MISSES = [
    pytest.param(step, miss, id=f"{step.number}: {miss.name}")
    for step in COURSE.steps
    for miss in step.near_misses[: 1 if AGAIN in os.environ else None]
]
"""All of them; when the tests run again as an ordinary user, the first of each step."""


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        yield lab


def _told(results: list[Result]) -> str:
    return "\n".join(
        f"{r.status.value}: {r.title}: {r.expected} | {r.actual} | {r.hint}\n{r.detail}"
        for r in results
    )


def _all_pass(results: list[Result]) -> None:
    assert {result.status for result in results} == {Status.PASS}, _told(results)
    assert all(result.proved for result in results), _told(results)


@pytest.mark.parametrize("step", STEPS)
def test_untouched_its_checks_fail(lab, step):
    runner.reset(COURSE, step, lab)
    results = runner.check(step, lab)
    assert Status.BROKEN not in {result.status for result in results}, _told(results)
    assert runner.exit_code(results) == 1, _told(results)
    assert runner.hint(results), "a failing step must say what to do next"


@pytest.mark.parametrize(("step", "spelling"), SPELLED)
def test_solved_by_hand_its_checks_pass(lab, step, spelling):
    runner.reset(COURSE, step, lab)
    for block in blocks.chosen(blocks.parse(step.readme), spelling):
        blocks.type_block(lab, block)
    _all_pass(runner.check(step, lab))


@pytest.mark.parametrize("step", STEPS)
def test_solved_by_the_library_its_checks_pass(lab, step):
    runner.do(COURSE, step, lab)
    _all_pass(runner.check(step, lab))
    _all_pass(runner.check(step, lab))


@pytest.mark.parametrize("step", STEPS)
def test_it_has_at_least_three_near_misses(step):
    assert len(step.near_misses) >= 3


@pytest.mark.parametrize(("step", "miss"), NEAR_MISSES)
def test_a_near_miss_is_refused_with_the_right_message(lab, step, miss):
    runner.do(COURSE, step, lab)
    for machine, text in miss.typed:
        blocks.type_text(lab, machine, text)
    results = runner.check(step, lab)
    failed = next((r for r in results if r.status is not Status.PASS), None)
    assert failed is not None, f"nothing failed:\n{_told(results)}"
    assert failed.status is Status.FAIL, _told(results)
    assert failed.title == miss.fails, _told(results)
    assert miss.says in f"{failed.expected} | {failed.actual} | {failed.hint}", _told(results)
