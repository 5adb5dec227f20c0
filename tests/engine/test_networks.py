"""Networks and containers: attaching, addresses, names, isolation, icc, links; what is refused."""

from __future__ import annotations

import re

import pytest

from natlab import Lab, NatlabError, UsageError, tcp


def rules(host):
    """The ruleset without what it has counted."""
    return re.sub(r"packets \d+ bytes \d+", "", host.nft("list ruleset"))


def test_attaching_is_the_four_steps(lab):
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    eth0, host_end = web.link("eth0"), lab.ubuntu1.link(web.host_end)
    assert eth0.up
    assert eth0.mac == "02:42:ac:11:00:02"
    assert [str(address) for address in eth0.ipv4] == ["172.17.0.2/16"]
    assert [(r.dst, r.gateway) for r in web.routes() if r.dst == "default"] == [
        ("default", "172.17.0.1")
    ]
    assert host_end.master == "docker0"
    assert len(host_end.name) == len("veth") + 7
    assert docker0.containers() == [web]


def test_addresses_go_up_and_a_freed_one_is_used_again_at_once(lab):
    docker0 = lab.ubuntu1.add_docker0()
    for name in ("web", "db"):
        docker0.attach(lab.ubuntu1.add_container(name))
    lab.ubuntu1.container("web").remove()
    assert str(docker0.attach(lab.ubuntu1.add_container("web"))) == "172.17.0.2"
    assert str(docker0.attach(lab.ubuntu1.add_container("third"))) == "172.17.0.4"


def test_a_container_deleted_by_hand_frees_its_address(lab):
    docker0 = lab.ubuntu1.add_docker0()
    docker0.attach(lab.ubuntu1.add_container("web"))
    lab.ubuntu1.run("ip netns delete web", check=True)
    assert str(docker0.attach(lab.ubuntu1.add_container("db"))) == "172.17.0.2"


def test_an_address_that_a_person_gave_by_hand_is_passed_over(lab):
    docker0 = lab.ubuntu1.add_docker0()
    lab.ubuntu1.run(
        "ip netns add byhand; ip link add veth0 type veth peer name eth0 netns byhand;"
        "ip link set veth0 master docker0 up; ip -n byhand addr add 172.17.0.2/16 dev eth0;"
        "ip -n byhand link set eth0 up",
        check=True,
    )
    byhand = lab.ubuntu1.container("byhand")
    assert str(docker0.attach(lab.ubuntu1.add_container("web"))) == "172.17.0.3"
    assert docker0.containers() == [byhand, lab.ubuntu1.container("web")]
    with pytest.raises(UsageError, match="Address already in use"):
        docker0.attach(lab.ubuntu1.add_container("db"), "172.17.0.2")


def test_attaching_twice_says_where_it_is_already(lab):
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    links = lab.ubuntu1.links()
    with pytest.raises(NatlabError, match=r"^web is on docker0 already.* 172\.17\.0\.2: detach"):
        docker0.attach(web)
    other = lab.ubuntu1.add_network("br-other", "172.18.0.1/16")
    with pytest.raises(NatlabError, match="web cannot join br-other on ubuntu1: it has an eth0"):
        other.attach(web)
    assert {link.name for link in lab.ubuntu1.links()} == {link.name for link in links} | {
        "br-other"
    }


def test_an_attach_that_fails_half_way_leaves_nothing(lab):
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    web.run("ip route add unreachable default", check=True)
    links = [link.name for link in lab.ubuntu1.links()]
    with pytest.raises(NatlabError, match="a default route already"):
        docker0.attach(web)
    assert [link.name for link in lab.ubuntu1.links()] == links
    assert not docker0.attached.pool.allocated


def test_detaching_takes_the_pair_the_ports_and_the_address_back(lab):
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    lab.ubuntu1.publish(web, "80:80")
    docker0.detach(web)
    assert web.find_link("eth0") is None
    assert lab.ubuntu1.published() == ()
    assert str(docker0.attach(web)) == "172.17.0.2"


def test_a_host_end_that_is_named_already_gets_another_name(lab):
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    taken = web.host_end
    web.remove()
    lab.ubuntu1.run(f"ip link add {taken} type bridge", check=True)
    docker0.attach(again := lab.ubuntu1.add_container("web"))
    assert again.host_end not in (None, taken)


