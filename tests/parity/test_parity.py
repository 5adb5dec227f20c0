"""A part of `make parity`: the scenarios that have found most, on both engines."""

from __future__ import annotations

import pytest
from parity.differences import purposes
from parity.results import explain

from parity import asked, engine_files, facts, running, scenarios

FLOWS = (
    "container-to-lan",
    "p-host-container",
    "p-localhost",
    "no-proxy-bridged",
    "no-proxy-localhost",
    "two-bridges",
    "internal-with-a-route",
    "net-container",
    "icc-off-link",
    "forwarding-off-before",
    "udp-made-again",
)
ANSWERS = ("addresses", "files", "inside", "volumes-copy-up")


@pytest.fixture(autouse=True)
def _engine():
    """Docker's own engine, or the reason why there is none."""
    if reason := engine_files.missing():
        pytest.skip(reason)


def named(cases, names):
    known = {case.name: case for case in cases}
    return [pytest.param(known[name], id=name) for name in names]


def unwanted(pairs):
    return "\n".join(explain(p) for p in pairs if p.differing and not purposes(p))


@pytest.mark.parametrize("scenario", named(scenarios.ALL, FLOWS))
def test_packets_fare_on_natlab_as_on_docker(scenario):
    pairs = running.run(scenario)
    assert len(pairs) == len(scenario.flows)
    assert not unwanted(pairs)


@pytest.mark.parametrize("questions", named(asked.ALL, ANSWERS))
def test_natlab_answers_as_docker_does(questions):
    pairs = facts.run(questions)
    assert len(pairs) == len(questions.asks)
    assert not unwanted(pairs)


def test_nothing_of_the_engine_is_left(machine):
    before = machine()
    scenario = next(s for s in scenarios.ALL if s.name == "lan-without-a-route")
    assert not unwanted(running.run(scenario))
    assert machine() == before
