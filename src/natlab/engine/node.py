"""A node: a network namespace of a lab, with what can be asked of it and done in it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from socket import socket as Socket  # noqa: N812 - `Node.socket` hides the name in its class
from typing import Any

from natlab.engine import process, web
from natlab.engine.capture import Capture
from natlab.engine.inside import inside
from natlab.engine.log import Log
from natlab.engine.process import Completed, Process
from natlab.engine.web import Response
from natlab.errors import NatlabError, UsageError
from natlab.kernel import conntrack, firewall, link_facts, links, sockets, sysctl
from natlab.kernel.agent import Namespace
from natlab.model import nft_text
from natlab.model.conntrack import ConntrackEntry
from natlab.model.names import check_interface_name, unknown
from natlab.model.picture_nat import NatRules, nat_rules
from natlab.model.ruleset import Ruleset
from natlab.model.state import Link, Neighbour, RouteEntry


class Node:
    """A host or a container: programs, sockets, captures, and facts read from the kernel."""

    def __init__(self, name: str, place: Namespace) -> None:
        self.name = name
        self.place = place

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    # Programs

    def run(
        self,
        command: str | Sequence[str],
        *,
        stdin: str = "",
        timeout: float = 30.0,
        env: Mapping[str, str] | None = None,
        check: bool = False,
    ) -> Completed:
        """Run a program here to its end; a string is a shell's command line.

        Equivalent to: `natlab exec NODE -- COMMAND`.

        Raises:
            NatlabError: no such program; it outlived `timeout` (seconds); or, with `check`,
                its exit code was not 0.
        """
        argv = _argv(command)
        done = process.run(self.place, argv, stdin=stdin, timeout=timeout, env=env)
        if check and done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise NatlabError(
                f"`{' '.join(argv)}` on {self.name} ended with {done.returncode}: {said}"
            )
        return done

    def start(
        self, command: str | Sequence[str], *, env: Mapping[str, str] | None = None
    ) -> Process:
        """Start a program here and go on; see `Process.wait_for`, `Process.kill`.

        Equivalent to: `natlab exec NODE -- COMMAND &`.
        """
        return process.start(self.place, _argv(command), env=env)

    def call(
        self,
        function: Callable[..., Any],
        *args: Any,
        timeout: float = 30.0,
        env: Mapping[str, str] | None = None,
    ) -> Any:
        """Call a Python callable in a process of its own that stands here; returns its result.

        Equivalent to: `natlab exec NODE -- python -c …`.

        Raises:
            BaseException: what it raised, with its traceback.
            UsageError: it cannot be sent there; the message says why.
            NatlabError: it was not done within `timeout` seconds (it is killed then).
        """
        from natlab.engine import calling

        __tracebackhide__ = True
        with Log() as log:
            call = calling.start(self.place, function, args, env=env, output=log.writer)
            log.begun()
            try:
                return call.result(timeout)
            finally:
                call.close()
                log.pass_on()

    # Sockets

    def socket(
        self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0
    ) -> Socket:
        """A socket that lives here and is used from there: any thread, asyncio too."""
        fd = self.place.call(sockets.open_socket, int(family), int(kind), protocol)
        return socket.socket(fileno=fd.detach())

    def connect(self, host: str, port: int, timeout: float = 2.0) -> Socket:
        """A TCP connection from here to an IPv4 or IPv6 address. Equivalent to: `nc HOST PORT`.

        Raises:
            OSError: refused, unreachable, or no answer within `timeout` seconds.
        """
        sock = self.socket(_family(host))
        try:
            sock.settimeout(timeout)
            sock.connect((host, port))
        except BaseException:
            sock.close()
            raise
        return sock

    def listen(self, port: int, host: str = "0.0.0.0") -> Socket:
        """A listening TCP socket here; port 0 takes a free one. Equivalent to: `nc -l PORT`.

        Raises:
            OSError: EADDRINUSE, somebody listens there already.
        """
        fd = self.place.call(sockets.open_server, int(socket.SOCK_STREAM), host, port)
        return socket.socket(fileno=fd.detach())

    def http_get(self, url: str, timeout: float = 5.0) -> Response:
        """What a web server answers to a GET from here. Equivalent to: `curl -i URL`.

        The host in the URL is an IPv4 address.

        Raises:
            UsageError: not an http URL with a host.
            OSError: refused, unreachable, or no answer within `timeout` seconds.
        """
        host, port, _ = web.split(url)
        return web.get(self.connect(host, port, timeout), url)

    def inside(self) -> AbstractContextManager[None]:
        """Let the internet sockets that a block makes live here: `with node.inside(): …`.

        Holds for the calling thread, or asyncio task, alone; see `natlab.engine.inside` for what
        is not routed. Equivalent to: `natlab exec NODE -- python …`.
        """
        return inside(self.place)

    def capture(self, interface: str | None = None) -> Capture:
        """See what crosses an interface, or all of them. Equivalent to: `tcpdump -ni INTERFACE`.

        Raises:
            UsageError: no such interface here.
        """
        if interface is not None:
            self.link(interface)
        return Capture(self.place, interface)

    # Facts

    def links(self) -> tuple[Link, ...]:
        """Its interfaces with their addresses. Equivalent to: `ip addr`."""
        return self.place.call(link_facts.links)

    def find_link(self, name: str) -> Link | None:
        """One interface, or None."""
        return next((link for link in self.links() if link.name == name), None)

    def link(self, name: str) -> Link:
        """One interface.

        Raises:
            UsageError: no such interface here; the message has the nearest names.
        """
        found = self.links()
        for link in found:
            if link.name == name:
                return link
        raise unknown("interface", name, [link.name for link in found], place=f"on {self.name}")

    def far_end(self, interface: str) -> tuple[Namespace, str]:
        """Where the other end of an interface's cable is: the place, and its name there.

        Raises:
            UsageError: no such interface, or none with a cable that the lab laid.
        """
        self.link(interface)
        raise UsageError(f"{interface} of {self.name} has no cable that the lab laid")

    def routes(self) -> tuple[RouteEntry, ...]:
        """Its IPv4 routes. Equivalent to: `ip route show table all`."""
        return self.place.call(link_facts.routes)

    def route_to(
        self, destination: str, source: str | None = None, iif: str | None = None
    ) -> RouteEntry | None:
        """What its routing process decides; None without a route. Equivalent to: `ip route get`."""
        try:
            return self.place.call(link_facts.route_to, destination, source, iif)
        except OSError:
            return None

    def neighbours(self) -> tuple[Neighbour, ...]:
        """Its ARP table. Equivalent to: `ip neigh`."""
        return self.place.call(link_facts.neighbours)

    def sysctl(self, key: str) -> str | None:
        """A kernel setting of this namespace; None if there is none. Compare: `sysctl KEY`."""
        return self.place.call(sysctl.read, key)

    def set_sysctl(self, key: str, value: str | int) -> None:
        """Change a kernel setting. Equivalent to: `sysctl -w KEY=VALUE`.

        Raises:
            NatlabError: no such setting, or not to be set from inside a namespace.
        """
        try:
            self.place.call(sysctl.write, key, str(value))
        except OSError as error:
            raise NatlabError(f"sysctl {key}={value} on {self.name}: {error.strerror}") from error

    def ruleset(self) -> Ruleset:
        """Every nftables and iptables-nft rule here. Equivalent to: `nft -a list ruleset`."""
        return nft_text.parse(self.place.call(firewall.list_ruleset))

    def conntrack(self) -> tuple[ConntrackEntry, ...]:
        """Its connection table. Equivalent to: `conntrack -L`."""
        return self.place.call(conntrack.entries)

    @property
    def rules(self) -> NatRules:
        """What its rules do about NAT, read from the kernel: published ports and masquerades.

        Equivalent to: `iptables -t nat -nL`, in fewer words.
        """
        return nat_rules(self.ruleset())

    def flush_conntrack(self) -> None:
        """Forget all connections. Equivalent to: `conntrack -F`."""
        self.place.call(conntrack.flush)

    # Changes

    def nft(self, text: str) -> str:
        """Run nft commands here in one transaction. Equivalent to: `nft TEXT`.

        Raises:
            NatlabError: nft refused them; nothing was applied.
        """
        return self.place.call(firewall.command, text)

    def add_route(self, dst: str, via: str | None = None, dev: str | None = None) -> None:
        """Add a route. Equivalent to: `ip route add DST via VIA dev DEV`."""
        self.change(f"route {dst}", links.add_route, dst, via, dev)

    def delete_route(self, dst: str, via: str | None = None, dev: str | None = None) -> None:
        """Delete a route. Equivalent to: `ip route delete DST`."""
        self.change(f"route {dst}", links.delete_route, dst, via, dev)

    def configure(self, interface: str, *addresses: str, gateway: str | None = None) -> None:
        """Give an interface addresses, set it up, and route through a gateway.

        Equivalent to: `ip addr add ADDR dev IF; ip link set IF up; ip route add default via GW`.
        """
        self.change(interface, links.configure, interface, list(addresses), gateway)

    def join(self, interface: str, other: Node, peer: str) -> None:
        """Lay a cable to another node: a veth pair, one end here (up), the other end there.

        Neither end gets an address or joins a bridge; see `configure`.
        Equivalent to: `ip link add INTERFACE type veth peer name PEER netns OTHER`.

        Raises:
            UsageError: a name is not valid.
            NatlabError: a name is taken.
        """
        check_interface_name(interface)
        check_interface_name(peer)
        what = f"the pair {interface} and {peer} to {other.name}"
        self.change(what, links.add_pair, interface, peer, other.place.number, {}, {})

    def set_up(self, interface: str, up: bool = True) -> None:
        """Set an interface up or down. Equivalent to: `ip link set INTERFACE up`."""
        self.change(interface, links.set_link, interface, state="up" if up else "down")

    def delete_link(self, interface: str) -> None:
        """Delete an interface. Equivalent to: `ip link delete INTERFACE`."""
        self.place.call(links.delete, interface)

    def change(self, what: str, function: Any, *args: Any, **kwargs: Any) -> Any:
        """Call a function of the kernel room here; an error says what could not be changed."""
        try:
            return self.place.call(function, *args, **kwargs)
        except OSError as error:
            reason = error.strerror or os.strerror(error.errno or 0)
            raise NatlabError(f"{what} on {self.name}: {reason}") from error


def _family(host: str) -> int:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _argv(command: str | Sequence[str]) -> list[str]:
    argv = ["bash", "-c", command] if isinstance(command, str) else list(command)
    if not argv or not argv[0]:
        raise UsageError("no command given: name a program to run")
    return argv
