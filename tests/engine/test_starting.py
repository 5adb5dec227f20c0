"""`Network.add_container`: made, attached and published at once, or not at all."""

from __future__ import annotations

import re

import pytest

from natlab import NatlabError, UsageError, tcp

COUNTS = re.compile(r" packets \d+ bytes \d+")


def left(host):
    """What a host holds of containers: names, interfaces, published ports, rules less counters."""
    return (
        host.container_names(),
        [link.name for link in host.links()],
        host.published(),
        [COUNTS.sub("", rule.text) for _, _, rule in host.ruleset().rules()],
    )


@pytest.fixture(params=["lab", "lab_without_proxy"])
def host(request):
    return request.getfixturevalue(request.param).ubuntu1


def test_it_is_attached_published_and_reached(host):
    docker0 = host.add_docker0()
    web = docker0.add_container("web", "8080", "80:80")
    assert str(web.ip) == "172.17.0.2"
    assert sorted(item.host_port for item, _ in host.published()) == [80, 49153]
    db = docker0.add_container("db")
    assert str(db.ip) == "172.17.0.3"
    assert tcp(db, "172.17.0.2", 8080, server=web).source_seen == "172.17.0.3"


def test_outside_reaches_what_was_published_at_once(lab_without_proxy):
    docker0 = lab_without_proxy.ubuntu1.add_docker0()
    web = docker0.add_container("web", "8080")
    probe = tcp(lab_without_proxy.outside, "192.168.33.11", 49153, server=web, server_port=8080)
    assert (probe.outcome, probe.source_seen) == ("answered", "192.168.33.20")


def test_a_port_that_a_program_holds_is_passed_over_or_refused(host):
    docker0 = host.add_docker0()
    with host.listen(49153), host.listen(8000):
        docker0.add_container("web", "8080")
        assert [item.host_port for item, _ in host.published()] == [49154]
        before = left(host)
        with pytest.raises(NatlabError, match=r"0\.0\.0\.0:8000/tcp: address already in use"):
            docker0.add_container("db", "8000:80")
        assert left(host) == before


def test_rules_changed_by_hand_meanwhile_are_taken_in(host):
    docker0 = host.add_docker0()
    docker0.add_container("web", "8080")
    host.nft("add rule ip natlab DOCKER tcp dport 49154 counter dnat to 172.17.0.2:9000")
    docker0.add_container("db", "8080")
    assert sorted(item.host_port for item, _ in host.published()) == [49153, 49154, 49155]


def test_a_taken_name_address_or_port_leaves_nothing(host):
    docker0 = host.add_docker0()
    docker0.add_container("web", "80:80")
    before = left(host)
    for name, ports, address, error in (
        ("web", (), None, "Conflict"),
        ("db", ("80:80",), None, "port is already allocated"),
        ("db", (), "172.17.0.2", "Address already in use"),
        ("db", ("99999",), None, "invalid containerPort"),
        ("d b", (), None, "Invalid container name"),
    ):
        with pytest.raises((NatlabError, UsageError), match=error):
            docker0.add_container(name, *ports, address=address)
        assert left(host) == before
    assert str(docker0.add_container("db").ip) == "172.17.0.3"


def test_it_takes_one_round_trip_while_nobody_else_touches_the_host(lab_without_proxy):
    docker0 = lab_without_proxy.ubuntu1.add_docker0()
    docker0.add_container("web", "8080")
    before = lab_without_proxy.agent.calls
    docker0.add_container("db", "8080")
    docker0.add_container("cache")
    assert lab_without_proxy.agent.calls == before + 2


def test_what_was_made_by_hand_meanwhile_is_taken_in(host):
    docker0 = host.add_docker0()
    docker0.add_container("web", "8080")
    host.run(
        "ip netns add mine; ip link add plug type veth peer name eth0 netns mine;"
        "ip link set plug master docker0 up; ip -n mine addr add 172.17.0.3/16 dev eth0",
        check=True,
    )
    assert str(docker0.add_container("db", "8080").ip) == "172.17.0.4"


def test_the_address_of_a_container_unplugged_by_hand_is_handed_out_again(host):
    docker0 = host.add_docker0()
    web = docker0.add_container("web", "8080")
    docker0.add_container("db", "8080")
    host.run(["ip", "link", "delete", web.host_end], check=True)
    assert str(docker0.add_container("cache", "8080").ip) == "172.17.0.2"


def test_an_interface_that_has_the_name_already_is_left_alone(host):
    docker0 = host.add_docker0()
    docker0.add_container("web", "8080")
    planned = docker0.attached.free_name("db", ())
    host.run(["ip", "link", "add", planned, "type", "bridge"], check=True)
    db = docker0.add_container("db", "8080")
    assert db.host_end != planned
    assert host.link(planned).kind == "bridge"
