"""What a query asks, what is answered, and what is passed on: decided without a socket."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from dnslib import EDNS0, QTYPE, RCODE, RR, A, DNSHeader, DNSQuestion, DNSRecord
from hypothesis import given
from hypothesis import strategies as st

from natlab.model import dns
from natlab.model.dns_rules import rules

WEB = IPv4Address("172.18.0.2")
DB = IPv4Address("172.18.0.3")
WEB6 = IPv6Address("fd00:1::2")


class Names:
    """A view of three names."""

    def __init__(self) -> None:
        self.table = {"web": [WEB], "web.net1": [WEB], "all": [WEB, DB]}

    def addresses(self, name):
        return self.table.get(name, [])

    def name_of(self, address):
        return "web.net1" if address == WEB else None


def ask(name: str, kind: str = "A", **header) -> bytes:
    question = DNSQuestion(name, getattr(QTYPE, kind))
    return bytes(DNSRecord(DNSHeader(id=77, **header), q=question).pack())


def answer(packet: bytes, **options) -> DNSRecord | None:
    reply = dns.local_answer(dns.read_query(packet), Names(), **options)
    return None if reply is None else DNSRecord.parse(reply)


def values(record: DNSRecord) -> list[str]:
    return [str(rr.rdata) for rr in record.rr]


def test_a_name_has_its_address_for_600_seconds():
    reply = answer(ask("web"))
    assert values(reply) == ["172.18.0.2"]
    assert reply.rr[0].ttl == 600
    assert (reply.header.id, reply.header.qr, reply.header.rd, reply.header.ra) == (77, 1, 1, 1)
    assert reply.header.aa == 0


def test_a_name_has_an_address_of_the_family_that_is_asked_for():
    view = Names()
    view.table["both"] = [WEB, WEB6]
    for kind, address in (("A", str(WEB)), ("AAAA", str(WEB6))):
        reply = DNSRecord.parse(dns.local_answer(dns.read_query(ask("both", kind)), view))
        assert values(reply) == [address]


@pytest.mark.parametrize("broken", ["2.ip6.arpa", "10." * 31 + "0.ip6.arpa", "ip6.arpa"])
def test_an_ipv6_address_has_a_name_too(broken):
    asked = []
    view = Names()
    view.name_of = lambda address: asked.append(address) or "web.net1"
    name = WEB6.reverse_pointer
    reply = DNSRecord.parse(dns.local_answer(dns.read_query(ask(name, "PTR")), view))
    assert values(reply) == ["web.net1."]
    assert asked == [WEB6]
    assert dns.local_answer(dns.read_query(ask(broken, "PTR")), view) is None


def test_a_name_is_found_in_any_case_and_comes_back_as_it_was_asked():
    reply = answer(ask("WeB.Net1"))
    assert values(reply) == ["172.18.0.2"]
    assert str(reply.rr[0].rname) == str(reply.q.qname) == "WeB.Net1."


def test_all_addresses_of_a_name_come_in_changing_order():
    orders = {tuple(values(answer(ask("all")))) for _ in range(200)}
    assert orders == {("172.18.0.2", "172.18.0.3"), ("172.18.0.3", "172.18.0.2")}


@pytest.mark.parametrize("kind", ["AAAA", "MX"])
def test_a_known_name_without_such_a_record_has_an_empty_answer(kind):
    reply = answer(ask("web", kind))
    assert (reply.header.rcode, reply.rr) == (RCODE.NOERROR, [])


@pytest.mark.parametrize("kind", ["A", "AAAA", "MX", "TXT", "SRV", "ANY"])
def test_an_unknown_name_is_not_answered_here(kind):
    assert answer(ask("example.com", kind)) is None


@pytest.mark.parametrize("kind", ["TXT", "SRV", "ANY"])
def test_other_records_of_a_known_name_are_asked_elsewhere(kind):
    assert answer(ask("web", kind)) is None


def test_an_address_has_a_name_with_its_network():
    assert values(answer(ask("2.0.18.172.in-addr.arpa", "PTR"))) == ["web.net1."]


@pytest.mark.parametrize(
    "name",
    ["9.0.18.172.in-addr.arpa", "18.172.in-addr.arpa", "x.0.18.172.in-addr.arpa", "web", "in-addr"],
)
def test_any_other_reverse_name_is_asked_elsewhere(name):
    assert answer(ask(name, "PTR")) is None


def test_the_root_is_asked_elsewhere():
    assert answer(ask(".")) is None


def test_a_dot_inside_a_label_is_not_taken_for_one_between_labels():
    packet = ask("xxxxxxxx").replace(b"\x08xxxxxxxx", b"\x08web.net1")
    assert dns.read_query(packet).name == ""


@pytest.mark.parametrize(("edns", "most"), [(None, 512), (100, 512), (1232, 1232)])
def test_an_answer_that_is_too_long_for_a_datagram_is_cut_and_says_so(edns, most):
    view = Names()
    view.table["big"] = [IPv4Address(0xAC120000 + n) for n in range(300)]
    query = DNSRecord.question("big")
    if edns:
        query.add_ar(EDNS0(udp_len=edns))
    packet = dns.local_answer(dns.read_query(bytes(query.pack())), view)
    record = DNSRecord.parse(packet)
    assert most - 16 < len(packet) <= most
    assert record.header.tc == 1
    assert len(record.rr) == (most - 12 - 9) // 16


def test_over_tcp_a_long_answer_is_whole():
    view = Names()
    view.table["big"] = [IPv4Address(0xAC120000 + n) for n in range(300)]
    packet = dns.local_answer(dns.read_query(ask("big")), view, tcp=True)
    record = DNSRecord.parse(packet)
    assert len(record.rr) == 300
    assert record.header.tc == 0


def test_failures_repeat_the_question_and_the_id():
    query = dns.read_query(ask("web", rd=1))
    for rcode in ("SERVFAIL", "REFUSED"):
        record = DNSRecord.parse(dns.failure(query, rcode))
        assert (record.header.id, record.header.rcode) == (77, getattr(RCODE, rcode))
        assert str(record.q.qname) == "web."


def test_a_name_without_a_dot_stays_inside_if_the_user_set_ndots():
    plain, dotted = dns.read_query(ask("other")), dns.read_query(ask("other.example"))
    assert dns.stays_inside(plain, ndots=True)
    assert not dns.stays_inside(plain, ndots=False)
    assert not dns.stays_inside(dotted, ndots=True)
    assert not dns.stays_inside(dns.read_query(ask("other", "TXT")), ndots=True)
    assert DNSRecord.parse(dns.empty_answer(plain)).header.rcode == RCODE.NOERROR


@pytest.mark.parametrize("packet", [b"", b"x", b"\0" * 11, ask("web", qr=1)])
def test_what_is_no_query_is_dropped(packet):
    with pytest.raises(dns.BadQueryError) as caught:
        dns.read_query(packet)
    assert caught.value.reply is None


@pytest.mark.parametrize(
    ("packet", "rcode"),
    [
        (ask("web", opcode=2), "NOTIMP"),
        (ask("web")[:14], "FORMERR"),
        (b"\0\7\1\0" + b"\0\0" * 4, "FORMERR"),
        (b"\0\7\1\0\0\2" + b"\0\0" * 3 + ask("web")[12:] * 2, "FORMERR"),
        (b"\0\7\1\0\0\1" + b"\0\0" * 3 + b"\xc0\x0c\0\1\0\1", "FORMERR"),
        (b"\0\7\1\0\0\1" + b"\0\0" * 3 + b"\x41" + b"a" * 65 + b"\0\0\1\0\1", "FORMERR"),
        (ask("web").replace(b"web", b"\xff\xfe\xfd"), "FORMERR"),
    ],
)
def test_a_query_that_makes_no_sense_is_told_so(packet, rcode):
    with pytest.raises(dns.BadQueryError) as caught:
        dns.read_query(packet)
    record = DNSRecord.parse(caught.value.reply)
    assert record.header.rcode == getattr(RCODE, rcode)
    assert record.header.id == dns.number_of(packet)


def told(packet: bytes) -> bytes | None:
    """What the sender of any packet is told; None: nothing, or somebody else is asked."""
    try:
        return dns.local_answer(dns.read_query(packet), Names())
    except dns.BadQueryError as bad:
        return bad.reply


@given(st.binary(max_size=200))
def test_no_packet_breaks_the_reader(packet):
    reply = told(packet)
    assert reply is None or DNSRecord.parse(reply).header.id == dns.number_of(packet)


@given(st.binary(max_size=60), st.integers(0, 80), st.integers(0, 80))
def test_no_damage_to_a_query_breaks_the_reader(noise, start, end):
    query = DNSRecord.question("web.net1")
    query.add_ar(EDNS0(udp_len=4096))
    packet = bytes(query.pack())
    damaged = b"\0\7\1\0\0\1\0\0\0\0\0\1" + packet[12 : 12 + start] + noise + packet[end:]
    reply = told(damaged)
    assert reply is None or DNSRecord.parse(reply).header.id == 7


@given(st.binary(max_size=200))
def test_no_answer_breaks_the_reader(packet):
    code = dns.verdict(dns.read_query(ask("example.com")), packet)
    assert code is None or isinstance(code, str)


def replied(question: str, **header) -> bytes:
    record = DNSRecord(DNSHeader(id=9, qr=1, **header), q=DNSQuestion(question))
    record.add_answer(RR(question, rdata=A("192.0.2.1")))
    return bytes(record.pack())


def test_an_answer_counts_if_it_repeats_the_question():
    query = dns.read_query(ask("example.com"))
    assert dns.verdict(query, replied("EXAMPLE.com")) == "NOERROR"
    assert dns.verdict(query, replied("example.com", rcode=3)) == "NXDOMAIN"
    assert dns.verdict(query, replied("example.com", rcode=2)) == "SERVFAIL"
    assert dns.verdict(query, replied("example.org")) is None
    assert dns.verdict(query, ask("example.com")) is None
    assert dns.verdict(query, b"\0\1") is None


def test_a_failure_may_leave_the_question_out_but_a_success_may_not():
    query = dns.read_query(ask("example.com"))
    for rcode, code in ((0, None), (1, "FORMERR"), (5, "REFUSED")):
        packet = bytes(DNSRecord(DNSHeader(id=9, qr=1, rcode=rcode)).pack())
        assert dns.verdict(query, packet) == code


def test_a_message_gets_another_id_and_nothing_else():
    packet = ask("web")
    other = dns.renumbered(packet, 0xABCD)
    assert dns.number_of(other) == 0xABCD
    assert other[2:] == packet[2:]


def test_a_name_with_dots_is_read_in_every_way_docker_reads_it():
    assert list(dns.readings("web")) == [("web", "")]
    assert list(dns.readings("a.b.c")) == [("a.b.c", ""), ("a.b", "c"), ("a", "b.c")]


def test_the_rules_lead_both_protocols_to_their_ports_and_back():
    text = rules(1111, 2222)
    assert "ip daddr 127.0.0.11 udp dport 53 counter dnat to 127.0.0.11:1111" in text
    assert "ip daddr 127.0.0.11 tcp dport 53 counter dnat to 127.0.0.11:2222" in text
    assert "ip saddr 127.0.0.11 udp sport 1111 counter snat to :53" in text
    assert "ip saddr 127.0.0.11 tcp sport 2222 counter snat to :53" in text
