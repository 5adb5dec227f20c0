"""A network of a host: a bridge with its address pool. docker0 is the default one."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface
from typing import TYPE_CHECKING

from natlab.engine import starting
from natlab.engine.container import Container
from natlab.errors import NatlabError
from natlab.kernel import firewall, link_facts, links, namespaces
from natlab.kernel.batch import Call
from natlab.model import firewall as rules
from natlab.model.addresses import Address, AddressPool, mac_for
from natlab.model.attachments import Attachments, Endpoint
from natlab.model.network_rules import NetworkRules
from natlab.model.rule_spec import RuleSpec
from natlab.model.state import ForwardingEntry

if TYPE_CHECKING:
    from natlab.engine.host import Host


class Network:
    """A bridge on a host, and the addresses that its containers get."""

    def __init__(
        self,
        host: Host,
        bridge: str,
        interface: IPv4Interface,
        mtu: int,
        *,
        icc: bool = True,
        internal: bool = False,
        within: IPv4Network | None = None,
        interface6: IPv6Interface | None = None,
    ) -> None:
        self.host = host
        self.bridge = bridge
        self.gateway: IPv4Address = interface.ip
        self.subnet: IPv4Network = interface.network
        self.mtu = mtu
        self.icc = icc
        self.internal = internal
        self.within = within
        self.interface6 = interface6
        pool = AddressPool(self.subnet, self.gateway, within)
        pool6 = AddressPool(interface6.network, interface6.ip) if interface6 else None
        self.attached = Attachments((host.name, bridge), pool, pool6)

    def __repr__(self) -> str:
        return f"<Network {self.bridge} {self.gateway}/{self.subnet.prefixlen} on {self.host.name}>"

    def attach(
        self,
        container: Container,
        address: IPv4Address | str | None = None,
        *,
        default_route: bool = True,
        interface: str = "eth0",
        mac: str | None = None,
        address6: IPv6Address | None = None,
    ) -> IPv4Address:
        """Plug a container in: the four steps of networking a container.

        A veth pair is made; one end becomes a port of the bridge; the other becomes `eth0`
        in the container; it gets an address and the default route, and the same of IPv6 where
        the network has it (`ip6_of` tells the address).
        Equivalent to: `ip link add A type veth peer name eth0 netns NAME; ip link set A master
        BRIDGE up; ip -n NAME addr add …; ip -n NAME route add default via GATEWAY`.

        Raises:
            UsageError: the address is taken, reserved, or outside the subnet.
            NatlabError: the pool is used up, or the container has an eth0 already.
        """
        names, interfaces = self.host.place.call(namespaces.inventory)
        self._notice_others(container.name, names, interfaces)
        with self.attached.reserved(container.name, address, interfaces, address6) as endpoint:
            call = self.attach_call(
                container.place.number,
                endpoint,
                default_route=default_route,
                interface=interface,
                mac=mac,
            )
            with self._explained(container):
                self.host.place.call(call.function, *call.args, **call.kwargs)
        return endpoint.ip

    def ip6_of(self, container: Container) -> IPv6Address | None:
        """The IPv6 address that this process gave a container here, if any."""
        endpoint = self.attached.of(container.name)
        return endpoint.ip6 if endpoint else None

    def expect_call(self, endpoint: Endpoint) -> Call:
        """The call that checks that the host is as this process left it, and its pool with it."""
        args = (self.attached.names, self.attached.host_ends, endpoint.host_end)
        return Call(self.host.place.number, namespaces.expect, args)

    def attach_call(
        self,
        place: int,
        endpoint: Endpoint,
        *,
        default_route: bool = True,
        interface: str = "eth0",
        mac: str | None = None,
    ) -> Call:
        """The call that plugs the container of that place in."""
        addresses, gateways = [f"{endpoint.ip}/{self.subnet.prefixlen}"], [str(self.gateway)]
        if self.interface6 is not None:
            addresses.append(f"{endpoint.ip6}/{self.interface6.network.prefixlen}")
            gateways.append(str(self.interface6.ip))
        options = {
            "mac": mac or mac_for(endpoint.ip),
            "interface": interface,
            "addresses": addresses,
            "gateways": gateways if default_route and not self.internal else (),
            "mtu": self.mtu,
            "hairpin": self.host.hairpin,
        }
        here = self.host.place.number
        undo = Call(here, links.delete, (endpoint.host_end,))
        args = (self.bridge, endpoint.host_end, place)
        return Call(here, links.attach, args, options, undo)

    @contextlib.contextmanager
    def _explained(self, container: Container) -> Iterator[None]:
        """Say in words why the kernel did not let a container join."""
        try:
            yield
        except OSError as error:
            reason = {
                errno.EEXIST: "it has an eth0 or a default route already",
                errno.ENODEV: f"there is no bridge {self.bridge} any more",
            }.get(error.errno or 0, error.strerror)
            raise NatlabError(
                f"{container.name} cannot join {self.bridge} on {self.host.name}: {reason}"
            ) from error

    def add_container(
        self, name: str, *publish: str, address: IPv4Address | str | None = None
    ) -> Container:
        """Make a container, plug it in, and publish ports of it: all of it or nothing.

        Equivalent to: `docker run -d --name NAME --network BRIDGE --ip ADDRESS -p PUBLISH`, less
        the program.

        Raises:
            UsageError: a name, address or port spec is not valid.
            NatlabError: one of them is taken; the message is Docker's.
        """
        return starting.start(self, name, publish, address)

    def _notice_others(self, newcomer: str, names: set[str], interfaces: set[str]) -> None:
        """Bring the pool in line with the kernel: addresses given by hand, containers gone."""
        strangers = self.attached.drop_gone(names, interfaces) - {newcomer}
        if strangers:
            strangers &= set(self.host.container_names())  # less the names that lead nowhere
        self.attached.notice(
            [
                interface.ip
                for name in strangers
                for link in self.host.container(name).links()
                for interface in link.given
            ]
        )

    def hands_out(self, address: Address) -> bool:
        """Whether a container may ask for an address: it lies where containers get theirs."""
        if isinstance(address, IPv4Address):
            return address in (self.within or self.subnet)
        return self.interface6 is not None and address in self.interface6.network

    def holds(self, address: Address) -> bool:
        """Whether an address lies in one of its subnets."""
        return address in self.attached.pool_of(address).subnet

    def unplug(self, host_end: str) -> None:
        """Delete a container's veth pair by its end on the host; already gone is fine."""
        self.host.place.call(links.delete, host_end)

    def detach(self, container: Container, interface: str = "eth0") -> None:
        """Unplug a container; its published ports are taken back.

        Equivalent to: `docker network disconnect BRIDGE NAME`.

        Raises:
            NatlabError: it has no address on that interface, so it is on no network.
        """
        ip = container.address_on(interface).ip
        host_end = container.host_ends().get(interface)
        self.host.unpublish_all(ip)
        for six in container.link(interface).ipv6:
            self.host.unpublish_all(six.ip)
        if host_end:
            self.host.place.call(links.delete, host_end)
        self.attached.forget(container.name)

    def containers(self) -> list[Container]:
        """The host's containers of which an interface leads to a port of this bridge."""
        ports = {link.name for link in self.host.links() if link.master == self.bridge}
        return [c for c in self.host.containers() if ports & set(c.host_ends().values())]

    def forwarding_table(self) -> tuple[ForwardingEntry, ...]:
        """The MAC addresses that the bridge knows, and their ports. Compare: `bridge fdb`."""
        return self.host.place.call(link_facts.forwarding_table, self.bridge)

    def set_hairpin(self, on: bool = True) -> None:
        """Let every port send frames back where they came from, or not.

        Without a userland proxy a container needs it to reach its own published port.

        Equivalent to: `bridge link set dev PORT hairpin on`, for each port.
        """
        for link in self.host.links():
            if link.master == self.bridge:
                self.host.place.call(links.set_hairpin, link.name, on)

    def masquerade(self) -> None:
        """What containers send to the outside takes the host's address.

        Equivalent to: `iptables -t nat -A POSTROUTING -s SUBNET ! -o BRIDGE -j MASQUERADE`.
        """
        self._firewall_ready()
        self.host.place.call(firewall.add, self.rules().masquerading())

    def forward(self) -> None:
        """Docker's FORWARD rules for this network, and its isolation from the host's others."""
        self._firewall_ready()
        if not self.icc:
            self.host.filter_bridged_frames()
        others, proxy = self._others_bridges(), self.host.userland_proxy
        standing = self.host.place.call(firewall.keys) if others and proxy else set()
        specs = self.rules().forwarding(others, proxy=proxy, standing=standing)
        self.host.place.call(firewall.add, specs)

    def rules(self) -> NetworkRules:
        """Which rules it needs on its host."""
        six = [self.interface6.network] if self.interface6 else []
        return NetworkRules(self.bridge, (self.subnet, *six), icc=self.icc, internal=self.internal)

    def _firewall_ready(self) -> None:
        for family in self.rules().families:
            self.host.firewall_ready(family)

    def _others_bridges(self) -> list[str]:
        return [n.bridge for n in self.host.networks() if n.bridge != self.bridge]

    def link(
        self,
        parent: Container | IPv4Address,
        child: Container | IPv4Address,
        port: int,
        proto: str = "tcp",
    ) -> None:
        """Let one container use a port of another although icc is off.

        Equivalent to: `docker run --link CHILD:ALIAS`.
        """
        self.host.firewall_ready()
        self.host.place.call(firewall.add, self._link_rules(parent, child, port, proto))

    def unlink(
        self,
        parent: Container | IPv4Address,
        child: Container | IPv4Address,
        port: int,
        proto: str = "tcp",
    ) -> None:
        """Take back what `link` allowed; already gone is fine."""
        self.host.place.call(firewall.remove, self._link_rules(parent, child, port, proto))

    def _link_rules(
        self,
        parent: Container | IPv4Address,
        child: Container | IPv4Address,
        port: int,
        proto: str,
    ) -> tuple[RuleSpec, ...]:
        one, other = (e if isinstance(e, IPv4Address) else e.ip for e in (parent, child))
        return rules.link(self.bridge, one, other, port, proto)

    def remove(self) -> None:
        """Delete the bridge and its rules. Equivalent to: `docker network rm BRIDGE`.

        Raises:
            NatlabError: containers are still attached.
        """
        attached = [container.name for container in self.containers()]
        if attached:
            raise NatlabError(
                f"network {self.bridge} has active endpoints ({', '.join(attached)}):"
                " remove those containers first"
            )
        specs = self.rules().every(self._others_bridges())
        self.host.place.call(firewall.remove, specs)
        self.host.place.call(links.delete, self.bridge)
        self.host.forget(self)
