"""Journeys through real labs: one packet is sent, and what is told of it is what happened."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from natlab.engine import journey as engine
from natlab.engine.container import Container
from natlab.engine.host import Host
from natlab.engine.journey import travel
from natlab.engine.lab import Lab
from natlab.errors import UsageError
from natlab.model.draw_journey import table, verdict
from natlab.model.journey import Journey, Stage

ONE_HOST = {"outside": "192.168.33.20/24", "ubuntu1": "192.168.33.11/24"}
LONG = 20.0
"""Seconds for an answer that will come: how long it takes is not what is tested."""

IPTABLES = """
iptables-nft -t nat -N DOCKER
iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables-nft -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
iptables-nft -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables-nft -t nat -A DOCKER ! -i docker0 -p tcp --dport 49153 -j DNAT --to 172.17.0.2:8080
"""
SPELLINGS = {"library": "ip natlab", "iptables": "ip nat"}


def by_library(lab: Lab) -> None:
    """The seed's picture: web behind ubuntu1's docker0, masqueraded and published at 49153."""
    docker0 = lab.ubuntu1.add_docker0()
    docker0.attach(lab.ubuntu1.add_container("web"))
    lab.ubuntu1.publish(lab.ubuntu1.container("web"), "49153:8080")


def by_iptables(lab: Lab) -> None:
    """The same with the rules that a person types."""
    docker0 = lab.ubuntu1.add_network()
    docker0.attach(lab.ubuntu1.add_container("web"))
    lab.ubuntu1.forwarding = True
    lab.ubuntu1.run(f"set -e; {IPTABLES}", check=True)


BUILDERS = {"library": by_library, "iptables": by_iptables}


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab(ONE_HOST) as made:
        by_library(made)
        yield made


@pytest.fixture(params=SPELLINGS)
def spelled(request: pytest.FixtureRequest) -> Iterator[tuple[Lab, str]]:
    with Lab(ONE_HOST) as made:
        BUILDERS[request.param](made)
        yield made, SPELLINGS[request.param]


def web_of(lab: Lab) -> Container:
    return lab.ubuntu1.container("web")


def stages(journey: Journey, way: str, node: str, *kinds: str) -> list[Stage]:
    return [s for s in journey.way(way) if s.node == node and (not kinds or s.kind in kinds)]


def nodes(journey: Journey, way: str) -> list[str]:
    """The nodes in the order of the way, each stay once."""
    found: list[str] = []
    for stage in journey.way(way):
        if found[-1:] != [stage.node] and stage.kind != "end":
            found.append(stage.node)
    return found


def interfaces(journey: Journey, way: str, node: str) -> list[str]:
    """The interfaces passed on a node, a bridge's ports by their kind."""
    seen = [f"{s.direction} {s.interface}" for s in stages(journey, way, node, "interface")]
    return [re.sub(r"veth\w+", "veth", text) for text in seen]


def rewritten(journey: Journey, way: str, node: str) -> list[str]:
    return [str(stage.rewrite) for stage in stages(journey, way, node, "rewrite")]


def hooks(journey: Journey, way: str = "forward") -> list[str]:
    """The hooks in the order of the way, however many chains stand at each."""
    found = [str(stage.hook) for stage in journey.way(way) if stage.kind == "hook"]
    return [hook for hook, _ in itertools.groupby(found)]


def source_port(journey: Journey) -> int:
    assert journey.flow.sport is not None
    return journey.flow.sport


def rules_of(host: Host) -> str:
    """The whole ruleset as text, without what rules have counted."""
    return re.sub(r"packets \d+ bytes \d+", "", host.nft("list ruleset"))


# NAT


