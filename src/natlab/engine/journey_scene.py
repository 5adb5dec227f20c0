"""The lab as a journey finds it: its nodes by name, with their interfaces and rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from natlab.engine.lab import Lab
from natlab.engine.node import Node
from natlab.errors import NatlabError
from natlab.kernel import namespaces
from natlab.model.ruleset import Ruleset
from natlab.model.state import Link


@dataclass(frozen=True)
class Scene:
    """The nodes of a lab by the names that `Lab.node` takes, as they stand before the journey."""

    nodes: Mapping[str, Node]
    links: Mapping[str, tuple[Link, ...]]
    rulesets: Mapping[str, Ruleset]

    def owners(self, address: str) -> list[str]:
        """The names of the nodes that have an address."""
        return [
            name
            for name, links in self.links.items()
            if any(str(own.ip) == address for link in links for own in link.ipv4)
        ]


def scene_of(lab: Lab) -> Scene:
    """Look at every host and container once; a namespace with two names counts as the first."""
    nodes = {name: node for name, node in _named(lab) if node}
    return Scene(
        nodes,
        {name: node.links() for name, node in nodes.items()},
        {name: node.ruleset() for name, node in nodes.items()},
    )


def _named(lab: Lab) -> Iterator[tuple[str, Node]]:
    containers = lab.containers()
    plain = [container.name for container in containers] + list(lab.hosts)
    named: list[tuple[str, Node]] = list(lab.hosts.items())
    for each in containers:
        clear = plain.count(each.name) == 1
        named.append((each.name if clear else f"{each.host.name}/{each.name}", each))
    seen: set[int] = set()
    for name, node in named:
        inode = lab.agent.call(None, namespaces.net_id, node.place.number)
        if inode not in seen:
            seen.add(inode)
            yield name, node


def name_of(lab: Lab, scene: Scene, node: Node) -> str:
    """The name under which a node, or another one of the same namespace, is in the scene."""
    call = lab.agent.call
    for name, other in scene.nodes.items():
        if call(None, namespaces.same_net, node.place.number, other.place.number):
            return name
    raise NatlabError(f"{node.name} is not a node of this lab: take one that `natlab map` shows")
