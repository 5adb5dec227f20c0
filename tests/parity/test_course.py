"""The course's own checks, on a docker0 that a real engine has made."""

from __future__ import annotations

import pytest

from natlab.course.checks import Status
from parity import course, engine_files


@pytest.mark.parametrize("recipe", course.RECIPES, ids=lambda recipe: recipe.step)
def test_a_step_made_by_docker_passes_its_checks(recipe):
    if reason := engine_files.missing():
        pytest.skip(reason)
    results = course.results(recipe)
    told = [
        f"{r.status.value}: {r.title}: expected {r.expected}; {r.actual} | {r.detail}"
        for r in results
        if r.status is not Status.PASS
    ]
    assert not told, "\n".join(told)
    assert len(results) > 1
