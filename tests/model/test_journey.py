from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import UsageError
from natlab.model import craft, dissect
from natlab.model.conntrack_read import parse
from natlab.model.journey import LOCAL, Flow, Lookups, Sighting, assemble
from natlab.model.journey_follow import Visit, same_packet
from natlab.model.journey_place import place
from natlab.model.packet import Packet
from natlab.model.trace import TraceEvent

WEB, HOST, OUTSIDE = "172.17.0.2", "192.168.33.11", "192.168.33.20"
PAYLOAD = b"natlab-journey-1"
ENTRY = parse(
    "udp      17 29 src=172.17.0.2 dst=192.168.33.20 sport=40000 dport=53 "
    "src=192.168.33.20 dst=192.168.33.11 sport=53 dport=61000 mark=0 use=1"
)
OUT = Flow("web", "udp", OUTSIDE, 53, sport=40000, payload=PAYLOAD)


def datagram(source: str, destination: str, ttl: int = 64, payload: bytes = PAYLOAD) -> Packet:
    (src, sport), (dst, dport) = source.split(":"), destination.split(":")
    return dissect.ip(craft.udp(src, dst, int(sport), int(dport), payload, ttl=ttl))


def seen(*looks: tuple[str, str, Packet], start: int = 100) -> list[Sighting]:
    """Sightings one after another; each place is written like "ubuntu1 in eth0"."""
    places = [(place.split(), packet) for place, packet in looks]
    return [
        Sighting(node, interface, direction, packet, start + number)
        for number, ((node, direction, interface), packet) in enumerate(places)
    ]


def event(chain: str, verdict: str, **more: object) -> TraceEvent:
    kind = "rule" if more.get("rule_handle") else "policy"
    return TraceEvent(
        id=1, family="ip", table="nat", chain=chain, kind=kind, verdict=verdict, **more
    )


THERE = seen(
    ("web out eth0", datagram(f"{WEB}:40000", f"{OUTSIDE}:53")),
    ("ubuntu1 other veth0", datagram(f"{WEB}:40000", f"{OUTSIDE}:53")),
    ("ubuntu1 in docker0", datagram(f"{WEB}:40000", f"{OUTSIDE}:53")),
    ("ubuntu1 out eth0", datagram(f"{HOST}:61000", f"{OUTSIDE}:53", ttl=63)),
    ("outside in eth0", datagram(f"{HOST}:61000", f"{OUTSIDE}:53", ttl=63)),
)
BACK = seen(
    ("outside out eth0", datagram(f"{OUTSIDE}:53", f"{HOST}:61000", payload=b"yes")),
    ("ubuntu1 in eth0", datagram(f"{OUTSIDE}:53", f"{HOST}:61000", payload=b"yes")),
    ("ubuntu1 out docker0", datagram(f"{OUTSIDE}:53", f"{WEB}:40000", 63, b"yes")),
    ("ubuntu1 out veth0", datagram(f"{OUTSIDE}:53", f"{WEB}:40000", 63, b"yes")),
    ("web in eth0", datagram(f"{OUTSIDE}:53", f"{WEB}:40000", 63, b"yes")),
    start=200,
)


def texts(journey, way: str, node: str) -> list[str]:
    return [stage.text for stage in journey.way(way) if stage.node == node]


def test_a_masqueraded_datagram_is_followed_through_a_change_of_address_and_port():
    journey = assemble(OUT, THERE + BACK, conntrack={"ubuntu1": [ENTRY]})
    assert journey.outcome == "answered"
    assert texts(journey, "forward", "ubuntu1") == [
        "in veth0",
        "in docker0 (handed up by its port veth0)",
        "route: docker0 → eth0",
        "rewrite: source 172.17.0.2:40000 → 192.168.33.11:61000 (NAT; the rule was not traced)",
        "out eth0",
        f"conntrack: {ENTRY}",
    ]
    assert texts(journey, "forward", "outside") == ["in eth0", f"route: eth0 → {LOCAL}"]


def test_the_answer_is_put_back_by_conntrack_before_it_is_routed():
    journey = assemble(OUT, THERE + BACK, conntrack={"ubuntu1": [ENTRY]})
    back = [stage for stage in journey.way("back") if stage.node == "ubuntu1"]
    assert [stage.kind for stage in back] == [
        "interface",
        "rewrite",
        "routing",
        "interface",
        "interface",
    ]
    assert back[1].entry == str(ENTRY)
    assert back[1].rule is None
    assert "no rule is asked" in back[1].text


