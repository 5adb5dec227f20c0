"""What a container's name server knows: the containers in its networks, and their aliases."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from natlab.daemon.container import Container
from natlab.daemon.network import Endpoint, Network
from natlab.model.addresses import Address

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine


def dns_names(container: Container, endpoint: Endpoint) -> list[str]:
    """The names under which a container is found in a network, the container's own first.

    Its name, its aliases, its short id, and the host name that was asked for (moby
    `daemon/container_operations.go`, `buildEndpointDNSNames`).
    """
    names = [container.name, *endpoint.aliases, container.id[:12]]
    hostname = container.hostname
    return list(dict.fromkeys([*names, hostname] if hostname else names))


class NamesSeen:
    """The names that one container sees: those of its user-defined networks."""

    def __init__(self, engine: Engine, container: Container) -> None:
        self._engine = engine
        self._container = container

    def addresses(self, name: str) -> list[Address]:
        """The addresses behind a name, with or without the network's name at its end."""
        found: list[Address] = []
        for network in self._networks():
            plain = name.removesuffix(f".{network.name.lower()}")
            for other, endpoint in self._members(network):
                known = [*dns_names(other, endpoint), *self._linked(network, other)]
                if plain in (known_name.lower() for known_name in known):
                    found += endpoint.addresses
        return found

    def name_of(self, address: Address) -> str | None:
        """The name behind an address: `web.mynet`."""
        for network in self._networks():
            for other, endpoint in self._members(network):
                if address in endpoint.addresses:
                    return f"{other.name}.{network.name}"
        return None

    def _networks(self) -> list[Network]:
        endpoints = list(self._container.endpoints.values())
        return [e.network for e in endpoints if e.network.user_defined]

    def _members(self, network: Network) -> Iterator[tuple[Container, Endpoint]]:
        for other in self._engine.containers:
            endpoint = network.endpoints.get(other.id)
            if endpoint is not None:
                yield other, endpoint

    def _linked(self, network: Network, other: Container) -> list[str]:
        """The aliases that this container alone has given to another one: `--link`."""
        endpoint = self._container.endpoints.get(network.id)
        links = endpoint.links if endpoint is not None else ()
        pairs = (text.partition(":") for text in links)
        return [alias or target for target, _, alias in pairs if target in (other.name, other.id)]
