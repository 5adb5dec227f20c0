"""Published ports of a host: DNAT rules, userland proxies, and who holds which port.

The rules in the kernel are the truth. What is kept besides is how far the automatic ports have
come (they go forward), and the proxies that this process started.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import socket
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Final

from natlab.engine import process
from natlab.engine.process import Process
from natlab.errors import NatlabError, StaleError, UsageError
from natlab.kernel import conntrack, firewall, processes, sockets, sysctl
from natlab.kernel.batch import Call
from natlab.model import firewall as rules
from natlab.model.ports import PROTOS, Binding, InUse, PortAllocator, PortRange, PortRequest
from natlab.model.publish import Published, PublishSpec, parse_publish, publish_order

if TYPE_CHECKING:
    from natlab.engine.host import Host
    from natlab.engine.network import Network

_WITH_PROXY = ("tcp", "udp")
_PORTS_CHAIN: Final = "DOCKER"
"""Its rules are one for each published port: none of them stands for more than one."""
_BRIDGED: Final = "net.bridge.bridge-nf-call-iptables"


class Publishing:
    """What a host has published, and what is needed to publish more."""

    def __init__(self, host: Host, ports: PortRange) -> None:
        self.host = host
        self._range = ports
        self._ports = PortAllocator(ports)
        self._held: set[Published] = set()
        self._generation: int | None = None
        self._standing: set[str] = set()
        self._proxies: dict[tuple[Published, IPv4Address], Process] = {}

    def publish(
        self, address: IPv4Address, texts: Sequence[str], *, proxy: bool = True
    ) -> tuple[Published, ...]:
        """Publish ports of the container at an address, all or none."""
        network = self._network_of(address)
        wanted = _wanted(texts)
        if self._generation != self.host.place.call(firewall.generation):
            self._notice_others()
        while (published := self._try(network, address, wanted, proxy=proxy)) is None:
            self._notice_others()
        self._held |= set(published)
        return published

    @property
    def informed(self) -> bool:
        """Whether the host's rules are known, as far as this process has looked or acted."""
        return self._generation is not None

    def _try(
        self,
        network: Network,
        address: IPv4Address,
        wanted: Sequence[PublishSpec],
        *,
        proxy: bool,
    ) -> tuple[Published, ...] | None:
        """Allocate and apply; None if the rules have changed meanwhile, and nothing was done."""
        marks = self._ports.marks
        bindings, published = self._allocate(wanted, in_use=self._in_use)
        try:
            self._apply(network, address, published, proxy=proxy)
        except StaleError:
            self._ports.release(bindings)
            self._ports.rewind(marks)
            return None
        except BaseException:
            self._ports.release(bindings)
            raise
        return published

    def _allocate(
        self, wanted: Sequence[PublishSpec], *, in_use: InUse
    ) -> tuple[tuple[Binding, ...], tuple[Published, ...]]:
        bindings = self._ports.allocate([spec.request() for spec in wanted], in_use=in_use)
        pairs = zip(wanted, bindings, strict=True)
        return bindings, tuple(p for spec, binding in pairs for p in spec.published(binding))

    @contextlib.contextmanager
    def ahead(
        self, network: Network, address: IPv4Address, texts: Sequence[str]
    ) -> Iterator[list[Call]]:
        """The calls that publish ports without a proxy, for the caller to make in the block.

        Whether a program holds a port is found by the first of them, not asked before. The last
        one adds the rules as if nobody else had changed them; its result goes to `settled`. If
        the block fails, the ports are free again.
        """
        if not texts:
            yield []
            return
        marks = self._ports.marks
        bindings, published = self._allocate(_wanted(texts), in_use=lambda *_: False)
        try:
            yield self._calls(network, address, published)
        except BaseException:
            self._ports.release(bindings)
            self._ports.rewind(marks)
            raise
        self._held |= set(published)
        self._flush_udp(published)

    def _calls(
        self, network: Network, address: IPv4Address, published: tuple[Published, ...]
    ) -> list[Call]:
        place = self.host.place.number
        taken = [(str(item.host_ip), item.host_port, item.proto) for item in published]
        dnat = [self._dnat(network.bridge, address, item) for item in published]
        specs, chains = self._missing(dnat, self._once(network.bridge, address, published))
        options = {"chains": chains, "expected": self._generation}
        return [
            Call(place, sockets.refuse_taken, (taken,)),
            Call(place, sysctl.write_all, (_settings(network.bridge),)),
            Call(place, firewall.add, (specs,), options),
        ]

    def _network_of(self, address: IPv4Address) -> Network:
        found = self.host.network_of(address)
        if found is not None:
            return found
        raise NatlabError(
            f"{address} is in no network of {self.host.name}: attach the container first"
        )

    def _notice_others(self) -> None:
        """Bring the ports held in line with the rules: a person or another process made some."""
        self.host.firewall_ready()
        self._generation = self.host.place.call(firewall.generation)
        self._standing = self.host.place.call(firewall.keys)
        there = {item for item, _ in self.read()}
        self._release(self._held - there)
        for item in there - self._held:
            request = PortRequest((item.host_ip,), item.proto, PortRange(*[item.host_port] * 2))
            with contextlib.suppress(NatlabError):  # a second rule for one port holds nothing more
                self._ports.allocate([request])
                self._held.add(item)

    def _apply(
        self,
        network: Network,
        address: IPv4Address,
        published: tuple[Published, ...],
        *,
        proxy: bool,
    ) -> None:
        """Rules first, then flows that are under way look at them anew, then the proxies begin.

        So a proxy never gets what the rules are to rewrite.
        """
        host = self.host
        if not host.userland_proxy:
            self._reach_without_proxy(network)
        dnat = [self._dnat(network.bridge, address, item) for item in published]
        self._add(dnat, self._once(network.bridge, address, published))
        self._flush_udp(published)
        if host.userland_proxy and proxy:
            with contextlib.ExitStack() as undo:
                undo.callback(self.take_back, address, published)
                for item in published:
                    self._start_proxy(item, address)
                undo.pop_all()

    def _reach_without_proxy(self, network: Network) -> None:
        """Set what Docker sets when no proxy stands between containers and their own ports.

        127.0.0.1 is routed to the bridge, and the answers between two of its containers pass
        conntrack, which turns them back (without br_netfilter only a container's own port works).
        """
        self.host.place.call(sysctl.write_all, _settings(network.bridge))

    def _add(self, specs: list[rules.RuleSpec], once: list[rules.RuleSpec]) -> None:
        """Add rules in one transaction; what is known to stand is not looked for again."""
        wanted, chains = self._missing(specs, once)
        now = self.host.place.call(firewall.add, wanted, chains=chains, expected=self._generation)
        self.settled(wanted, now)

    def _missing(
        self, specs: list[rules.RuleSpec], once: list[rules.RuleSpec]
    ) -> tuple[list[rules.RuleSpec], list[rules.Expr]]:
        """The rules to add, and the chains that they need."""
        chain, guard = rules.loopback_guard()
        wanted = [*(spec for spec in once if spec.key not in self._standing), *specs]
        return wanted, [chain] if guard in wanted else []

    def begun(self, now: int, specs: Sequence[rules.RuleSpec]) -> None:
        """Note that all rules of the host are these and the table's own: nothing is published."""
        self._generation = now
        self._standing = {spec.key for spec in specs}

    def settled(self, added: Sequence[rules.RuleSpec], now: int) -> None:
        """Note what was added, and the generation that came of it."""
        before = self._generation
        self._standing |= {spec.key for spec in added if spec.chain != _PORTS_CHAIN}
        self._generation = now if before is not None and now == before + 1 else None

    def _once(
        self, bridge: str, address: IPv4Address, published: Sequence[Published]
    ) -> list[rules.RuleSpec]:
        """The rules that stand once, however much is published."""
        specs = self._admitting(bridge, address, published)
        if not self.host.userland_proxy:
            specs.append(rules.masquerade_local(bridge))
        if not self.host.userland_proxy or any(item.host_ip.is_loopback for item in published):
            specs.append(rules.loopback_guard()[1])
        return specs

    def _start_proxy(self, item: Published, address: IPv4Address) -> None:
        if item.proto not in _WITH_PROXY:
            return
        kind = socket.SOCK_STREAM if item.proto == "tcp" else socket.SOCK_DGRAM
        where = (str(item.host_ip), item.host_port)
        try:
            listening = self.host.place.call(sockets.open_server, int(kind), *where)
        except OSError as error:
            raise NatlabError(
                f"failed to bind host port {where[0]}:{where[1]}/{item.proto}:"
                f" {(error.strerror or str(error)).lower()}"
            ) from error
        try:
            command = ["docker-proxy", "-use-listen-fd", *_proxy_options(item, address)]
            self._proxies[item, address] = process.start(self.host.place, command, stdin=listening)
        finally:
            listening.close()

    def _end_proxy(self, item: Published, address: IPv4Address) -> None:
        """End the proxy of a published port, whoever started it."""
        mine = self._proxies.pop((item, address), None)
        if mine is not None:
            mine.kill()
        elif item.proto in _WITH_PROXY:
            options = " ".join(_proxy_options(item, address))
            number = self.host.place.number
            self.host.place.agent.call(None, processes.end_programs, number, options)

    def _dnat(self, bridge: str, address: IPv4Address, item: Published) -> rules.RuleSpec:
        return rules.dnat(
            bridge,
            IPv4Address(str(item.host_ip)),
            item.host_port,
            address,
            item.container_port,
            item.proto,
            userland_proxy=self.host.userland_proxy,
        )

    def _admitting(
        self, bridge: str, address: IPv4Address, published: Sequence[Published]
    ) -> list[rules.RuleSpec]:
        """The rules that a container's port needs once, however often it is published."""
        ports = dict.fromkeys((item.container_port, item.proto) for item in published)
        specs = [rules.accept_published(bridge, address, *port) for port in ports]
        if not self.host.userland_proxy:
            specs += [rules.hairpin(address, *port) for port in ports]
        return specs

    def _in_use(self, address: object, port: int, proto: str) -> bool:
        """Whether a program of the host holds a port; found by trying to take it."""
        try:
            self.host.place.call(sockets.refuse_taken, [(str(address), port, proto)])
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise NatlabError(
                    f"failed to bind host port {address}:{port}/{proto}:"
                    f" {self.host.name} has no address {address}"
                ) from error
            if error.errno != errno.EADDRINUSE:
                raise
            return True
        return False

    def take_back(self, address: IPv4Address, published: Sequence[Published]) -> None:
        """Take published ports of the container at an address back; already gone is fine."""
        network = self.host.network_of(address)
        if not published or network is None:
            return
        bridge = network.bridge
        for item in published:
            self._end_proxy(item, address)
        specs = [self._dnat(bridge, address, item) for item in published]
        kept = {
            (item.container_port, item.proto)
            for item, to in self.read()
            if to == address and item not in published
        }
        last = [p for p in published if (p.container_port, p.proto) not in kept]
        specs += self._admitting(bridge, address, last)
        self.host.place.call(firewall.remove, specs)
        self._flush_udp(published)
        self._release(set(published))

    def _flush_udp(self, published: Sequence[Published]) -> None:
        """Let UDP flows that go on be looked at anew, by the rules of now (moby 8795)."""
        ports = [item.host_port for item in published if item.proto == "udp"]
        if ports:
            self.host.place.call(conntrack.forget, udp_ports=ports)

    def _release(self, published: set[Published]) -> None:
        self._ports.release(Binding((p.host_ip,), p.proto, p.host_port) for p in published)
        self._held -= published

    def read(self) -> tuple[tuple[Published, IPv4Address], ...]:
        """What is published and to which address, read from the kernel's rules."""
        return tuple(self._read())

    def _read(self) -> Iterator[tuple[Published, IPv4Address]]:
        for _, _, rule in self.host.ruleset().rules():
            if rule.dnat is None:
                continue
            to, to_port = rule.dnat
            values = {match.key: match.value for match in rule.matches if match.op == "=="}
            host_ip = IPv4Address(values.get("ip daddr", "0.0.0.0"))
            for proto in PROTOS:
                port = values.get(f"{proto} dport", "")
                if port.isdigit():
                    item = Published(host_ip, int(port), to_port or int(port), proto)
                    yield item, IPv4Address(to)

    @contextlib.contextmanager
    def used_up(self) -> Iterator[None]:
        """No automatic port is left in the block."""
        taken: list[Binding] = []
        for proto, port in itertools.product(
            PROTOS, range(self._range.first, self._range.last + 1)
        ):
            with contextlib.suppress(NatlabError):  # it is published already
                request = PortRequest((IPv4Address(0),), proto, PortRange(port, port))
                taken += self._ports.allocate([request])
        try:
            yield
        finally:
            self._ports.release(taken)

    def forget(self) -> None:
        """End this process's proxies and begin anew with the ports; rules stay as they are."""
        for proxy in self._proxies.values():
            proxy.kill()
        self._proxies.clear()
        self._held.clear()
        self._generation = None
        self._ports = PortAllocator(self._range)


def _proxy_options(item: Published, address: IPv4Address) -> list[str]:
    return [
        *("-proto", item.proto, "-host-ip", str(item.host_ip), "-host-port", str(item.host_port)),
        *("-container-ip", str(address), "-container-port", str(item.container_port)),
    ]


def _settings(bridge: str) -> dict[str, str]:
    return {f"net/ipv4/conf/{bridge}/route_localnet": "1", _BRIDGED: "1"}


def _wanted(texts: Sequence[str]) -> tuple[PublishSpec, ...]:
    wanted = publish_order(spec for text in texts for spec in parse_publish(text))
    for spec in wanted:
        _refuse_ipv6(spec)
    return wanted


def _refuse_ipv6(spec: PublishSpec) -> None:
    if spec.host_ip is not None and not isinstance(spec.host_ip, IPv4Address):
        raise UsageError(
            f"{spec}: a lab's hosts have IPv4 addresses only: publish at one of those, or at none"
        )
