"""Networks with IPv6 besides: addresses, NAT in the table of that family, published at `::`."""

from __future__ import annotations

import socket

import pytest

from natlab import Lab, NatlabError, UsageError
from natlab.kernel.waiting import readable

OUTSIDE, HOST = "fd00:33::20", "fd00:33::11"
SUBNET = "fd00:1::1/64"


@pytest.fixture(params=[True, False], ids=["proxy", "no proxy"])
def lan(request):
    """A lab whose LAN has both families."""
    with Lab(userland_proxy=request.param) as lab:
        lab.outside.configure("eth0", f"{OUTSIDE}/64")
        lab.ubuntu1.configure("eth0", f"{HOST}/64")
        yield lab


@pytest.fixture
def network(lan):
    host = lan.ubuntu1
    host.forwarding = True
    network = host.add_network("br6", "10.6.0.1/24", address6=SUBNET)
    network.masquerade()
    network.forward()
    return network


def exchanged(client, server, address, port, inside):
    """A byte each way; whom the server saw."""
    with server.listen(inside, "::") as listening, client.connect(address, port) as sock:
        listening.settimeout(5)
        there, peer = listening.accept()
        with there:
            sock.sendall(b"x")
            assert there.recv(1) == b"x"
            there.sendall(b"y")
            assert sock.recv(1) == b"y"
    return peer[0]


def rules(host):
    return host.nft("list table ip6 natlab")


def test_a_container_gets_an_address_of_both_families_and_routes(network):
    web, db = network.add_container("web"), network.add_container("db")
    assert str(network.ip6_of(web)) == "fd00:1::2"
    assert str(network.ip6_of(db)) == "fd00:1::3"
    assert exchanged(web, db, "fd00:1::3", 80, 80) == "fd00:1::2"
    assert "default via fd00:1::1" in web.run("ip -6 route").stdout
    web.remove()
    assert str(network.ip6_of(network.add_container("next"))) == "fd00:1::2"


def test_what_leaves_has_the_hosts_address(lan, network):
    web = network.add_container("web")
    assert exchanged(web, lan.outside, OUTSIDE, 8080, 8080) == HOST


def test_a_port_is_published_at_both_families_by_one_number(lan, network):
    web = network.add_container("web")
    published = lan.ubuntu1.publish(web, "80", "8080:81", f"[{HOST}]:82:82")
    assert [str(item) for item in published] == [
        "80/tcp -> 0.0.0.0:49153",
        "80/tcp -> [::]:49153",
        "81/tcp -> 0.0.0.0:8080",
        "81/tcp -> [::]:8080",
        f"82/tcp -> [{HOST}]:82",
    ]
    assert {item for item, _ in lan.ubuntu1.published()} == set(published)
    assert exchanged(lan.outside, web, HOST, 49153, 80) == OUTSIDE
    assert exchanged(lan.outside, web, HOST, 82, 82) == OUTSIDE
    with pytest.raises(ConnectionRefusedError):
        lan.outside.connect(HOST, 83)


def test_a_container_reaches_its_own_published_port(network):
    web = network.add_container("web", "80:80")
    seen = exchanged(web, web, HOST, 80, 80)
    assert seen == "fd00:1::1"


def test_a_container_that_goes_takes_its_rules_and_ports_along(lan, network):
    web = network.add_container("web", "80:80", "53:53/udp")
    assert "fd00:1::2" in rules(lan.ubuntu1)
    with pytest.raises(NatlabError, match=r"Bind for 0\.0\.0\.0:80 failed"):
        network.add_container("other", "80:80")
    web.remove()
    assert lan.ubuntu1.published() == ()
    assert "fd00:1::2" not in rules(lan.ubuntu1)
    network.add_container("other", "80:80")


def test_a_udp_sender_reaches_the_new_container_at_once(lan, network):
    first = network.add_container("web", "53:53/udp")
    with lan.outside.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.bind((OUTSIDE, 5353))
        for container in (first, None):
            node = container or network.add_container("next", "53:53/udp")
            with node.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
                server.bind(("::", 53))
                sender.sendto(b"query", (HOST, 53))
                assert readable([server.fileno()], 5)
                assert server.recvfrom(100)[1][0] == OUTSIDE
            if container:
                container.remove()
                sender.sendto(b"lost", (HOST, 53))


def test_an_internal_network_and_its_neighbour_are_kept_apart(lan, network):
    host = lan.ubuntu1
    inner = host.add_network("br7", "10.7.0.1/24", address6="fd00:2::1/64", internal=True)
    inner.forward()
    web, secret = network.add_container("web"), inner.add_container("secret")
    with web.listen(80, "::"), secret.listen(80, "::"):
        for client, address in ((web, "fd00:2::2"), (secret, "fd00:1::2")):
            with pytest.raises(OSError, match=r"timed out|unreachable"):
                client.connect(address, 80, timeout=0.3)
    secret.remove()
    inner.remove()
    assert "br7" not in rules(host)


def test_many_ports_are_found_by_map(lan, network):
    web = network.add_container("web")
    lan.ubuntu1.publish(web, "1000-1039:80-119")
    assert "tcp . 1039 : jump ports-tcp-1039" in rules(lan.ubuntu1)
    assert exchanged(lan.outside, web, HOST, 1039, 119) == OUTSIDE
    web.remove()
    assert lan.ubuntu1.published() == ()


@pytest.mark.parametrize("address", ["10.1.0.1/24", "fd00::1/127", "fd00::1/128", "nonsense"])
def test_an_address_that_will_not_do_is_refused(lab, address):
    with pytest.raises(UsageError, match="is not an IPv6 address with a prefix length"):
        lab.ubuntu1.add_network("br6", "10.6.0.1/24", address6=address)
    assert lab.ubuntu1.networks() == []
