"""Containers and networks: what is plugged in when a container starts, and out when it ends."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from natlab.daemon.container import Container
from natlab.daemon.linking import Linking, check_running
from natlab.daemon.name_servers import NameServers
from natlab.daemon.network import HOST, NONE, Endpoint, Network, check_endpoint
from natlab.daemon.outward import Outward, gateway_endpoint
from natlab.engine.container import Container as Sandbox
from natlab.errors import LabGoneError, NatlabError, PoolFullError, UsageError
from natlab.kernel.agent import Namespace
from natlab.model import identity
from natlab.model.addresses import mac_for
from natlab.model.refusal import Refusal, dockers_words

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine


@contextlib.contextmanager
def _while_set_up() -> Iterator[None]:
    """What fails while a container's network is set up says so, in Docker's words."""
    try:
        yield
    except NatlabError as error:
        status = error.status if isinstance(error, Refusal) else 500
        text = dockers_words(error)
        raise Refusal(f"failed to set up container networking: {text}", status) from error


class Plugging:
    """Gives containers their place in networks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._linking = Linking(engine)
        self._name_servers = NameServers(engine)
        self._outward = Outward(engine)

    def place(self, container: Container) -> Namespace | None:
        """The network namespace in which a running container stands; None: it has none now."""
        if container.network_mode == HOST:
            return self._engine.place
        if container.network_mode.startswith("container:"):
            return self.place(self.shared_with(container))
        return container.sandbox.place if container.sandbox else None

    def shared_with(self, container: Container) -> Container:
        """The container in whose network namespace another one stands.

        Raises:
            Refusal: it does not run (409), or is not there (500, as Docker has it).
        """
        try:
            other = self._engine.containers.find(container.network_mode.partition(":")[2])
        except Refusal as error:
            raise Refusal(f"joining network namespace of container: {error}", 500) from error
        if other is container:
            raise Refusal("cannot join own network namespace", 500)
        if not other.state.running:
            raise Refusal(
                "cannot join network namespace of a non running container: container"
                f" {other.name} is {other.state.status}",
                409,
            )
        return other

    # A whole container

    def plug(self, container: Container) -> None:
        """Make its network namespace, its endpoints, its published ports.

        Raises:
            NatlabError: an address or a port is taken; `unplug` takes back what was made.
        """
        if container.network_mode == HOST:
            return
        if container.network_mode.startswith("container:"):
            self.shared_with(container)
            return
        check_running(container)
        with _while_set_up():
            container.endpoints = self._found_again(container)
            self._engine.journal.note_container(container.id, container.name)
            container.sandbox = self._engine.host.add_container(container.name)
            container.sandbox.prepare()
            for endpoint in container.endpoints.values():
                if endpoint.network.name != NONE:
                    leads = endpoint is gateway_endpoint(container)
                    self._join(container, container.sandbox, endpoint, default_route=leads)
            self._outward.publish(container)
            self._name_servers.serve(container)
            self._linking.plugged(container)

    def _found_again(self, container: Container) -> dict[str, Endpoint]:
        """Its endpoints with the networks of now: they may be made, or gone, since its creation.

        Raises:
            Refusal: `network X not found` (404).
        """
        found = {}
        for endpoint in container.endpoints.values():
            endpoint.network = self._engine.networks.again(endpoint.network)
            check_endpoint(endpoint)
            found[endpoint.network.id] = endpoint
        return found

    def unplug(self, container: Container) -> None:
        """Take all of that back; what is not there is passed over."""
        self._name_servers.end(container)
        left = [e.network for e in container.endpoints.values() if e.address is not None]
        for endpoint in container.endpoints.values():
            endpoint.network.endpoints.pop(container.id, None)
            endpoint.forget()
        sandbox, container.sandbox = container.sandbox, None
        container.published, container.published_at = (), ()
        if sandbox is not None:
            with contextlib.suppress(LabGoneError):
                self._linking.unplugged(container)
                sandbox.remove(end_programs=False)
                self._engine.journal.forget_container(container.id)
        for network in left:
            self._tell(container, network, "disconnect")

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
            named = {network.name, *(e.network.name for e in container.endpoints.values())}
            if NONE in named and container.endpoints:
                raise Refusal(
                    "container cannot be connected to multiple networks with one of the networks in"
                    " private (none) mode",
                    403,
                )
            check_endpoint(endpoint)
            container.endpoints[network.id] = endpoint
            if container.sandbox is None:
                return
            try:
                self._join(container, container.sandbox, endpoint, default_route=False)
                self._outward.regate(container)
                self._name_servers.serve(container)
                self._linking.plugged(container)
            except BaseException:
                self._leave(container, endpoint)
                del container.endpoints[network.id]
                with contextlib.suppress(NatlabError):
                    self._outward.regate(container)
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
            self._outward.regate(container)
            self._name_servers.serve(container)
            self._engine.files_changed(container)

    def _join(
        self, container: Container, sandbox: Sandbox, endpoint: Endpoint, *, default_route: bool
    ) -> None:
        bridge = endpoint.network.bridge
        if bridge is None:
            return
        taken = {other.interface for other in container.endpoints.values()}
        endpoint.interface = next(n for i in itertools.count() if (n := f"eth{i}") not in taken)
        try:
            joined = bridge.attach(
                sandbox,
                endpoint.wanted_ip,
                default_route=default_route,
                interface=endpoint.interface,
                mac=endpoint.wanted_mac,
                address6=endpoint.wanted_ip6,
            )
        except PoolFullError as error:
            raise Refusal(
                "no available IPv4 addresses on this network's address pools:"
                f" {endpoint.network.name} ({endpoint.network.id})",
                500,
            ) from error
        except UsageError as error:
            raise Refusal(dockers_words(error), 403) from error
        endpoint.address, endpoint.address6 = joined, bridge.ip6_of(sandbox)
        endpoint.mac = endpoint.wanted_mac or mac_for(joined)
        endpoint.id = identity.new_id(os.urandom(32))
        endpoint.network.endpoints[container.id] = endpoint
        self._tell(container, endpoint.network, "connect")

    def _leave(self, container: Container, endpoint: Endpoint) -> None:
        bridge, sandbox = endpoint.network.bridge, container.sandbox
        endpoint.network.endpoints.pop(container.id, None)
        if endpoint.address is None or bridge is None or sandbox is None:
            return
        bridge.detach(sandbox, endpoint.interface)
        endpoint.forget()
        self._linking.unplugged(container)
        self._tell(container, endpoint.network, "disconnect")

    def _tell(self, container: Container, network: Network, action: str) -> None:
        attributes = {"container": container.id, "name": network.name, "type": network.driver}
        self._engine.events.tell("network", action, network.id, attributes)
