"""Links of the default network: `docker run --link db:database`.

A container knows the linked one by its alias in `/etc/hosts` and in its environment. Where
containers may not talk (`--icc=false`), a link also lets through what the linked one exposes.
"""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import TYPE_CHECKING, NamedTuple

from natlab.engine.network import Network as Bridge
from natlab.model.etc_files import HostsLine
from natlab.model.link_env import link_env, parse_link
from natlab.model.port_bindings import exposed_ports
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.container import Container
    from natlab.daemon.engine import Engine


class Linked(NamedTuple):
    """A container that another one is linked to, and what it is called there."""

    child: Container
    alias: str

    @property
    def address(self) -> IPv4Address | None:
        """Its address in the default network, while it runs."""
        endpoints = self.child.endpoints.values()
        return next((e.address for e in endpoints if not e.network.user_defined), None)


class _Opening(NamedTuple):
    """What lets a container and a linked one talk: rules of a bridge."""

    bridge: Bridge
    parent: IPv4Address
    child: IPv4Address
    port: int
    proto: str


def find_links(engine: Engine, texts: list[str]) -> tuple[Linked, ...]:
    """The containers that the values of `--link` name.

    Raises:
        Refusal: malformed, or there is no such container (400: with a 404 clients would look for
            an image; moby 39823).
    """
    found = []
    for text in texts:
        link = parse_link(text)
        try:
            child = engine.containers.find(link.target)
        except Refusal as error:
            raise Refusal(f"could not get container for {link.target}: {error}") from error
        found.append(Linked(child, link.alias))
    return tuple(found)


def check_running(container: Container) -> None:
    """Check that whatever a container is linked to runs.

    Raises:
        Refusal: `Cannot link to a non running container: /db AS /web/database`.
    """
    for child, alias in container.links:
        if not child.state.running:
            raise Refusal(
                f"Cannot link to a non running container: /{child.name}"
                f" AS /{container.name}/{alias}",
                500,
            )


def hosts_lines(container: Container) -> list[HostsLine]:
    """The lines of its `/etc/hosts`: alias, host name and name of each linked one that runs."""
    lines = []
    for link in container.links:
        if link.address is not None:
            child = link.child
            lines.append(HostsLine.of_link(link.address, link.alias, child.hostname, child.name))
    return lines


def variables(container: Container) -> list[str]:
    """What its environment says of each linked one that runs."""
    found: list[str] = []
    for link in container.links:
        if link.address is not None:
            decided = link.child.effective
            ports = exposed_ports(decided.exposed)
            env = decided.config_env
            found += link_env(container.name, link.alias, link.address, ports, env)
    return found


class Linking:
    """Keeps rules and files of linked containers as they should be while addresses change."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._open: dict[str, list[_Opening]] = {}

    def plugged(self, container: Container) -> None:
        """A container has its addresses: open what it is linked to, and tell who links to it."""
        self._refresh(container)
        for parent in self._parents(container):
            self._refresh(parent)
            self._engine.files_changed(parent)

    def unplugged(self, container: Container) -> None:
        """Its addresses are gone: close what was opened for them."""
        self._refresh(container)
        for parent in self._parents(container):
            self._refresh(parent)

    def _parents(self, child: Container) -> list[Container]:
        return [
            container
            for container in self._engine.containers
            if container.sandbox is not None
            and any(link.child is child for link in container.links)
        ]

    def _refresh(self, container: Container) -> None:
        wanted = _openings(container)
        there = self._open.pop(container.id, [])
        for opening in there:
            if opening not in wanted:
                opening.bridge.unlink(*opening[1:])
        for opening in wanted:
            if opening not in there:
                opening.bridge.link(*opening[1:])
        if wanted:
            self._open[container.id] = wanted


def _openings(container: Container) -> list[_Opening]:
    """What is to be open for a container, as it and the linked ones stand now."""
    found = []
    for endpoint in container.endpoints.values():
        bridge = endpoint.network.bridge
        if bridge is None or bridge.icc or endpoint.address is None:
            continue
        for link in container.links:
            there = endpoint.network.endpoints.get(link.child.id)
            if there is None or there.address is None:
                continue
            ports = exposed_ports(link.child.effective.exposed)
            ends = (endpoint.address, there.address)
            found += [_Opening(bridge, *ends, item.port, item.proto) for item in ports]
    return list(dict.fromkeys(found))
