"""The connection table as values, and forgetting of chosen connections."""

from __future__ import annotations

import re

import pytest

from natlab import ping, tcp, udp
from natlab.kernel import conntrack

HOST = "192.168.33.11"


@pytest.fixture
def web(lab):
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    lab.ubuntu1.publish(web, "80:8080", "53:53/udp")
    return web


def traffic(lab, web):
    assert tcp(lab.outside, HOST, 80, server=web, server_port=8080).arrived
    assert udp(lab.outside, HOST, 53, server=web).arrived
    assert tcp(web, "192.168.33.20", 81, server=lab.outside).arrived
    assert ping(web, "192.168.33.20").outcome == "answered"


def ways(host, protos=("tcp", "udp", "icmp")):
    return {
        (e.proto, str(e.original.src), str(e.original.dst), str(e.reply.src), str(e.reply.dst))
        for e in host.conntrack()
        if e.proto in protos
    }


def test_entries_are_those_that_conntrack_lists(lab, web):
    traffic(lab, web)
    listed = lab.ubuntu1.run("conntrack -L -f ipv4")
    if "no program" in listed.stderr or listed.returncode == 127:
        pytest.skip("conntrack is not installed: sudo apt-get install conntrack")
    expected = set()
    for line in listed.stdout.splitlines():
        proto, found = line.split()[0], re.findall(r"(?:src|dst)=(\S+)", line)
        if proto in ("tcp", "udp", "icmp"):
            expected.add((proto, *found))
    assert ways(lab.ubuntu1) == expected
    assert ("tcp", "192.168.33.20", HOST, "172.17.0.2", "192.168.33.20") in expected
    assert ("tcp", "172.17.0.2", "192.168.33.20", "192.168.33.20", HOST) in expected


def test_forgetting_an_address_forgets_its_connections_of_every_kind(lab, web):
    traffic(lab, web)
    assert tcp(lab.ubuntu1, "192.168.33.20", 82, server=lab.outside).arrived
    forgotten = lab.ubuntu1.place.call(conntrack.forget, [str(web.ip)])
    assert forgotten >= 4
    assert ways(lab.ubuntu1, ("tcp",)) == {
        ("tcp", HOST, "192.168.33.20", "192.168.33.20", HOST),
    }


def test_forgetting_udp_ports_leaves_tcp_and_other_ports_alone(lab, web):
    traffic(lab, web)
    before = ways(lab.ubuntu1)
    assert lab.ubuntu1.place.call(conntrack.forget, udp_ports=[53, 80]) == 1
    gone = before - ways(lab.ubuntu1)
    assert gone == {("udp", "192.168.33.20", HOST, "172.17.0.2", "192.168.33.20")}
    assert lab.ubuntu1.place.call(conntrack.forget, udp_ports=[53]) == 0


def test_flushing_forgets_all(lab, web):
    traffic(lab, web)
    lab.ubuntu1.flush_conntrack()
    assert ways(lab.ubuntu1) == set()
