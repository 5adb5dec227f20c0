"""Attach and publish containers: natlab against the raw floor, in one run.

    make bench

Each round makes a fresh lab, attaches and publishes N containers with natlab, and does the same
N with the floor in another fresh lab, in turn. Printed are the medians and the ratio.
"""

from __future__ import annotations

import statistics
import sys
import time
from ipaddress import IPv4Address
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import floor

from natlab import Lab
from natlab.model import firewall as rules
from natlab.model.addresses import mac_for

ROUNDS = 15
PORT = 8080


def natlab_side(count: int) -> tuple[float, int]:
    """Seconds that natlab takes, and how often it asked its agent."""
    with Lab({"ubuntu1": "192.168.33.11/24"}, userland_proxy=False) as lab:
        host = lab.ubuntu1
        docker0 = host.add_docker0()
        warm = host.add_container("warm")
        docker0.attach(warm)
        host.publish(warm, str(PORT))
        calls = lab.agent.calls
        began = time.perf_counter()
        for number in range(count):
            docker0.add_container(f"c{number}", str(PORT))
        return time.perf_counter() - began, lab.agent.calls - calls


def floor_side(count: int) -> float:
    """Seconds that the same work takes with everything prepared."""
    with Lab({"ubuntu1": "192.168.33.11/24"}, userland_proxy=False) as lab:
        host = lab.ubuntu1
        docker0 = host.add_docker0()
        warm = host.add_container("warm")
        docker0.attach(warm)
        host.publish(warm, str(PORT))
        plan = []
        for number in range(count):
            address = IPv4Address("172.17.0.3") + number
            specs = [
                rules.dnat(
                    "docker0",
                    IPv4Address("0.0.0.0"),
                    49200 + number,
                    address,
                    PORT,
                    "tcp",
                    userland_proxy=False,
                ),
                rules.accept_published("docker0", address, PORT, "tcp"),
                rules.hairpin(address, PORT, "tcp"),
            ]
            plan.append((f"c{number}", str(address), mac_for(address), specs))
        return sum(host.place.call(floor.run, "docker0", plan))


def compare(count: int, rounds: int) -> float:
    """Print both medians and the ratio; returns the ratio."""
    ours, raw, calls = [], [], 0
    for _ in range(rounds):
        seconds, calls = natlab_side(count)
        ours.append(seconds)
        raw.append(floor_side(count))
    mine, theirs = statistics.median(ours), statistics.median(raw)
    ratio = statistics.median(a / b for a, b in zip(ours, raw, strict=True))
    print(
        f"{count:4} container{'s' if count > 1 else ' '}:"
        f" natlab {mine * 1000:8.2f} ms, floor {theirs * 1000:8.2f} ms,"
        f" ratio {ratio:.2f} ({calls / count:.0f} calls of the agent each)"
    )
    return ratio


def main() -> None:
    """Compare one container and a hundred."""
    print(f"attach and publish, medians of {ROUNDS} rounds; floor: prepared messages, one loop")
    compare(1, ROUNDS)
    compare(100, max(3, ROUNDS // 5))


if __name__ == "__main__":
    main()
