"""NAT and filter rules as values: what natlab puts into a host's one table, before it is applied.

The table is `ip natlab`; its chains have Docker's names.

    PREROUTING   nat         to an address of this host → DOCKER
    OUTPUT       nat         the same for what the host itself sends, 127.0.0.0/8 left out
    POSTROUTING  nat         masquerade, newest network first
    DOCKER       from both   one DNAT rule for each published port
    FORWARD      filter      → DOCKER-ISOLATION, → DOCKER-FORWARD
    raw-PREROUTING  raw      127.0.0.0/8 from outside is dropped; there once it is needed
    DOCKER-ISOLATION         drops between networks
    DOCKER-FORWARD           links and published ports on top, then each network's own rules

The rules are those of Docker 1.3 to 20.10 with the iptables back end, in nftables' words.
A base chain ends with a rule that only counts: iptables counts packets that reach a chain's
policy, nftables does not.
"""

from __future__ import annotations

import functools
import json
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, Literal

from natlab.model.addresses import Address, Network
from natlab.model.port_index import DESTINATIONS, HAIRPINS, PORTS
from natlab.model.rule_spec import (
    TABLE,
    Expr,
    Family,
    RuleSpec,
    family_of,
    field,
    jump,
    match,
    meta,
    prefix,
    route_type,
    rule,
)

POLICY_COMMENT: Final = "policy"
LOOPBACK: Final[dict[Family, Network]] = {
    "ip": IPv4Network("127.0.0.0/8"),
    "ip6": IPv6Network("::1/128"),
}

_COUNTER: Final = '{"counter":null}'
_ACCEPT: Final = '{"accept":null}'
_DROP: Final = '{"drop":null}'
_MASQUERADE: Final = '{"masquerade":null}'
_RETURN: Final = '{"return":null}'
_TO_THIS_HOST: Final = match(route_type("daddr"), "local")
_ESTABLISHED: Final = match('{"ct":{"key":"state"}}', ["established", "related"], op="in")


def skeleton(family: Family = "ip", *, userland_proxy: bool = True) -> list[Expr]:
    """The commands that make the empty table: chains, jumps, and the counters of the policies.

    Equivalent to: `nft add table ip natlab`, `nft add chain ip natlab PREROUTING '{ type nat hook
    prerouting priority -100; }'` and so on.
    """
    commands: list[Expr] = [{"add": {"table": {"family": family, "name": TABLE}}}]
    commands += [_chain(family, name) for name in ("DOCKER", "DOCKER-ISOLATION", "DOCKER-FORWARD")]
    for name, kind, hook, priority in (
        ("PREROUTING", "nat", "prerouting", -100),
        ("OUTPUT", "nat", "output", -100),
        ("POSTROUTING", "nat", "postrouting", 100),
        ("FORWARD", "filter", "forward", 0),
    ):
        commands.append(_chain(family, name, type=kind, hook=hook, prio=priority, policy="accept"))
    output = () if not userland_proxy else (_not_loopback(family),)
    commands += [
        _rule(family, "PREROUTING", _TO_THIS_HOST, _COUNTER, jump("DOCKER")),
        _rule(family, "OUTPUT", *output, _TO_THIS_HOST, _COUNTER, jump("DOCKER")),
        _rule(family, "FORWARD", _COUNTER, jump("DOCKER-ISOLATION")),
        _rule(family, "FORWARD", _COUNTER, jump("DOCKER-FORWARD")),
    ]
    commands += [
        _policy_counter(family, c) for c in ("PREROUTING", "OUTPUT", "POSTROUTING", "FORWARD")
    ]
    return commands


def _not_loopback(family: Family) -> str:
    loopback = prefix(LOOPBACK[family])
    return match(field(family, "daddr"), loopback, op="!=")


def _chain(family: Family, name: str, **base: Any) -> Expr:
    return {"add": {"chain": {"family": family, "table": TABLE, "name": name, **base}}}


def _policy_counter(family: Family, chain: str) -> Expr:
    return _rule(family, chain, _COUNTER, comment=POLICY_COMMENT)


def _rule(family: Family, chain: str, *exprs: str, **options: str) -> Expr:
    place = {"family": family, "table": TABLE, "chain": chain}
    return {"add": {"rule": {**place, "expr": [json.loads(expr) for expr in exprs], **options}}}


