"""What the container sees as the source: row by row the reference's table, proxy on and off."""

from __future__ import annotations

import struct

import pytest

from natlab import ping, tcp, udp
from natlab.model import craft
from natlab.model.addresses import mac_for

HOST, LAN_CLIENT, BRIDGE = "192.168.33.11", "192.168.33.20", "172.17.0.1"


def picture(lab):
    """docker0 on ubuntu1 with web (8080 published at 49153) and a neighbour, db."""
    docker0 = lab.ubuntu1.add_docker0()
    web, db = (lab.ubuntu1.add_container(name) for name in ("web", "db"))
    docker0.attach(web)
    docker0.attach(db)
    lab.ubuntu1.publish(web, "8080")
    return web, db


@pytest.fixture(params=[True, False], ids=["proxy", "no proxy"])
def any_lab(request):
    return request.getfixturevalue("lab" if request.param else "lab_without_proxy")


def seen(client, address, port, web):
    probe = tcp(client, address, port, server=web, server_port=8080)
    assert probe.outcome == "answered", probe
    return probe.source_seen


def test_container_to_container_keeps_the_real_address(any_lab):
    web, db = picture(any_lab)
    probe = tcp(db, str(web.ip), 8080, server=web)
    assert (probe.outcome, probe.source_seen) == ("answered", "172.17.0.3")
    assert probe.arrived.ttl == 64, "it was bridged, not routed"


def test_the_host_reaches_the_container_with_the_bridges_address(any_lab):
    web, _ = picture(any_lab)
    any_lab.ubuntu1.nft("chain ip natlab FORWARD { policy drop; }")  # never crossed
    assert seen(any_lab.ubuntu1, str(web.ip), 8080, web) == BRIDGE


def test_the_hosts_loopback_comes_from_the_bridges_address(any_lab):
    web, _ = picture(any_lab)
    assert seen(any_lab.ubuntu1, "127.0.0.1", 49153, web) == BRIDGE


def test_the_host_to_its_own_address_keeps_that_address_with_the_proxy_on(lab):
    web, _ = picture(lab)
    assert seen(lab.ubuntu1, HOST, 49153, web) == HOST


def test_the_host_to_its_own_address_is_masqueraded_with_the_proxy_off(lab_without_proxy):
    web, _ = picture(lab_without_proxy)
    assert seen(lab_without_proxy.ubuntu1, HOST, 49153, web) == BRIDGE


def test_a_lan_client_is_seen_as_itself(any_lab):
    web, _ = picture(any_lab)
    assert seen(any_lab.outside, HOST, 49153, web) == LAN_CLIENT


@pytest.mark.parametrize("client", ["web", "db"])
def test_a_container_reaches_a_published_port_of_its_own_bridge(any_lab, client):
    web, _ = picture(any_lab)
    source = seen(any_lab.node(client), HOST, 49153, web)
    if client == "web" or any_lab.ubuntu1.userland_proxy:
        assert source == BRIDGE
    else:
        assert source == "172.17.0.3", "DNAT alone: the neighbour keeps its address"


def test_container_to_lan_takes_the_address_of_the_interface_it_leaves_by(any_lab):
    web, _ = picture(any_lab)
    for probe in (
        tcp(web, LAN_CLIENT, 80, server=any_lab.outside),
        udp(web, LAN_CLIENT, 53, server=any_lab.outside),
        ping(web, LAN_CLIENT, server=any_lab.outside),
    ):
        assert (probe.outcome, probe.source_seen) == ("answered", HOST), probe


def test_lan_to_container_by_a_route_is_what_the_forward_policy_says(any_lab):
    web, _ = picture(any_lab)
    any_lab.outside.add_route("172.17.0.0/16", via=HOST)
    probe = tcp(any_lab.outside, str(web.ip), 9000, server=web)
    assert (probe.outcome, probe.source_seen) == ("answered", LAN_CLIENT)
    any_lab.ubuntu1.nft("chain ip natlab FORWARD { policy drop; }")
    assert tcp(any_lab.outside, str(web.ip), 9000, server=web, timeout=0.4).arrived is None
    assert seen(any_lab.outside, HOST, 49153, web) == LAN_CLIENT, "published ports still work"


def test_a_container_of_another_network_is_kept_out(any_lab):
    web, _ = picture(any_lab)
    other = any_lab.ubuntu1.add_docker0("172.18.0.1/16", bridge="br-other")
    stranger = any_lab.ubuntu1.add_container("stranger")
    other.attach(stranger)
    assert tcp(stranger, str(web.ip), 8080, server=web, timeout=0.4).arrived is None


def inject_at_loopback(sender, port, *, source, interface, mac):
    """Write a SYN for 127.0.0.1 into a frame for a neighbour's MAC address, as no kernel would."""
    packet = craft.tcp_syn(source, "127.0.0.1", 40000, port)
    ours = sender.link(interface).mac
    frame = b"".join(bytes.fromhex(m.replace(":", "")) for m in (mac, ours))
    frame += struct.pack("!H", 0x0800) + packet
    with sender.socket(family=17, kind=3, protocol=0) as raw:
        raw.bind((interface, 0x0800))
        raw.send(frame)


@pytest.mark.parametrize("spec", ["127.0.0.1:8081:8081", "8081:8081"])
def test_nobody_else_reaches_a_port_at_the_hosts_loopback(any_lab, spec):
    web, db = picture(any_lab)
    any_lab.ubuntu1.publish(web, spec, "127.0.0.1:9999:9999")
    assert tcp(any_lab.ubuntu1, "127.0.0.1", 8081, server=web, server_port=8081).outcome == (
        "answered"
    )
    with web.capture() as at_web, any_lab.ubuntu1.capture() as at_host:
        inject_at_loopback(
            any_lab.outside, 8081, source=LAN_CLIENT, interface="eth0", mac=mac_for_host(any_lab)
        )
        inject_at_loopback(
            db,
            8081,
            source="172.17.0.3",
            interface="eth0",
            mac=any_lab.ubuntu1.link("docker0").mac,
        )
        for source in (LAN_CLIENT, "172.17.0.3"):
            assert at_host.wait_for(lambda p, s=source: p.src == s and p.dst == "127.0.0.1")
        assert ping(any_lab.ubuntu1, str(web.ip)).outcome == "answered"  # web has seen all by now
        assert [p for p in at_web.packets() if p.sport == 40000] == []


def mac_for_host(lab):
    return mac_for(lab.ubuntu1.ip)
