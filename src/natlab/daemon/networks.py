"""The networks of an engine: the three that come with it, and those that clients make."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Interface
from typing import TYPE_CHECKING, Any

from natlab.daemon.network import BRIDGE, HOST, NONE, PREDEFINED, Network
from natlab.daemon.network_wishes import (
    BINDING,
    BRIDGE_NAME,
    ICC,
    MASQUERADE,
    check_network_name,
    default_options,
    wanted_address,
    wanted_gateway,
    wanted_gateway6,
    wanted_ipam,
    wanted_mtu,
    wanted_network,
    wanted_network6,
    wanted_pools,
    wanted_strings,
    wanted_text,
)
from natlab.engine.host import DOCKER0
from natlab.errors import UsageError
from natlab.kernel import firewall
from natlab.model import identity
from natlab.model.addresses import Route, check_subnet, pick_subnet, pick_subnet6
from natlab.model.names import bridge_name, check_interface_name
from natlab.model.refusal import Refusal, dockers_words

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine


class Networks:
    """Every network of an engine."""

    def __init__(self, engine: Engine, *, icc: bool = True) -> None:
        self._engine = engine
        self._by_id: dict[str, Network] = {}
        host = engine.host
        self._table_is_ours = not engine.place.call(firewall.exists)
        bridges = {bridge.bridge: bridge for bridge in host.networks()}
        self._ours = [] if DOCKER0 in bridges else [DOCKER0]
        engine.journal.note_bridges(self._ours)
        forwarded_before = host.forwarding
        self.docker0 = bridges.get(DOCKER0) or host.add_docker0(icc=icc)
        self._forwarding_is_ours = host.forwarding and not forwarded_before
        if self._forwarding_is_ours:
            engine.journal.note_forwarding()
            host.drop_unless_accepted()
        self._add_predefined()

    def __iter__(self) -> Iterator[Network]:
        return iter(list(self._by_id.values()))

    def find(self, reference: str) -> Network:
        """A network by id, name, or the beginning of its id.

        Raises:
            Refusal: `network X not found` (404).
        """
        names = {network.id: network.name for network in self}
        return self._by_id[identity.resolve(reference, names, "network")]

    def named(self, reference: str) -> Network:
        """A network as `find` finds it; one that is not there is looked for again when needed."""
        try:
            return self.find(reference)
        except Refusal as error:
            if error.status != 404:  # noqa: PLR2004 - not found
                raise
            return Network(reference, reference, "")

    def again(self, network: Network) -> Network:
        """The same network, or the one that has its name now.

        Raises:
            Refusal: there is none (404).
        """
        return network if network.id in self._by_id else self.find(network.name)

    def _add_predefined(self) -> None:
        bridge = self.docker0
        self._add(
            BRIDGE,
            "bridge",
            bridge=bridge,
            ipam=wanted_ipam(bridge.subnet, bridge.gateway),
            options=default_options(bridge),
        )
        self._add(HOST, "host")
        self._add(NONE, "null")

    def _add(self, name: str, driver: str, ident: str = "", **settings: Any) -> Network:
        network = Network(ident or identity.new_id(os.urandom(32)), name, driver, **settings)
        self._by_id[network.id] = network
        return network

    def create(self, body: Mapping[str, Any]) -> Network:
        """Make a network: a bridge of its own on the lab host.

        Equivalent to: `docker network create --subnet … NAME`.

        Raises:
            Refusal: the name is taken (409) or reserved (403), the subnet overlaps another (403),
                or the request makes no sense (400).
        """
        name = wanted_text(body, "Name")
        if name in PREDEFINED:
            raise Refusal(f"operation is not permitted on predefined {name} network", 403)
        check_network_name(name)
        driver = wanted_text(body, "Driver") or "bridge"
        if driver != "bridge":
            raise Refusal(
                f"could not find plugin {driver} in v1 plugin registry: plugin not found", 404
            )
        with self._engine.lock:
            if any(network.name == name for network in self):
                raise Refusal(f"network with name {name} already exists", 409)
            network = self._create(name, body)
        self._tell(network, "create")
        return network

    def _create(self, name: str, body: Mapping[str, Any]) -> Network:
        ident = identity.new_id(os.urandom(32))
        options = wanted_strings(body, "Options")
        ipam = body.get("IPAM") or {}
        asked, asked6 = wanted_pools(ipam)
        subnet, chosen = self._subnet(asked)
        within = wanted_network(asked.get("IPRange"), "ip range")
        gateway = wanted_gateway(asked.get("Gateway"), subnet, within)
        interface6 = self._interface6(asked6) if body.get("EnableIPv6") else None
        internal = bool(body.get("Internal"))
        wanted = self._free_bridge(options.get(BRIDGE_NAME), ident)
        self._engine.journal.note_bridges([*self._ours, wanted])
        bridge = self._engine.host.add_network(
            wanted,
            f"{gateway}/{subnet.prefixlen}",
            icc=options.get(ICC, "true") != "false",
            mtu=wanted_mtu(options),
            internal=internal,
            within=within,
            address6=str(interface6) if interface6 else None,
        )
        try:
            for taken in (asked.get("AuxiliaryAddresses") or {}).values():
                bridge.attached.pool.allocate(wanted_address(taken, "auxiliary address"))
            if not internal and options.get(MASQUERADE, "true") != "false":
                bridge.masquerade()
            bridge.forward()
        except BaseException:
            bridge.remove()
            raise
        self._ours.append(wanted)
        return self._add(
            name,
            "bridge",
            ident,
            bridge=bridge,
            internal=internal,
            attachable=bool(body.get("Attachable")),
            ipv6=interface6 is not None,
            chosen_subnet=chosen,
            binding=wanted_address(options.get(BINDING), f"{BINDING} address"),
            ipam=wanted_ipam(subnet, gateway, ipam, asked, (interface6, asked6)),
            options=options,
            labels=wanted_strings(body, "Labels"),
        )

    def _free_bridge(self, wanted: str | None, ident: str) -> str:
        """The bridge's name: what was asked for, or `br-` and the network's short id."""
        if not wanted:
            return bridge_name(ident)
        check_interface_name(wanted)
        if self._engine.host.find_link(wanted) is not None:
            raise Refusal(
                f"an interface {wanted} is on {self._engine.host.name} already: choose another"
                f" name with -o {BRIDGE_NAME}=NAME",
                403,
            )
        return wanted

    def _subnet(self, asked: Mapping[str, Any]) -> tuple[IPv4Network, bool]:
        """The subnet, and whether the client named it."""
        host = self._engine.host
        used = [network.bridge.subnet for network in self if network.bridge]
        routes = [
            Route(
                IPv4Network(entry.dst),
                entry.dev,
                entry.table_name,
                IPv4Address(entry.gateway) if entry.gateway else None,
            )
            for entry in host.routes()
            if entry.dst != "default"
        ]
        wanted = wanted_network(asked.get("Subnet"), "subnet")
        if wanted is None:
            return pick_subnet([*used, *routes]), False
        try:
            check_subnet(wanted, networks=used, routes=routes)
        except UsageError as error:
            raise Refusal(f"invalid pool request: {dockers_words(error)}", 403) from error
        return wanted, True

    def _interface6(self, asked: Mapping[str, Any]) -> IPv6Interface:
        """The bridge's IPv6 address: in the subnet that was asked for, or in one of our own."""
        interfaces = [network.bridge.interface6 for network in self if network.bridge]
        used = [interface.network for interface in interfaces if interface]
        subnet = wanted_network6(asked.get("Subnet"))
        if subnet is None:
            subnet = pick_subnet6(self._engine.id, used)
        try:
            check_subnet(subnet, networks=used)
        except UsageError as error:
            raise Refusal(f"invalid pool request: {error}", 403) from error
        return IPv6Interface((wanted_gateway6(asked.get("Gateway"), subnet), subnet.prefixlen))

    def remove(self, network: Network) -> None:
        """Remove a network and its bridge. Equivalent to: `docker network rm NAME`.

        Raises:
            Refusal: it comes with the engine, or running containers are in it (403).
        """
        if network.predefined:
            raise Refusal(f"{network.name} is a pre-defined network and cannot be removed", 403)
        with self._engine.lock:
            if network.endpoints:
                active = " ".join(
                    f'name:"{self._engine.containers.find(ident).name}" id:"{endpoint.id[:12]}"'
                    for ident, endpoint in network.endpoints.items()
                )
                raise Refusal(
                    "error while removing network: network"
                    f" {network.name} has active endpoints ({active})",
                    403,
                )
            self._remove(network)
        self._tell(network, "destroy")

    def _remove(self, network: Network) -> None:
        if network.bridge is not None:
            network.bridge.remove()
            self._ours.remove(network.bridge.bridge)
        self._by_id.pop(network.id, None)

    def close(self) -> None:
        """Remove what the engine has made on the lab host."""
        for network in self:
            if network.bridge is not None and network.bridge.bridge in self._ours:
                self._remove(network)
        if self._forwarding_is_ours:
            self._engine.host.forwarding = False
            self._engine.host.drop_unless_accepted(False)
        if self._table_is_ours:
            self._engine.place.call(firewall.destroy_bare)

    def unused(self) -> list[Network]:
        """The client's networks in which no container runs."""
        return [network for network in self if not network.predefined and not network.endpoints]

    def _tell(self, network: Network, action: str) -> None:
        attributes = {"name": network.name, "type": network.driver}
        self._engine.events.tell("network", action, network.id, attributes)
