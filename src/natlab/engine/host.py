"""A host: a machine of the lab, with networks, containers, NAT and published ports."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_interface
from typing import Final

from natlab.engine import starting
from natlab.engine.container import Container
from natlab.engine.network import Network
from natlab.engine.node import Node
from natlab.engine.process import Process
from natlab.engine.publishing import Publishing
from natlab.errors import NatlabError, UsageError
from natlab.kernel import firewall, link_facts, links, machine, namespaces
from natlab.kernel.agent import Namespace
from natlab.model.addresses import Route, overlap
from natlab.model.names import check_container_name, check_interface_name, unknown
from natlab.model.ports import SEED_RANGE, PortRange
from natlab.model.publish import Published
from natlab.model.state import RouteEntry

DOCKER0: Final = "docker0"
DOCKER0_ADDRESS: Final = "172.17.0.1/16"
_LONGEST_NAME: Final = 255
_SMALLEST: Final = 30
"""The longest prefix that has room for a gateway and a container."""


@dataclass(frozen=True, kw_only=True)
class Docker0:
    """What a host's default network is like. Compare: dockerd's `--bip`, `--mtu` and `--icc`.

    Attributes:
        address: The bridge's address with the prefix length: the containers' gateway.
        mtu: The largest packet, in bytes.
        icc: Whether its containers reach each other.
    """

    address: str = DOCKER0_ADDRESS
    mtu: int = 1500
    icc: bool = True


DOCKER0_AS_USUAL: Final = Docker0()


class Host(Node):
    """A network, mount and UTS namespace: whoever stands in it takes it for a machine.

    Its containers are the namespaces in its own `/run/netns`, its networks are its bridges,
    its published ports are its DNAT rules: all three are read from the kernel, so what a
    person made by hand counts like what the library made.
    """

    def __init__(
        self,
        name: str,
        place: Namespace,
        *,
        userland_proxy: bool = True,
        port_range: PortRange | None = SEED_RANGE,
        docker0: Docker0 = DOCKER0_AS_USUAL,
    ) -> None:
        super().__init__(name, place)
        self.userland_proxy = userland_proxy
        self._docker0 = docker0
        self._new = False
        """Whether docker0 was made just now: there is no need to look for it."""
        self._containers: dict[str, Container] = {}
        self._networks: dict[str, Network] = {}
        self.plugged_into: tuple[Namespace, str] | None = None
        """Where its eth0 is plugged in, if the lab did that: the LAN, and the name of its port."""
        self.publishing = Publishing(self, port_range or self._kernels_port_range())

    def _kernels_port_range(self) -> PortRange:
        """Where the host's own kernel takes ports from, and where Docker does since 1.9."""
        setting = self.sysctl("net.ipv4.ip_local_port_range") or "32768 60999"
        first, last = map(int, setting.split())
        return PortRange(first, last)

    # Containers

    def add_container(self, name: str) -> Container:
        """Make an empty container: a network namespace with a name. Only `lo` is in it.

        Equivalent to: `ip netns add NAME`.

        Raises:
            UsageError: the name is not valid.
            NatlabError: the name is taken.
        """
        name = self.checked_name(name)
        with self.name_free(name):
            return self.adopt(name, self.place.call(namespaces.add_named, name))

    def checked_name(self, name: str) -> str:
        """The name for a container, if it is a valid one.

        Raises:
            UsageError: it is not.
        """
        name = check_container_name(name)
        if len(name) > _LONGEST_NAME:
            raise UsageError(
                f"the container name has {len(name)} characters: it is the name of a file in"
                f" /run/netns, so give it at most {_LONGEST_NAME}"
            )
        return name

    @contextlib.contextmanager
    def name_free(self, name: str) -> Iterator[None]:
        """Say in words that a name is taken."""
        try:
            yield
        except FileExistsError as error:
            raise NatlabError(
                f'Conflict. The container name "/{name}" is already in use on {self.name}:'
                " remove that container first, or choose another name"
            ) from error

    def adopt(self, name: str, number: int) -> Container:
        """Take a namespace that was made just now for a container."""
        container = Container(self, name, Namespace(self.place.agent, number))
        self._containers[name] = container
        return container

    def container_names(self) -> list[str]:
        """The names of every container here, whoever made it. Equivalent to: `ip netns list`."""
        return self.place.call(namespaces.list_named)

    def containers(self) -> list[Container]:
        """Every container here, whoever made it, by name."""
        names = self.container_names()
        for gone in set(self._containers) - set(names):
            self._containers.pop(gone).place.close()
        return [self._opened(name) for name in names]

    def container(self, name: str) -> Container:
        """One container by name.

        Raises:
            UsageError: there is none of that name; the message has the nearest ones.
        """
        known = self.container_names()
        if name not in known:
            raise unknown("container", name, known, place=f"on {self.name}")
        return self._opened(name)

    def find_container(self, name: str) -> Container | None:
        """One container by name, or None."""
        return self._opened(name) if name in self.container_names() else None

    def _opened(self, name: str) -> Container:
        number = self.place.call(namespaces.open_named, name)
        place = Namespace(self.place.agent, number)
        known = self._containers.get(name)
        if known and self.place.agent.call(None, namespaces.same_net, number, known.place.number):
            place.close()
            return known
        if known:
            known.place.close()
        self._containers[name] = Container(self, name, place)
        return self._containers[name]

    # Networks

    def add_network(
        self,
        bridge: str = DOCKER0,
        address: str = DOCKER0_ADDRESS,
        *,
        icc: bool = True,
        mtu: int = 1500,
        internal: bool = False,
        within: IPv4Network | None = None,
    ) -> Network:
        """Make a bridge with an address; no forwarding and no rule comes with it.

        Args:
            bridge: The bridge's name.
            address: Its address with the prefix length: the containers' gateway.
            icc: Whether containers reach each other, once `Network.forward` made rules.
            mtu: The largest packet, in bytes.
            internal: Whether its containers are kept from the outside, once `forward` made rules.
            within: The part of the subnet from which containers get addresses; all of it if None.

        Equivalent to: `ip link add BRIDGE type bridge; ip addr add ADDRESS dev BRIDGE; ip link
        set BRIDGE up`.

        Raises:
            UsageError: the name or the address is not valid.
            NatlabError: the bridge exists, or the subnet overlaps a route of this host.
        """
        check_interface_name(bridge)
        interface = _interface(address)
        self.refuse_taken(
            bridge, interface, self.place.call(links.present, [bridge]), self.routes()
        )
        network = Network(self, bridge, interface, mtu, icc=icc, internal=internal, within=within)
        self._changed(bridge, links.add_bridge, bridge, [str(interface)], mtu)
        self._networks[bridge] = network
        return network

    def refuse_taken(
        self,
        bridge: str,
        interface: IPv4Interface,
        present: Sequence[str],
        routes: Sequence[RouteEntry],
    ) -> None:
        """Check that a network can be made, from what was found here: interfaces and routes.

        Raises:
            NatlabError: the bridge exists, or the subnet overlaps a route.
        """
        if bridge in present:
            raise NatlabError(
                f"network with name {bridge} already exists on {self.name}:"
                " remove it first, or choose another name"
            )
        taken = [
            Route(IPv4Network(entry.dst), entry.dev, entry.table_name, _ipv4(entry.gateway))
            for entry in routes
            if entry.dst != "default"
        ]
        collision = overlap(interface.network, taken)
        if collision is not None:
            raise NatlabError(
                f"subnet {interface.network} overlaps the route {collision} on {self.name}:"
                " choose another subnet"
            )

    def networks(self) -> list[Network]:
        """Its bridges that have an IPv4 address, whoever made them."""
        found = {link.name: link for link in self.place.call(link_facts.bridges) if link.ipv4}
        for gone in set(self._networks) - set(found):
            del self._networks[gone]
        for name, link in found.items():
            if name not in self._networks or self._networks[name].gateway != link.ipv4[0].ip:
                self._networks[name] = Network(self, name, link.ipv4[0], link.mtu)
        return list(self._networks.values())

    def network_of(self, address: IPv4Address) -> Network | None:
        """The network in whose subnet an address lies, or None."""
        for known in self._networks.values():
            if known.has_attached(address):
                return known
            gateway = f"{known.gateway}/{known.subnet.prefixlen}"
            if address in known.subnet and self.place.call(
                link_facts.has_address, known.bridge, gateway
            ):
                return known
        return next((n for n in self.networks() if address in n.subnet), None)

    def network(self, bridge: str = DOCKER0) -> Network:
        """One network by its bridge's name.

        Raises:
            UsageError: there is none; the message has the nearest ones.
        """
        networks = {network.bridge: network for network in self.networks()}
        if bridge not in networks:
            raise unknown("network", bridge, list(networks), place=f"on {self.name}")
        return networks[bridge]

    def begun(self, now: int) -> None:
        """Note that docker0 was made together with this host: `now` is its rules' generation."""
        interface = _interface(self._docker0.address)
        self._networks[DOCKER0] = Network(self, DOCKER0, interface, self._docker0.mtu)
        self._new = True
        if now == firewall.UNTOUCHED + 1:
            self.publishing.begun(now, starting.fresh_rules(interface, DOCKER0))

    def add_docker0(
        self, address: str | None = None, *, bridge: str = DOCKER0, icc: bool | None = None
    ) -> Network:
        """All of Docker's default network at once: bridge, forwarding, masquerade, FORWARD rules.

        What is not given is as the lab was told: Docker's usual, unless it was told otherwise.

        Equivalent to: starting `dockerd`.
        """
        usual = self._docker0
        check_interface_name(bridge)
        wanted = _interface(address or usual.address)
        open_ = usual.icc if icc is None else icc
        network = Network(self, bridge, wanted, usual.mtu, icc=open_)
        starting.start_network(network, wanted)
        self._networks[bridge] = network
        return network

    @property
    def docker0(self) -> Network:
        """Docker's default network here; it is made when it is first asked for."""
        known = self._networks.get(DOCKER0)
        if known is not None and (self._new or self.place.call(links.present, [DOCKER0])):
            self._new = False
            return known
        return next((n for n in self.networks() if n.bridge == DOCKER0), None) or self.add_docker0()

    def start_dockerd(self, *options: str) -> Process:
        """Start Docker's engine, natlab's own, and wait until it answers at /run/docker.sock.

        Equivalent to: `dockerd OPTIONS &` on this host.

        Raises:
            NatlabError: an engine runs here already, or an option is not known.
        """
        engine = self.start(["dockerd", *options])
        try:
            engine.wait_for("API listen on", timeout=30)
        except BaseException:
            engine.kill()
            raise
        return engine

    # NAT

    @property
    def forwarding(self) -> bool:
        """Whether it passes packets between its interfaces: `net.ipv4.ip_forward`."""
        return self.sysctl("net.ipv4.ip_forward") == "1"

    @forwarding.setter
    def forwarding(self, on: bool) -> None:
        self.set_sysctl("net.ipv4.ip_forward", int(on))

    @property
    def hairpin(self) -> bool:
        """Without a userland proxy, bridge ports must send frames back where they came from."""
        return not self.userland_proxy

    def firewall_ready(self) -> None:
        """Make natlab's nftables table here, if it is not there yet."""
        self.place.call(firewall.create, userland_proxy=self.userland_proxy)

    def filter_bridged_frames(self) -> None:
        """Let FORWARD see what a bridge passes between its own ports (`icc=false` needs it).

        Equivalent to: `sysctl -w net.bridge.bridge-nf-call-iptables=1`.

        Raises:
            NatlabError: this kernel has no br_netfilter.
        """
        if self.sysctl("net.bridge.bridge-nf-call-iptables") is None:
            raise NatlabError(
                "icc=false needs the kernel module br_netfilter, which is not loaded:"
                " run `sudo modprobe br_netfilter`"
            )
        self.set_sysctl("net.bridge.bridge-nf-call-iptables", 1)

    def publish(
        self, container: Container, *specs: str, proxy: bool = True
    ) -> tuple[Published, ...]:
        """Publish ports of a container at this host's addresses.

        Each spec is as `docker run -p` takes it: `8080`, `80:8080`, `127.0.0.1:80:8080`,
        `IP::8080`, `53:53/udp`, ranges. All or none are published.

        Args:
            container: Whose ports.
            specs: What `-p` takes.
            proxy: False leaves out the userland proxy where the host has one: the rules alone,
                as a person types them.

        Returns:
            What was published, in Docker's order: by container port, then protocol.

        Raises:
            UsageError: a spec is not valid.
            NatlabError: a port is taken (Docker's message), or none is left.
        """
        return self.publishing.publish(container.ip, specs, proxy=proxy)

    def unpublish(self, container: Container, *published: Published) -> None:
        """Take published ports back. Their numbers become free."""
        self.publishing.take_back(container.ip, published)

    def unpublish_all(self, address: IPv4Address) -> None:
        """Take back every port that leads to an address. Used when a container goes."""
        mine = tuple(item for item, to in self.published() if to == address)
        self.publishing.take_back(address, mine)

    def published(self) -> tuple[tuple[Published, IPv4Address], ...]:
        """What is published here and to which address, read from the kernel's rules."""
        return self.publishing.read()

    # Life

    def far_end(self, interface: str) -> tuple[Namespace, str]:
        """Where the other end of an interface's cable is; see `Node.far_end`."""
        if interface == "eth0" and self.plugged_into is not None:
            return self.plugged_into
        return super().far_end(interface)

    @property
    def address(self) -> IPv4Interface:
        """Its own IPv4 address on the LAN (eth0)."""
        eth0 = self.link("eth0")
        if not eth0.ipv4:
            raise NatlabError(f"{self.name} has no IPv4 address on eth0")
        return eth0.ipv4[0]

    @property
    def ip(self) -> IPv4Address:
        """Its own IPv4 address on the LAN, without the prefix length."""
        return self.address.ip

    def clean(self, hosts_file: str) -> None:
        """Make the host as it was at first, unplugged: no container, bridge, rule, link but `lo`.

        People's shells on the host stay; programs that were started in the background end.
        """
        self.publishing.forget()
        for container in list(self._containers.values()):
            container.place.close()
        self._containers.clear()
        self._networks.clear()
        self.place.agent.call(None, machine.clean, self.place.number, self.name, hosts_file)

    def let_go(self) -> list[int]:
        """Forget what this process holds of the host; returns the places that are to be closed.

        The kernel's state stays.
        """
        self.publishing.forget()
        numbers = [container.place.number for container in self._containers.values()]
        self._containers.clear()
        self._networks.clear()
        return numbers

    def renamed(self, container: Container, before: str) -> None:
        """Remember a container by its new name."""
        self._containers[container.name] = self._containers.pop(before, container)
        for network in self._networks.values():
            network.renamed(before, container.name)

    def forget(self, gone: Container | Network) -> None:
        """Drop what was removed from what is remembered."""
        if isinstance(gone, Container):
            self._containers.pop(gone.name, None)
            for network in self._networks.values():
                network.forget(gone.name)
        else:
            self._networks.pop(gone.bridge, None)


def _ipv4(address: str | None) -> IPv4Address | None:
    return IPv4Address(address) if address and ":" not in address else None


def _interface(address: str) -> IPv4Interface:
    try:
        interface = ip_interface(address)
    except ValueError:
        raise UsageError(
            f"{address!r} is not an address with a prefix length, like {DOCKER0_ADDRESS}"
        ) from None
    if not isinstance(interface, IPv4Interface) or interface.network.prefixlen > _SMALLEST:
        raise UsageError(
            f"{address} leaves no room for containers: give an IPv4 prefix of {_SMALLEST} or less"
        )
    return interface