def test_a_container_that_goes_out_is_masqueraded_and_its_answer_put_back(spelled):
    lab, title = spelled
    trip = travel(lab, web_of(lab), "outside", 8080, timeout=LONG)
    port = source_port(trip)
    assert trip.outcome == "answered"
    assert nodes(trip, "forward") == ["web", "ubuntu1", "outside"]
    assert nodes(trip, "back") == ["outside", "ubuntu1", "web"]
    assert rewritten(trip, "forward", "ubuntu1") == [
        f"source 172.17.0.2:{port} → 192.168.33.11:{port}"
    ]
    (rewrite,) = stages(trip, "forward", "ubuntu1", "rewrite")
    assert "masquerade" in (rewrite.rule or "")
    assert rewritten(trip, "back", "ubuntu1") == [
        f"destination 192.168.33.11:{port} → 172.17.0.2:{port}"
    ]
    assert "postrouting" in hooks(trip)
    assert {s.table for s in trip.stages if s.kind == "hook"} == {title}


def test_the_way_through_the_host_has_its_interfaces_decisions_and_hooks_in_order(lab):
    trip = travel(lab, web_of(lab), "192.168.33.20", 8080, timeout=LONG)
    assert interfaces(trip, "forward", "ubuntu1") == ["in veth", "in docker0", "out eth0"]
    assert interfaces(trip, "back", "ubuntu1") == ["in eth0", "out docker0", "out veth"]
    assert hooks(trip) == ["prerouting", "forward", "postrouting"]
    (route,) = stages(trip, "forward", "web", "routing")
    assert (route.out_interface, route.next_hop) == ("eth0", "172.17.0.1")
    (route,) = stages(trip, "forward", "ubuntu1", "routing")
    assert (route.in_interface, route.out_interface) == ("docker0", "eth0")
    assert route.next_hop == "on link"


def test_a_published_port_is_rewritten_by_its_rule_and_the_reply_by_conntrack(spelled):
    lab, title = spelled
    trip = travel(lab, lab.outside, "ubuntu1", 49153, timeout=LONG)
    assert trip.outcome == "answered"
    assert nodes(trip, "forward") == ["outside", "ubuntu1", "web"]
    assert rewritten(trip, "forward", "ubuntu1") == [
        "destination 192.168.33.11:49153 → 172.17.0.2:8080"
    ]
    (rewrite,) = stages(trip, "forward", "ubuntu1", "rewrite")
    assert "dnat to 172.17.0.2:8080" in (rewrite.rule or "")
    assert "packets" not in (rewrite.rule or "")
    docker = [s for s in stages(trip, "forward", "ubuntu1", "rule") if s.chain == "DOCKER"]
    assert [(s.hook, s.table) for s in docker] == [("prerouting", title)]
    assert rewritten(trip, "back", "ubuntu1") == ["source 172.17.0.2:8080 → 192.168.33.11:49153"]
    (undone,) = stages(trip, "back", "ubuntu1", "rewrite")
    assert undone.rule is None


def test_the_conntrack_entry_has_both_halves_and_the_whole_handshake(spelled):
    lab, _ = spelled
    trip = travel(lab, lab.outside, "ubuntu1", 49153, timeout=LONG)
    (entry,) = stages(trip, "forward", "ubuntu1", "conntrack")
    words = (entry.entry or "").split()
    assert "ESTABLISHED" in words
    assert [w for w in words if w.startswith(("src=", "dst="))] == [
        "src=192.168.33.20",
        "dst=192.168.33.11",
        "src=172.17.0.2",
        "dst=192.168.33.20",
    ]


def test_the_hosts_own_packet_to_its_published_port_goes_through_output(spelled):
    lab, _ = spelled
    trip = travel(lab, lab.ubuntu1, "192.168.33.11", 49153, timeout=LONG)
    assert trip.outcome == "answered"
    assert hooks(trip)[0] == "output"
    assert "prerouting" not in hooks(trip)
    assert rewritten(trip, "forward", "ubuntu1") == [
        "destination 192.168.33.11:49153 → 172.17.0.2:8080"
    ]
    assert interfaces(trip, "forward", "ubuntu1") == ["out docker0", "out veth"]


def test_a_host_that_asks_its_loopback_is_answered_by_the_userland_proxy(lab):
    trip = travel(lab, lab.ubuntu1, "127.0.0.1", 49153, timeout=LONG)
    assert verdict(trip) == "answered by ubuntu1"
    assert interfaces(trip, "forward", "ubuntu1") == ["out lo", "in lo"]
    assert rewritten(trip, "forward", "ubuntu1") == []


