"""A host: a machine of the lab, with networks, containers, NAT and published ports."""

from __future__ import annotations

import errno
import socket
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_interface
from typing import Final

from natlab.engine.container import Container
from natlab.engine.network import Network
from natlab.engine.node import Node
from natlab.engine.process import Process
from natlab.errors import NatlabError, UsageError
from natlab.kernel import firewall, links, machine, namespaces, sysctl
from natlab.kernel.agent import Namespace
from natlab.model import firewall as rules
from natlab.model.addresses import Route, overlap
from natlab.model.names import check_container_name, check_interface_name, unknown
from natlab.model.ports import PROTOS, SEED_RANGE, Binding, PortAllocator, PortRange, Proto
from natlab.model.publish import Published, parse_publish, publish_order

DOCKER0: Final = "docker0"
DOCKER0_ADDRESS: Final = "172.17.0.1/16"


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
        port_range: PortRange = SEED_RANGE,
    ) -> None:
        super().__init__(name, place)
        self.userland_proxy = userland_proxy
        self.ports = PortAllocator(port_range)
        self._containers: dict[str, Container] = {}
        self._networks: dict[str, Network] = {}
        self._proxies: list[tuple[Published, IPv4Address, Process]] = []

    # Containers

    def add_container(self, name: str) -> Container:
        """Make an empty container: a network namespace with a name. Only `lo` is in it.

        Equivalent to: `ip netns add NAME`.

        Raises:
            UsageError: the name is not valid.
            NatlabError: the name is taken.
        """
        check_container_name(name)
        try:
            number = self.place.call(namespaces.add_named, name)
        except FileExistsError as error:
            raise NatlabError(
                f'Conflict. The container name "/{name}" is already in use on {self.name}:'
                " remove that container first, or choose another name"
            ) from error
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
        self, bridge: str = DOCKER0, address: str = DOCKER0_ADDRESS, *, icc: bool = True, mtu: int = 1500
    ) -> Network:
        """Make a bridge with an address; no forwarding and no rule comes with it.

        Equivalent to: `ip link add BRIDGE type bridge; ip addr add ADDRESS dev BRIDGE; ip link
        set BRIDGE up`.

        Raises:
            UsageError: the name or the address is not valid.
            NatlabError: the bridge exists, or the subnet overlaps a route of this host.
        """
        check_interface_name(bridge)
        interface = _interface(address)
        if self.find_link(bridge):
            raise NatlabError(f"network with name {bridge} already exists on {self.name}")
        self._refuse_overlap(interface)
        self.place.call(links.add_bridge, bridge, [str(interface)], mtu)
        network = Network(self, bridge, interface, mtu, icc=icc)
        self._networks[bridge] = network
        return network

    def _refuse_overlap(self, interface: IPv4Interface) -> None:
        taken = [
            Route(IPv4Network(entry.dst), entry.dev, entry.table_name)
            for entry in self.routes()
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
        found = {link.name: link for link in self.links() if link.kind == "bridge" and link.ipv4}
        for gone in set(self._networks) - set(found):
            del self._networks[gone]
        for name, link in found.items():
            if name not in self._networks or self._networks[name].gateway != link.ipv4[0].ip:
                self._networks[name] = Network(self, name, link.ipv4[0], link.mtu)
        return list(self._networks.values())

    def network(self, bridge: str = DOCKER0) -> Network:
        """One network by its bridge's name.

        Raises:
            UsageError: there is none; the message has the nearest ones.
        """
        networks = {network.bridge: network for network in self.networks()}
        if bridge not in networks:
            raise unknown("network", bridge, list(networks), place=f"on {self.name}")
        return networks[bridge]

    def add_docker0(self, address: str = DOCKER0_ADDRESS, *, bridge: str = DOCKER0, icc: bool = True) -> Network:
        """All of Docker's default network at once: bridge, forwarding, masquerade, FORWARD rules.

        Equivalent to: starting `dockerd`.
        """
        network = self.add_network(bridge, address, icc=icc)
        self.forwarding = True
        network.masquerade()
        network.forward()
        return network

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
        address = container.ip
        network = self._network_of(address)
        wanted = publish_order(spec for text in specs for spec in parse_publish(text))
        bindings = self.ports.allocate([s.request() for s in wanted], in_use=self._port_in_use)
        pairs = zip(wanted, bindings, strict=True)
        published = tuple(item for spec, binding in pairs for item in spec.published(binding))
        try:
            self._apply_published(network, address, published, proxy=proxy)
        except BaseException:
            self.ports.release(bindings)
            raise
        return published

    def _network_of(self, address: IPv4Address) -> Network:
        for network in self.networks():
            if address in network.subnet:
                return network
        raise NatlabError(f"{address} is in no network of {self.name}: attach the container first")

    def _apply_published(
        self, network: Network, address: IPv4Address, published: tuple[Published, ...], *, proxy: bool
    ) -> None:
        started: list[tuple[Published, IPv4Address, Process]] = []
        try:
            if self.userland_proxy and proxy:
                started = [(item, address, self._start_proxy(item, address)) for item in published]
            elif not self.userland_proxy:
                self._allow_hairpin(network)
            self.firewall_ready()
            self.place.call(firewall.add, self._specs(network.bridge, address, published))
        except BaseException:
            for _, _, process in started:
                process.kill()
            raise
        self._proxies += started

    def _specs(self, bridge: str, address: IPv4Address, published: tuple[Published, ...]) -> list[rules.RuleSpec]:
        specs: list[rules.RuleSpec] = []
        accepted: set[tuple[int, str]] = set()
        for item in published:
            specs.append(
                rules.dnat(
                    bridge,
                    IPv4Address(str(item.host_ip)),
                    item.host_port,
                    address,
                    item.container_port,
                    item.proto,
                    userland_proxy=self.userland_proxy,
                )
            )
            port = (item.container_port, item.proto)
            if port not in accepted:
                accepted.add(port)
                specs.append(rules.accept_published(bridge, address, *port))
                if not self.userland_proxy:
                    specs.append(rules.hairpin(address, *port))
        return specs

    def _allow_hairpin(self, network: Network) -> None:
        """What Docker sets up when no proxy stands between a container and its own port."""
        self.set_sysctl(f"net/ipv4/conf/{network.bridge}/route_localnet", 1)
        self.firewall_ready()
        local = rules.masquerade_local(network.bridge)
        self.place.call(firewall.remove, [local])
        self.place.call(firewall.add, [local])

    def _start_proxy(self, item: Published, address: IPv4Address) -> Process:
        proxy = self.start(
            ["docker-proxy", "-proto", item.proto, "-host-ip", str(item.host_ip)]
            + ["-host-port", str(item.host_port), "-container-ip", str(address)]
            + ["-container-port", str(item.container_port)]
        )
        try:
            proxy.wait_for("ready")
        except BaseException:
            proxy.kill()
            raise
        return proxy

    def _port_in_use(self, address: object, port: int, proto: str) -> bool:
        kind = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}.get(proto)
        if kind is None:
            return False
        with self.socket(kind=kind) as sock:
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(proto == "tcp"))
                sock.bind((str(address), port))
            except OSError as error:
                if error.errno == errno.EADDRINUSE:
                    return True
                if error.errno == errno.EADDRNOTAVAIL:
                    raise NatlabError(
                        f"failed to bind host port {address}:{port}/{proto}:"
                        f" {self.name} has no address {address}"
                    ) from error
                raise
        return False

    def unpublish(self, container: Container, *published: Published) -> None:
        """Take published ports back. Their numbers become free."""
        address = container.ip
        bridge = self._network_of(address).bridge
        self._end_proxies([p for p in self._proxies if p[0] in published and p[1] == address])
        self.place.call(firewall.remove, self._specs(bridge, address, published))
        self._release(published)

    def unpublish_all(self, address: IPv4Address) -> None:
        """Take back every port that leads to an address. Used when a container goes."""
        mine = tuple(
            Published(host_ip, port, to_port, proto)
            for host_ip, port, to, to_port, proto in self._dnat_rules()
            if to == address
        )
        bridge = next((n.bridge for n in self.networks() if address in n.subnet), None)
        self._end_proxies([p for p in self._proxies if p[1] == address])
        if mine and bridge:
            self.place.call(firewall.remove, self._specs(bridge, address, mine))
            self._release(mine)

    def _release(self, published: tuple[Published, ...]) -> None:
        self.ports.release(Binding((p.host_ip,), p.proto, p.host_port) for p in published)

    def _end_proxies(self, doomed: list[tuple[Published, IPv4Address, Process]]) -> None:
        for entry in doomed:
            entry[2].kill()
            self._proxies.remove(entry)

    def published(self) -> tuple[tuple[Published, IPv4Address], ...]:
        """What is published here and to which address, read from the kernel's rules."""
        return tuple(
            (Published(host_ip, port, to_port, proto), to)
            for host_ip, port, to, to_port, proto in self._dnat_rules()
        )

    def _dnat_rules(self) -> list[tuple[IPv4Address, int, IPv4Address, int, Proto]]:
        found = []
        for _, _, rule in self.ruleset().rules():
            if rule.dnat is None:
                continue
            to, to_port = rule.dnat
            values = {match.key: match.value for match in rule.matches if match.op == "=="}
            host_ip = IPv4Address(values.get("ip daddr", "0.0.0.0"))
            for proto in PROTOS:
                port = values.get(f"{proto} dport", "")
                if port.isdigit():
                    found.append((host_ip, int(port), IPv4Address(to), to_port or int(port), proto))
        return found

    # Life

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

    def clean(self, address: str) -> None:
        """Make the host as it was at first: no container, no bridge, no rule, no forwarding.

        People's shells on the host stay; programs that were started in the background end.
        """
        for _, _, proxy in self._proxies:
            proxy.kill()
        self._proxies.clear()
        for container in list(self._containers.values()):
            container.place.close()
        self._containers.clear()
        self._networks.clear()
        self.ports = PortAllocator(self.ports.ports)
        self.place.agent.call(None, machine.clean, self.place.number, address)

    def close(self) -> None:
        """Let go of everything that this process holds of the host; the kernel's state stays."""
        for _, _, proxy in self._proxies:
            proxy.kill()
        for container in self._containers.values():
            container.place.close()
        self._proxies.clear()
        self._containers.clear()
        self._networks.clear()

    def forget(self, gone: Container | Network) -> None:
        """Drop what was removed from what is remembered."""
        if isinstance(gone, Container):
            self._containers.pop(gone.name, None)
        else:
            self._networks.pop(gone.bridge, None)


def _interface(address: str) -> IPv4Interface:
    try:
        interface = ip_interface(address)
    except ValueError:
        raise UsageError(f"{address!r} is not an address with a prefix length, like {DOCKER0_ADDRESS}") from None
    if not isinstance(interface, IPv4Interface) or interface.network.prefixlen > 30:  # noqa: PLR2004 - needs room for a gateway and a container
        raise UsageError(f"{address} leaves no room for containers: give an IPv4 prefix of 30 or less")
    return interface
