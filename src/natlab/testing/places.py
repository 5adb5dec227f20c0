"""Which node of a lab is meant by what a test has in hand."""

from __future__ import annotations

from typing import Any

from natlab.engine.host import Host
from natlab.engine.node import Node
from natlab.errors import UsageError


def node_of(what: Any) -> Node:
    """The node of a `DockerHost`, of a container of one, or a node itself.

    Raises:
        UsageError: it has none.
    """
    node = getattr(what, "node", what)
    if not isinstance(node, Node):
        raise UsageError(f"{what!r} is no place for a fault: give a host or a container of the lab")
    return node


def host_of(what: Any) -> Host:
    """The same, where it must be a host.

    Raises:
        UsageError: it is a container.
    """
    node = node_of(what)
    if not isinstance(node, Host):
        raise UsageError(f"{node.name} is a container: this fault is one of its host's")
    return node
