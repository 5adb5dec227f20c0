"""Whatever is published, and wherever from it is asked for: both engines let the same through."""

from __future__ import annotations

import os
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from parity.results import explain
from parity.running import Both
from parity.scenario import Flow, Scenario

from parity import engine_files

EXAMPLES = int(os.environ.get("NATLAB_PARITY_EXAMPLES", "2"))
NAMES = ("web", "two", "six")
HOST_PORTS = (8000, 8001, 8002)
OWN_PORTS = (80, 81)
NETWORKS = ("bridge", "blue", "green")


@dataclass(frozen=True)
class Container:
    name: str
    network: str
    publish: tuple[str, ...]

    @property
    def line(self) -> str:
        wishes = " ".join(f"-p {spec}" for spec in self.publish)
        return f"run -d --name {self.name} --network {self.network} {wishes} app"


@dataclass(frozen=True)
class Topology:
    containers: tuple[Container, ...]
    flows: tuple[Flow, ...]


protos = st.sampled_from(["tcp", "udp"])
addresses = st.sampled_from(["", "127.0.0.1:", "192.168.33.11:"])


@st.composite
def publishings(draw):
    address, own, proto = draw(addresses), draw(st.sampled_from(OWN_PORTS)), draw(protos)
    port = draw(st.sampled_from(HOST_PORTS))
    return f"{address}{port}:{own}/{proto}"


@st.composite
def flows(draw, names):
    proto = draw(protos)
    frm = draw(st.sampled_from(["outside", "host", *names]))
    to = draw(
        st.one_of(
            st.sampled_from(["host", "localhost", "docker0"]).flatmap(
                lambda name: st.sampled_from([f"{name}:{port}" for port in HOST_PORTS])
            ),
            st.sampled_from([f"{name}:{port}" for name in names for port in OWN_PORTS]),
        )
    )
    return Flow(frm, to, proto)


@st.composite
def topologies(draw):
    names = NAMES[: draw(st.integers(1, len(NAMES)))]
    containers = tuple(
        Container(
            name,
            draw(st.sampled_from(NETWORKS)),
            tuple(draw(st.lists(publishings(), max_size=3, unique=True))),
        )
        for name in names
    )
    return Topology(containers, tuple(draw(st.lists(flows(names), min_size=2, max_size=6))))


def on_both(options):
    """Both engines, up for all examples, with two networks of one's own."""
    if reason := engine_files.missing():
        pytest.skip(reason)
    lines = ("network create blue", "network create green")
    route = (("outside", "ip route add 172.16.0.0/12 via 192.168.33.11"),)
    return Both(Scenario("random", "Random.", lines, (), (), options, before=route))


@pytest.fixture(scope="module")
def both():
    with on_both(()) as both:
        both.run()
        yield both


@pytest.fixture(scope="module")
def without_proxy():
    """Both filter bridged frames, as Docker does of its own accord since 27.3."""
    with on_both(("--userland-proxy=false",)) as both:
        both.run()
        both.each(
            lambda side: side.type("host", "sysctl -w net.bridge.bridge-nf-call-iptables=1"),
            both.sides,
        )
        yield both


def fares(both, topology):
    """Make the containers, send the flows, take the containers away; what differs."""
    unlike = []
    try:
        for container in topology.containers:
            done = both.each(lambda side, line=container.line: side.try_docker(line), both.sides)
            codes = [one.returncode for one in done]
            event("a port is refused" if any(codes) else "published")
            if codes[0] != codes[1]:
                unlike.append((container.line, [one.stderr for one in done]))
        running = [c.name for c in topology.containers if _runs(both, c.name)]
        places = [
            f"{name}:{port}{p}" for name in running for port in OWN_PORTS for p in ("", "/udp")
        ]
        with both.serving(tuple(places)):
            unlike += [
                pair
                for flow in topology.flows
                if {flow.frm, flow.to.split(":")[0]} & set(NAMES) <= set(running)
                and (pair := both.step(flow)).differing
            ]
            unlike = [one if isinstance(one, tuple) else explain(one) for one in unlike]
    finally:
        both.each(lambda side: side.try_docker(f"rm -f {' '.join(NAMES)}"), both.sides)
    return unlike


def _runs(both, name):
    look = f"inspect -f '{{{{.State.Running}}}}' {name}"
    return all(
        one.stdout.strip() == "true"
        for one in both.each(lambda side: side.try_docker(look), both.sides)
    )


bounded = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    phases=[Phase.generate] if EXAMPLES < 10 else [Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@bounded
@given(topology=topologies())
def test_any_topology_fares_alike(both, topology):
    unlike = fares(both, topology)
    assert not unlike, unlike


@bounded
@given(topology=topologies())
def test_any_topology_fares_alike_without_a_proxy(without_proxy, topology):
    unlike = fares(without_proxy, topology)
    assert not unlike, unlike
