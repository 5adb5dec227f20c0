"""Surveys: the picture shows what the kernel has, by whichever hand it was made."""

from collections.abc import Iterator
from xml.etree import ElementTree as ET

import pytest

from natlab import Lab
from natlab.engine.survey import survey
from natlab.model import draw_mermaid, draw_svg, draw_text
from natlab.model.picture import LAN, ContainerPicture, End, HostPicture, Interface

DNAT_BY_HAND = """\
iptables -t nat -N DOCKER
iptables -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables -t nat -A DOCKER ! -i docker0 -p tcp --dport 49153 -j DNAT --to-destination 172.17.0.2:8080
"""
DOCKER0_BY_HAND = """\
ip link add docker0 type bridge
ip addr add 172.17.0.1/16 dev docker0
ip link set docker0 up
"""
WEB_BY_HAND = """\
ip netns add web
ip link add vethA type veth peer name cethA
ip link set vethA master docker0
ip link set vethA up
ip link set cethA netns web
ip -n web link set cethA name eth0
ip -n web addr add 172.17.0.2/16 dev eth0
ip -n web link set eth0 up
ip -n web route add default via 172.17.0.1
"""


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab() as made:
        yield made


def host(lab: Lab, name: str = "ubuntu1") -> HostPicture:
    return next(one for one in survey(lab).hosts if one.name == name)


def bridge(of: HostPicture, name: str = "docker0") -> Interface:
    return next(one for one in of.bridges if one.name == name)


def container(of: HostPicture, name: str) -> ContainerPicture:
    return next(one for one in of.containers if one.name == name)


def test_an_untouched_lab_is_three_hosts_on_one_lan(lab: Lab) -> None:
    picture = survey(lab)
    assert [one.name for one in picture.hosts] == ["outside", "ubuntu1", "ubuntu2"]
    assert picture.subnets == ("192.168.33.0/24",)
    for one in picture.hosts:
        assert [uplink.other_end for uplink in one.uplinks] == [End(LAN, one.name)]
        assert not one.forwards
        assert one.notable_routes == ()


def test_the_librarys_docker0_is_in_the_picture(lab: Lab) -> None:
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    (published,) = lab.ubuntu1.publish(web, "8080")
    seen = host(lab)
    assert seen.forwards
    assert [(c.name, ours.name, p.name) for c, ours, p in seen.guests(bridge(seen))] == [
        ("web", "eth0", web.host_end)
    ]
    assert [rule.says(known=True) for rule in seen.masquerades_of(bridge(seen))] == [
        "masquerade out of !docker0"
    ]
    assert [port.says(known=True) for port in seen.published_by(container(seen, "web"))] == [
        f"0.0.0.0:{published.host_port}->8080/tcp"
    ]


def test_what_was_typed_by_hand_is_the_same_picture(lab: Lab) -> None:
    docker0 = lab.ubuntu1.add_docker0()
    docker0.attach(lab.ubuntu1.add_container("web"))
    lab.ubuntu2.run(DOCKER0_BY_HAND + WEB_BY_HAND + DNAT_BY_HAND, check=True)
    by_library, by_hand = host(lab, "ubuntu1"), host(lab, "ubuntu2")
    for seen in (by_library, by_hand):
        ((guest, ours, _),) = seen.guests(bridge(seen))
        assert (guest.name, guest.default_route) == ("web", "172.17.0.1")
        assert ours.addresses == ("172.17.0.2/16",)
        assert len(seen.masquerades_of(bridge(seen))) == 1


def test_each_of_many_containers_has_the_port_that_is_its_own(lab: Lab) -> None:
    """Every eth0 has the same index; on both hosts ports have the same indices too."""
    for one in (lab.ubuntu1, lab.ubuntu2):
        docker0 = one.add_docker0()
        for name in ("web", "db", "cache"):
            docker0.attach(one.add_container(name))
    for one in (lab.ubuntu1, lab.ubuntu2):
        seen = host(lab, one.name)
        pairs = {guest.name: port.name for guest, _, port in seen.guests(bridge(seen))}
        assert pairs == {guest.name: guest.host_end for guest in one.containers()}


def test_a_pair_with_both_ends_still_on_the_host(lab: Lab) -> None:
    lab.ubuntu1.run(
        DOCKER0_BY_HAND
        + "ip link add vethA type veth peer name cethA; ip link set vethA master docker0",
        check=True,
    )
    seen = host(lab)
    (port,) = seen.bare_ports(bridge(seen))
    (loose,) = seen.loose
    assert (port.name, port.other_end) == ("vethA", End("ubuntu1", "cethA"))
    assert (loose.name, loose.other_end, loose.state) == ("cethA", End("ubuntu1", "vethA"), "DOWN")


