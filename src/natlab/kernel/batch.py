"""Several calls in one round trip: what waking the other process costs is paid once."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from natlab.kernel.place import registry, standing

HOME: Final = -1
"""Stands for the sandbox itself, where no machine is."""


class Call(NamedTuple):
    """A function of this room, the number of the place where it is to run, and its arguments."""

    place: int
    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - never changed; a tuple's default must be a value
    undo: Call | None = None
    """What takes it back if a later one fails; None where nothing is to be taken back."""


def together(calls: Sequence[Call]) -> list[Any]:
    """Run calls in order; returns their results.

    The first error ends it: what was done before is undone, the last first, and it is raised.
    Like the agent, it stays in the last place: going back costs as much as coming.
    """
    results = []
    with contextlib.ExitStack() as undo:
        for call in calls:
            results.append(_run(call))
            if call.undo:
                undo.callback(_run, call.undo)
        undo.pop_all()
    return results


def _run(call: Call) -> Any:
    standing.move(standing.home if call.place == HOME else registry.get(call.place))
    return call.function(*call.args, **call.kwargs)