def test_two_networks_do_not_reach_each_other(lab):
    one = lab.ubuntu1.add_docker0()
    other = lab.ubuntu1.add_docker0("192.168.5.1/24", bridge="bridge0")
    web, db = (lab.ubuntu1.add_container(name) for name in ("web", "db"))
    one.attach(web)
    other.attach(db)
    for client, server in ((web, db), (db, web)):
        assert tcp(client, str(server.ip), 80, server=server, timeout=0.4).arrived is None
    for client in (web, db):
        assert tcp(client, "192.168.33.20", 80, server=lab.outside).outcome == "answered"


def test_without_icc_neighbours_are_apart_until_they_are_linked(lab):
    docker0 = lab.ubuntu1.add_docker0(icc=False)
    web, db = (lab.ubuntu1.add_container(name) for name in ("web", "db"))
    docker0.attach(web)
    docker0.attach(db)
    assert tcp(web, str(db.ip), 5432, server=db, timeout=0.4).arrived is None
    docker0.link(web, db, 5432)
    linked = tcp(web, str(db.ip), 5432, server=db)
    assert (linked.outcome, linked.source_seen) == ("answered", "172.17.0.2")
    assert tcp(web, str(db.ip), 5433, server=db, timeout=0.4).arrived is None
    assert tcp(db, str(web.ip), 5432, server=web, timeout=0.4).arrived is None
    assert tcp(web, "192.168.33.20", 80, server=lab.outside).outcome == "answered"


def test_a_network_leaves_with_its_rules_and_only_them(lab):
    lab.ubuntu1.add_docker0()
    before = rules(lab.ubuntu1)
    for icc in (True, False):
        other = lab.ubuntu1.add_docker0("172.18.0.1/16", bridge="br-other", icc=icc)
        other.remove()
        assert rules(lab.ubuntu1) == before
        assert lab.ubuntu1.find_link("br-other") is None


def test_a_network_with_containers_stays(lab):
    docker0 = lab.ubuntu1.add_docker0()
    docker0.attach(lab.ubuntu1.add_container("web"))
    with pytest.raises(NatlabError, match=r"docker0 has active endpoints \(web\)"):
        docker0.remove()


@pytest.mark.parametrize(
    ("subnet", "route"),
    [
        ("192.168.33.1/24", r"192\.168\.33\.0/24 dev eth0 \(table main\)"),
        ("192.168.0.1/16", r"192\.168\.33\.0/24 dev eth0"),
        ("10.8.1.1/24", r"10\.8\.0\.0/16 via 192\.168\.33\.20 dev eth0 \(table 100\)"),
    ],
)
def test_a_subnet_that_overlaps_a_route_names_the_route(lab, subnet, route):
    lab.ubuntu1.run("ip route add 10.8.0.0/16 via 192.168.33.20 table 100", check=True)
    with pytest.raises(NatlabError, match=f"overlaps the route {route}.* on ubuntu1: choose"):
        lab.ubuntu1.add_network("br-x", subnet)
    assert lab.ubuntu1.find_link("br-x") is None


@pytest.mark.parametrize(
    ("bridge", "address", "message"),
    [
        ("a-name-of-16-byte", "10.0.0.1/24", "17 characters: the kernel takes at most 15"),
        ("br0", "10.0.0.1", "leaves no room for containers"),
        ("br0", "10.0.0.1/31", "leaves no room for containers"),
        ("br0", "fd00::1/64", "give an IPv4 prefix"),
        ("br0", "nonsense", "is not an address with a prefix length"),
        ("br0", "10.0.0.0/24", "network or broadcast address"),
    ],
)
def test_what_makes_no_network_is_refused_before_it_is_made(lab, bridge, address, message):
    with pytest.raises(UsageError, match=message):
        lab.ubuntu1.add_network(bridge, address)
    assert [link.name for link in lab.ubuntu1.links()] == ["lo", "eth0"]


