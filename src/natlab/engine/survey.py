"""The survey: a whole lab read from the kernel, as a picture.

Nothing that natlab remembers goes into it: what a person made by hand is there, and what was
deleted behind natlab's back is not.
"""

from __future__ import annotations

from ipaddress import IPv6Interface

from natlab.engine.container import Container
from natlab.engine.host import Host
from natlab.engine.lab import Lab
from natlab.kernel import inspect, link_facts
from natlab.kernel.agent import Namespace
from natlab.model import picture_nat
from natlab.model.picture import LAN, ContainerPicture, End, HostPicture, Interface, Picture
from natlab.model.state import Link


def survey(lab: Lab) -> Picture:
    """Look at a lab as it stands now.

    Equivalent to: `ip -d addr`, `ip route`, `ip netns`, `nft list ruleset` and `sysctl
    net.ipv4.ip_forward` on every host and in every container.
    """
    guests = {host.name: host.containers() for host in lab.hosts.values()}
    places = {LAN: lab.switch} if lab.has_lan else {}
    for host in lab.hosts.values():
        places[host.name] = host.place
        places |= {f"{host.name}/{c.name}": c.place for c in guests[host.name]}
    pairs = _Pairs(places)
    return Picture(hosts=tuple(_host(h, guests[h.name], pairs) for h in lab.hosts.values()))


class _Pairs:
    """Which veth is the other end of which, over all nodes of a lab."""

    def __init__(self, places: dict[str, Namespace]) -> None:
        self._places = places
        self._links = {node: place.call(link_facts.links) for node, place in places.items()}
        self._ends = {node: place.call(inspect.veth_ends) for node, place in places.items()}

    def links_of(self, node: str) -> tuple[Link, ...]:
        """A node's interfaces."""
        return self._links[node]

    def of(self, node: str) -> dict[int, End]:
        """For a node's veths by index, where their other ends are, if those are in the lab."""
        wanted = self._ends[node]
        likely = {index: self._likely(node, index) for index in wanted}
        numbers = {self._places[name].number for names in likely.values() for name in names}
        known = self._places[node].call(inspect.known_as, numbers)
        found: dict[int, End] = {}
        for index, (peer, nsid) in wanted.items():
            home = [node] if nsid is None else self._at(likely[index], known, nsid)
            if home and (name := self._name(home[0], peer)):
                found[index] = End(home[0], name)
        return found

    def _likely(self, node: str, index: int) -> list[str]:
        """The nodes that have a veth of the peer's index whose own peer has this index."""
        peer = self._ends[node][index][0]
        return [
            other
            for other, ends in self._ends.items()
            if other != node and peer in ends and ends[peer][0] == index
        ]

    def _at(self, nodes: list[str], known: dict[int, int], nsid: int) -> list[str]:
        return [node for node in nodes if known.get(self._places[node].number) == nsid]

    def _name(self, node: str, index: int) -> str | None:
        return next((link.name for link in self._links[node] if link.index == index), None)


def _host(host: Host, guests: list[Container], pairs: _Pairs) -> HostPicture:
    rules = host.ruleset()
    return HostPicture(
        name=host.name,
        forwards=host.forwarding,
        forward_policy=picture_nat.forward_policy(rules),
        interfaces=_interfaces(host.name, pairs),
        containers=tuple(_container(guest, pairs) for guest in guests),
        masquerades=picture_nat.masquerades(rules),
        published=picture_nat.published(rules),
        routes=host.routes(),
    )


def _container(guest: Container, pairs: _Pairs) -> ContainerPicture:
    return ContainerPicture(
        name=guest.name,
        interfaces=_interfaces(f"{guest.host.name}/{guest.name}", pairs),
        routes=guest.routes(),
    )


def _interfaces(node: str, pairs: _Pairs) -> tuple[Interface, ...]:
    ends = pairs.of(node)
    return tuple(
        Interface(
            name=link.name,
            kind=link.kind,
            up=link.up,
            carrier=link.carrier,
            addresses=_addresses(link),
            master=link.master,
            other_end=ends.get(link.index),
        )
        for link in pairs.links_of(node)
        if link.kind != "loopback"
    )


def _addresses(link: Link) -> tuple[str, ...]:
    """Its addresses, less the link-local ones that IPv6 gives to every interface by itself."""
    return tuple(
        str(a) for a in link.addresses if not (isinstance(a, IPv6Interface) and a.ip.is_link_local)
    )
