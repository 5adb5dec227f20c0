"""A network of a host: a bridge with its address pool. docker0 is the default one."""

from __future__ import annotations

import contextlib
import errno
import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import TYPE_CHECKING

from natlab.engine import starting
from natlab.engine.container import Container
from natlab.errors import NatlabError, UsageError
from natlab.kernel import firewall, link_facts, links, namespaces
from natlab.kernel.batch import Call
from natlab.model import firewall as rules
from natlab.model.addresses import AddressPool, mac_for
from natlab.model.names import veth_name
from natlab.model.state import ForwardingEntry

if TYPE_CHECKING:
    from natlab.engine.host import Host


@dataclass(frozen=True)
class Endpoint:
    """What this process has attached: the address, and the host's end of the veth pair."""

    ip: IPv4Address
    host_end: str


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
    ) -> None:
        self.host = host
        self.bridge = bridge
        self.gateway: IPv4Address = interface.ip
        self.subnet: IPv4Network = interface.network
        self.mtu = mtu
        self.icc = icc
        self.internal = internal
        self.pool = AddressPool(self.subnet, self.gateway, within)
        self.within = within
        self._attached: dict[str, Endpoint] = {}
        self._others: set[IPv4Address] = set()

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
    ) -> IPv4Address:
        """Plug a container in: the four steps of networking a container.

        A veth pair is made; one end becomes a port of the bridge; the other becomes `eth0`
        in the container; it gets an address and the default route.
        Equivalent to: `ip link add A type veth peer name eth0 netns NAME; ip link set A master
        BRIDGE up; ip -n NAME addr add …; ip -n NAME route add default via GATEWAY`.

        Raises:
            UsageError: the address is taken, reserved, or outside the subnet.
            NatlabError: the pool is used up, or the container has an eth0 already.
        """
        names, interfaces = self.host.place.call(namespaces.inventory)
        self._notice_others(container.name, names, interfaces)
        with self.reserved(container.name, address, interfaces) as endpoint:
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

    @contextlib.contextmanager
    def reserved(
        self,
        container: str,
        address: IPv4Address | str | None,
        interfaces: Collection[str] = (),
    ) -> Iterator[Endpoint]:
        """An address and a name for the host's end: the container's if the block ends well.

        The host's end gets a name that none of the interfaces has.
        """
        if container in self._attached:
            raise NatlabError(
                f"{container} is on {self.bridge} already, with the address"
                f" {self._attached[container].ip}: detach it first, or use another container"
            )
        ip = self.pool.allocate(None if address is None else _ipv4(address))
        try:
            endpoint = Endpoint(ip, self._free_name(container, interfaces))
            yield endpoint
        except BaseException:
            self.pool.release(ip)
            raise
        self._attached[container] = endpoint

    def expect_call(self, endpoint: Endpoint) -> Call:
        """The call that checks that the host is as this process left it, and its pool with it."""
        ends = {known.host_end for known in self._attached.values()}
        args = (set(self._attached), ends, endpoint.host_end)
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
        options = {
            "mac": mac or mac_for(endpoint.ip),
            "interface": interface,
            "addresses": [f"{endpoint.ip}/{self.subnet.prefixlen}"],
            "gateway": str(self.gateway) if default_route and not self.internal else None,
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
                errno.EXFULL: "it has 1,023 ports already, as many as a bridge takes:"
                " add another network for more",
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

    def _free_name(self, container: str, taken: Collection[str]) -> str:
        """A name for the host's end that no interface has: Docker's `veth` and 7 digits."""
        seed = f"{self.host.name}/{container}/{self.bridge}"
        names = (veth_name(seed if n == 0 else f"{seed}/{n}") for n in itertools.count())
        return next(name for name in names if name not in taken)

    def _notice_others(self, newcomer: str, names: set[str], interfaces: set[str]) -> None:
        """Bring the pool in line with the kernel: addresses given by hand, containers gone."""
        for name, endpoint in list(self._attached.items()):
            if name not in names or endpoint.host_end not in interfaces:
                self.forget(name)
        strangers = names - self._attached.keys() - {newcomer}
        if strangers:
            strangers &= set(self.host.container_names())  # less the names that lead nowhere
        ours = {endpoint.ip for endpoint in self._attached.values()} if strangers else set()
        taken = {
            interface.ip
            for name in strangers
            for link in self.host.container(name).links()
            for interface in link.ipv4
            if interface.ip in self.subnet
            and interface.ip not in self.pool.reserved
            and interface.ip not in ours
        }
        for ip in self._others - taken:
            self.pool.release(ip)
        for ip in taken - self._others:
            self.pool.allocate(ip)
        self._others = taken

    def has_attached(self, address: IPv4Address) -> bool:
        """Whether this process gave a container that address here."""
        return any(endpoint.ip == address for endpoint in self._attached.values())

    def given(self, name: str) -> IPv4Address:
        """The address that this process gave a container here.

        Raises:
            KeyError: none.
        """
        return self._attached[name].ip

    def forget(self, name: str) -> None:
        """Drop a container that was removed or unplugged; its address is free again."""
        endpoint = self._attached.pop(name, None)
        if endpoint is not None:
            self.pool.release(endpoint.ip)

    def unplug(self, host_end: str) -> None:
        """Delete a container's veth pair by its end on the host; already gone is fine."""
        self.host.place.call(links.delete, host_end)

    def renamed(self, before: str, name: str) -> None:
        """Remember a container by its new name."""
        if before in self._attached:
            self._attached[name] = self._attached.pop(before)

    def detach(self, container: Container, interface: str = "eth0") -> None:
        """Unplug a container; its published ports are taken back.

        Equivalent to: `docker network disconnect BRIDGE NAME`.

        Raises:
            NatlabError: it has no address on that interface, so it is on no network.
        """
        ip = container.address_on(interface).ip
        host_end = container.host_ends().get(interface)
        self.host.unpublish_all(ip)
        if host_end:
            self.host.place.call(links.delete, host_end)
        self.forget(container.name)

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
        self.host.firewall_ready()
        self.host.place.call(firewall.add, [rules.masquerade(self.subnet, self.bridge)])

    def forward(self) -> None:
        """Docker's FORWARD rules for this network, and its isolation from the host's others."""
        self.host.firewall_ready()
        if not self.icc:
            self.host.filter_bridged_frames()
        others = [other.bridge for other in self.host.networks()]
        self.host.place.call(firewall.add, self.forward_rules(others))

    def forward_rules(self, others: Collection[str]) -> list[rules.RuleSpec]:
        """What `forward` adds, on a host with those bridges."""
        specs = list(rules.forward_network(self.bridge, icc=self.icc))
        for other in others:
            if other != self.bridge:
                specs += rules.isolate(self.bridge, other)
        if self.internal:
            specs += rules.closed(self.bridge, self.subnet)
        return specs

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
    ) -> tuple[rules.RuleSpec, ...]:
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
        specs = [rules.masquerade(self.subnet, self.bridge), rules.masquerade_local(self.bridge)]
        specs += rules.forward_network(self.bridge, icc=True)
        specs += rules.forward_network(self.bridge, icc=False)[-1:]
        specs += rules.closed(self.bridge, self.subnet)
        for other in self.host.networks():
            specs += rules.isolate(self.bridge, other.bridge)
        self.host.place.call(firewall.remove, specs)
        self.host.place.call(links.delete, self.bridge)
        self.host.forget(self)


def _ipv4(address: IPv4Address | str) -> IPv4Address:
    try:
        return IPv4Address(address)
    except ValueError:
        raise UsageError(
            f"{address!r} is not an IPv4 address: give one like 172.17.0.2, or none"
        ) from None
