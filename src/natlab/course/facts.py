"""What checks say often: each function returns what it found, or raises `Fail` with a hint."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from typing import TYPE_CHECKING, Final

from natlab.course.checks import Fail

if TYPE_CHECKING:
    from natlab.engine.container import Container
    from natlab.engine.host import Host
    from natlab.engine.lab import Lab
    from natlab.engine.node import Node
    from natlab.engine.probe import Probe
    from natlab.model.state import Link


TALLY: Final = "natlab-tally"
"""The table of the one rule that a check itself sets up, only to count, while it looks."""


def expect(condition: object, *, expected: str, actual: str, hint: str) -> None:
    """Raise `Fail` unless the condition holds."""
    if not condition:
        raise Fail(expected=expected, actual=actual, hint=hint)


def container(lab: Lab, name: str, host: str = "ubuntu1", *, hint: str | None = None) -> Container:
    """The container of that name on a host; `hint` says how to make it otherwise than by hand."""
    found = lab.host(host).find_container(name)
    if found is None:
        names = [one.name for one in lab.host(host).containers()]
        raise Fail(
            expected=f"a container {name} on {host}",
            actual=f"{host} has {', '.join(names) if names else 'no container'}",
            hint=hint or f"on {host}: ip netns add {name}",
        )
    return found


def _link(node: Node, interface: str) -> Link:
    found = node.find_link(interface)
    if found is None:
        names = ", ".join(link.name for link in node.links())
        raise Fail(
            expected=f"an interface {interface} on {node.name}",
            actual=f"{node.name} has {names}",
            hint=f"{node.name} has no {interface} yet: make it, or move it there and rename it",
        )
    return found


def is_up(node: Node, interface: str) -> Link:
    """The interface is there and up."""
    link = _link(node, interface)
    expect(
        link.up,
        expected=f"{interface} on {node.name} is up",
        actual=f"{interface} is down",
        hint=f"{interface} on {node.name} is down: ip link set {interface} up (there)",
    )
    return link


def has_address(node: Node, interface: str, address: str) -> Link:
    """The interface has that address with that prefix length."""
    link = _link(node, interface)
    has = [str(one) for one in link.ipv4]
    expect(
        address in has,
        expected=f"{address} on {interface} of {node.name}",
        actual=", ".join(has) or "no IPv4 address",
        hint=f"{interface} of {node.name} needs {address}: ip addr add {address} dev {interface}"
        + (f" (and delete {', '.join(has)})" if has else ""),
    )
    return link


def plugged_in(guest: Container, bridge: str) -> str:
    """The other end of a container's eth0 is an up port of a bridge; returns its name."""
    _link(guest, "eth0")
    host_end = guest.host_end
    if host_end is None:
        raise Fail(
            expected=f"the other end of {guest.name}'s eth0 on {guest.host.name}",
            actual="eth0 is no veth whose other end is there",
            hint="make a veth pair on the host and move one end into the container",
        )
    port = is_up(guest.host, host_end)
    expect(
        port.master == bridge,
        expected=f"{host_end} is a port of {bridge}",
        actual=f"a port of {port.master}" if port.master else "a port of no bridge",
        hint=f"on {guest.host.name}: ip link set {host_end} master {bridge}",
    )
    return host_end


def default_route(node: Node, gateway: str) -> None:
    """The node's default route leads to that gateway."""
    found = [route for route in node.routes() if route.dst == "default"]
    has = ", ".join(f"default via {route.gateway}" for route in found)
    expect(
        any(route.gateway == gateway for route in found),
        expected=f"default via {gateway} on {node.name}",
        actual=has or "no default route",
        hint=f"{node.name} must send everything else to {gateway}:"
        f" ip route {'replace' if found else 'add'} default via {gateway} (there)",
    )


def no_route(node: Node, target: str) -> None:
    """The node has no way to send to an address."""
    if node.route_to(target) is None:
        return
    ways = [
        route
        for route in node.routes()
        if route.dst == "default" or IPv4Address(target) in IPv4Network(route.dst)
    ]
    raise Fail(
        expected=f"{node.name} has no route to {target}",
        actual=", ".join(map(str, ways)) or f"{node.name} has one: `ip route get {target}`",
        hint=f"on {node.name}: "
        + (f"ip route delete {ways[0].dst}" if ways else f"look at `ip route get {target}`"),
    )


def no_rules(node: Node) -> None:
    """No table of the node holds a rule, or a chain that drops by policy."""
    ruleset = node.ruleset()
    found = [
        f"{chain.name} of {table.title} has: {rule.text}" for table, chain, rule in ruleset.rules()
    ]
    found += [
        f"{chain.name} of {table.title} drops by policy"
        for table, chain in ruleset.chains()
        if chain.policy == "drop"
    ]
    expect(
        not found,
        expected=f"no rule on {node.name}",
        actual="; ".join(found),
        hint=f"on {node.name}: nft list ruleset, and then nft flush ruleset",
    )


@contextlib.contextmanager
def forward_tally(host: Host, match: str) -> Iterator[Callable[[], int]]:
    """Count what the FORWARD hook of a host sees, while the block runs.

    Args:
        host: The machine.
        match: Which packets, in nft's words, such as `ip saddr 172.17.0.3`.

    Yields:
        A function that tells how many such packets the hook has seen so far.
    """
    host.nft(
        f"add table ip {TALLY}\n"
        f"delete table ip {TALLY}\n"
        f"table ip {TALLY} {{ chain FORWARD {{\n"
        f"type filter hook forward priority -500;\n{match} counter\n}}\n}}"
    )
    try:
        yield lambda: _counted(host)
    finally:
        host.nft(f"delete table ip {TALLY}")


def _counted(host: Host) -> int:
    table = host.ruleset().table("ip", TALLY)
    rules = [rule for chain in table.chains for rule in chain.rules] if table else []
    return sum(rule.counter.packets for rule in rules if rule.counter)


def forwarding(host: Host, *, on: bool = True) -> None:
    """The host passes packets between its interfaces, or does not."""
    expect(
        host.forwarding == on,
        expected=f"net.ipv4.ip_forward = {int(on)} on {host.name}",
        actual=f"net.ipv4.ip_forward = {int(host.forwarding)}",
        hint=f"on {host.name}: sysctl -w net.ipv4.ip_forward={int(on)}",
    )


def answers(probe: Probe, *, source: str | None = None, hint: str) -> str:
    """The probe was answered and, if given, arrived with that source; returns it as a sentence."""
    expect(
        probe.outcome == "answered",
        expected=f"{probe.proto} {probe.client} → {probe.target} is answered",
        actual=str(probe),
        hint=hint,
    )
    if source is not None:
        expect(
            probe.source_seen == source,
            expected=f"{probe.proto} {probe.client} → {probe.target} arrives from {source}",
            actual=str(probe),
            hint=hint,
        )
    return str(probe)


def silent(probe: Probe, *, hint: str) -> str:
    """The probe was not answered in any way that carries data; returns it as a sentence."""
    expect(
        probe.outcome != "answered",
        expected=f"{probe.proto} {probe.client} → {probe.target} is not answered",
        actual=str(probe),
        hint=hint,
    )
    return str(probe)


def dropped(probe: Probe, *, hint: str) -> str:
    """The probe was not answered, and did not even arrive; returns it as a sentence."""
    expect(
        probe.outcome != "answered" and probe.arrived is None,
        expected=f"{probe.proto} {probe.client} → {probe.target} is dropped on the way",
        actual=str(probe),
        hint=hint,
    )
    return f"{probe.proto} {probe.client} → {probe.target}: dropped on the way"
