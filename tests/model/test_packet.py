from __future__ import annotations

import re
import shutil
import struct
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import UsageError
from natlab.model import craft, dissect
from natlab.model.packet import Packet

WEB, OUTSIDE = "172.17.0.2", "192.168.33.20"
MACS = bytes.fromhex("0242ac1100010242ac110002")
PORTS = st.integers(0, 65535)
ADDRESSES = st.ip_addresses(v=4).map(str)
ENDS = st.tuples(ADDRESSES, ADDRESSES, PORTS, PORTS)


def frame(packet: bytes, ethertype: int = 0x0800, tags: bytes = b"") -> bytes:
    return MACS + tags + struct.pack("!H", ethertype) + packet


def arp(operation: int) -> bytes:
    head = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return head + MACS[6:] + bytes([172, 17, 0, 2]) + MACS[:6] + bytes([172, 17, 0, 1])


def ipv6(next_header: int, payload: bytes) -> bytes:
    ends = bytes.fromhex("fd000000000000000000000000000001fd000000000000000000000000000002")
    return struct.pack("!IHBB", 6 << 28, len(payload), next_header, 64) + ends + payload


def unreachable(quoted: bytes, code: int = 3) -> bytes:
    body = struct.pack("!I", 0) + quoted
    sum_ = craft.checksum(struct.pack("!BBH", 3, code, 0) + body)
    return craft.ipv4(OUTSIDE, WEB, "icmp", struct.pack("!BBH", 3, code, sum_) + body)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_of_some_kind_with_a_summary(data):
    for found in (dissect.ethernet(data), dissect.ip(data), dissect.headers(data, data, data)):
        assert found.kind
        assert found.summary()


@given(st.binary(max_size=120), st.sampled_from([0x0800, 0x0806, 0x86DD, 0x8100]))
def test_garbage_behind_a_known_ethertype_is_read_too(data, ethertype):
    assert dissect.ethernet(frame(data, ethertype)).summary()


@given(st.integers(0, 119))
def test_a_packet_cut_short_anywhere_is_read_as_far_as_it_goes(size):
    whole = craft.tcp_syn(WEB, OUTSIDE, 40000, 8080, seq=7, timestamps=9)
    for cut in (unreachable(whole)[:size], whole[:size]):
        assert dissect.ip(cut).summary()


@given(ENDS, st.integers(0, 2**32 - 1), PORTS)
def test_a_syn_reads_back_as_it_was_made(ends, seq, mss):
    packet = dissect.ip(craft.tcp_syn(*ends, seq=seq, mss=mss, timestamps=seq))
    assert (packet.src, packet.dst, packet.sport, packet.dport) == ends
    assert (packet.flags, packet.seq, packet.mss) == ("S", seq, mss)
    assert packet.timestamps == (seq, 0)
    assert (packet.ack, packet.length, packet.df, packet.ttl) == (None, 0, True, 64)


@given(ENDS, st.binary(max_size=50), PORTS)
def test_a_datagram_reads_back_as_it_was_made(ends, payload, ident):
    packet = dissect.ip(craft.udp(*ends, payload, ident=ident))
    assert packet.kind == "udp"
    assert (packet.src, packet.dst, packet.sport, packet.dport) == ends
    assert (packet.payload, packet.length, packet.ident) == (payload, len(payload), ident)


@given(st.binary(max_size=99))
def test_headers_and_segments_are_made_with_checksums_that_sum_to_zero(payload):
    for packet in (
        craft.udp(WEB, OUTSIDE, 1, 2, payload),
        craft.tcp_syn(WEB, OUTSIDE, 1, 2),
    ):
        pseudo = packet[12:20] + struct.pack("!HH", packet[9], len(packet) - 20)
        assert craft.checksum(packet[:20]) == 0
        assert craft.checksum(pseudo + packet[20:]) == 0
    assert craft.checksum(craft.icmp_echo(WEB, OUTSIDE, 1, 2, payload)[20:]) == 0


def test_a_syn_without_timestamps_and_with_an_mss_alone_is_44_bytes():
    assert len(craft.tcp_syn(WEB, OUTSIDE, 1, 2)) == 44
    assert len(craft.tcp_syn(WEB, OUTSIDE, 1, 2, mss=None)) == 40
    assert dissect.ip(craft.tcp_syn(WEB, OUTSIDE, 1, 2)).timestamps is None


def test_padding_behind_a_short_packet_is_no_payload():
    padded = frame(craft.udp(WEB, OUTSIDE, 1, 2, b"hi") + bytes(18))
    assert dissect.ethernet(padded).payload == b"hi"


def test_a_vlan_tag_is_looked_through():
    tagged = MACS + struct.pack("!HH", 0x8100, 42) + struct.pack("!H", 0x0800)
    packet = dissect.ethernet(tagged + craft.udp(WEB, OUTSIDE, 1, 2))
    assert (packet.vlan, packet.kind) == (42, "udp")
    assert (packet.ether_src, packet.ether_dst) == ("02:42:ac:11:00:02", "02:42:ac:11:00:01")


def test_ip_options_are_skipped():
    plain = craft.udp(WEB, OUTSIDE, 1, 2, b"x")
    total = struct.pack("!H", len(plain) + 4)
    packet = dissect.ip(b"\x46" + plain[1:2] + total + plain[4:20] + b"\1\1\1\0" + plain[20:])
    assert (packet.sport, packet.payload) == (1, b"x")