def masquerade(subnet: Network, bridge: str) -> RuleSpec:
    """Packets of a network that leave by another interface take that interface's address.

    Equivalent to: `iptables -t nat -A POSTROUTING -s SUBNET ! -o BRIDGE -j MASQUERADE`.
    Source: moby, `programChainRule` of the bridge driver; `! -o BRIDGE` since 1.2.0.
    """
    return rule(
        "POSTROUTING",
        match(field(family_of(subnet), "saddr"), prefix(subnet)),
        match(meta("oifname"), bridge, op="!="),
        _COUNTER,
        _MASQUERADE,
        at="top",
        family=family_of(subnet),
    )


def dnat(  # noqa: PLR0917 - in the order of the command line: where, from, to
    bridge: str,
    host_ip: Address,
    host_port: int,
    to: Address,
    to_port: int,
    proto: str,
    *,
    userland_proxy: bool = True,
) -> RuleSpec:
    """What comes for a port of this host goes to a container's port.

    With the userland proxy on, what comes from the bridge itself is left to the proxy.
    Equivalent to: `iptables -t nat -A DOCKER ! -i BRIDGE -p tcp --dport HOST_PORT -j DNAT
    --to-destination TO:TO_PORT`.
    """
    exprs: list[str] = []
    family = family_of(to)
    if userland_proxy:
        exprs.append(match(meta("iifname"), bridge, op="!="))
    if int(host_ip):
        exprs.append(match(field(family, "daddr"), str(host_ip)))
    exprs += [
        match(field(proto, "dport"), host_port),
        _COUNTER,
        f'{{"dnat":{{"addr":"{to}","port":{to_port}}}}}',
    ]
    return rule("DOCKER", *exprs, entry=PORTS.entry(proto, host_port), family=family)


def left_to_proxy(bridge: str, family: Family = "ip") -> RuleSpec:
    """What a network's containers send to published ports of others goes to the userland proxy.

    Rewritten, it would go straight to the other network, from which it is kept away. Each of
    several networks has one; a lone network has nobody to reach, and its own ports say it already.

    Equivalent to: `iptables -t nat -I DOCKER -i BRIDGE -j RETURN`. Source: moby 20.10,
    `bridge/setup_ip_tables.go`, `skipDNAT`.
    """
    own = match(meta("iifname"), bridge)
    return rule("DOCKER", own, _COUNTER, _RETURN, at="top", family=family)


def policy(verdict: Literal["accept", "drop"], family: Family = "ip") -> Expr:
    """The command that says what becomes of forwarded packets that no rule has decided on.

    Equivalent to: `iptables -P FORWARD DROP`.
    """
    return _chain(family, "FORWARD", type="filter", hook="forward", prio=0, policy=verdict)


def accept_published(bridge: str, to: Address, to_port: int, proto: str) -> RuleSpec:
    """A published port may be reached through FORWARD, whatever the policy is.

    Equivalent to: `iptables -I DOCKER ! -i BRIDGE -o BRIDGE -p tcp -d TO --dport PORT -j ACCEPT`.
    """
    return rule(
        "DOCKER-FORWARD",
        match(meta("iifname"), bridge, op="!="),
        match(meta("oifname"), bridge),
        match(field(family_of(to), "daddr"), str(to)),
        match(field(proto, "dport"), to_port),
        _COUNTER,
        _ACCEPT,
        at="top",
        family=family_of(to),
        entry=DESTINATIONS.entry(to, proto, to_port),
    )


def hairpin(address: Address, port: int, proto: str) -> RuleSpec:
    """A container that reaches itself through its host's address must not see its own address.

    Equivalent to: `iptables -t nat -A POSTROUTING -s IP -d IP -p tcp --dport PORT -j MASQUERADE`.
    """
    return rule(
        "POSTROUTING",
        match(field(family_of(address), "saddr"), str(address)),
        match(field(family_of(address), "daddr"), str(address)),
        match(field(proto, "dport"), port),
        _COUNTER,
        _MASQUERADE,
        at="top",
        entry=HAIRPINS.entry(address, proto, port),
        family=family_of(address),
    )


@functools.lru_cache(maxsize=64)
def masquerade_local(bridge: str, family: Family = "ip") -> RuleSpec:
    """What the host sends from an address of its own to a published 127.0.0.1 port, proxy off.

    Equivalent to: `iptables -t nat -A POSTROUTING -o BRIDGE -m addrtype --src-type LOCAL
    -j MASQUERADE`.
    """
    from_here = match(route_type("saddr"), "local")
    return rule(
        "POSTROUTING",
        match(meta("oifname"), bridge),
        from_here,
        _COUNTER,
        _MASQUERADE,
        at="top",
        family=family,
    )


