"""Containers in several networks, internal networks, links by address, names that change."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

import pytest

from natlab import NatlabError, UsageError, ping, tcp


@pytest.fixture
def two(lab):
    """ubuntu1 with docker0 and a second network, and a container in both."""
    docker0 = lab.ubuntu1.add_docker0()
    other = lab.ubuntu1.add_network("br-two", "10.9.0.1/24")
    other.masquerade()
    other.forward()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    other.attach(web, interface="eth1", default_route=False, mac="02:00:00:00:00:07")
    return lab, docker0, other, web


def test_a_container_in_two_networks_has_an_interface_in_each(two):
    lab, docker0, other, web = two
    assert (str(web.ip), str(web.address_on("eth1"))) == ("172.17.0.2", "10.9.0.2/24")
    assert web.link("eth1").mac == "02:00:00:00:00:07"
    assert set(web.host_ends()) == {"eth0", "eth1"}
    assert [c.name for c in docker0.containers()] == [c.name for c in other.containers()] == ["web"]
    peer = lab.ubuntu1.add_container("peer")
    other.attach(peer)
    assert ping(peer, "10.9.0.2").outcome == "answered"


def test_leaving_one_network_leaves_the_other_alone(two):
    lab, _, other, web = two
    other.detach(web, "eth1")
    assert web.find_link("eth1") is None
    assert other.containers() == []
    assert ping(web, "172.17.0.1").outcome == "answered"
    peer = lab.ubuntu1.add_container("peer")
    assert str(other.attach(peer)) == "10.9.0.2"  # free again


def test_the_default_route_can_be_led_through_another_gateway(two):
    _, _, other, web = two
    web.route_through(other.gateway)
    assert [r.gateway for r in web.routes() if r.dst == "default"] == ["10.9.0.1"]
    assert ping(web, "192.168.33.20").outcome == "answered"
    web.route_through(None)
    assert [r for r in web.routes() if r.dst == "default"] == []


def test_removing_a_container_frees_its_place_in_every_network(two):
    lab, docker0, other, web = two
    web.remove()
    assert [link.name for link in lab.ubuntu1.links() if link.kind == "veth"] == ["eth0"]
    again = lab.ubuntu1.add_container("again")
    assert str(docker0.attach(again)) == "172.17.0.2"
    assert str(other.attach(again, interface="eth1", default_route=False)) == "10.9.0.2"


def test_a_renamed_container_keeps_its_network_and_is_found_by_its_new_name(two):
    lab, docker0, _, web = two
    lab.ubuntu1.publish(web, "80:8080")
    web.rename("app")
    assert lab.ubuntu1.container_names() == ["app"]
    assert lab.ubuntu1.container("app") is web
    assert str(web.ip) == "172.17.0.2"
    db = lab.ubuntu1.add_container("web")
    assert str(docker0.attach(db)) == "172.17.0.3"
    with pytest.raises(NatlabError, match=r'^Conflict\. The container name "/web" is already'):
        web.rename("web")
    web.remove()
    assert lab.ubuntu1.published() == ()


def test_an_internal_network_reaches_neither_out_nor_in(lab):
    docker0 = lab.ubuntu1.add_docker0()
    closed = lab.ubuntu1.add_network("br-in", "10.8.0.1/24", internal=True)
    closed.forward()
    one, two = (closed.add_container(name) for name in ("one", "two"))
    assert [r for r in one.routes() if r.dst == "default"] == []
    one.add_route("default", "10.8.0.1")  # even with a route there is no way
    assert ping(one, str(two.ip)).outcome == "answered"
    assert tcp(one, "192.168.33.20", 80, server=lab.outside, timeout=0.5).outcome != "answered"
    lab.outside.add_route("10.8.0.0/24", via="192.168.33.11")
    assert tcp(lab.outside, str(one.ip), 80, server=one, timeout=0.5).outcome != "answered"
    assert docker0.containers() == []
    for container in (one, two):
        container.remove()
    closed.remove()
    assert "br-in" not in lab.ubuntu1.nft("list ruleset")


def test_addresses_come_from_the_range_that_was_given(lab):
    net = lab.ubuntu1.add_network("br-r", "10.7.0.1/16", within=IPv4Network("10.7.5.0/30"))
    names = (lab.ubuntu1.add_container(f"c{n}") for n in range(5))
    assert [str(net.attach(c)) for c, _ in zip(names, range(4), strict=False)] == [
        f"10.7.5.{n}" for n in range(4)
    ]
    late = lab.ubuntu1.add_container("late")
    with pytest.raises(NatlabError, match=r"^no available addresses on this pool"):
        net.attach(late)
    assert str(net.attach(late, "10.7.0.9")) == "10.7.0.9"  # asked for by number: anywhere
    with pytest.raises(UsageError, match=r"^invalid ip-range 10\.6\.0\.0/16: parent subnet"):
        lab.ubuntu1.add_network("br-x", "10.5.0.1/16", within=IPv4Network("10.6.0.0/16"))
    assert lab.ubuntu1.find_link("br-x") is None


def test_a_link_is_made_by_address_and_taken_back(lab):
    docker0 = lab.ubuntu1.add_docker0(icc=False)
    app, db = (docker0.add_container(name) for name in ("app", "db"))

    def reaches():
        return tcp(app, str(db.ip), 5432, server=db, timeout=0.5).outcome == "answered"

    assert not reaches()
    docker0.link(IPv4Address(str(app.ip)), db, 5432)
    assert reaches()
    docker0.unlink(app, db.ip, 5432)
    assert not reaches()


def test_a_prepared_container_has_lo_and_docker_s_settings(lab):
    web = lab.ubuntu1.add_container("web")
    web.prepare()
    assert web.link("lo").up
    assert web.sysctl("net.ipv4.ip_unprivileged_port_start") == "0"
