"""Rules as values: they read as Docker's do, and compare equal to what the kernel lists."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model import firewall as rules
from natlab.model import rule_spec

WEB = IPv4Address("172.17.0.2")
ANY = IPv4Address("0.0.0.0")


def matches(spec):
    """What a rule asks for: each left side with its operator and right side."""
    told = []
    for expr in spec.exprs:
        if match := expr.get("match"):
            left = match["left"]
            name = left.get("meta", left.get("payload", left.get("fib", left.get("ct"))))
            told.append(
                (name.get("key") or name.get("field") or "fib", match["op"], match["right"])
            )
    return told


def test_the_skeleton_has_dockers_chains_and_nothing_else():
    chains = {
        c["add"]["chain"]["name"]: c["add"]["chain"]
        for c in rules.skeleton()
        if "chain" in c["add"]
    }
    assert set(chains) == {
        *("PREROUTING", "OUTPUT", "POSTROUTING", "FORWARD"),
        *("DOCKER", "DOCKER-ISOLATION", "DOCKER-FORWARD"),
    }
    assert {name: chain["prio"] for name, chain in chains.items() if "prio" in chain} == {
        "PREROUTING": -100,
        "OUTPUT": -100,
        "POSTROUTING": 100,
        "FORWARD": 0,
    }
    assert all(chain.get("policy", "accept") == "accept" for chain in chains.values())


@pytest.mark.parametrize(("proxy", "spared"), [(True, True), (False, False)])
def test_output_spares_loopback_only_while_a_proxy_serves_it(proxy, spared):
    output = [
        command["add"]["rule"]["expr"]
        for command in rules.skeleton(userland_proxy=proxy)
        if command["add"].get("rule", {}).get("chain") == "OUTPUT"
    ]
    assert ("127.0.0.0" in json.dumps(output)) is spared


def test_every_base_chain_counts_what_reaches_its_policy():
    commented = [
        command["add"]["rule"]["chain"]
        for command in rules.skeleton()
        if command["add"].get("rule", {}).get("comment") == rules.POLICY_COMMENT
    ]
    assert commented == ["PREROUTING", "OUTPUT", "POSTROUTING", "FORWARD"]


def test_masquerade_asks_for_the_network_and_for_another_way_out():
    spec = rules.masquerade(IPv4Network("172.17.0.0/16"), "docker0")
    assert matches(spec) == [
        ("saddr", "==", {"prefix": {"addr": "172.17.0.0", "len": 16}}),
        ("oifname", "!=", "docker0"),
    ]
    assert spec.exprs[-1] == {"masquerade": None}
    assert "insert" in spec.add_command, "the newest network comes first"


def test_dnat_leaves_the_bridge_to_the_proxy_where_there_is_one():
    with_proxy = rules.dnat("docker0", ANY, 49153, WEB, 8080, "tcp")
    without = rules.dnat("docker0", ANY, 49153, WEB, 8080, "tcp", userland_proxy=False)
    assert matches(with_proxy) == [("iifname", "!=", "docker0"), ("dport", "==", 49153)]
    assert matches(without) == [("dport", "==", 49153)]
    assert with_proxy.exprs[-1] == {"dnat": {"addr": "172.17.0.2", "port": 8080}}


def test_dnat_asks_for_the_address_that_was_given():
    spec = rules.dnat("docker0", IPv4Address("127.0.0.1"), 80, WEB, 80, "tcp")
    assert ("daddr", "==", "127.0.0.1") in matches(spec)


def test_icc_off_turns_one_accept_into_a_drop():
    on, off = rules.forward_network("docker0"), rules.forward_network("docker0", icc=False)
    assert on[:2] == off[:2]
    assert (on[2].exprs[-1], off[2].exprs[-1]) == ({"accept": None}, {"drop": None})


def test_a_link_opens_one_way_and_its_answers():
    there, back = rules.link("docker0", WEB, IPv4Address("172.17.0.3"), 5432, "tcp")
    assert ("dport", "==", 5432) in matches(there)
    assert ("sport", "==", 5432) in matches(back)
    assert there.at == back.at == "top"


def test_isolation_goes_both_ways():
    ways = [matches(spec) for spec in rules.isolate("a", "b")]
    assert ways == [
        [("iifname", "==", "a"), ("oifname", "==", "b")],
        [("iifname", "==", "b"), ("oifname", "==", "a")],
    ]


def test_the_guard_drops_loopback_addresses_that_do_not_come_from_lo():
    chain, spec = rules.loopback_guard()
    assert chain["add"]["chain"]["prio"] == -300
    assert matches(spec) == [
        ("iifname", "!=", "lo"),
        ("daddr", "==", {"prefix": {"addr": "127.0.0.0", "len": 8}}),
    ]
    assert spec.exprs[-1] == {"drop": None}


def test_a_rule_without_expressions_is_refused():
    with pytest.raises(ValueError, match="a rule of chain DOCKER without expressions"):
        rule_spec.rule("DOCKER")


ports = st.integers(1, 65535)
addresses = st.ip_addresses(v=4)


dnats = st.builds(
    rules.dnat,
    st.just("docker0"),
    addresses,
    ports,
    addresses,
    ports,
    st.sampled_from(["tcp", "udp"]),
)


@given(dnats)
def test_a_rule_is_written_as_it_is_compared(spec):
    assert rule_spec.key(spec.chain, spec.exprs) == spec.key


@given(dnats, st.integers(0, 2**40))
def test_a_rule_keeps_its_key_when_the_kernel_has_counted(spec, packets):
    listed = json.loads(json.dumps(spec.exprs))
    for expr in listed:
        if "counter" in expr:
            expr["counter"] = {"packets": packets, "bytes": packets * 52}
    assert rule_spec.key(spec.chain, listed) == spec.key


@given(ports, ports)
def test_rules_that_differ_have_different_keys(one, other):
    keys = {rules.dnat("docker0", ANY, port, WEB, 80, "tcp").key for port in (one, other)}
    assert len(keys) == len({one, other})


def test_a_set_has_one_key_in_any_order():
    states = [["established", "related"], ["related", "established"]]
    assert rule_spec.canonical(states[0]) == rule_spec.canonical(states[1])
