"""Several calls in one round trip: what waking the other process costs is paid once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from natlab.kernel.place import registry, standing


class Call(NamedTuple):
    """A function of this room, the number of the place where it is to run, and its arguments."""

    place: int
    function: Callable[..., Any]
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}  # noqa: RUF012 - never changed; a tuple's default must be a value


def together(calls: Sequence[Call]) -> list[Any]:
    """Run calls in order; returns their results. The first error ends it and is raised.

    What was done before an error stays done: undoing it is the caller's business. Like the agent,
    it stays in the last place: going back costs as much as coming.
    """
    results = []
    for call in calls:
        standing.move(registry.get(call.place))
        results.append(call.function(*call.args, **call.kwargs))
    return results
