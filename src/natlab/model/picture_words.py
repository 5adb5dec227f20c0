"""A picture's facts in words, the same in every drawing: short, and in the words of `ip`."""

from __future__ import annotations

from natlab.model.picture import ContainerPicture, HostPicture, Interface, Picture
from natlab.model.state import RouteEntry


def host_facts(host: HostPicture) -> list[str]:
    """Whether a host passes packets on, and whether it is on the LAN at all."""
    facts = [] if host.uplinks else ["not on the LAN"]
    if host.forwards:
        facts.append("forwards")
    elif host.bridges or host.containers:
        facts.append("forwarding off")
    if host.forward_policy == "drop":
        facts.append("FORWARD policy drop")
    return facts


def uplink_text(uplink: Interface, picture: Picture) -> str:
    """A host's interface on the LAN: "eth0 192.168.33.11"."""
    return " ".join(
        filter(None, [uplink.name, uplink.address_text(*picture.subnets), uplink.state])
    )


def bridge_facts(host: HostPicture, bridge: Interface) -> list[str]:
    """What is to be said of a bridge, besides its name, its addresses and its containers."""
    facts = [bridge.state] if bridge.state else []
    if not host.ports(bridge):
        facts.append("no ports")
    return facts + [rule.says(known=True) for rule in host.masquerades_of(bridge)]


def interface_text(interface: Interface, *known: str) -> str:
    """An interface and its addresses, without the prefix length of a known network."""
    return f"{interface.name} {interface.address_text(*known)}"


def pair_text(interface: Interface, host: str) -> str:
    """Where a veth's other end is, for people who stand on that host."""
    other = interface.other_end
    if other is None:
        return "⇄ other end not in this lab" if interface.kind == "veth" else interface.kind
    return f"⇄ {other.seen_from(host)}"


def port_facts(interface: Interface, port: Interface) -> list[str]:
    """What is wrong with a container's end of a pair, or with the bridge's port."""
    if not interface.up:
        return ["DOWN"]
    return [] if port.up else [f"{port.name} DOWN"]


def container_facts(host: HostPicture, container: ContainerPicture) -> list[str]:
    """A container's routes and published ports."""
    addressed = any(interface.addresses for interface in container.interfaces)
    if container.default_route:
        facts = [_default_text(container.default_route)]
    else:
        facts = ["no default route"] if addressed else []
    facts += [route_text(route) for route in container.other_routes]
    return facts + [port.says(known=True) for port in host.published_by(container)]


def _default_text(route: str) -> str:
    return f"default {route}" if route.startswith("dev ") else f"default via {route}"


def route_text(route: RouteEntry) -> str:
    """A route as `ip route` writes it; of another kind than unicast, with that kind before it."""
    kind = "" if route.kind == "unicast" else f"{route.kind} "
    return f"route {kind}{route}" if route.dev else f"route {kind}{route.dst}"


def host_notes(host: HostPicture) -> list[str]:
    """What a host's rules and routes say about nobody in particular."""
    rules = [rule.says() for rule in host.other_masquerades]
    ports = [f"{port.says()}, where no container is" for port in host.published_to_nobody]
    return rules + ports + [route_text(route) for route in host.notable_routes]
