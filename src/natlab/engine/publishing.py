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
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final, TypeAlias

from natlab.engine import process
from natlab.engine.process import Process
from natlab.errors import NatlabError, StaleError, UsageError
from natlab.kernel import conntrack, firewall, processes, sockets, sysctl
from natlab.kernel.batch import Call
from natlab.model.addresses import Address
from natlab.model.ports import (
    PROTOS,
    Binding,
    InUse,
    PortAllocator,
    PortRange,
    PortRequest,
    host_and_port,
)
from natlab.model.publish import Published, PublishSpec, parse_publish, publish_order
from natlab.model.published_rules import Target, is_dnat, wanted
from natlab.model.rule_spec import Expr, RuleSpec, family_of

if TYPE_CHECKING:
    from natlab.engine.host import Host
    from natlab.engine.network import Network

Targets: TypeAlias = dict[int, Target]
"""A container by the version of its addresses: 4, and 6 if it has one."""
_IPV4: Final = 4
_ANY: Final[dict[int, Address]] = {4: IPv4Address("0.0.0.0"), 6: IPv6Address("::")}
_WITH_PROXY = ("tcp", "udp")
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
        self._proxies: dict[tuple[Published, Address], Process] = {}

    def publish(
        self,
        address: IPv4Address,
        texts: Sequence[str],
        *,
        proxy: bool = True,
        address6: IPv6Address | None = None,
    ) -> tuple[Published, ...]:
        """Publish ports of the container at an address, all or none.

        With an IPv6 address besides, a port without a host's address is published at `::` too,
        by the same number.
        """
        network = self._network_of(address)
        wanted = _parsed(texts, ipv6=address6 is not None)
        targets = self._targets(network, address, address6)
        if self._generation != self.host.place.call(firewall.generation):
            self._notice_others()
        while (published := self._try(targets, wanted, proxy=proxy)) is None:
            self._notice_others()
        self._held |= set(published)
        return published

    @property
    def informed(self) -> bool:
        """Whether the host's rules are known, as far as this process has looked or acted."""
        return self._generation is not None

    def _try(
        self, targets: Targets, wanted: Sequence[PublishSpec], *, proxy: bool
    ) -> tuple[Published, ...] | None:
        """Allocate and apply; None if the rules have changed meanwhile, and nothing was done."""
        marks = self._ports.marks
        bindings, published = self._allocate(wanted, targets, in_use=self._in_use)
        try:
            self._apply(targets, published, proxy=proxy)
        except StaleError:
            self._ports.release(bindings)
            self._ports.rewind(marks)
            return None
        except BaseException:
            self._ports.release(bindings)
            raise
        return published

    def _allocate(
        self, wanted: Sequence[PublishSpec], targets: Targets, *, in_use: InUse
    ) -> tuple[tuple[Binding, ...], tuple[Published, ...]]:
        requests = [spec.request([_ANY[version] for version in targets]) for spec in wanted]
        bindings = self._ports.allocate(requests, in_use=in_use)
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
        marks, targets = self._ports.marks, self._targets(network, address)
        bindings, published = self._allocate(_parsed(texts), targets, in_use=lambda *_: False)
        try:
            yield self._calls(targets, network, published)
        except BaseException:
            self._ports.release(bindings)
            self._ports.rewind(marks)
            raise
        self._held |= set(published)
        self._flush_udp(published)

    def _calls(
        self, targets: Targets, network: Network, published: tuple[Published, ...]
    ) -> list[Call]:
        place = self.host.place.number
        taken = [(str(item.host_ip), item.host_port, item.proto) for item in published]
        specs, chains = self._wanted(targets, published)
        options = {"chains": chains, "expected": self._generation}
        return [
            Call(place, sockets.refuse_taken, (taken,)),
            Call(place, sysctl.write_all, (_settings(network.bridge),)),
            Call(place, firewall.add, (specs,), options),
        ]

    def _targets(
        self, network: Network, address: IPv4Address, address6: IPv6Address | None = None
    ) -> Targets:
        addresses: list[Address] = [address] if address6 is None else [address, address6]
        proxy = self.host.userland_proxy
        return {one.version: Target(network.bridge, one, proxy) for one in addresses}

    def _network_of(self, address: Address) -> Network:
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

    def _apply(self, targets: Targets, published: tuple[Published, ...], *, proxy: bool) -> None:
        """Rules first, then flows that are under way look at them anew, then the proxies begin.

        So a proxy never gets what the rules are to rewrite.
        """
        host = self.host
        if not host.userland_proxy:
            self._reach_without_proxy(targets[_IPV4].bridge)
        specs, chains = self._wanted(targets, published)
        now = host.place.call(firewall.add, specs, chains=chains, expected=self._generation)
        self.settled(specs, now)
        self._flush_udp(published)
        if host.userland_proxy and proxy:
            with contextlib.ExitStack() as undo:
                for target, items in _by_target(targets, published):
                    undo.callback(self.take_back, target.address, items)
                for item in published:
                    self._start_proxy(item, targets[item.host_ip.version].address)
                undo.pop_all()

    def _reach_without_proxy(self, bridge: str) -> None:
        """Set what Docker sets when no proxy stands between containers and their own ports.

        127.0.0.1 is routed to the bridge, and the answers between two of its containers pass
        conntrack, which turns them back (without br_netfilter only a container's own port works).
        """
        self.host.place.call(sysctl.write_all, _settings(bridge))

    def _wanted(
        self, targets: Targets, published: Sequence[Published]
    ) -> tuple[list[RuleSpec], list[Expr]]:
        """The rules to add, and the chains they need; what is known to stand is left out."""
        specs: list[RuleSpec] = []
        chains: list[Expr] = []
        held = len(self._held)
        for target, items in _by_target(targets, published):
            more, needed = wanted(target, items, held=held, standing=self._standing)
            specs += more
            chains += needed
            held += len(items)
        return specs, chains

    def begun(self, now: int, specs: Sequence[RuleSpec]) -> None:
        """Note that all rules of the host are these and the table's own: nothing is published."""
        self._generation = now
        self._standing = {spec.key for spec in specs}

    def settled(self, added: Sequence[RuleSpec], now: int) -> None:
        """Note what was added, and the generation that came of it."""
        before = self._generation
        self._standing |= {spec.key for spec in added if not is_dnat(spec)}
        self._generation = now if before is not None and now == before + 1 else None

    def _start_proxy(self, item: Published, address: Address) -> None:
        if item.proto not in _WITH_PROXY:
            return
        kind = socket.SOCK_STREAM if item.proto == "tcp" else socket.SOCK_DGRAM
        where = (str(item.host_ip), item.host_port)
        try:
            listening = self.host.place.call(sockets.open_server, int(kind), *where)
        except OSError as error:
            raise NatlabError(
                f"failed to bind host port {host_and_port(item.host_ip, where[1])}/{item.proto}:"
                f" {(error.strerror or str(error)).lower()}"
            ) from error
        try:
            command = ["docker-proxy", "-use-listen-fd", *_proxy_options(item, address)]
            self._proxies[item, address] = process.start(self.host.place, command, stdin=listening)
        finally:
            listening.close()

    def _end_proxy(self, item: Published, address: Address) -> None:
        """End the proxy of a published port, whoever started it."""
        mine = self._proxies.pop((item, address), None)
        if mine is not None:
            mine.kill()
        elif item.proto in _WITH_PROXY:
            options = " ".join(_proxy_options(item, address))
            number = self.host.place.number
            self.host.place.agent.call(None, processes.end_programs, number, options)

    def _in_use(self, address: Address, port: int, proto: str) -> bool:
        """Whether a program of the host holds a port; found by trying to take it."""
        try:
            self.host.place.call(sockets.refuse_taken, [(str(address), port, proto)])
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                raise NatlabError(
                    f"failed to bind host port {host_and_port(address, port)}/{proto}: cannot"
                    f" assign requested address ({self.host.name} has no address {address})"
                ) from error
            if error.errno != errno.EADDRINUSE:
                raise
            return True
        return False

    def take_back(self, address: Address, published: Sequence[Published]) -> None:
        """Take published ports of the container at an address back; already gone is fine."""
        network = self.host.network_of(address)
        if not published or network is None:
            return
        target = Target(network.bridge, address, self.host.userland_proxy)
        for item in published:
            self._end_proxy(item, address)
        specs = [target.dnat(item) for item in published]
        kept = {
            (item.container_port, item.proto)
            for item, to in self.read()
            if to == address and item not in published
        }
        last = [p for p in published if (p.container_port, p.proto) not in kept]
        specs += target.admitting(last)
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

    def read(self) -> tuple[tuple[Published, Address], ...]:
        """What is published and to which address, read from the kernel's rules."""
        return tuple(self._read())

    def _read(self) -> Iterator[tuple[Published, Address]]:
        for _, _, rule in self.host.ruleset().rules():
            if rule.dnat is None:
                continue
            to, to_port = ip_address(rule.dnat[0]), rule.dnat[1]
            values = {match.key: match.value for match in rule.matches if match.op == "=="}
            named = values.get(f"{family_of(to)} daddr")
            host_ip = ip_address(named) if named else _ANY[to.version]
            for proto in PROTOS:
                port = values.get(f"{proto} dport", "")
                if port.isdigit():
                    item = Published(host_ip, int(port), to_port or int(port), proto)
                    yield item, to

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


def _by_target(
    targets: Targets, published: Sequence[Published]
) -> Iterator[tuple[Target, list[Published]]]:
    """What leads to each of a container's addresses."""
    for version, target in targets.items():
        yield target, [item for item in published if item.host_ip.version == version]


def _proxy_options(item: Published, address: Address) -> list[str]:
    return [
        *("-proto", item.proto, "-host-ip", str(item.host_ip), "-host-port", str(item.host_port)),
        *("-container-ip", str(address), "-container-port", str(item.container_port)),
    ]


def _settings(bridge: str) -> dict[str, str]:
    return {f"net/ipv4/conf/{bridge}/route_localnet": "1", _BRIDGED: "1"}


def _parsed(texts: Sequence[str], *, ipv6: bool = False) -> tuple[PublishSpec, ...]:
    specs = publish_order(spec for text in texts for spec in parse_publish(text))
    for spec in specs:
        if spec.host_ip is not None and spec.host_ip.version != _IPV4 and not ipv6:
            raise UsageError(
                f"{spec}: the container has an IPv4 address only: publish at one of the host's"
                " IPv4 addresses, or at none, or give its network IPv6"
            )
    return specs
