"""Run scenarios on both sides and hold the results next to each other."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Self, TypeVar

from natlab.errors import NatlabError
from parity import flows
from parity.flows import Seen, Servers
from parity.scenario import Flow, Scenario, Type
from parity.sides import NAMES, Side, side

T = TypeVar("T")
SILENT = ("dropped", "connected, then silence", "arrived, but no answer came back")


@dataclass(frozen=True)
class Pair:
    """One flow, or one fact, on both sides."""

    scenario: str
    what: str
    docker: Seen | str
    natlab: Seen | str

    @property
    def differing(self) -> tuple[str, ...]:
        """The names of what differs; empty if they are equal."""
        if self.docker == self.natlab:
            return ()
        if isinstance(self.docker, str) or isinstance(self.natlab, str):
            return ("text",)
        names = (f.name for f in fields(Seen))
        return tuple(n for n in names if getattr(self.docker, n) != getattr(self.natlab, n))


class Both:
    """Both sides of a scenario; what is asked of one is asked of the other at the same time."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self._undo = contextlib.ExitStack()
        self._pool = self._undo.enter_context(ThreadPoolExecutor(2))
        self.sides: list[Side] = []
        self._servers: list[Servers] = []

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.push(self._undo)
            self.sides = self.each(self._up, NAMES)
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def each(self, function: Callable[..., T], *arguments) -> list[T]:
        """Call a function for both, each with its own arguments; the errors of both are raised."""
        jobs = [self._pool.submit(function, *own) for own in zip(*arguments, strict=True)]
        return [job.result() for job in jobs]

    def _up(self, name) -> Side:
        made = side(name, options=self.scenario.options, before=self.scenario.before)
        entered = made.__enter__()
        self._undo.push(made)
        return entered

    def run(self) -> list[Pair]:
        """Every flow of the scenario."""
        self.each(self.make, self.sides)
        with self.serving(self.scenario.serve):
            pairs = [self.step(step) for step in self.scenario.steps]
        return [pair for pair in pairs if pair is not None]

    @contextlib.contextmanager
    def serving(self, places: tuple[str, ...]) -> Iterator[None]:
        """Let something answer at those places while the block runs."""
        self._servers = [Servers(made, places) for made in self.sides]
        self.each(Servers.open, self._servers)
        try:
            yield
        finally:
            self.each(Servers.close, self._servers)

    def make(self, made: Side) -> None:
        """Type the lines that make the topology."""
        if any(" stored" in line for line in self.scenario.docker):
            made.prepare("stored", "VOLUME /data")
        for line in self.scenario.docker:
            made.docker(line)
        for where, line in self.scenario.after:
            made.type(where, line)

    def step(self, step: Flow | Type) -> Pair | None:
        """Send a flow, or type what stands between two; only the first has a result."""
        if isinstance(step, Type):
            self.each(Servers.close, self._servers)
            self.each(_type, self.sides, [step] * 2)
            self.each(Servers.open, self._servers)
            return None
        pair = self._sent(step)
        if pair.differing == ("port",):  # a proxy's own port may happen to be the client's
            pair = self._sent(step)
        return self._patiently(step, pair)

    def _sent(self, flow: Flow) -> Pair:
        seen = self.each(flows.observe, self.sides, [flow] * 2, self._servers)
        return Pair(self.scenario.name, str(flow), *seen)

    def _patiently(self, flow: Flow, pair: Pair) -> Pair:
        """Ask a silent side again, with patience, where the other one was not silent."""
        from parity.differences import purposes

        seen = [pair.docker, pair.natlab]
        silent = [one.outcome in SILENT for one in seen]
        if silent[0] == silent[1] or purposes(pair):
            return pair
        slow = silent.index(True)
        seen[slow] = flows.observe(self.sides[slow], flow, self._servers[slow], silence=flows.LONG)
        return Pair(pair.scenario, pair.what, *seen)


def _type(made: Side, step: Type) -> None:
    if step.on:
        made.type(step.on, step.line)
    else:
        made.docker(step.line)


def run(scenario: Scenario) -> list[Pair]:
    """One scenario on both sides; one that cannot be made is a difference in all of its flows."""
    try:
        with Both(scenario) as both:
            return both.run()
    except (RuntimeError, NatlabError) as error:
        return [Pair(scenario.name, str(f), "", f"not made: {error}") for f in scenario.flows]