def test_a_traced_rule_stands_between_the_interfaces_and_is_named_at_the_rewrite():
    packet = datagram(f"{WEB}:40000", f"{OUTSIDE}:53", ttl=63)
    masquerade = event("POSTROUTING", "accept", packet=packet, oif=2, rule_handle=9)
    journey = assemble(
        OUT,
        THERE + BACK,
        traces={"ubuntu1": [masquerade]},
        lookups=Lookups(
            rule_text=lambda _host, table, chain, handle: f"{table} {chain} {handle} masquerade",
            interface=lambda _host, index: {2: "eth0"}[index],
            next_hop=lambda _host, packet, _interface: f"{packet.dst} itself",
        ),
    )
    stages = [stage for stage in journey.way("forward") if stage.node == "ubuntu1"]
    kinds = [stage.kind for stage in stages]
    assert kinds == ["interface", "interface", "routing", "hook", "rule", "rewrite", "interface"]
    assert stages[2].next_hop == f"{OUTSIDE} itself"
    assert stages[3].hook == "postrouting"
    assert stages[4].rule == stages[5].rule == "ip nat POSTROUTING 9 masquerade"
    assert stages[5].note is None


def test_the_tables_of_the_tracing_itself_are_not_told():
    packet = datagram(f"{WEB}:40000", f"{OUTSIDE}:53")
    journey = assemble(
        OUT,
        THERE,
        traces={"ubuntu1": [event("trace", "accept", packet=packet, rule_handle=1, iif=3)]},
        lookups=Lookups(hidden_tables=frozenset({"ip nat"})),
    )
    assert {"hook", "rule"}.isdisjoint(stage.kind for stage in journey.stages)


def test_without_an_answer_the_place_where_it_was_seen_last_is_named():
    journey = assemble(OUT, THERE[:3])
    assert journey.outcome == "no answer"
    assert journey.verdict == "no answer: last seen at ubuntu1 docker0"
    assert journey.stages[-1].kind == "end"
    assert all(stage.kind != "routing" for stage in journey.stages if stage.node == "ubuntu1")


def test_an_answer_that_gets_lost_is_named_on_its_way_back():
    journey = assemble(OUT, THERE + BACK[:2])
    assert journey.verdict == "no answer: last seen at ubuntu1 eth0 on the way back"


def test_an_answer_from_somebody_who_was_not_asked_is_no_answer():
    direct = seen(
        ("web out eth0", datagram(f"{WEB}:40000", f"{HOST}:53")),
        ("ubuntu1 in docker0", datagram(f"{WEB}:40000", f"{HOST}:53")),
        ("ubuntu1 out docker0", datagram(f"{WEB}:40000", "172.17.0.3:53", ttl=63)),
        ("db in eth0", datagram(f"{WEB}:40000", "172.17.0.3:53", ttl=63)),
        ("db out eth0", datagram("172.17.0.3:53", f"{WEB}:40000", payload=b"yes")),
        ("web in eth0", datagram("172.17.0.3:53", f"{WEB}:40000", payload=b"yes")),
    )
    journey = assemble(Flow("web", "udp", HOST, 53, sport=40000, payload=PAYLOAD), direct)
    assert journey.outcome == "no answer"
    assert "the reply is from 172.17.0.3.53, who was not asked" in journey.verdict


def test_an_unreachable_that_quotes_the_packet_refuses_it():
    sent = craft.udp(WEB, OUTSIDE, 40000, 53, PAYLOAD)
    quote = bytes([3, 3]) + bytes(6) + sent
    error = dissect.ip(craft.ipv4(OUTSIDE, WEB, "icmp", quote))
    journey = assemble(
        OUT,
        [*THERE[:1], *seen(("outside out eth0", error), ("web in eth0", error), start=300)],
    )
    assert journey.outcome == "refused"
    assert journey.verdict.startswith("refused by outside: IP 192.168.33.20 > 172.17.0.2: ICMP")


def test_an_unreachable_about_another_packet_is_not_this_ones_answer():
    quote = bytes([3, 3]) + bytes(6) + craft.udp(WEB, OUTSIDE, 40000, 53, b"something else!!")
    error = dissect.ip(craft.ipv4(OUTSIDE, WEB, "icmp", quote))
    assert assemble(OUT, [*THERE[:1], *seen(("web in eth0", error), start=300)]).outcome == (
        "no answer"
    )


def test_a_ping_is_answered_by_the_echo_of_its_payload():
    ping = dissect.ip(craft.icmp_echo(WEB, OUTSIDE, 7, 1, PAYLOAD))
    pong = dissect.ip(craft.icmp_echo(OUTSIDE, WEB, 7, 1, PAYLOAD, reply=True))
    looks = seen(("web out eth0", ping), ("outside in eth0", ping)) + seen(
        ("outside out eth0", pong), ("web in eth0", pong), start=300
    )
    journey = assemble(Flow("web", "icmp", OUTSIDE, payload=PAYLOAD), looks)
    assert journey.verdict == "answered by outside"


