from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import UsageError
from natlab.model.conntrack import STATUS_BITS, ConntrackEntry, Tuple
from natlab.model.conntrack_read import from_nfct, parse, parse_list, status_names
from natlab.model.rewrite import Rewrite, Side

LINES = [
    (
        "tcp      6 118 TIME_WAIT src=172.17.0.1 dst=172.17.0.1 sport=36774 dport=49153 "
        "src=172.17.0.2 dst=172.17.0.1 sport=8080 dport=36774 [ASSURED] mark=0 use=1"
    ),
    (
        "udp      17 29 src=172.17.0.2 dst=192.168.33.20 sport=40000 dport=53 [UNREPLIED] "
        "src=192.168.33.20 dst=192.168.33.11 sport=53 dport=40000 mark=0 use=1"
    ),
    (
        "icmp     1 29 src=172.17.0.2 dst=192.168.33.20 type=8 code=0 id=7 "
        "src=192.168.33.20 dst=192.168.33.11 type=0 code=0 id=7 mark=0 use=1"
    ),
    (
        "tcp      6 431999 ESTABLISHED src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 "
        "packets=3 bytes=180 src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 "
        "packets=2 bytes=120 [ASSURED] mark=5 zone=9 use=2"
    ),
    (
        "tcp      6 src=10.0.0.1 dst=10.0.0.2 sport=1 dport=2 "
        "src=10.0.0.2 dst=10.0.0.1 sport=2 dport=1 [OFFLOAD] mark=0 use=3"
    ),
    (
        "icmpv6   58 29 src=fd00::1 dst=fd00::2 type=128 code=0 id=7 [UNREPLIED] "
        "src=fd00::2 dst=fd00::1 type=129 code=0 id=7 mark=0 use=1"
    ),
    "unknown  47 599 src=10.0.0.1 dst=10.0.0.2 [UNREPLIED] src=10.0.0.2 dst=10.0.0.1 mark=0 use=1",
]
NUMBERS = st.integers(0, 65535)


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_conntrack_reads_and_prints_byte_for_byte(line):
    assert str(parse(line)) == line


def test_a_published_port_is_a_rewritten_destination():
    entry = parse(LINES[0])
    assert entry.dnat == Rewrite("destination", Side("172.17.0.1", 49153), Side("172.17.0.2", 8080))
    assert entry.snat is None
    assert entry.status == {"assured", "seen_reply", "dst_nat"}


def test_a_masqueraded_connection_is_a_rewritten_source():
    entry = parse(LINES[1])
    assert str(entry.snat) == "source 172.17.0.2:40000 → 192.168.33.11:40000"
    assert entry.dnat is None
    assert entry.status == {"src_nat"}


def test_a_ping_is_rewritten_by_address_alone():
    assert str(parse(LINES[2]).snat) == "source 172.17.0.2 → 192.168.33.11"


def test_a_connection_without_nat_has_no_rewrites():
    entry = parse(LINES[3])
    assert (entry.snat, entry.dnat, entry.packets, entry.zone) == (None, None, (3, 2), 9)


def test_an_ipv6_side_has_brackets_around_its_address():
    assert str(Side("fd00::1", 80)) == "[fd00::1]:80"
    assert str(Side("fd00::1")) == "fd00::1"


def test_an_entry_is_found_by_what_its_first_packet_said():
    entry = parse(LINES[0])
    assert entry.matches(src="172.17.0.1", dport=49153, proto="tcp", reply_src="172.17.0.2")
    assert not entry.matches(dst="172.17.0.2")
    assert not entry.matches(dport=8080)
    assert entry.matches()


def test_the_family_of_the_extended_form_and_the_closing_statistics_are_passed_over():
    closing = "conntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown."
    text = f"ipv4     2 {LINES[0]}\n\n{closing}\n"
    assert [str(entry) for entry in parse_list(text)] == [LINES[0]]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "tcp 6 118 TIME_WAIT",
        LINES[0].split(" src=172.17.0.2")[0],
        LINES[0].replace("sport=36774", "sport=many"),
        LINES[0].replace("dst=172.17.0.1", "dst=nowhere"),
        LINES[0].replace("dport=49153", "dport=99999"),
    ],
)
def test_what_is_no_entry_is_refused_in_one_line(line):
    with pytest.raises(UsageError) as refusal:
        parse(line)
    assert "\n" not in str(refusal.value)


@given(st.text(alphabet="tcp 6src=dst.0123[]ASURE\n", max_size=80))
def test_no_text_makes_the_reader_stumble(text):
    try:
        entry = parse(text)
    except UsageError:
        return
    assert str(entry)


@given(
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=4).map(str),
    st.tuples(NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    st.sets(st.sampled_from(sorted({"assured", "seen_reply"}))),
    st.none() | NUMBERS,
)
def test_every_tcp_entry_survives_its_text(src, dst, ports, status, zone):
    entry = ConntrackEntry(
        original=Tuple(src, dst, ports[0], ports[1], "tcp"),
        reply=Tuple(dst, src, ports[2], ports[3], "tcp"),
        proto="tcp",
        number=6,
        state="ESTABLISHED",
        status=frozenset(status),
        timeout=10,
        mark=0,
        zone=zone,
        use=1,
    )
    again = parse(str(entry))
    nat = {"src_nat"} if entry.snat else set()
    nat |= {"dst_nat"} if entry.dnat else set()
    assert again == dataclasses.replace(entry, status=entry.status | nat)


def test_the_values_of_a_netlink_message_make_the_same_entry():
    entry = from_nfct(
        {
            "orig": {"src": "172.17.0.1", "dst": "172.17.0.1", "sport": 36774, "dport": 49153},
            "reply": {"src": "172.17.0.2", "dst": "172.17.0.1", "sport": 8080, "dport": 36774},
            "proto": 6,
            "status": (1 << 1) | (1 << 2) | (1 << 3) | (1 << 5) | (1 << 7),
            "timeout": 118,
            "tcp_state": 7,
            "mark": 0,
            "zone": 0,
            "use": 1,
        }
    )
    assert entry == parse(LINES[0])


def test_a_message_without_a_tuple_is_refused():
    with pytest.raises(UsageError, match="reply"):
        from_nfct({"proto": 6, "orig": {"src": "10.0.0.1", "dst": "10.0.0.2"}})


@given(st.integers(0, 2**32 - 1))
def test_status_bits_have_their_names_and_others_are_left_out(bits):
    names = status_names(bits)
    assert sum(STATUS_BITS[name] for name in names) == bits & sum(STATUS_BITS.values())
