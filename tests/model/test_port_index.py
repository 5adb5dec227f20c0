"""Indexes for many published ports: which rules go there, and how they read."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from natlab.model import firewall as rules
from natlab.model.iptables_view import listing
from natlab.model.nft_text import parse
from natlab.model.port_index import FEW, PORTS, groundwork
from natlab.model.publish import Published
from natlab.model.published_rules import Target, wanted

WEB = IPv4Address("172.17.0.2")
ANY = IPv4Address("0.0.0.0")


def ports(number, first=1000):
    return [Published(ANY, first + n, 80 + n, "tcp") for n in range(number)]


def decided(number, *, held=0, standing=(), proxy=True):
    target = Target("docker0", WEB, proxy)
    return wanted(target, ports(number), held=held, standing=set(standing))[0]


def test_few_ports_stand_in_dockers_own_chains():
    specs = decided(FEW)
    assert len(specs) == 2 * FEW
    assert {spec.chain for spec in specs} == {"DOCKER", "DOCKER-FORWARD"}


def test_from_the_first_that_is_too_many_on_each_has_a_chain_of_its_own():
    specs = decided(2, held=FEW - 1, proxy=False)
    dnat = [spec for spec in specs if '"dnat"' in spec.text]
    assert [spec.chain for spec in dnat] == ["DOCKER", "ports-tcp-1001"]
    assert [spec.chain for spec in specs if spec.is_indexed] == [
        *("destinations-172.17.0.2-tcp-80", "destinations-172.17.0.2-tcp-81"),
        *("hairpins-172.17.0.2-tcp-80", "hairpins-172.17.0.2-tcp-81"),
        "ports-tcp-1001",
    ]
    looked_up = [spec.chain for spec in specs if "vmap" in spec.text]
    assert looked_up == ["DOCKER-FORWARD", "POSTROUTING", "DOCKER"]


@pytest.mark.parametrize("held", [0, FEW])
def test_what_stands_in_either_form_is_not_added_again(held):
    few, many = decided(1), decided(1, held=FEW)
    for before in (few, many):
        again = decided(1, held=held, standing=[spec.key for spec in before])
        assert [spec for spec in again if "accept" in spec.text] == []
        assert len([spec for spec in again if '"dnat"' in spec.text]) == 1


def test_the_groundwork_is_laid_once_for_each_map_and_entry():
    specs = decided(3, held=FEW)
    kinds = [next(iter(command["add"])) for command in groundwork([*specs, *specs])]
    assert kinds.count("map") == 2
    assert kinds.count("chain") == kinds.count("element") == 6
    assert list(groundwork(decided(3))) == []


def test_a_rule_that_has_no_entry_stays_where_it_is():
    spec = rules.masquerade_local("docker0")
    assert spec.indexed is spec
    assert not spec.is_indexed


LISTED = """table ip natlab {
	map ports {
		type inet_proto . inet_service : verdict
		elements = { tcp . 81 : jump ports-tcp-81, udp . 53 : jump ports-udp-53 }
	}
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local counter packets 1 bytes 60 jump DOCKER
	}
	chain DOCKER {
		meta l4proto . th dport vmap @ports
		tcp dport 80 counter packets 4 bytes 240 dnat to 172.17.0.2:80
	}
	chain ports-udp-53 {
		udp dport 53 counter packets 5 bytes 300 dnat to 172.17.0.3:53
	}
	chain ports-tcp-81 {
		tcp dport 81 counter packets 6 bytes 360 dnat to 172.17.0.2:81
	}
}
"""


def test_the_view_shows_the_rules_of_an_index_where_it_is_looked_up():
    shown = listing(parse(LISTED), "nat")
    rows = [line.split()[0] for line in shown.partition("Chain DOCKER")[2].splitlines()[2:]]
    assert rows == ["5", "6", "4"]
    assert "Chain DOCKER (1 references)" in shown
    assert "ports-" not in shown


def test_a_map_of_somebody_elses_is_shown_as_it_is():
    shown = listing(parse(LISTED.replace("ip natlab", "ip mine")), "nat")
    assert "Chain ports-tcp-81 (1 references)" in shown
    assert f"vmap @{PORTS.name}" in shown
