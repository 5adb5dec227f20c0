"""A picture of a lab as a Mermaid flowchart, for a README or an issue."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from natlab.model.names import one_line
from natlab.model.picture import LAN, ContainerPicture, End, HostPicture, Interface, Picture
from natlab.model.picture_words import (
    bridge_facts,
    container_facts,
    host_facts,
    host_notes,
    interface_text,
    port_facts,
    uplink_text,
)

_UNSAFE: Final = re.compile(r'["#&<>`\\{}\[\]()|%;]')
_RULE: Final = ("masquerade", "snat")


def draw(picture: Picture) -> str:
    """Draw a lab as a Mermaid flowchart, left to right: LAN, hosts, bridges, containers.

    Solid lines are veth pairs; dotted ones are what address translation does.
    Equivalent to: `natlab map --mermaid`.
    """
    lines = ["flowchart LR", f"  {LAN}([{_label(LAN, *picture.subnets)}])"]
    charts = [_Host(picture, host, f"h{n}") for n, host in enumerate(picture.hosts, start=1)]
    for chart in charts:
        lines += chart.lines()
    ends = {end: node for chart in charts for end, node in chart.ends.items()}
    lines += [
        f"  {ends[one]} ---{_edge(one, other)} {ends[other]}"
        for one, other in _loose(picture, ends)
    ]
    return "\n".join(lines) + "\n"


def _loose(picture: Picture, ends: dict[End, str]) -> Iterator[tuple[End, End]]:
    """The pairs both of whose ends are nodes of the chart, and that no bridge's edge shows."""
    done: set[End] = set()
    for end, other in _all_pairs(picture):
        if end in ends and other in ends and other not in done:
            done.add(end)
            yield end, other


def _all_pairs(picture: Picture) -> Iterator[tuple[End, End]]:
    for host in picture.hosts:
        nodes = [(host.name, host.interfaces)]
        nodes += [(f"{host.name}/{c.name}", c.interfaces) for c in host.containers]
        for node, interfaces in nodes:
            for interface in interfaces:
                if interface.other_end is not None:
                    yield End(node, interface.name), interface.other_end


class _Host:
    """A host's subgraph. Ids are numbers: no name of a person's choice is ever one."""

    def __init__(self, picture: Picture, host: HostPicture, own: str) -> None:
        self._picture, self._host, self._own = picture, host, own
        self._ids = {c.name: f"{own}_c{n}" for n, c in enumerate(host.containers, start=1)}
        self.ends: dict[End, str] = {}
        for container in host.containers:
            for interface in container.interfaces:
                end = End(f"{host.name}/{container.name}", interface.name)
                self.ends[end] = self._ids[container.name]

    def lines(self) -> Iterator[str]:
        """The subgraph, and how it hangs on the LAN."""
        yield f"  subgraph {self._own}[{_label(self._host.name)}]"
        yield f"    {self._own}_host[{_label(*self._host_words())}]"
        yield from (f"    {line}" for line in self._inside())
        yield "  end"
        yield from (f"  {LAN} --- {self._own}_host" for _ in self._host.uplinks)

    def _host_words(self) -> list[str]:
        uplinks = [uplink_text(uplink, self._picture) for uplink in self._host.uplinks]
        return [*uplinks, *host_facts(self._host), *host_notes(self._host)] or [self._host.name]

    def _inside(self) -> Iterator[str]:
        for container in self._host.containers:
            yield f"{self._ids[container.name]}[{_label(*_container_words(self._host, container))}]"
        for number, bridge in enumerate(self._host.bridges, start=1):
            yield from self._bridge(bridge, f"{self._own}_b{number}")
        for number, interface in enumerate(self._host.loose, start=1):
            node = f"{self._own}_i{number}"
            self.ends[End(self._host.name, interface.name)] = node
            yield f"{node}({_label(interface_text(interface), interface.state)})"
        for container in self._host.containers:
            for port in self._host.published_by(container):
                says = _label(port.says(known=True))
                yield f"{self._own}_host -.->|{says}| {self._ids[container.name]}"

    def _bridge(self, bridge: Interface, node: str) -> Iterator[str]:
        facts = bridge_facts(self._host, bridge)
        rules = [fact for fact in facts if fact.startswith(_RULE)]
        states = [fact for fact in facts if fact not in rules]
        yield f"{node}[[{_label(bridge.name, bridge.address_text(), *states)}]]"
        yield from (f"{node} -.->|{_label(rule)}| {self._own}_host" for rule in rules)
        for container, ours, port in self._host.guests(bridge):
            says = _label(port.name, *port_facts(ours, port))
            yield f"{node} ---|{says}| {self._ids[container.name]}"
        for number, port in enumerate(self._host.bare_ports(bridge), start=1):
            self.ends[End(self._host.name, port.name)] = f"{node}p{number}"
            yield f"{node} --- {node}p{number}({_label(f'port {port.name}', port.state)})"


def _container_words(host: HostPicture, container: ContainerPicture) -> list[str]:
    networks = [network for bridge in host.bridges for network in bridge.networks]
    words = [
        " ".join(filter(None, [interface_text(interface, *networks), interface.state]))
        for interface in container.interfaces
    ]
    facts = [fact for fact in container_facts(host, container) if "->" not in fact]
    return [container.name, *(words or ["only lo"]), *facts]


def _edge(one: End, other: End) -> str:
    return f"|{_label(f'{one.interface} ⇄ {other.interface}')}|"


def _label(*lines: str) -> str:
    """A quoted label of some lines, with what Mermaid would read as its own spelt in numbers."""
    return '"' + "<br/>".join(_escaped(line) for line in lines if line) + '"'


def _escaped(line: str) -> str:
    return _UNSAFE.sub(lambda found: f"#{ord(found[0])};", one_line(line))
