"""All results of a run, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from parity import asked, facts, running, scenarios
from parity.differences import Purpose, purposes
from parity.facts import Facts
from parity.flows import Seen
from parity.running import Pair
from parity.scenario import Scenario

Case = Scenario | Facts
_AT_A_TIME = 3


@dataclass
class Results:
    """Every pair, by case."""

    pairs: dict[str, list[Pair]] = field(default_factory=dict)

    def add(self, case: Case, pairs: Iterable[Pair]) -> None:
        """Note what came of a case."""
        self.pairs[case.name] = list(pairs)

    def __iter__(self) -> Iterator[Pair]:
        return (pair for pairs in self.pairs.values() for pair in pairs)

    @property
    def flows(self) -> int:
        """How many flows were sent."""
        return sum(is_flow(pair) for pair in self)

    @property
    def comparisons(self) -> int:
        """How many answers were compared that are not packets."""
        return sum(not is_flow(pair) for pair in self)

    @property
    def equal(self) -> int:
        """How many of both are equal."""
        return sum(not pair.differing for pair in self)

    @property
    def on_purpose(self) -> dict[Purpose, list[Pair]]:
        """What differs on purpose, by reason."""
        found: dict[Purpose, list[Pair]] = {}
        for pair in self:
            for purpose in purposes(pair):
                found.setdefault(purpose, []).append(pair)
        return found

    @property
    def meant(self) -> int:
        """How many differ on purpose."""
        return sum(bool(purposes(pair)) for pair in self)

    @property
    def different(self) -> list[Pair]:
        """What differs, and nobody wants it."""
        return [pair for pair in self if pair.differing and not purposes(pair)]

    @property
    def summary(self) -> str:
        """One line."""
        return (
            f"{self.flows} flows and {self.comparisons} other comparisons: {self.equal} equal,"
            f" {self.meant} different on purpose, {len(self.different)} different"
        )


def is_flow(pair: Pair) -> bool:
    """Whether it is a flow; the others are answers."""
    return isinstance(pair.docker, Seen) or isinstance(pair.natlab, Seen)


def cases() -> tuple[Case, ...]:
    """Every scenario, then every set of questions."""
    return (*scenarios.ALL, *asked.ALL)


def run(case: Case) -> list[Pair]:
    """One case on both sides."""
    return running.run(case) if isinstance(case, Scenario) else facts.run(case)


def run_all(wanted: Iterable[Case], tell: Callable[[str], None]) -> Results:
    """Run them, a few at a time since most of their time is waiting, and tell of each."""
    wanted, results = list(wanted), Results()
    pool = ThreadPoolExecutor(_AT_A_TIME)
    try:
        _collect(results, zip(wanted, pool.map(run, wanted), strict=True), tell)
    finally:  # what runs is taken down; what has not begun does not begin
        pool.shutdown(cancel_futures=True)
    return results


def _collect(
    results: Results, done: Iterable[tuple[Case, list[Pair]]], tell: Callable[[str], None]
) -> None:
    for case, pairs in done:
        results.add(case, pairs)
        bad = [pair for pair in pairs if pair.differing and not purposes(pair)]
        tell(f"{case.name}: {len(pairs)} compared" + (f", {len(bad)} DIFFERENT" if bad else ""))
        for pair in bad:
            tell(explain(pair))


def explain(pair: Pair) -> str:
    """A difference in words."""
    lines = [f"  {pair.scenario}: {pair.what}"]
    if isinstance(pair.docker, str) or isinstance(pair.natlab, str):
        lines += [f"    docker {pair.docker!r}", f"    natlab {pair.natlab!r}"]
        return "\n".join(lines)
    for name in pair.differing:
        lines += [
            f"    {name}",
            f"      docker {getattr(pair.docker, name)}",
            f"      natlab {getattr(pair.natlab, name)}",
        ]
    return "\n".join(lines)
