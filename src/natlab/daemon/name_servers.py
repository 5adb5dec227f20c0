"""The name servers at 127.0.0.11: one for each container in networks where names are resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from natlab.daemon.container import Container
from natlab.daemon.dns import Attachment, Upstream
from natlab.daemon.names import NamesSeen
from natlab.daemon.outward import gateway_endpoint
from natlab.model.etc_files import resolv_conf

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine


class NameServers:
    """Starts and ends them as containers join and leave networks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._running: dict[str, Attachment] = {}

    def serve(self, container: Container) -> None:
        """Start (or end) the name server at 127.0.0.11, by the networks it is in now."""
        before = self._running.pop(container.id, None)
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
        self._running[container.id] = engine.resolver.attach(
            container.sandbox.place,
            NamesSeen(engine, container),
            [Upstream(str(server), place) for server in servers],
            forward=gateway_endpoint(container) is not None,
            ndots=any(option.startswith("ndots:") for option in config["DnsOptions"] or ()),
        )

    def end(self, container: Container) -> None:
        """End the one of a container; there may be none."""
        before = self._running.pop(container.id, None)
        if before is not None:
            before.close()
