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
