from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import UsageError
from natlab.model import craft, trace

SYN = craft.tcp_syn("192.168.33.20", "192.168.33.11", 40000, 49153, seq=5, timestamps=1)


def attribute(kind: int, value: bytes) -> bytes:
    padding = -len(value) % 4
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(padding)


def be32(number: int) -> bytes:
    return (number & 0xFFFFFFFF).to_bytes(4, "big")


def message(*attributes: bytes, family: int = 2, kind: int = trace.NFT_MSG_TRACE) -> bytes:
    body = struct.pack("=BBH", family, 0, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def place(chain: str, kind: int, number: int = 7) -> bytes:
    return (
        attribute(1, b"nat\0")
        + attribute(2, chain.encode() + b"\0")
        + attribute(4, be32(kind))
        + attribute(6, be32(number))
    )


def verdict(code: int, chain: str = "") -> bytes:
    inner = attribute(1, be32(code))
    if chain:
        inner += attribute(2, chain.encode() + b"\0")
    return attribute(5 | 0x8000, inner)


PACKET = attribute(8, SYN[:20]) + attribute(9, SYN[20:40]) + attribute(10, be32(3))
JUMP = message(
    place("PREROUTING", 3), attribute(3, (4).to_bytes(8, "big")), verdict(-3, "DOCKER"), PACKET
)
DNAT = message(place("DOCKER", 3), attribute(3, (9).to_bytes(8, "big")), verdict(1))
POLICY = message(place("PREROUTING", 1), attribute(16, be32(0)))


def test_a_matched_rule_says_where_and_what_was_decided_and_shows_the_packet():
    (event,) = trace.decode(JUMP)
    assert (event.family, event.table, event.chain) == ("ip", "nat", "PREROUTING")
    assert (event.kind, event.rule_handle, event.verdict) == ("rule", 4, "jump DOCKER")
    assert (event.iif, event.oif, event.id) == (3, None, 7)
    assert event.packet is not None
    assert event.packet.summary() == (
        "IP 192.168.33.20.40000 > 192.168.33.11.49153: Flags [S], length 0"
    )
    assert event.packet.seq == 5


def test_several_messages_in_one_buffer_come_in_order_and_others_are_passed_over():
    other = message(place("X", 3), kind=(10 << 8) | 6)
    events = trace.decode(JUMP + other + DNAT + POLICY)
    assert [event.verdict for event in events] == ["jump DOCKER", "accept", "drop"]
    assert [event.kind for event in events] == ["rule", "rule", "policy"]


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (0, "drop"),
        (1, "accept"),
        (2, "stolen"),
        (3 | 5 << 16, "queue"),
        (-1, "continue"),
        (-5, "return"),
        (-77, "verdict -77"),
    ],
)
def test_verdicts_have_the_names_that_nft_gives_them(code, word):
    (event,) = trace.decode(message(place("c", 3), verdict(code)))
    assert event.verdict == word


def test_a_goto_names_its_chain():
    (event,) = trace.decode(message(place("c", 3), verdict(-4, "elsewhere")))
    assert event.verdict == "goto elsewhere"


def test_conntracks_view_is_read_where_the_kernel_gives_it():
    known = attribute(18, be32(99)) + attribute(19, b"\1") + attribute(21, be32(2))
    (event,) = trace.decode(message(place("c", 3), verdict(1), known))
    assert (event.ct_id, event.ct_reply, event.ct_state) == (99, True, "established")


def test_an_event_prints_itself_like_nft_monitor_does():
    assert str(trace.decode(DNAT)[0]) == (
        "trace id 00000007 ip nat DOCKER rule handle 9 (verdict accept)"
    )


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_stumble(data):
    trace.decode(data)
    trace.decode(struct.pack("=IHHII", 16 + len(data), trace.NFT_MSG_TRACE, 0, 0, 0) + data)


@given(st.integers(0, len(JUMP)), st.integers(0, 255))
def test_a_message_with_one_byte_changed_is_read_or_passed_over(position, value):
    trace.decode(JUMP[:position] + bytes([value]) + JUMP[position + 1 :])
    trace.decode(JUMP[:position])


def test_the_events_after_a_packet_belong_to_it_and_its_number_may_be_used_again():
    events = trace.decode(JUMP + DNAT + JUMP + POLICY)
    assert [[event.verdict for event in visit] for visit in trace.group(events)] == [
        ["jump DOCKER", "accept"],
        ["jump DOCKER", "drop"],
    ]


def test_events_whose_packet_was_missed_are_left_out():
    assert trace.group(trace.decode(DNAT + POLICY)) == ()


def test_an_event_of_no_known_kind_cannot_be_made():
    with pytest.raises(UsageError, match="gossip"):
        trace.TraceEvent(id=1, family="ip", table="t", chain="c", kind="gossip", verdict="drop")
