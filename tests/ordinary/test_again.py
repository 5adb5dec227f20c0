"""What touches the kernel holds for an ordinary user as well: library, engine, course, commands.

Run by root, those tests are run again by a user without any privilege, beside the others.
"""

from __future__ import annotations

import os

import ordinary_user
import pytest

pytestmark = [
    pytest.mark.skipif(
        ordinary_user.AGAIN in os.environ, reason="these tests run as an ordinary user already"
    ),
    pytest.mark.skipif(os.geteuid() != 0, reason="all tests run as an ordinary user already"),
]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("group", ordinary_user.GROUPS)
def test_the_same_tests_pass_for_an_ordinary_user(ordinary_run, group):
    result = ordinary_run.result(group)
    if "skip" in result:
        pytest.skip(result["skip"])
    assert result["code"] == 0, result["said"]
    assert " passed" in result["said"]
