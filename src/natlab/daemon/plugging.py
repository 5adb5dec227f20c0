"""Containers and networks: what is plugged in when a container starts, and out when it ends."""

from __future__ import annotations

import contextlib
import itertools
import os
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from natlab.daemon.container import Container
from natlab.daemon.dns import Attachment, Upstream
from natlab.daemon.names import NamesSeen
from natlab.daemon.network import HOST, NONE, Endpoint, Network
from natlab.engine.container import Container as Sandbox
from natlab.errors import LabGoneError, NatlabError
from natlab.kernel.agent import Namespace
from natlab.model import identity
from natlab.model.addresses import mac_for
from natlab.model.etc_files import resolv_conf
from natlab.model.link_env import parse_link
from natlab.model.port_bindings import exposed_ports, port_specs
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine


class Plugging:
    """Gives containers their place in networks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._name_servers: dict[str, Attachment] = {}

    def place(self, container: Container) -> Namespace | None:
        """The network namespace in which a running container stands; None: it has none now."""
        if container.network_mode == HOST:
            return self._engine.place
        if container.network_mode.startswith("container:"):
            return self.place(self.shared_with(container))
        return container.sandbox.place if container.sandbox else None

    def shared_with(self, container: Container) -> Container:
        """The container in whose network namespace another one stands."""
        return self._engine.containers.find(container.network_mode.partition(":")[2])

    # A whole container

    def plug(self, container: Container) -> None:
        """Make its network namespace, its endpoints, its published ports.

        Raises:
            NatlabError: an address or a port is taken; `unplug` takes back what was made.
        """
        if container.network_mode == HOST:
            return
        if container.network_mode.startswith("container:"):
            other = self.shared_with(container)
            if not other.state.running:
                raise Refusal(f"cannot join network of a non running container: {other.id}", 409)
            return
        self._engine.journal.note_container(container.id, container.name)
        container.sandbox = self._engine.host.add_container(container.name)
        container.sandbox.prepare()
        for endpoint in container.endpoints.values():
            if endpoint.network.name != NONE:
                self._join(container, container.sandbox, endpoint)
        self._publish(container)
        self._serve_names(container)

    def unplug(self, container: Container) -> None:
        """Take all of that back; what is not there is passed over."""
        name_server = self._name_servers.pop(container.id, None)
        if name_server is not None:
            name_server.close()
        for endpoint in container.endpoints.values():
            self._unlink(container, endpoint)
            endpoint.network.endpoints.pop(container.id, None)
        sandbox, container.sandbox = container.sandbox, None
        if sandbox is not None:
            with contextlib.suppress(LabGoneError):
                sandbox.remove(end_programs=False)
                self._engine.journal.forget_container(container.id)
        for endpoint in container.endpoints.values():
            if endpoint.address is not None:
                self._tell(container, endpoint.network, "disconnect")
            endpoint.forget()
        container.published, container.published_at = (), None

    def renamed(self, container: Container) -> None:
        """Let its network namespace have the container's new name."""
        if container.sandbox is not None:
            container.sandbox.rename(container.name)
            self._engine.journal.note_container(container.id, container.name)

    # One endpoint

    def connect(self, container: Container, endpoint: Endpoint) -> None:
        """Join a network. Equivalent to: `docker network connect NETWORK CONTAINER`.

        Raises:
            Refusal: it is in that network already (403), or cannot be in one (403).
        """
        network = endpoint.network
        with self._engine.lock:
            if network.id in container.endpoints:
                raise Refusal(
                    f"endpoint with name {container.name} already exists in network {network.name}",
                    403,
                )
            if HOST in (container.network_mode, network.name):
                raise Refusal(
                    "container cannot be disconnected from host network or connected to"
                    " host network",
                    403,
                )
            if container.network_mode.startswith("container:"):
                raise Refusal(
                    "container sharing network namespace with another container or host"
                    " cannot be connected to any other network",
                    403,
                )
            self._leave_none(container)
            container.endpoints[network.id] = endpoint
            if container.sandbox is None:
                return
            try:
                self._join(container, container.sandbox, endpoint)
                self._regate(container)
                self._serve_names(container)
            except BaseException:
                self._leave(container, endpoint)
                del container.endpoints[network.id]
                raise
            self._engine.files_changed(container)

    def disconnect(self, container: Container, network: Network) -> None:
        """Leave a network. Equivalent to: `docker network disconnect NETWORK CONTAINER`.

        Raises:
            Refusal: it is not in that network (403, as Docker has it).
        """
        with self._engine.lock:
            endpoint = container.endpoints.get(network.id)
            if endpoint is None:
                raise Refusal(
                    f"container {container.id} is not connected to network {network.name}", 403
                )
            if network.name == HOST:
                raise Refusal("container cannot be disconnected from host network", 403)
            del container.endpoints[network.id]
            if container.sandbox is None:
                return
            self._leave(container, endpoint)
            self._regate(container)
            self._serve_names(container)
            self._engine.files_changed(container)

    def _leave_none(self, container: Container) -> None:
        for ident, endpoint in list(container.endpoints.items()):
            if endpoint.network.name == NONE:
                del container.endpoints[ident]

    def _join(self, container: Container, sandbox: Sandbox, endpoint: Endpoint) -> None:
        bridge = endpoint.network.bridge
        if bridge is None:
            return
        taken = {other.interface for other in container.endpoints.values()}
        endpoint.interface = next(n for i in itertools.count() if (n := f"eth{i}") not in taken)
        joined = bridge.attach(
            sandbox,
            endpoint.wanted_ip,
            default_route=endpoint is self.gateway_endpoint(container),
            interface=endpoint.interface,
            mac=endpoint.wanted_mac,
        )
        endpoint.address = joined
        endpoint.mac = endpoint.wanted_mac or mac_for(joined)
        endpoint.id = identity.new_id(os.urandom(32))
        endpoint.network.endpoints[container.id] = endpoint
        self._link(container, endpoint)
        self._tell(container, endpoint.network, "connect")

    def _leave(self, container: Container, endpoint: Endpoint) -> None:
        bridge, sandbox = endpoint.network.bridge, container.sandbox
        endpoint.network.endpoints.pop(container.id, None)
        if endpoint.address is None or bridge is None or sandbox is None:
            return
        self._unlink(container, endpoint)
        bridge.detach(sandbox, endpoint.interface)
        endpoint.forget()
        self._tell(container, endpoint.network, "disconnect")

    # Which endpoint leads outside

    def gateway_endpoint(self, container: Container) -> Endpoint | None:
        """The endpoint with the default route, where ports are published.

        The highest priority, then the first by name; internal networks lead nowhere.
        Source: moby libnetwork, `Sandbox.getGatewayEndpoint`.
        """
        leading = [e for e in container.endpoints.values() if e.gateway is not None]
        return min(leading, key=lambda e: (-e.priority, e.network.name), default=None)

    def _regate(self, container: Container) -> None:
        """After a change: default route and published ports where they belong now."""
        sandbox, now = container.sandbox, self.gateway_endpoint(container)
        if sandbox is None:
            return
        if now is None or now.address is None:
            self._unpublish(container)
            return
        sandbox.route_through(now.gateway)
        if container.published_at != now.address:
            self._unpublish(container)
            self._publish(container)

    def _publish(self, container: Container) -> None:
        endpoint = self.gateway_endpoint(container)
        specs = port_specs(container.effective.exposed, container.host_config)
        if not specs or endpoint is None or endpoint.address is None:
            return
        try:
            container.published = self._engine.host.publishing.publish(
                endpoint.address, [str(spec) for spec in specs]
            )
        except NatlabError as error:
            raise Refusal(
                "failed to set up container networking: driver failed programming external"
                f" connectivity on endpoint {container.name} ({endpoint.id}): {error}",
                500,
            ) from error
        container.published_at = endpoint.address

    def _unpublish(self, container: Container) -> None:
        if container.published_at is not None:
            self._engine.host.unpublish_all(container.published_at)
        container.published, container.published_at = (), None

    # Links where containers may not talk

    def _link(self, container: Container, endpoint: Endpoint) -> None:
        bridge = endpoint.network.bridge
        if bridge is None or bridge.icc or endpoint.address is None:
            return
        for child, port, proto in self._linked(container, endpoint):
            bridge.link(endpoint.address, child, port, proto)

    def _unlink(self, container: Container, endpoint: Endpoint) -> None:
        bridge = endpoint.network.bridge
        if bridge is None or bridge.icc or endpoint.address is None:
            return
        for child, port, proto in self._linked(container, endpoint):
            bridge.unlink(endpoint.address, child, port, proto)

    def _linked(
        self, container: Container, endpoint: Endpoint
    ) -> list[tuple[IPv4Address, int, str]]:
        found: list[tuple[IPv4Address, int, str]] = []
        for text in container.host_config["Links"] or ():
            child = self._engine.containers.find(parse_link(text).target)
            there = endpoint.network.endpoints.get(child.id)
            if there is None or there.address is None:
                continue
            exposed = exposed_ports(child.effective.exposed)
            found += [(there.address, item.port, item.proto) for item in exposed]
        return found

    # Names

    def _serve_names(self, container: Container) -> None:
        """Start (or end) the name server at 127.0.0.11, by the networks it is in now."""
        before = self._name_servers.pop(container.id, None)
        if before is not None:
            before.close()
        networks = [e.network for e in container.endpoints.values() if e.network.user_defined]
        if not networks or container.sandbox is None:
            return
        engine = self._engine
        config = container.host_config
        servers = resolv_conf(
            engine.resolv_conf(), embedded=True, servers=config["Dns"] or ()
        ).upstreams
        place = None if config["Dns"] else engine.place
        self._name_servers[container.id] = engine.resolver.attach(
            container.sandbox.place,
            NamesSeen(engine, container),
            [Upstream(str(server), place) for server in servers],
            forward=self.gateway_endpoint(container) is not None,
            ndots=any(option.startswith("ndots:") for option in config["DnsOptions"] or ()),
        )

    def _tell(self, container: Container, network: Network, action: str) -> None:
        attributes = {"container": container.id, "name": network.name, "type": network.driver}
        self._engine.events.tell("network", action, network.id, attributes)