def test_a_container_of_one_host_reaches_one_of_another_through_its_published_port():
    hosts = {"ubuntu1": "192.168.33.11/24", "ubuntu2": "192.168.33.12/24"}
    with Lab(hosts) as lab:
        for host in lab.hosts.values():
            host.add_docker0().attach(host.add_container("web"))
        lab.ubuntu2.publish(lab.ubuntu2.container("web"), "49153:8080")
        trip = travel(lab, lab.ubuntu1.container("web"), "ubuntu2", 49153, timeout=LONG)
    there = ["ubuntu1/web", "ubuntu1", "ubuntu2", "ubuntu2/web"]
    assert nodes(trip, "forward") == there
    assert nodes(trip, "back") == there[::-1]
    port = source_port(trip)
    assert rewritten(trip, "forward", "ubuntu1") == [
        f"source 172.17.0.2:{port} → 192.168.33.11:{port}"
    ]
    assert rewritten(trip, "forward", "ubuntu2") == [
        "destination 192.168.33.12:49153 → 172.17.0.2:8080"
    ]
    assert len([s for s in trip.way("forward") if s.kind == "conntrack"]) == 2


# No NAT


def test_two_containers_of_one_bridge_talk_on_layer_two_and_meet_no_hook(lab):
    lab.ubuntu1.network().attach(lab.ubuntu1.add_container("db"))
    trip = travel(lab, lab.ubuntu1.container("db"), "web", 8080, timeout=LONG)
    assert trip.outcome == "answered"
    assert interfaces(trip, "forward", "ubuntu1") == ["in veth", "out veth"]
    assert interfaces(trip, "back", "ubuntu1") == ["in veth", "out veth"]
    assert {s.kind for s in trip.stages if s.node == "ubuntu1"} == {"interface"}
    assert stages(trip, "forward", "ubuntu1")[-1].note == "bridged, not routed"


def test_a_ping_is_followed_by_its_payload(lab):
    trip = travel(lab, web_of(lab), "outside", timeout=LONG)
    assert trip.flow.proto == "icmp"
    assert trip.outcome == "answered"
    assert rewritten(trip, "forward", "ubuntu1") == ["source 172.17.0.2 → 192.168.33.11"]
    assert hooks(trip) == ["prerouting", "forward", "postrouting"]
    assert hooks(trip, "back") == ["forward"]


def test_a_ping_goes_from_the_host_to_its_container(lab):
    trip = travel(lab, lab.ubuntu1, "web", proto="icmp", timeout=LONG)
    assert verdict(trip) == "answered by web"


def test_a_datagram_is_followed_and_its_answer_is_traced_too(lab):
    trip = travel(lab, web_of(lab), "outside", 53, proto="udp", timeout=LONG)
    assert trip.outcome == "answered"
    assert hooks(trip) == ["prerouting", "forward", "postrouting"]
    assert hooks(trip, "back") == ["forward"]
    assert nodes(trip, "back") == ["outside", "ubuntu1", "web"]


def test_a_published_datagram_port_is_answered_from_the_address_that_was_asked(lab):
    lab.ubuntu1.publish(web_of(lab), "5353:53/udp")
    trip = travel(lab, lab.outside, "ubuntu1", 5353, proto="udp", timeout=LONG)
    assert trip.outcome == "answered"
    assert rewritten(trip, "forward", "ubuntu1") == [
        "destination 192.168.33.11:5353 → 172.17.0.2:53"
    ]
    assert rewritten(trip, "back", "ubuntu1") == ["source 172.17.0.2:53 → 192.168.33.11:5353"]


# Servers


def test_a_server_is_brought_to_a_container_and_the_end_says_so(lab):
    trip = travel(lab, lab.ubuntu1, "web", 80, timeout=LONG)
    assert trip.stages[-1].note == "no program listened there, so natlab did for this journey"