@functools.cache
def loopback_guard() -> tuple[Expr, RuleSpec]:
    """Nobody but this host reaches a port that is published at its 127.0.0.1.

    A neighbour can send a packet to 127.0.0.1 through this host's MAC address; PREROUTING would
    rewrite it before the routing process could call it a martian. And with `route_localnet` on a
    bridge, a container could do the same to every local service.

    Returns:
        The command that makes the chain, and its rule.

    Equivalent to: `iptables -t raw -A PREROUTING -d 127.0.0.0/8 ! -i lo -j DROP`.
    Source: moby 41872, 45610; moby has one such rule for each port at a loopback address.
    """
    chain = _chain(
        "ip", "raw-PREROUTING", type="filter", hook="prerouting", prio=-300, policy="accept"
    )
    loopback = match(field("ip", "daddr"), prefix(LOOPBACK["ip"]))
    from_outside = match(meta("iifname"), "lo", op="!=")
    return chain, rule("raw-PREROUTING", from_outside, loopback, _COUNTER, _DROP)


def forward_network(
    bridge: str, family: Family = "ip", *, icc: bool = True
) -> tuple[RuleSpec, ...]:
    """A network's own rules: answers come in, containers talk (or not), everything may leave.

    Equivalent to: `iptables -A FORWARD -o BR -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT;
    iptables -A FORWARD -i BR ! -o BR -j ACCEPT; iptables -A FORWARD -i BR -o BR -j ACCEPT` (DROP
    with `--icc=false`).
    """
    into, out = match(meta("oifname"), bridge), match(meta("iifname"), bridge)
    away = match(meta("oifname"), bridge, op="!=")
    return (
        rule("DOCKER-FORWARD", into, _ESTABLISHED, _COUNTER, _ACCEPT, family=family),
        rule("DOCKER-FORWARD", out, away, _COUNTER, _ACCEPT, family=family),
        rule("DOCKER-FORWARD", out, into, _COUNTER, _ACCEPT if icc else _DROP, family=family),
    )


def closed(bridge: str, subnet: Network) -> tuple[RuleSpec, ...]:
    """An internal network: nothing comes in from outside, and nothing goes out.

    They stand above the drops between networks.

    Equivalent to: `iptables -I DOCKER-ISOLATION ! -s SUBNET -o BR -j DROP` and `! -d SUBNET -i BR`.
    Source: moby, `bridge/setup_ip_tables_linux.go`, `setupInternalNetworkRules`.
    """
    inside, family = prefix(subnet), family_of(subnet)
    coming, going = match(meta("oifname"), bridge), match(meta("iifname"), bridge)
    strangers = match(field(family, "saddr"), inside, op="!=")
    elsewhere = match(field(family, "daddr"), inside, op="!=")
    return (
        rule("DOCKER-ISOLATION", coming, strangers, _COUNTER, _DROP, at="top", family=family),
        rule("DOCKER-ISOLATION", going, elsewhere, _COUNTER, _DROP, at="top", family=family),
    )


def link(
    bridge: str, parent: Address, child: Address, port: int, proto: str
) -> tuple[RuleSpec, ...]:
    """`--link` where icc is off: this container may use that one's port, and be answered.

    Equivalent to: `iptables -I FORWARD -i BR -o BR -p tcp -s PARENT -d CHILD --dport PORT
    -j ACCEPT` and the same with `-s CHILD -d PARENT --sport PORT`. Source: moby, `bridge/link.go`.
    """
    family = family_of(parent)

    def way(src: Address, dst: Address, side: str) -> RuleSpec:
        return rule(
            "DOCKER-FORWARD",
            match(meta("iifname"), bridge),
            match(meta("oifname"), bridge),
            match(field(family, "saddr"), str(src)),
            match(field(family, "daddr"), str(dst)),
            match(field(proto, side), port),
            _COUNTER,
            _ACCEPT,
            at="top",
            family=family,
        )

    return way(parent, child, "dport"), way(child, parent, "sport")


def isolate(one: str, other: str, family: Family = "ip") -> tuple[RuleSpec, ...]:
    """Two networks of one host do not reach each other.

    Equivalent to: `iptables -I DOCKER-ISOLATION -i ONE -o OTHER -j DROP`, and the other way.
    """
    return tuple(
        rule(
            "DOCKER-ISOLATION",
            match(meta("iifname"), a),
            match(meta("oifname"), b),
            _COUNTER,
            _DROP,
            family=family,
        )
        for a, b in ((one, other), (other, one))
    )
