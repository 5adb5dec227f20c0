"""The comparison itself: what it calls equal, on purpose, and different."""

from __future__ import annotations

import dataclasses
import re

import pytest
from parity.counted import Counted, difference
from parity.differences import purposes
from parity.facts import plain
from parity.flows import Seen
from parity.running import Pair

from parity import asked, differences, scenarios

ANSWERED = Seen("answered", "web:80", "192.168.33.20", "kept", "192.168.33.11")


def pair(docker, natlab, scenario="any", what="any"):
    return Pair(scenario, what, docker, natlab)


def test_equal_sides_differ_in_nothing():
    assert pair(ANSWERED, ANSWERED).differing == ()
    assert pair("text", "text").differing == ()
    assert purposes(pair("text", "text")) == ()


def test_a_flow_that_fares_otherwise_differs_in_the_fields_that_changed():
    other = dataclasses.replace(ANSWERED, source="172.17.0.1", port="rewritten")
    assert pair(ANSWERED, other).differing == ("source", "port")
    assert purposes(pair(ANSWERED, other)) == ()


def test_a_difference_on_purpose_holds_for_its_scenario_and_its_outcome_only():
    dropped = Seen("dropped")
    here = pair(dropped, ANSWERED, "no-proxy-tcp", "tcp two → host:8080")
    assert purposes(here) == (differences.BRIDGED,)
    assert purposes(dataclasses.replace(here, scenario="p-udp")) == ()
    assert purposes(dataclasses.replace(here, docker=ANSWERED, natlab=dropped)) == ()


def test_a_text_differs_on_purpose_if_the_rewordings_make_the_one_of_the_other():
    docker = "[1] Error response from daemon: Container ID64 is not running"
    natlab = "[1] Error response from daemon: container ID64 is not running"
    assert purposes(pair(docker, natlab)) == (differences.SMALL_LETTERS,)
    assert purposes(pair(docker, natlab + "!")) == ()
    assert purposes(pair(natlab, docker)) == ()


def test_a_resolv_conf_in_the_older_order_is_the_same_in_the_newer():
    docker = "search a.b\nnameserver 192.0.2.1\nnameserver 192.0.2.2\noptions ndots:3"
    natlab = "nameserver 192.0.2.1\nnameserver 192.0.2.2\nsearch a.b\noptions ndots:3"
    what = "dns cat /etc/resolv.conf (in)"
    assert purposes(pair(docker, natlab, what=what)) == (differences.RESOLV_CONF,)
    assert purposes(pair(docker, natlab.replace("a.b", "b.a"), what=what)) == ()


def test_what_is_accidental_is_left_out():
    ident = "0123456789ab" * 5 + "cdef"
    assert plain(f"{ident} {ident[:12]} Up 3 seconds") == "ID64 ID12 Up SOME TIME"
    assert plain("80/tcp -> 0.0.0.0:8080\n80/tcp -> :::8080") == "80/tcp -> 0.0.0.0:8080"
    assert plain("0.0.0.0:8080->80/tcp, :::8080->80/tcp") == "0.0.0.0:8080->80/tcp"
    assert plain("172.17.0.2 123456789012") == "172.17.0.2 123456789012"


def test_only_rules_that_counted_between_two_looks_are_told():
    before = {("nat", "DNAT a"): 1, ("filter", "DROP b"): 2, ("raw", "DROP c"): 0}
    after = {("nat", "DNAT a"): 2, ("filter", "DROP b"): 2, ("raw", "DROP c"): 1}
    assert difference(before, after) == Counted(nat=("DNAT a",), filter=("DROP c",))


def test_there_are_enough_scenarios_flows_and_questions():
    assert len(scenarios.ALL) >= 30
    assert sum(len(scenario.flows) for scenario in scenarios.ALL) >= 100
    assert sum(len(questions.asks) for questions in asked.ALL) >= 150


@pytest.mark.parametrize("case", [*scenarios.ALL, *asked.ALL], ids=lambda case: case.name)
def test_a_case_has_a_name_of_its_own_and_says_what_it_shows(case):
    everyone = [other.name for other in (*scenarios.ALL, *asked.ALL)]
    assert everyone.count(case.name) == 1
    assert case.about.endswith(".")


def test_every_flow_that_differs_on_purpose_is_one_of_a_scenario():
    texts = [f"{s.name}: {flow}" for s in scenarios.ALL for flow in s.flows]
    for entry in differences.FLOWS:
        assert any(re.search(entry.where, text) for text in texts), entry