def test_a_second_network_or_container_of_one_name_is_refused(lab):
    lab.ubuntu1.add_docker0()
    with pytest.raises(NatlabError, match="network with name docker0 already exists on ubuntu1"):
        lab.ubuntu1.add_docker0("172.18.0.1/16")
    lab.ubuntu1.add_container("web")
    with pytest.raises(NatlabError, match=r'Conflict. The container name "/web" is already in use'):
        lab.ubuntu1.add_container("web")
    lab.ubuntu2.add_container("web")


def test_a_leading_slash_is_dropped_and_no_file_is_made_elsewhere(lab):
    assert lab.ubuntu1.add_container("/web").name == "web"
    assert lab.ubuntu1.run("ls -d /web").returncode != 0


@pytest.mark.parametrize("name", ["", "x", "../x", "a b", "-x", "x" * 300])
def test_a_name_that_is_none_is_refused(lab, name):
    with pytest.raises(NatlabError):
        lab.ubuntu1.add_container(name)
    assert lab.ubuntu1.containers() == []


def test_a_docker0_that_fails_half_way_leaves_nothing(lab):
    lab.ubuntu1.nft("add table ip natlab")  # a table without our chains: the rules have no place
    with pytest.raises(NatlabError, match="none was applied"):
        lab.ubuntu1.add_docker0()
    assert [link.name for link in lab.ubuntu1.links()] == ["lo", "eth0"]
    assert not lab.ubuntu1.forwarding


def test_names_that_nothing_has_get_the_nearest_ones(lab):
    lab.ubuntu1.add_container("web")
    for ask, message in [
        (lambda: lab.host("ubuntu3"), 'no host "ubuntu3": did you mean "ubuntu'),
        (lambda: lab.node("wbe"), 'no host or container "wbe": did you mean "web"'),
        (lambda: lab.ubuntu1.container("wbe"), 'no container "wbe" on ubuntu1: did you mean "web"'),
        (lambda: lab.ubuntu1.network("docker0"), 'no network "docker0" on ubuntu1: there is none'),
        (lambda: lab.ubuntu1.link("eth1"), 'no interface "eth1" on ubuntu1: did you mean "eth0"'),
    ]:
        with pytest.raises(UsageError) as refused:
            ask()
        assert message in str(refused.value)


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ({"a": "nonsense"}, "is not an address like"),
        ({"a": "fd00::1/64"}, "not an IPv4 address"),
        ({"a": "10.0.0.1/24", "b": "10.0.0.1/24"}, "has the address 10.0.0.1 of another host"),
        ({"lan": "10.0.0.1/24"}, "means the LAN itself"),
        ({"a-name-of-16-byte": "10.0.0.1/24"}, "the kernel takes at most 15"),
    ],
)
def test_a_lab_that_cannot_be_is_refused(hosts, message):
    with pytest.raises(UsageError, match=message):
        Lab(hosts)


def returns(host):
    chain = host.ruleset().table("ip", "natlab").chain("DOCKER")
    return [rule.match("iifname").value for rule in chain.rules if rule.verdict]


def test_a_container_reaches_another_networks_published_port_through_the_proxy(lab):
    docker0 = lab.ubuntu1.add_docker0()
    blue = lab.ubuntu1.add_network("blue", "172.18.0.1/16")
    blue.masquerade()
    blue.forward()
    web = blue.add_container("web", "8000:8080")
    two = docker0.add_container("two")
    assert sorted(returns(lab.ubuntu1)) == ["blue", "docker0"]
    probe = tcp(two, "192.168.33.11", 8000, server=web, server_port=8080)
    assert (probe.outcome, probe.source_seen) == ("answered", "172.18.0.1")
    assert tcp(two, str(web.ip), 8080, server=web, timeout=0.5).arrived is None


def test_a_lone_network_leaves_nothing_to_the_proxy_by_a_rule_of_its_own(lab):
    lab.ubuntu1.add_docker0()
    before = rules(lab.ubuntu1)
    blue = lab.ubuntu1.add_network("blue", "172.18.0.1/16")
    blue.forward()
    assert returns(lab.ubuntu1)
    blue.remove()
    assert rules(lab.ubuntu1) == before


def test_a_bridge_takes_no_router_advertisements_from_its_containers(lab):
    lab.ubuntu1.add_docker0()
    assert lab.ubuntu1.sysctl("net.ipv6.conf.docker0.accept_ra") == "0"