def test_a_container_without_links_and_a_bridge_without_address(lab: Lab) -> None:
    lab.ubuntu1.run("ip netns add empty; ip link add bridge0 type bridge", check=True)
    seen = host(lab)
    assert container(seen, "empty").interfaces == ()
    assert (bridge(seen, "bridge0").addresses, bridge(seen, "bridge0").state) == ((), "DOWN")
    text = draw_text.draw(survey(lab))
    assert "bridge0 no address   DOWN   no ports" in text
    assert "empty  only lo" in text


def test_two_containers_joined_point_to_point_are_a_wire(lab: Lab) -> None:
    lab.ubuntu1.run(
        "ip netns add a; ip netns add b\n"
        "ip link add A netns a type veth peer name B netns b\n"
        "ip -n a addr add 10.1.1.1/32 dev A; ip -n a link set A up\n"
        "ip -n a route add 10.1.1.2/32 dev A",
        check=True,
    )
    picture = survey(lab)
    assert list(picture.wires()) == [(End("ubuntu1/a", "A"), End("ubuntu1/b", "B"))]
    a = container(host(lab), "a")
    assert [str(route) for route in a.other_routes] == ["10.1.1.2/32 dev A"]
    assert a.interfaces[0].state == "no carrier"


def test_a_veth_whose_other_end_left_the_lab_hangs_loose(lab: Lab) -> None:
    """Its peer is in a namespace that has no name, as a program's own is."""
    with lab.ubuntu1.start(
        ["unshare", "-n", "sh", "-c", "echo inside; exec sleep infinity"]
    ) as program:
        program.wait_for("inside")
        pair = f"ip link add stray type veth peer name gone netns {program.pid}"
        lab.ubuntu1.run(pair, check=True)
        (stray,) = host(lab).loose
        assert (stray.name, stray.other_end) == ("stray", None)
        assert "stray no address  ⇄ other end not in this lab" in draw_text.draw(survey(lab))


def test_a_dnat_rule_to_which_nothing_leads_is_marked(lab: Lab) -> None:
    lab.ubuntu1.run(DNAT_BY_HAND, check=True)
    assert "(nothing leads to chain DOCKER), where no container is" in draw_text.draw(survey(lab))
    lab.ubuntu1.run(
        "iptables -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER", check=True
    )
    (port,) = host(lab).published
    assert port.hooks == ("prerouting",)
    assert "nothing leads" not in draw_text.draw(survey(lab))


def test_a_dropping_policy_and_routes_are_in_the_picture(lab: Lab) -> None:
    lab.ubuntu2.run("iptables -P FORWARD DROP", check=True)
    lab.ubuntu2.add_route("172.17.0.0/16", via="192.168.33.11")
    seen = host(lab, "ubuntu2")
    assert seen.forward_policy == "drop"
    assert [str(route) for route in seen.notable_routes] == [
        "172.17.0.0/16 via 192.168.33.11 dev eth0"
    ]


def test_a_host_whose_eth0_is_down_hangs_by_a_broken_line(lab: Lab) -> None:
    lab.ubuntu2.set_up("eth0", up=False)
    assert [uplink.state for uplink in host(lab, "ubuntu2").uplinks] == ["DOWN"]
    assert "ubuntu2  eth0 192.168.33.12 DOWN" in draw_text.draw(survey(lab))


def test_a_container_that_is_gone_is_gone_from_the_picture(lab: Lab) -> None:
    docker0 = lab.ubuntu1.add_docker0()
    docker0.attach(lab.ubuntu1.add_container("web"))
    assert [one.name for one in host(lab).containers] == ["web"]
    lab.ubuntu1.run("ip netns delete web", check=True)
    assert host(lab).containers == ()


def test_every_drawing_shows_the_same_lab(lab: Lab) -> None:
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    picture = survey(lab)
    svg = draw_svg.draw(picture)
    ET.fromstring(svg)  # noqa: S314 - our own
    for drawing in (draw_text.draw(picture), svg, draw_mermaid.draw(picture)):
        for name in ("ubuntu1", "docker0", "web", "172.17.0.2", str(web.host_end)):
            assert name in drawing