def test_a_program_that_listens_already_answers_itself(lab):
    with web_of(lab).listen(8080):
        trip = travel(lab, lab.outside, "ubuntu1", 49153, timeout=LONG)
    assert verdict(trip) == "answered by web"


def test_a_port_of_a_docker_host_that_leads_nowhere_is_refused(lab):
    trip = travel(lab, lab.outside, "ubuntu1", 50000, timeout=LONG)
    assert trip.outcome == "refused"
    assert verdict(trip) == "refused by ubuntu1: nobody listens there, a reset came back"
    assert hooks(trip)[0] == "prerouting"


def test_without_a_server_a_containers_port_is_refused_and_the_reset_is_put_back(lab):
    trip = travel(lab, lab.outside, "ubuntu1", 49153, timeout=LONG, listen=False)
    assert verdict(trip) == "refused by web: nobody listens there, a reset came back"
    assert rewritten(trip, "back", "ubuntu1") == ["source 172.17.0.2:8080 → 192.168.33.11:49153"]


def test_a_datagram_to_nobody_is_refused_by_an_error_about_it(lab):
    trip = travel(lab, lab.outside, "ubuntu1", 53, proto="udp", timeout=LONG)
    assert verdict(trip) == (
        "refused by ubuntu1, which says: ICMP 192.168.33.11 udp port 53 unreachable"
    )


# Lost


def test_with_forwarding_off_it_ends_on_the_host_and_the_verdict_says_why(lab):
    lab.ubuntu1.forwarding = False
    trip = travel(lab, web_of(lab), "outside", 8080)
    assert trip.outcome == "no answer"
    assert nodes(trip, "forward") == ["web", "ubuntu1"]
    assert verdict(trip) == (
        "no answer: last seen entering ubuntu1 by docker0 as"
        f" 172.17.0.2:{source_port(trip)} → 192.168.33.20:8080; forwarding is off on ubuntu1"
    )


def test_without_masquerade_it_arrives_and_the_answer_has_no_way_back(lab):
    lab.ubuntu1.nft("flush chain ip natlab POSTROUTING")
    trip = travel(lab, web_of(lab), "outside", 8080)
    assert nodes(trip, "forward") == ["web", "ubuntu1", "outside"]
    assert trip.way("back") == ()
    assert verdict(trip) == (
        "no answer: last seen entering outside by eth0 as"
        f" 172.17.0.2:{source_port(trip)} → 192.168.33.20:8080;"
        " outside has no route back to 172.17.0.2"
    )


def test_a_rule_that_drops_it_is_named(lab):
    lab.ubuntu1.nft("insert rule ip natlab FORWARD tcp dport 8080 counter drop")
    trip = travel(lab, lab.outside, "ubuntu1", 49153)
    assert nodes(trip, "forward") == ["outside", "ubuntu1"]
    dropped = [s for s in trip.stages if s.kind == "rule" and s.verdict == "drop"]
    assert [(s.chain, s.rule) for s in dropped] == [("FORWARD", "tcp dport 8080 counter drop")]
    assert verdict(trip).endswith(
        "; dropped on ubuntu1 by the rule `tcp dport 8080 counter drop` in FORWARD"
    )


def test_a_policy_that_drops_it_is_named(lab):
    lab.ubuntu1.nft("add chain ip natlab FORWARD '{ policy drop; }'".replace("'", ""))
    lab.ubuntu1.nft("flush chain ip natlab DOCKER-FORWARD")
    trip = travel(lab, web_of(lab), "outside")
    assert verdict(trip).endswith("; dropped on ubuntu1 by the policy of the chain FORWARD")


def test_a_host_without_a_route_sends_nothing(lab):
    trip = travel(lab, lab.outside, "web", 8080)
    assert trip.way("back") == ()
    assert verdict(trip) == ("no answer: nothing left outside; outside has no route to 172.17.0.2")


def test_an_address_that_nobody_has_is_asked_for_in_vain(lab):
    trip = travel(lab, lab.outside, "192.168.33.99", 8080)
    assert verdict(trip) == (
        "no answer: nothing left outside;"
        " nobody answered when outside asked by ARP for 192.168.33.99 at eth0"
    )


