"""Pictures: what the facts of a lab say together, whoever made them."""

import json

import pytest

from natlab.errors import UsageError
from natlab.model import nft_text, picture_nat
from natlab.model.picture import (
    LAN,
    ContainerPicture,
    End,
    HostPicture,
    Interface,
    Masquerade,
    Picture,
    PublishedPort,
)
from natlab.model.state import RouteEntry

NFT = """
table ip natlab {
	chain DOCKER {
		iifname != "docker0" tcp dport 49153 counter packets 0 bytes 0 dnat to 172.17.0.2:8080
		ip daddr 127.0.0.1 udp dport 53 dnat to 172.17.0.3
	}
	chain ORPHAN {
		tcp dport { 80, 443 } dnat to 172.17.0.4:80
		meta l4proto tcp dnat to 10.0.0.1-10.0.0.5
	}
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local counter packets 0 bytes 0 jump DOCKER
	}
	chain POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept;
		ip saddr 172.17.0.0/16 oifname != "docker0" counter packets 0 bytes 0 masquerade
		oifname "eth0" snat to 192.168.33.11
	}
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
	}
}
"""


def port_of(name: str, container: str, *, up: bool = True) -> Interface:
    return Interface(
        name=name, master="docker0", other_end=End(f"ubuntu1/{container}", "eth0"), up=up
    )


def guest(name: str, address: str, port: str) -> ContainerPicture:
    eth0 = Interface(name="eth0", addresses=(address,), other_end=End("ubuntu1", port))
    default = RouteEntry("default", "eth0", "172.17.0.1")
    connected = RouteEntry("172.17.0.0/16", "eth0", scope="link")
    return ContainerPicture(name=name, interfaces=(eth0,), routes=(default, connected))


WEB = guest("web", "172.17.0.2/16", "veth1")
DOCKER0 = Interface(name="docker0", kind="bridge", addresses=("172.17.0.1/16",))
ETH0 = Interface(name="eth0", addresses=("192.168.33.11/24",), other_end=End(LAN, "ubuntu1"))


def ubuntu1(**changes: object) -> HostPicture:
    facts: dict[str, object] = {
        "interfaces": (ETH0, DOCKER0, port_of("veth1", "web")),
        "containers": (WEB,),
        "published": (PublishedPort(host_port="49153", to="172.17.0.2", to_port=8080),),
    }
    return HostPicture(name="ubuntu1", **{**facts, **changes})  # type: ignore[arg-type]


def test_a_container_stands_at_the_bridge_of_which_its_other_end_is_a_port() -> None:
    host = ubuntu1()
    assert [(c.name, port.name) for c, _, port in host.guests(DOCKER0)] == [("web", "veth1")]
    assert host.unplugged == ()
    assert host.bare_ports(DOCKER0) == ()


def test_a_port_of_the_same_name_in_another_node_is_not_a_containers() -> None:
    stranger = Interface(name="eth0", other_end=End("ubuntu2", "veth1"))
    lost = ContainerPicture(name="lost", interfaces=(stranger,))
    host = ubuntu1(containers=(lost,))
    assert host.unplugged == (lost,)
    assert [port.name for port in host.bare_ports(DOCKER0)] == ["veth1"]


def test_an_interface_on_no_bridge_and_not_on_the_lan_is_loose() -> None:
    loose = Interface(name="cethA", up=False, other_end=End("ubuntu1", "vethA"))
    assert ubuntu1(interfaces=(ETH0, DOCKER0, loose)).loose == (loose,)


def test_a_published_port_belongs_to_the_container_that_has_the_address() -> None:
    gone = PublishedPort(host_port="80", to="172.17.0.9", to_port=80)
    host = ubuntu1(published=(*ubuntu1().published, gone))
    assert [port.says(known=True) for port in host.published_by(WEB)] == ["0.0.0.0:49153->8080/tcp"]
    assert host.published_to_nobody == (gone,)


def test_a_masquerade_belongs_to_the_bridge_with_that_network() -> None:
    ours, other = (
        Masquerade(source="172.17.0.0/16", out="!docker0"),
        Masquerade(source="10.0.0.0/8"),
    )
    host = ubuntu1(masquerades=(ours, other))
    assert host.masquerades_of(DOCKER0) == (ours,)
    assert host.other_masquerades == (other,)


@pytest.mark.parametrize(
    ("rule", "known", "says"),
    [
        (Masquerade(source="172.17.0.0/16", out="!docker0"), True, "masquerade out of !docker0"),
        (
            Masquerade(source="172.17.0.0/16", out="!docker0"),
            False,
            "masquerade 172.17.0.0/16 out of !docker0",
        ),
        (Masquerade(), True, "masquerade any source whatever the way out"),
        (Masquerade(to="10.0.0.9", out="eth0"), False, "snat to 10.0.0.9 any source out of eth0"),
        (
            Masquerade(source="10.0.0.0/8", out="eth0", chain="ip my NAT", hooks=()),
            True,
            "masquerade out of eth0 (nothing leads to chain NAT)",
        ),
    ],
)
def test_a_source_rewrite_in_words(rule: Masquerade, known: bool, says: str) -> None:
    assert rule.says(known=known) == says


