"""Attach and publish containers: natlab against the raw floor, in one run.

    make bench

Each round makes a fresh lab, attaches and publishes N containers with natlab, and does the same
N with the floor in another fresh lab, in turn. Printed are the medians, the ratio, the same of
the fastest rounds (which other programs disturbed least), and where the rest goes.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import floor

from natlab import Host, Lab, Network
from natlab.kernel import batch, firewall, sockets, sysctl
from natlab.kernel.batch import Call
from natlab.model import firewall as rules
from natlab.model.addresses import mac_for
from natlab.model.attachments import Endpoint

ROUNDS = 51
PORT = 8080


@dataclass(frozen=True)
class Ours:
    """What natlab took for one round, in seconds for each container."""

    total: float
    deciding: float
    """In the calling process: addresses, ports and rules as values, and their encoding."""
    round_trips: float
    """Waking the agent and being woken, without any work between."""
    looking: float
    """Reading the kernel first: names, links, the rules' generation, free ports, settings."""
    calls: int


def prepared(lab: Lab) -> tuple[Host, Network]:
    """A host with docker0 and one container, so that everything is loaded and warm."""
    docker0 = lab.ubuntu1.add_docker0()
    docker0.add_container("warm", str(PORT))
    return lab.ubuntu1, docker0


def mean_time(function: Callable[[], object], times: int = 50) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - began) / times


def natlab_side(count: int) -> Ours:
    """Attach and publish with natlab."""
    with Lab({"ubuntu1": "192.168.33.11/24"}, userland_proxy=False) as lab:
        host, docker0 = prepared(lab)
        agent, waiting = lab.agent, []
        plain_call, calls = agent.call, agent.calls

        def timed_call(*args, **kwargs):
            began = time.perf_counter()
            try:
                return plain_call(*args, **kwargs)
            finally:
                waiting.append(time.perf_counter() - began)

        agent.call = timed_call
        began = time.perf_counter()
        for number in range(count):
            docker0.add_container(f"c{number}", str(PORT))
        total = time.perf_counter() - began
        agent.call, calls = plain_call, agent.calls - calls
        here = host.place.number
        empty = mean_time(lambda: host.place.call(batch.together, []))
        looks = [
            docker0.expect_call(Endpoint(docker0.gateway, "free")),
            Call(here, sockets.refuse_taken, ([("0.0.0.0", 65000, "tcp")],)),
            Call(here, sysctl.write_all, ({"net/ipv4/conf/docker0/route_localnet": "1"},)),
            Call(here, firewall.generation),
            Call(here, firewall.generation),
        ]
        looking = mean_time(lambda: host.place.call(batch.together, looks)) - empty
        each = calls // count
        return Ours(total / count, (total - sum(waiting)) / count, empty * each, looking, each)


def floor_side(count: int) -> float:
    """Seconds for each container that the same work takes with everything prepared."""
    with Lab({"ubuntu1": "192.168.33.11/24"}, userland_proxy=False) as lab:
        host, _ = prepared(lab)
        plan = []
        for number in range(count):
            address = IPv4Address("172.17.0.3") + number
            any_address, port = IPv4Address("0.0.0.0"), 49200 + number
            to = (address, PORT, "tcp")
            specs = [
                rules.dnat("docker0", any_address, port, *to, userland_proxy=False),
                rules.accept_published("docker0", *to),
                rules.hairpin(*to),
            ]
            plan.append((f"c{number}", str(address), mac_for(address), specs))
        return sum(host.place.call(floor.run, "docker0", plan)) / count


def compare(count: int, rounds: int) -> None:
    """Print both medians, the ratio, and where the rest goes."""
    ours, raw = [], []
    for _ in range(rounds):
        ours.append(natlab_side(count))
        raw.append(floor_side(count))
    ratio = statistics.median(a.total / b for a, b in zip(ours, raw, strict=True))

    def median(values) -> str:
        return f"{statistics.median(values) * 1000:.2f} ms"

    print(f"{count} container{'s' if count > 1 else ''}, each (median of {rounds} rounds):")
    print(f"  natlab {median(o.total for o in ours)}, floor {median(raw)}, ratio {ratio:.2f}")
    fastest = min(o.total for o in ours), min(raw)
    print(
        f"  at best {fastest[0] * 1000:.2f} ms, floor {fastest[1] * 1000:.2f} ms,"
        f" ratio {fastest[0] / fastest[1]:.2f}"
    )
    print(
        f"  the rest: deciding {median(o.deciding for o in ours)},"
        f" {ours[0].calls} round trip {median(o.round_trips for o in ours)},"
        f" looking first {median(o.looking for o in ours)}"
    )


def main() -> None:
    """Compare one container and a hundred."""
    print("attach and publish a container; floor: the same messages, prepared, in one loop")
    compare(1, ROUNDS)
    compare(100, ROUNDS // 7)


if __name__ == "__main__":
    main()
