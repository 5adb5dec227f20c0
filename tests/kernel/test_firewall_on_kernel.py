"""Rules in the kernel: whole batches or nothing, found again by what they say, counters kept."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network

import pytest

from natlab import NatlabError, tcp
from natlab.kernel import firewall
from natlab.model import firewall as rules
from natlab.model.port_index import lookups

WEB, DB = IPv4Address("172.17.0.2"), IPv4Address("172.17.0.3")
ANY = IPv4Address("0.0.0.0")

EVERY_RULE = {
    "masquerade": [rules.masquerade(IPv4Network("172.17.0.0/16"), "docker0")],
    "masquerade of a /20": [rules.masquerade(IPv4Network("192.168.16.0/20"), "br0")],
    "dnat": [rules.dnat("docker0", ANY, 49153, WEB, 8080, "tcp")],
    "dnat at an address": [rules.dnat("docker0", IPv4Address("10.0.0.1"), 53, WEB, 53, "udp")],
    "dnat without proxy": [rules.dnat("docker0", ANY, 80, WEB, 80, "tcp", userland_proxy=False)],
    "dnat of sctp": [rules.dnat("docker0", ANY, 9, WEB, 9, "sctp")],
    "accept": [rules.accept_published("docker0", WEB, 8080, "tcp")],
    "hairpin": [rules.hairpin(WEB, 8080, "udp")],
    "masquerade of the host": [rules.masquerade_local("docker0")],
    "forward": list(rules.forward_network("docker0")),
    "forward without icc": list(rules.forward_network("docker0", icc=False)),
    "link": list(rules.link("docker0", WEB, DB, 5432, "tcp")),
    "isolation": list(rules.isolate("docker0", "br0")),
}

EVERY_RULE_OF = {spec.text: spec for specs in EVERY_RULE.values() for spec in specs}


@pytest.fixture
def host(lab):
    lab.ubuntu1.firewall_ready()
    return lab.ubuntu1


def counted(host):
    return host.nft("list table ip natlab")


def table(host):
    """The rules without what they have counted."""
    return re.sub(r"packets \d+ bytes \d+", "", counted(host))


@pytest.mark.parametrize("specs", EVERY_RULE.values(), ids=EVERY_RULE.keys())
def test_every_rule_is_found_again_by_what_it_says(host, specs):
    before = table(host)
    host.place.call(firewall.add, specs)
    assert {spec.key for spec in specs} <= host.place.call(firewall.keys)
    assert host.place.call(firewall.remove, specs) == len(specs)
    assert table(host) == before
    assert host.place.call(firewall.remove, specs) == 0


INDEXED = {
    name: [spec.indexed for spec in EVERY_RULE[name]]
    for name in ("dnat", "dnat at an address", "dnat of sctp", "accept", "hairpin")
}


@pytest.mark.parametrize("specs", INDEXED.values(), ids=INDEXED.keys())
def test_a_rule_in_an_index_is_found_again_and_takes_its_entry_along(host, specs):
    looked_up = lookups(specs)
    host.place.call(firewall.add, [*looked_up, *specs])
    assert f": jump {specs[0].chain}" in table(host)
    assert {spec.key for spec in [*looked_up, *specs]} <= host.place.call(firewall.keys)
    assert host.place.call(firewall.remove, [EVERY_RULE_OF[specs[0].text]]) == 1
    assert specs[0].chain not in table(host)
    host.place.call(firewall.add, specs)
    assert specs[0].chain in table(host)


def test_an_entry_of_an_index_stays_as_long_as_one_rule_needs_it(host):
    one, other = (
        rules.dnat("docker0", IPv4Address(address), 80, WEB, 80, "tcp").indexed
        for address in ("10.0.0.1", "10.0.0.2")
    )
    host.place.call(firewall.add, [*lookups([one]), one])
    host.place.call(firewall.add, [other])
    host.place.call(firewall.remove, [one])
    assert "tcp . 80 : jump ports-tcp-80" in table(host)
    assert host.place.call(firewall.keys) >= {other.key}
    host.place.call(firewall.remove, [other])
    assert "ports-tcp-80" not in table(host)


def test_an_empty_index_is_no_reason_to_keep_the_table(host):
    spec = rules.dnat("docker0", ANY, 80, WEB, 80, "tcp").indexed
    host.place.call(firewall.add, [*lookups([spec]), spec])
    host.place.call(firewall.destroy_bare)
    assert host.place.call(firewall.exists)
    host.place.call(firewall.remove, [spec])
    host.place.call(firewall.destroy_bare)
    assert not host.place.call(firewall.exists)


def test_the_guard_makes_its_chain_and_is_found_again(host):
    chain, guard = rules.loopback_guard()
    host.place.call(firewall.add, [guard], chains=[chain])
    host.place.call(firewall.add, [], chains=[chain])
    assert "type filter hook prerouting priority raw; policy accept;" in table(host)
    assert guard.key in host.place.call(firewall.keys)
    assert host.place.call(firewall.remove, [guard]) == 1


def test_a_rule_that_stands_twice_is_removed_once(host):
    spec = rules.dnat("docker0", ANY, 80, WEB, 80, "tcp")
    host.place.call(firewall.add, [spec, spec])
    assert host.place.call(firewall.remove, [spec]) == 1
    assert host.place.call(firewall.remove, [spec, spec]) == 1


def test_a_bad_batch_changes_nothing(host):
    before = table(host)
    good = rules.dnat("docker0", ANY, 80, WEB, 80, "tcp")
    bad = good._replace(chain="NO-SUCH-CHAIN")
    with pytest.raises(NatlabError, match=r"^nft refused the rules, and none was applied: .*such"):
        host.place.call(firewall.add, [good, bad, good])
    assert table(host) == before
    with pytest.raises(NatlabError, match=r"^nft refused `add rule ip natlab NOWHERE accept`"):
        host.nft("add rule ip natlab NOWHERE accept")


def test_removing_a_rule_keeps_the_counters_of_the_others(lab):
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    first, _ = lab.ubuntu1.publish(web, "80:80", "81:81")
    assert tcp(lab.outside, "192.168.33.11", 81, server=web).outcome == "answered"
    lab.ubuntu1.unpublish(web, first)
    hits = [line for line in counted(lab.ubuntu1).splitlines() if "dnat to 172.17.0.2:81" in line]
    assert [line for line in hits if "counter packets 1 " in line] == hits
    assert len(hits) == 1


def test_the_table_is_made_once_and_taken_away_whole(host):
    host.nft("add rule ip natlab DOCKER counter")
    before = table(host)
    host.place.call(firewall.create)
    assert table(host) == before
    host.nft("add table ip other")
    host.place.call(firewall.destroy)
    host.place.call(firewall.destroy)
    assert host.nft("list tables").split() == ["table", "ip", "other"]


def test_nobody_elses_table_is_touched(lab):
    by_hand = (
        'table ip mine { chain c { type nat hook postrouting priority 90; counter comment "x" } }'
    )
    lab.ubuntu1.nft(by_hand.replace(";", ";\n").replace("{ ", "{\n").replace(" }", "\n}"))
    before = lab.ubuntu1.nft("list table ip mine")
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    lab.ubuntu1.publish(web, "80")
    web.remove()
    docker0.remove()
    kept, now = (
        text.split("counter")[0] for text in (before, lab.ubuntu1.nft("list table ip mine"))
    )
    assert now == kept


def test_the_generation_counts_transactions(host):
    before = host.place.call(firewall.generation)
    assert host.place.call(firewall.generation) == before
    spec = rules.dnat("docker0", ANY, 80, WEB, 80, "tcp")
    assert host.place.call(firewall.add, [spec, spec]) == before + 1
    host.run("nft add table ip x", check=True)
    assert host.place.call(firewall.generation) == before + 2