def test_nothing_seen_is_a_journey_with_an_end_only():
    journey = assemble(OUT, [])
    assert [stage.kind for stage in journey.stages] == ["end"]
    assert journey.verdict == "no answer: nothing was sent by web"


def test_a_flooded_copy_that_nobody_wanted_is_left_out():
    copy = [Sighting("db", "eth0", "other", THERE[0].packet, 101)]
    journey = assemble(OUT, [*THERE, *copy, *BACK])
    assert "db" not in {stage.node for stage in journey.stages}


def test_a_frame_between_two_ports_is_bridged_and_not_routed():
    frame = datagram(f"{WEB}:40000", "172.17.0.3:53")
    looks = seen(
        ("web out eth0", frame),
        ("ubuntu1 other veth0", frame),
        ("ubuntu1 out veth1", frame),
        ("db in eth0", frame),
    )
    journey = assemble(Flow("web", "udp", "172.17.0.3", 53, sport=40000), looks)
    assert texts(journey, "forward", "ubuntu1") == [
        "in veth0",
        "out veth1 (bridged, not routed)",
    ]


def test_of_two_sightings_with_one_timestamp_the_first_given_came_first():
    tied = [
        Sighting("ubuntu1", "veth0", "other", THERE[1].packet, 500),
        Sighting("ubuntu1", "docker0", "in", THERE[1].packet, 500),
    ]
    journey = assemble(OUT, [*THERE[:1], *tied])
    assert texts(journey, "forward", "ubuntu1")[:1] == ["in veth0"]


def test_a_retransmission_is_another_packet():
    first, again = (
        dissect.ip(craft.tcp_syn(WEB, OUTSIDE, 1, 2, seq=5, ident=ident)) for ident in (10, 11)
    )
    assert not same_packet(first, again)
    assert same_packet(first, dissect.ip(craft.tcp_syn(HOST, WEB, 9, 8, seq=5, ident=10)))


def test_a_trace_that_shows_twelve_bytes_of_a_payload_is_of_the_same_packet():
    whole = craft.udp(WEB, OUTSIDE, 1, 2, PAYLOAD)
    assert same_packet(dissect.ip(whole), dissect.headers(whole[:20], whole[20:40]))


@given(st.lists(st.sampled_from(["prerouting", "input", "forward", "output", "postrouting"])))
def test_every_visit_is_placed_once_and_in_order(hooks):
    sightings = [each for each in THERE if each.node == "ubuntu1"]
    visits = [
        Visit("ubuntu1", (event(f"{number}", "accept"),), THERE[0].packet, hook, None, None)
        for number, hook in enumerate(hooks)
    ]
    gaps = place(sightings, visits)
    assert len(gaps) == len(sightings) + 1
    assert list(itertools.chain.from_iterable(gaps)) == visits


def test_a_bridge_that_calls_iptables_does_so_before_the_bridge_sees_the_packet():
    before = datagram(f"{OUTSIDE}:1", f"{HOST}:53")
    after = datagram(f"{OUTSIDE}:1", f"{WEB}:53")
    sightings = seen(("ubuntu1 other veth0", before), ("ubuntu1 in docker0", after))
    visit = Visit("ubuntu1", (event("a", "accept"),), before, "prerouting", "docker0", None)
    assert place(sightings, [visit]) == [[], [visit], []]


def test_a_journey_is_plain_json_with_the_same_keys_for_every_stage():
    told = assemble(OUT, THERE + BACK, conntrack={"ubuntu1": [ENTRY]}).to_dict()
    assert json.loads(json.dumps(told)) == told
    assert set(told) == {"from", "proto", "to", "outcome", "verdict", "forward", "back"}
    stages = told["forward"] + told["back"]
    assert len({tuple(stage) for stage in stages}) == 1
    (rewrite,) = (stage["rewrite"] for stage in told["forward"] if stage["rewrite"])
    assert rewrite["after"] == {"address": HOST, "port": 61000}


def test_rows_are_numbered_and_mark_the_way_back():
    rows = assemble(OUT, THERE + BACK).rows()
    assert [row[0] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]
    assert rows[1][1:] == ("web", "out eth0", THERE[0].packet.summary())
    assert rows[-1][1] == "← web"


def test_a_journey_of_another_protocol_is_refused():
    with pytest.raises(UsageError, match="gre"):
        Flow("web", "gre", OUTSIDE)
