"""A network of a host: a bridge with its address pool. docker0 is the default one."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import TYPE_CHECKING

from natlab.engine.container import Container
from natlab.errors import NatlabError
from natlab.kernel import firewall, links
from natlab.model import firewall as rules
from natlab.model.addresses import AddressPool, mac_for
from natlab.model.names import veth_name
from natlab.model.state import ForwardingEntry

if TYPE_CHECKING:
    from natlab.engine.host import Host


class Network:
    """A bridge on a host, and the addresses that its containers get."""

    def __init__(self, host: Host, bridge: str, interface: IPv4Interface, mtu: int, *, icc: bool = True) -> None:
        self.host = host
        self.bridge = bridge
        self.gateway: IPv4Address = interface.ip
        self.subnet: IPv4Network = interface.network
        self.mtu = mtu
        self.icc = icc
        self.pool = AddressPool(self.subnet, self.gateway)
        self._attached: dict[str, IPv4Address] = {}

    def __repr__(self) -> str:
        return f"<Network {self.bridge} {self.gateway}/{self.subnet.prefixlen} on {self.host.name}>"

    def attach(self, container: Container, address: IPv4Address | str | None = None, *, default_route: bool = True) -> IPv4Address:
        """Plug a container in: the four steps of networking a container.

        A veth pair is made; one end becomes a port of the bridge; the other becomes `eth0`
        in the container; it gets an address and the default route.
        Equivalent to: `ip link add A type veth peer name eth0 netns NAME; ip link set A master
        BRIDGE up; ip -n NAME addr add …; ip -n NAME route add default via GATEWAY`.

        Raises:
            NatlabError: the address is taken, the pool is used up, or eth0 exists already.
        """
        self._notice_others()
        ip = self.pool.allocate(None if address is None else IPv4Address(address))
        host_end = veth_name(f"{self.host.name}/{container.name}/{self.bridge}")
        try:
            self.host.place.call(
                links.attach,
                self.bridge,
                host_end,
                container.place.number,
                mac_for(ip),
                [f"{ip}/{self.subnet.prefixlen}"],
                str(self.gateway) if default_route else None,
                self.mtu,
            )
        except OSError as error:
            self.pool.release(ip)
            raise NatlabError(
                f"{container.name} cannot join {self.bridge} on {self.host.name}: {error.strerror}"
            ) from error
        if self.host.hairpin:
            self.host.place.call(links.set_hairpin, host_end, on=True)
        self._attached[container.name] = ip
        return ip

    def _notice_others(self) -> None:
        """Bring the pool in line with the kernel: addresses given by hand, containers gone."""
        names = self.host.container_names()
        for gone in self._attached.keys() - set(names):
            self.pool.release(self._attached.pop(gone))
        strangers = [name for name in names if name not in self._attached]
        taken = {
            interface.ip
            for name in strangers
            for link in self.host.container(name).links()
            for interface in link.ipv4
            if interface.ip in self.subnet and interface.ip not in self.pool.reserved
        }
        ours = set(self._attached.values())
        for ip in set(self.pool.allocated) - ours - taken:
            self.pool.release(ip)
        for ip in taken - set(self.pool.allocated):
            self.pool.allocate(ip)

    def detach(self, container: Container) -> None:
        """Unplug a container. Equivalent to: `docker network disconnect BRIDGE NAME`."""
        ip = container.ip
        host_end = container.host_end
        if host_end:
            self.host.place.call(links.delete, host_end)
        self._attached.pop(container.name, None)
        self.pool.release(ip)

    def containers(self) -> list[Container]:
        """The host's containers whose eth0 is a port of this bridge."""
        ports = {link.name for link in self.host.links() if link.master == self.bridge}
        return [c for c in self.host.containers() if c.host_end in ports]

    def forwarding_table(self) -> tuple[ForwardingEntry, ...]:
        """The MAC addresses that the bridge knows, and at which port. Equivalent to: `bridge fdb`."""
        return self.host.place.call(links.forwarding_table, self.bridge)

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
        specs = list(rules.forward_network(self.bridge, icc=self.icc))
        for other in self.host.networks():
            if other.bridge != self.bridge:
                specs += rules.isolate(self.bridge, other.bridge)
        self.host.place.call(firewall.add, specs)

    def link(self, parent: Container, child: Container, port: int, proto: str = "tcp") -> None:
        """Let one container use a port of another although icc is off.

        Equivalent to: `docker run --link CHILD:ALIAS`.
        """
        self.host.firewall_ready()
        self.host.place.call(firewall.add, list(rules.link(self.bridge, parent.ip, child.ip, port, proto)))

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
        specs = [rules.masquerade(self.subnet, self.bridge)]
        specs += rules.forward_network(self.bridge, icc=self.icc)
        for other in self.host.networks():
            specs += rules.isolate(self.bridge, other.bridge)
        self.host.place.call(firewall.remove, specs)
        self.host.place.call(links.delete, self.bridge)
        self.host.forget(self)
