"""Faults: what goes wrong while the block lasts, and is well again afterwards."""

from __future__ import annotations

import errno
import socket

import pytest

from natlab import NatlabError, UnsupportedError, ping, tcp, udp
from natlab.testing import faults


@pytest.fixture
def web(docker_host):
    return docker_host.run("sleep 100", publish=80)


def reach(host, web, timeout=0.3):
    """How a connection from outside to the published port goes."""
    port = web.port(80)
    return tcp(
        host.outside, host.ip, port, server=web.node, server_port=80, timeout=timeout
    ).outcome


def links(node):
    """Its links, less what IPv6 does to them in its own time."""
    return [(link.name, link.up, link.carrier, link.mtu, link.ipv4) for link in node.links()]


def whole_state(host, web):
    found = host.node.ruleset().rules()
    return {
        "rules": [(t.name, chain.name, rule.text.split("counter")[0]) for t, chain, rule in found],
        "links": [links(host.node), links(web.node), links(host.outside)],
        "routes": [host.node.routes(), web.node.routes()],
        "forwarding": host.node.forwarding,
    }


@pytest.fixture(autouse=True)
def unchanged(docker_host, web):
    """All is as before at the end, and the way is open."""
    assert reach(docker_host, web, 2) == "answered"
    before = whole_state(docker_host, web)
    yield
    assert whole_state(docker_host, web) == before
    docker_host.node.flush_conntrack()
    assert reach(docker_host, web, 2) == "answered"


@pytest.mark.parametrize("whose", ["host", "container"])
def test_a_cut_cable_lets_nothing_through(docker_host, web, whose):
    with faults.cut(docker_host if whose == "host" else web):
        assert reach(docker_host, web) in ("no answer", "unreachable")


def test_dropped_packets_are_counted_and_others_pass(docker_host, web):
    with faults.drop(docker_host, dst=web.ip, port=80) as dropped:
        assert reach(docker_host, web) == "no answer"
        assert dropped.packets >= 1
        assert ping(web.node, "192.168.33.20").outcome == "answered"


def test_rejected_connections_are_refused_at_once(docker_host, web):
    with faults.reject(docker_host, dst=web.ip, port=80) as rejected:
        assert reach(docker_host, web, 2) == "refused"
        assert rejected.packets == 1


def test_udp_can_be_dropped_by_source_at_the_node_itself(docker_host, web):
    with faults.drop(web, src="172.17.0.1", proto="udp", hook="input") as dropped:
        assert (
            udp(docker_host.node, web.ip, 53, server=web.node, timeout=0.2).outcome == "no answer"
        )
        assert dropped.packets == 1


def test_without_forwarding_nothing_passes(docker_host, web):
    with faults.no_forwarding(docker_host):
        assert reach(docker_host, web) == "no answer"


def test_without_masquerade_the_source_shows(docker_host, web):
    outside = docker_host.outside
    outside.add_route("172.17.0.0/16", via=docker_host.ip)

    def seen():
        return ping(web.node, "192.168.33.20", server=outside).source_seen

    assert seen() == docker_host.ip
    with faults.without_rule(docker_host, "masquerade") as taken:
        assert len(taken) == 3
        assert docker_host.rules.masquerades == ()
        assert seen() == web.ip
    assert seen() == docker_host.ip


def test_without_its_dnat_rule_a_port_is_closed(docker_host, web):
    port = web.port(80)
    with faults.without_rule(docker_host, f"dport {port}"):
        probe = tcp(docker_host.outside, docker_host.ip, port, server=web.node, server_port=80)
        assert probe.outcome == "refused"


def test_with_no_ports_left_programs_cannot_connect_and_nothing_is_published(docker_host, web):
    with faults.no_ports_left(docker_host), pytest.raises(OSError, match="assign") as caught:
        docker_host.connect(web.ip, 80)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    with (
        faults.no_ports_left(docker_host),
        pytest.raises(NatlabError, match="all ports are allocated"),
    ):
        docker_host.run("sleep 100", publish=80)


def test_a_small_mtu_lets_only_small_packets_through(docker_host):
    def sends(size):
        with docker_host.outside.socket(kind=socket.SOCK_DGRAM) as sock:
            sock.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER, IP_PMTUDISC_DO
            sock.connect((docker_host.ip, 9))
            sock.send(bytes(size))

    sends(1000)
    with faults.small_mtu(docker_host.outside, 600):
        sends(500)
        with pytest.raises(OSError, match="Message too long"):
            sends(1000)
    sends(1000)


def test_slow_links_are_slow_or_the_kernel_has_no_netem(docker_host, web):
    try:
        with faults.slow(web, loss=100):
            assert reach(docker_host, web) == "no answer"
    except UnsupportedError as error:
        assert "no netem" in str(error)  # noqa: PT017 - either way is right, each on its kernel


def test_a_block_that_fails_is_undone_as_well(docker_host):
    with pytest.raises(KeyError), faults.drop(docker_host), faults.no_forwarding(docker_host):
        raise KeyError


@pytest.mark.parametrize(
    ("fault", "where", "options", "message"),
    [
        (faults.cut, "web", {"interface": "eth7"}, "eth7"),
        (faults.cut, "host", {"interface": "docker0"}, "has no cable that the lab laid"),
        (faults.no_forwarding, "web", {}, "c1 is a container"),
        (faults.drop, "nothing", {}, "'nothing' is no place for a fault"),
        (faults.drop, "host", {"hook": "sideways"}, "no hook 'sideways' for a fault"),
        (faults.drop, "host", {"proto": "carrier"}, "stops tcp, udp or icmp"),
        (faults.drop, "host", {"dst": "nowhere"}, "'nowhere' is no IPv4 address"),
        (faults.without_rule, "host", {"text": "xyz"}, "no rule of ubuntu1 has 'xyz'"),
        (faults.slow, "web", {"loss": 200}, "loss is 0 to 100 percent"),
        (faults.small_mtu, "web", {"mtu": 1}, "MTU 1"),
    ],
)
def test_a_fault_that_makes_no_sense_is_one_clear_error(  # noqa: PLR0917 - pytest's way
    docker_host, web, fault, where, options, message
):
    node = {"host": docker_host, "web": web}.get(where, where)
    with pytest.raises(NatlabError, match=message), fault(node, **options):
        pytest.fail("not reached")
