"""A part of the course is run with the other tests; `make parity` runs all of it."""

from __future__ import annotations

import os

EVERY_STEP = "NATLAB_PARITY_EXAMPLES" in os.environ
SOME_STEPS = ("[08]", "[16]", "[22]")


def pytest_collection_modifyitems(config, items):
    """Leave out most steps, unless they were asked for by name."""
    if EVERY_STEP or config.option.keyword:
        return
    left_out = [
        item
        for item in items
        if item.path.name == "test_course.py"
        and item.path.parent.name == "parity"
        and not item.name.endswith(SOME_STEPS)
    ]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