def test_a_later_fragment_has_no_ports():
    plain = craft.udp(WEB, OUTSIDE, 1, 2, b"x" * 16)
    packet = dissect.ip(plain[:6] + struct.pack("!H", 0x2000 | 3) + plain[8:])
    assert (packet.kind, packet.sport, packet.fragment_offset) == ("fragment", None, 24)
    assert packet.more_fragments


def test_an_icmp_error_quotes_the_packet_it_is_about():
    packet = dissect.ip(unreachable(craft.tcp_syn(WEB, OUTSIDE, 40000, 8080, seq=5)[:28]))
    assert packet.is_error
    assert packet.quoted is not None
    assert (packet.quoted.src, packet.quoted.dport, packet.quoted.seq) == (WEB, 8080, 5)


def test_icmpv6_behind_extension_headers_is_found():
    echo = struct.pack("!BBHHH", 128, 0, 0, 7, 1)
    packet = dissect.ip(ipv6(0, struct.pack("!BB6x", 60, 0) + struct.pack("!BB6x", 58, 0) + echo))
    assert (packet.kind, packet.icmp_id, packet.seq) == ("icmp6", 7, 1)
    assert packet.is_echo_request


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (lambda: craft.udp("172.17.0.300", OUTSIDE, 1, 2), "172.17.0.300"),
        (lambda: craft.udp(WEB, OUTSIDE, 70000, 2), "source port 70000"),
        (lambda: craft.ipv4(WEB, OUTSIDE, "gre", b""), "protocol"),
        (lambda: craft.ipv4(WEB, OUTSIDE, 17, b"", ttl=256), "ttl 256"),
        (lambda: Packet(kind="letter"), "letter"),
        (lambda: Packet(kind="udp", dport=65536), "65536"),
    ],
)
def test_what_no_packet_can_hold_is_refused(bad, says):
    with pytest.raises(UsageError, match=says):
        bad()


SUMMARIES = {
    "IP 172.17.0.2.40000 > 192.168.33.20.8080: Flags [S], length 0": frame(
        craft.tcp_syn(WEB, OUTSIDE, 40000, 8080)
    ),
    "IP 172.17.0.2.40000 > 192.168.33.20.5000: UDP, length 5": frame(
        craft.udp(WEB, OUTSIDE, 40000, 5000, b"hello")
    ),
    "IP 172.17.0.2 > 192.168.33.20: ICMP echo request, id 7, seq 1, length 12": frame(
        craft.icmp_echo(WEB, OUTSIDE, 7, 1, b"ping")
    ),
    "IP 172.17.0.2 > 192.168.33.20: ICMP echo reply, id 7, seq 1, length 12": frame(
        craft.icmp_echo(WEB, OUTSIDE, 7, 1, b"ping", reply=True)
    ),
    "IP 192.168.33.20 > 172.17.0.2: ICMP 192.168.33.20 udp port 5000 unreachable, length 36": frame(
        unreachable(craft.udp(WEB, OUTSIDE, 40000, 5000))
    ),
    "IP 192.168.33.20 > 172.17.0.2: ICMP host 192.168.33.20 unreachable, length 36": frame(
        unreachable(craft.udp(WEB, OUTSIDE, 40000, 5000), code=1)
    ),
    "ARP, Request who-has 172.17.0.1 tell 172.17.0.2, length 28": frame(
        arp(1)[:18] + bytes(6) + arp(1)[24:], 0x0806
    ),
    "ARP, Reply 172.17.0.2 is-at 02:42:ac:11:00:02, length 28": frame(arp(2), 0x0806),
    "IP6 fd00::1.53 > fd00::2.5353: UDP, length 3": frame(
        ipv6(17, struct.pack("!HHHH", 53, 5353, 11, 0) + b"abc"), 0x86DD
    ),
    "IP6 fd00::1 > fd00::2: ICMP6, echo request, id 7, seq 1, length 8": frame(
        ipv6(58, struct.pack("!BBHHH", 128, 0, 0, 7, 1)), 0x86DD
    ),
}


@pytest.mark.parametrize("line", SUMMARIES)
def test_a_packet_says_what_it_is_in_one_line(line):
    assert dissect.ethernet(SUMMARIES[line]).summary() == line


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump is not installed")
def test_the_lines_are_tcpdumps_own(tmp_path):
    capture = tmp_path / "packets.pcap"
    records = [struct.pack("=IIII", 0, 0, len(f), len(f)) + f for f in SUMMARIES.values()]
    capture.write_bytes(
        struct.pack("=IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + b"".join(records)
    )
    with capture.open("rb") as stdin:
        shown = subprocess.run(
            ["tcpdump", "-n", "-t", "-r", "-"],
            stdin=stdin,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    shown = re.sub(r", (seq \d+(?=, win)|win \d+|options \[[^]]*\])", "", shown)
    shown = shown.replace("[domain] ", "")
    assert [
        re.sub(r"\.53 > (\S+) .*", r".53 > \1 UDP, length 3", line) for line in shown.splitlines()
    ] == list(SUMMARIES)


def test_an_unreachable_whose_quote_was_cut_off_says_no_more_than_it_knows():
    cut = Packet(kind="icmp", version=4, src="10.0.0.1", dst="10.0.0.2", icmp_type=3, icmp_code=13)
    assert "ICMP destination unreachable, code 13" in cut.summary()
