"""A host: a machine of the lab, with networks, containers, NAT and published ports."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import Final

from natlab.engine import starting_network
from natlab.engine.container import Container
from natlab.engine.host_containers import HostContainers
from natlab.engine.host_networks import HostNetworks
from natlab.engine.network import Network
from natlab.engine.node import Node
from natlab.engine.process import Process
from natlab.engine.publishing import Publishing
from natlab.errors import NatlabError
from natlab.kernel import firewall, machine, namespaces
from natlab.kernel.agent import Namespace
from natlab.model import firewall as rules
from natlab.model.addresses import Address
from natlab.model.bridge_addresses import DOCKER0_ADDRESS, bridge_address, bridge_address6
from natlab.model.names import check_interface_name
from natlab.model.ports import SEED_RANGE, PortRange
from natlab.model.publish import Published
from natlab.model.rule_spec import Family

DOCKER0: Final = "docker0"


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
        self.known_containers = HostContainers(self)
        self.known_networks = HostNetworks(self)
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
        return self.known_containers.add(name)

    def container_names(self) -> list[str]:
        """The names of every container here, whoever made it. Equivalent to: `ip netns list`."""
        return self.known_containers.names()

    def containers(self) -> list[Container]:
        """Every container here, whoever made it, by name."""
        return self.known_containers.all()

    def container(self, name: str) -> Container:
        """One container by name.

        Raises:
            UsageError: there is none of that name; the message has the nearest ones.
        """
        return self.known_containers.one(name)

    def find_container(self, name: str) -> Container | None:
        """One container by name, or None."""
        return self.known_containers.find(name)

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
        address6: str | None = None,
    ) -> Network:
        """Make a bridge with an address; no forwarding and no rule comes with it.

        Args:
            bridge: The bridge's name.
            address: Its address with the prefix length: the containers' gateway.
            icc: Whether containers reach each other, once `Network.forward` made rules.
            mtu: The largest packet, in bytes.
            internal: Whether its containers are kept from the outside, once `forward` made rules.
            within: The part of the subnet from which containers get addresses; all of it if None.
            address6: The bridge's IPv6 address with the prefix length, for a network that has
                both; the host then also forwards IPv6.

        Equivalent to: `ip link add BRIDGE type bridge; ip addr add ADDRESS dev BRIDGE; ip link
        set BRIDGE up`.

        Raises:
            UsageError: the name or the address is not valid.
            NatlabError: the bridge exists, or the subnet overlaps a route of this host.
        """
        check_interface_name(bridge)
        return self.known_networks.add(
            bridge,
            bridge_address(address),
            bridge_address6(address6),
            icc=icc,
            mtu=mtu,
            internal=internal,
            within=within,
        )

    def networks(self) -> list[Network]:
        """Its bridges that have an IPv4 address, whoever made them."""
        return self.known_networks.all()

    def network_of(self, address: Address) -> Network | None:
        """The network in whose subnet an address lies, or None."""
        return self.known_networks.holding(address)

    def network(self, bridge: str = DOCKER0) -> Network:
        """One network by its bridge's name.

        Raises:
            UsageError: there is none; the message has the nearest ones.
        """
        return self.known_networks.one(bridge)

    def add_docker0(
        self, address: str | None = None, *, bridge: str = DOCKER0, icc: bool | None = None
    ) -> Network:
        """All of Docker's default network at once: bridge, forwarding, masquerade, FORWARD rules.

        What is not given is as the lab was told: Docker's usual, unless it was told otherwise.

        Equivalent to: starting `dockerd`.
        """
        usual = self._docker0
        check_interface_name(bridge)
        wanted = bridge_address(address or usual.address)
        open_ = usual.icc if icc is None else icc
        network = Network(self, bridge, wanted, usual.mtu, icc=open_)
        starting_network.start(network, wanted)
        return self.known_networks.adopt(network)

    @property
    def docker0(self) -> Network:
        """Docker's default network here; it is made when it is first asked for."""
        return self.known_networks.standing(DOCKER0) or self.add_docker0()

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

    def firewall_ready(self, family: Family = "ip") -> None:
        """Make natlab's nftables table of a family here, if it is not there yet."""
        self.place.call(firewall.create, family, userland_proxy=self.userland_proxy)

    def drop_unless_accepted(self, on: bool = True) -> None:
        """Forward nothing but what a rule of natlab's accepts, or everything that no rule drops.

        Docker does the first where it has turned forwarding on itself: a machine that was no
        router before shall not become one for others. Equivalent to: `iptables -P FORWARD DROP`.
        """
        self.firewall_ready()
        self.place.call(firewall.run, [rules.policy("drop" if on else "accept")])

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

        In a network with IPv6 what names no address is published at `::` too.

        Returns:
            What was published, in Docker's order: by container port, then protocol.

        Raises:
            UsageError: a spec is not valid.
            NatlabError: a port is taken (Docker's message), or none is left.
        """
        address = container.ip
        network = self.network_of(address)
        six = network.ip6_of(container) if network else None
        return self.publishing.publish(address, specs, proxy=proxy, address6=six)

    def unpublish(self, container: Container, *published: Published) -> None:
        """Take published ports back. Their numbers become free."""
        self.publishing.take_back(container.ip, published)

    def unpublish_all(self, address: Address) -> None:
        """Take back every port that leads to an address. Used when a container goes."""
        mine = tuple(item for item, to in self.published() if to == address)
        self.publishing.take_back(address, mine)

    def published(self) -> tuple[tuple[Published, Address], ...]:
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
        self.place.agent.call(None, namespaces.close, *self.let_go())
        self.place.agent.call(None, machine.clean, self.place.number, self.name, hosts_file)

    def let_go(self) -> list[int]:
        """Forget what this process holds of the host; returns the places that are to be closed.

        The kernel's state stays.
        """
        self.publishing.forget()
        self.known_networks.clear()
        return self.known_containers.let_go()

    def renamed(self, container: Container, before: str) -> None:
        """Remember a container by its new name."""
        self.known_containers.renamed(container, before)
        for network in self.known_networks:
            network.attached.renamed(before, container.name)

    def forget(self, gone: Container | Network) -> None:
        """Drop what was removed from what is remembered."""
        if isinstance(gone, Container):
            self.known_containers.forget(gone.name)
            for network in self.known_networks:
                network.attached.forget(gone.name)
        else:
            self.known_networks.forget(gone.bridge)
