"""Rules as faults: packets that are stopped, rules that are missing for a while."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any, Final, Literal

from natlab.engine.node import Node
from natlab.errors import UsageError
from natlab.model.names import one_line
from natlab.model.ruleset import Rule, Table
from natlab.testing.places import node_of

Hook = Literal["input", "forward", "output"]

_HOOKS: Final = ("input", "forward", "output")
_numbers = itertools.count(1)


class Blocked:
    """Packets that a fault stops.

    Attributes:
        table: The nftables table that does it, there for as long as the block lasts.
    """

    def __init__(self, node: Node, table: str) -> None:
        self._node = node
        self.table = table

    @property
    def packets(self) -> int:
        """How many it has stopped so far."""
        table = self._node.ruleset().table("ip", self.table)
        counters = [
            rule.counter for chain in (table.chains if table else ()) for rule in chain.rules
        ]
        return sum(counter.packets for counter in counters if counter)


def drop(
    node: Any,
    *,
    src: str | None = None,
    dst: str | None = None,
    proto: str | None = None,
    port: int | None = None,
    hook: Hook = "forward",
) -> contextlib.AbstractContextManager[Blocked]:
    """Drop packets without a word. Equivalent to: `iptables -I FORWARD -s … -d … -j DROP`.

    Args:
        node: Where.
        src: Their source, an address or a network; any if None.
        dst: Their destination, as it is after published ports were rewritten.
        proto: "tcp", "udp" or "icmp"; "tcp" if there is a port, else any.
        port: Their destination port.
        hook: "forward", what passes through; "input", what is for the node itself; "output",
            what it sends.

    Raises:
        UsageError: one of them makes no sense.
    """
    return _blocked(node_of(node), "drop", src, dst, proto, port, hook)


def reject(
    node: Any,
    *,
    src: str | None = None,
    dst: str | None = None,
    proto: str | None = None,
    port: int | None = None,
    hook: Hook = "forward",
) -> contextlib.AbstractContextManager[Blocked]:
    """Refuse packets with an answer: a reset for TCP, else an ICMP error. Like `drop` otherwise.

    Equivalent to: `iptables -I FORWARD … -j REJECT --reject-with tcp-reset`.
    """
    how = "reject with tcp reset" if proto == "tcp" or (port and not proto) else "reject"
    return _blocked(node_of(node), how, src, dst, proto, port, hook)


@contextlib.contextmanager
def _blocked(  # noqa: PLR0917 - private: the two above pass their arguments on in order
    node: Node,
    how: str,
    src: str | None,
    dst: str | None,
    proto: str | None,
    port: int | None,
    hook: str,
) -> Iterator[Blocked]:
    if hook not in _HOOKS:
        raise UsageError(f"no hook {one_line(hook)!r} for a fault: there is {', '.join(_HOOKS)}")
    if proto not in (None, "tcp", "udp", "icmp") or (port and proto == "icmp"):
        raise UsageError(f"a fault stops tcp, udp or icmp, not {proto!r}, and icmp has no ports")
    words = [f"ip {field} {_network(of)}" for field, of in (("saddr", src), ("daddr", dst)) if of]
    if port:
        words.append(f"{proto or 'tcp'} dport {int(port)}")
    elif proto:
        words.append(f"ip protocol {proto}")
    table = f"natlab-fault-{next(_numbers)}"
    lines = [
        f"table ip {table} {{",
        "chain fault {",
        f"type filter hook {hook} priority -10; policy accept;",
        " ".join([*words, "counter", how]),
        "}",
        "}",
    ]
    node.nft("\n".join(lines))
    try:
        yield Blocked(node, table)
    finally:
        node.nft(f"delete table ip {table}")


def _network(text: str) -> IPv4Network:
    try:
        return IPv4Network(text, strict=False)
    except ValueError:
        raise UsageError(
            f"{one_line(str(text))!r} is no IPv4 address or network for a fault: give one like"
            " 172.17.0.2"
        ) from None


@contextlib.contextmanager
def without_rule(node: Any, text: str) -> Iterator[tuple[str, ...]]:
    """Take away every rule that has a text in it, as nft writes it: "masquerade", "dport 8080".

    At the end they stand where they stood. Equivalent to: `nft delete rule … handle N`.

    Raises:
        UsageError: no rule has that text.
    """
    here = node_of(node)
    found = [
        (table, chain.name, before, rule)
        for table, chain in here.ruleset().chains()
        for before, rule in zip((None, *chain.rules), chain.rules, strict=False)
        if text in rule.text
    ]
    if not found:
        raise UsageError(
            f"no rule of {here.name} has {text!r} in it: `host.ruleset()` has them all"
        )
    for table, chain_name, _, rule in found:
        here.nft(f"delete rule {table.title} {chain_name} handle {rule.handle}")
    try:
        yield tuple(rule.text for *_, rule in found)
    finally:
        _put_back(here, found)


def _put_back(node: Node, found: list[tuple[Table, str, Rule | None, Rule]]) -> None:
    renumbered: dict[tuple[str, int | None], int] = {}
    for table, chain, before, rule in found:
        after = before and renumbered.get((table.title, before.handle), before.handle)
        where = (
            f"add rule {table.title} {chain} handle {after}"
            if after
            else (f"insert rule {table.title} {chain}")
        )
        known = _handles(node, table, chain)
        node.nft(f"{where} {rule.text}")
        [new] = _handles(node, table, chain) - known
        renumbered[table.title, rule.handle] = new


def _handles(node: Node, table: Table, chain: str) -> set[int]:
    now = node.ruleset().table(table.family, table.name)
    there = now.chain(chain) if now else None
    return {rule.handle for rule in (there.rules if there else ()) if rule.handle is not None}