def test_a_published_port_is_written_as_docker_ps_writes_it() -> None:
    six = PublishedPort(host_ip="::", host_port="80", to="fd00::2", to_port=8080)
    assert six.says() == "[::]:80->[fd00::2]:8080/tcp"
    kept = PublishedPort(host_port="53", proto="udp", to="172.17.0.3")
    assert kept.says() == "0.0.0.0:53->172.17.0.3:53/udp"


def test_routes_that_come_with_an_address_are_not_worth_showing() -> None:
    connected = RouteEntry("192.168.33.0/24", "eth0", scope="link")
    by_gateway = RouteEntry("172.18.0.0/16", "eth0", "192.168.33.12")
    same_elsewhere = RouteEntry("192.168.33.0/24", "eth0", table=1000)
    by_device = RouteEntry("10.1.1.2/32", "A", scope="link")
    nowhere = RouteEntry("10.9.0.0/16", None, kind="unreachable")
    host = ubuntu1(routes=(connected, by_gateway, same_elsewhere, by_device, nowhere))
    assert host.notable_routes == (by_gateway, same_elsewhere, by_device, nowhere)


def test_the_default_route_of_a_container_is_that_of_the_main_table() -> None:
    elsewhere = RouteEntry("default", "eth0", "10.0.0.1", table=1000)
    assert WEB.default_route == "172.17.0.1"
    assert ContainerPicture(name="x", routes=(elsewhere,)).default_route is None
    by_device = RouteEntry("default", "A", scope="link")
    assert ContainerPicture(name="x", routes=(by_device,)).default_route == "dev A"


def test_a_wire_joins_two_containers_and_counts_once() -> None:
    a, b = End("ubuntu1/a", "A"), End("ubuntu1/b", "B")
    one = ContainerPicture(name="a", interfaces=(Interface(name="A", other_end=b),))
    other = ContainerPicture(name="b", interfaces=(Interface(name="B", other_end=a),))
    host = HostPicture(name="ubuntu1", containers=(one, other, WEB))
    assert list(Picture(hosts=(host,)).wires()) == [(a, b)]


def test_the_lans_subnet_is_that_of_the_hosts_on_it() -> None:
    outside = HostPicture(name="outside", interfaces=(ETH0,))
    assert Picture(hosts=(outside, ubuntu1())).subnets == ("192.168.33.0/24",)
    assert Picture().subnets == ()


@pytest.mark.parametrize(
    ("up", "carrier", "kind", "state"),
    [
        (True, True, "veth", ""),
        (False, False, "veth", "DOWN"),
        (True, False, "veth", "no carrier"),
        (True, False, "bridge", ""),
    ],
)
def test_an_interfaces_state(up: bool, carrier: bool, kind: str, state: str) -> None:
    assert Interface(name="x", up=up, carrier=carrier, kind=kind).state == state


def test_a_known_networks_prefix_length_is_left_out() -> None:
    eth0 = Interface(name="eth0", addresses=("172.17.0.2/16", "10.0.0.1/32"))
    assert eth0.address_text("172.17.0.0/16") == "172.17.0.2 10.0.0.1/32"
    assert Interface(name="eth0").address_text() == "no address"


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match=r"interface eth0: '172\.17\.0' is not an address"):
        Interface(name="eth0", addresses=("172.17.0",))


def test_a_picture_as_plain_values_survives_json_and_names_what_follows() -> None:
    picture = Picture(hosts=(ubuntu1(),))
    plain = json.loads(json.dumps(picture.to_dict()))
    assert plain["lan"] == {"name": "lan", "subnets": ["192.168.33.0/24"]}
    (host,) = plain["hosts"]
    assert host["bridges"] == [{"name": "docker0", "ports": ["veth1"], "containers": ["web"]}]
    assert host["published"][0]["to"] == "172.17.0.2"


def test_nat_facts_are_read_from_any_table() -> None:
    ruleset = nft_text.parse(NFT)
    assert picture_nat.forward_policy(ruleset) == "drop"
    assert picture_nat.masquerades(ruleset) == (
        Masquerade(source="172.17.0.0/16", out="!docker0", chain="ip natlab POSTROUTING"),
        Masquerade(out="eth0", to="192.168.33.11", chain="ip natlab POSTROUTING"),
    )
    assert [port.says() for port in picture_nat.published(ruleset)] == [
        "0.0.0.0:49153->172.17.0.2:8080/tcp",
        "127.0.0.1:53->172.17.0.3:53/udp",
        "0.0.0.0:80->172.17.0.4:80/tcp (nothing leads to chain ORPHAN)",
        "0.0.0.0:443->172.17.0.4:80/tcp (nothing leads to chain ORPHAN)",
        "0.0.0.0:any->10.0.0.1-10.0.0.5:any/tcp (nothing leads to chain ORPHAN)",
    ]


def test_a_published_port_knows_the_hooks_that_lead_to_it() -> None:
    first, *_ = picture_nat.published(nft_text.parse(NFT))
    assert first.hooks == ("prerouting",)


def test_without_a_forward_chain_the_policy_is_to_accept() -> None:
    assert picture_nat.forward_policy(nft_text.parse("")) == "accept"
