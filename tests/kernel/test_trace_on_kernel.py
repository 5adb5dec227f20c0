"""Traces, captures and conntrack of a real flow, in namespaces of its own, read and told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import natlab.model.trace

LAB = Path(__file__).with_name("trace_lab.py")
SOURCE = Path(natlab.model.trace.__file__).parents[2]
SPELLINGS = {"nft": "natlab", "iptables": "nat"}


def flow(spelling: str, which: str) -> dict[str, Any]:
    """Send one flow through a lab in miniature and return what was seen of it."""
    command = ["unshare", "-rmn", sys.executable, str(LAB), spelling, which]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0 and "unshare failed" in done.stderr:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def rules(seen: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The rules that matched, as (table, chain, verdict)."""
    events = [event for event in seen["events"] if event["rule"]]
    return [(event["table"], event["chain"], event["verdict"]) for event in events]


def told(seen: dict[str, Any], way: str, node: str, kind: str, key: str = "text") -> list[str]:
    """What the journey says of one node, for stages of one kind."""
    stages = seen["journey"][way]
    return [stage[key] for stage in stages if (stage["node"], stage["kind"]) == (node, kind)]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_published_port_is_traced_from_prerouting_through_docker_to_the_dnat(spelling):
    table = SPELLINGS[spelling]
    seen = flow(spelling, "in")
    assert rules(seen) == [
        (table, "PREROUTING", "jump DOCKER"),
        (table, "DOCKER", "accept"),
    ]
    assert "dnat to 172.17.0.2:8080" in seen["events"][1]["rule"]
    assert seen["events"][0]["packet"] == (
        "IP 192.168.33.20.40000 > 192.168.33.11.49153: Flags [S], length 0"
    )
    last = seen["events"][-1]
    assert (last["chain"], last["kind"], last["verdict"]) == ("POSTROUTING", "policy", "accept")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_the_hosts_own_connection_goes_through_output_instead(spelling):
    seen = flow(spelling, "own")
    table = SPELLINGS[spelling]
    assert rules(seen) == [(table, "OUTPUT", "jump DOCKER"), (table, "DOCKER", "accept")]
    assert told(seen, "forward", "ubuntu1", "routing") == ["route: local process → docker0"]
    rewrites = told(seen, "back", "ubuntu1", "rewrite")
    assert len(rewrites) == 1
    assert rewrites[0].startswith("rewrite: source 172.17.0.2:8080 → 192.168.33.11:49153")
    assert seen["journey"]["outcome"] == "answered"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_container_that_goes_out_is_masqueraded_and_its_answer_needs_no_rule(spelling):
    seen = flow(spelling, "out")
    assert rules(seen) == [(SPELLINGS[spelling], "POSTROUTING", "accept")]
    assert told(seen, "forward", "ubuntu1", "rewrite") == [
        "rewrite: source 172.17.0.2:40000 → 192.168.33.11:40000"
    ]
    assert "masquerade" in told(seen, "forward", "ubuntu1", "rewrite", "rule")[0]
    (undone,) = told(seen, "back", "ubuntu1", "rewrite")
    assert undone.startswith("rewrite: destination 192.168.33.11:40000 → 172.17.0.2:40000")
    assert "no rule is asked" in undone
    assert told(seen, "back", "ubuntu1", "rewrite", "rule") == [None]


def test_the_journey_in_names_every_interface_and_decision_both_ways():
    seen = flow("nft", "in")
    forward = [(stage["node"], stage["kind"]) for stage in seen["journey"]["forward"]]
    assert forward == [
        ("outside", "routing"),
        ("outside", "interface"),
        ("ubuntu1", "interface"),
        ("ubuntu1", "hook"),
        ("ubuntu1", "rule"),
        ("ubuntu1", "rule"),
        ("ubuntu1", "rewrite"),
        ("ubuntu1", "routing"),
        ("ubuntu1", "hook"),
        ("ubuntu1", "interface"),
        ("ubuntu1", "interface"),
        ("ubuntu1", "conntrack"),
        ("web", "interface"),
        ("web", "routing"),
    ]
    assert told(seen, "forward", "ubuntu1", "interface") == [
        "in eth0",
        "out docker0",
        "out veth0 (a port of docker0)",
    ]
    assert told(seen, "back", "ubuntu1", "interface") == [
        "in veth0",
        "in docker0 (handed up by its port veth0)",
        "out eth0",
    ]
    assert seen["journey"]["verdict"] == "answered by web"


def test_a_port_that_nobody_listens_on_is_refused_by_the_container():
    seen = flow("nft", "refused")
    assert seen["journey"]["outcome"] == "refused"
    assert seen["journey"]["verdict"] == "refused by web: reset"


def test_a_packet_that_forward_drops_was_seen_last_where_it_came_in():
    seen = flow("nft", "dropped")
    assert rules(seen)[-1] == ("natlab", "FORWARD", "drop")
    assert seen["journey"]["outcome"] == "no answer"
    assert seen["journey"]["verdict"] == (
        "no answer: last seen at ubuntu1 eth0; dropped in FORWARD on ubuntu1"
    )
    assert told(seen, "forward", "web", "interface") == []


def test_conntracks_own_lines_come_back_byte_for_byte():
    seen = flow("iptables", "in")
    lines = [line.strip() for line in seen["conntrack"].splitlines()]
    assert lines
    assert seen["conntrack again"] == lines
