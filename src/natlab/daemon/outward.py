"""Where a container's packets leave: its default route, and its published ports with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from natlab.daemon.container import Container
from natlab.daemon.network import Endpoint
from natlab.errors import NatlabError
from natlab.model.port_bindings import port_specs
from natlab.model.refusal import Refusal, dockers_words

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine


def gateway_endpoint(container: Container) -> Endpoint | None:
    """The endpoint with the default route, where ports are published.

    The highest priority, then the first by name; internal networks lead nowhere.
    Source: moby libnetwork, `Sandbox.getGatewayEndpoint`.
    """
    leading = [e for e in container.endpoints.values() if e.gateway is not None]
    return min(leading, key=lambda e: (-e.priority, e.network.name), default=None)


class Outward:
    """Keeps default routes and published ports at the endpoint that leads outside."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def regate(self, container: Container) -> None:
        """After a change: default route and published ports where they belong now."""
        sandbox, now = container.sandbox, gateway_endpoint(container)
        if sandbox is None:
            return
        if now is None or now.address is None:
            self._unpublish(container)
            return
        sandbox.route_through(now.gateway, now.gateway6)
        if container.published_at != now.addresses:
            self._unpublish(container)
            self.publish(container)

    def publish(self, container: Container) -> None:
        """Publish its ports where its default route leads; nothing where that is nowhere.

        Raises:
            Refusal: a port is taken (500).
        """
        endpoint = gateway_endpoint(container)
        specs = port_specs(container.effective.exposed, container.host_config)
        binding = endpoint.network.binding if endpoint is not None else None
        if binding is not None:
            specs = tuple(replace(s, host_ip=s.host_ip or binding) for s in specs)
        if not specs or endpoint is None or endpoint.address is None:
            return
        try:
            container.published = self._engine.host.publishing.publish(
                endpoint.address, [str(spec) for spec in specs], address6=endpoint.address6
            )
        except NatlabError as error:
            raise Refusal(
                "driver failed programming external"
                f" connectivity on endpoint {container.name} ({endpoint.id}):"
                f" {dockers_words(error)}",
                500,
            ) from error
        container.published_at = endpoint.addresses

    def _unpublish(self, container: Container) -> None:
        for address in container.published_at:
            self._engine.host.unpublish_all(address)
        container.published, container.published_at = (), ()