# What it is asked


def test_a_target_that_is_no_node_is_refused_with_the_nearest_names(lab):
    with pytest.raises(UsageError, match=r'no host or container "ubunut1".*"ubuntu1"'):
        travel(lab, lab.outside, "ubunut1", 80)


@pytest.mark.parametrize(
    ("port", "proto", "message"),
    [
        (70000, "tcp", "ports go from 1 to 65535"),
        (0, "udp", "ports go from 1 to 65535"),
        (None, "udp", "a datagram needs a port"),
        (80, "icmp", "a ping has no port"),
    ],
)
def test_a_port_that_cannot_be_is_refused_before_anything_is_sent(lab, port, proto, message):
    with pytest.raises(UsageError, match=message):
        travel(lab, lab.outside, "ubuntu1", port, proto=proto)


# What it leaves, and what it gives


def test_the_rules_are_afterwards_what_they_were_and_no_table_is_left(spelled):
    lab, _ = spelled
    before = rules_of(lab.ubuntu1)
    travel(lab, web_of(lab), "outside", 8080, timeout=LONG)
    assert rules_of(lab.ubuntu1) == before
    assert "natlab-trace" not in lab.ubuntu1.nft("list tables")


def test_a_host_without_rules_gets_none_for_the_tracing(lab):
    travel(lab, web_of(lab), "outside", 8080, timeout=LONG)
    assert lab.outside.nft("list ruleset").strip() == ""


def test_the_tracing_itself_is_not_told(lab):
    trip = travel(lab, web_of(lab), "outside", 8080, timeout=LONG)
    assert "natlab-trace" not in json.dumps(trip.to_dict())


def test_an_interrupt_on_the_way_takes_the_tracing_with_it(lab, monkeypatch):
    standing: list[str] = []

    def interrupted(*_: object) -> None:
        standing.append(lab.ubuntu1.nft("list ruleset"))
        raise KeyboardInterrupt

    before = rules_of(lab.ubuntu1)
    monkeypatch.setattr(engine, "_send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        travel(lab, web_of(lab), "outside", 8080)
    assert "table ip natlab-trace-" in standing[0]
    assert "flags owner" in standing[0]  # the kernel would take it away from a killed process
    assert rules_of(lab.ubuntu1) == before


def test_no_descriptor_and_no_server_is_left_behind(lab):
    def held() -> tuple[int, int]:
        agents = lab.agent.call(None, os.listdir, "/proc/self/fd")
        return len(list(Path("/proc/self/fd").iterdir())), len(agents)

    travel(lab, lab.outside, "ubuntu1", 49153, timeout=LONG)
    before = held()
    for proto in ("tcp", "udp"):
        travel(lab, lab.outside, "ubuntu1", 49153, proto=proto, timeout=LONG)
    travel(lab, web_of(lab), "outside", timeout=LONG)
    assert held() == before
    with contextlib.closing(web_of(lab).listen(8080)):
        pass


def test_the_json_form_is_plain_and_the_same_each_time(lab):
    def shape() -> list[tuple[object, ...]]:
        told = travel(lab, lab.outside, "ubuntu1", 49153, timeout=LONG).to_dict()
        assert json.loads(json.dumps(told)) == told
        keys = ("way", "node", "kind", "interface", "hook", "chain", "handle", "rule", "verdict")
        return [tuple(stage[key] for key in keys) for stage in told["forward"] + told["back"]]

    first = shape()
    assert len(first) > 20
    assert [shape(), shape()] == [first, first]


def test_the_table_of_a_real_journey_fits_the_terminal_and_marks_the_rewrite(lab):
    drawn = table(travel(lab, lab.outside, "ubuntu1", 49153, timeout=LONG))
    lines = drawn.splitlines()
    assert max(map(len, lines)) <= 100
    assert any(
        re.search(r"» REWRITE +destination 192.168.33.11:49153 → 172.17.0.2:8080$", line)
        for line in lines
    )
    assert {"there", "back"} <= set(lines)
