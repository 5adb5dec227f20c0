"""What can be done, and asked, where something of a lab stands: at a host, or in a container."""

from __future__ import annotations

from contextlib import AbstractContextManager
from socket import socket as Socket  # noqa: N812
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from natlab.engine.capture import Capture
    from natlab.engine.host import Host
    from natlab.engine.lab import Lab
    from natlab.engine.node import Node
    from natlab.engine.web import Response
    from natlab.model.conntrack import ConntrackEntry
    from natlab.model.picture_nat import NatRules

OUTSIDE: Final = ("outside", "192.168.33.20/24")
"""The machine from which clients of a lone host come: name and address."""


class Standing:
    """Sockets from there, and facts about it."""

    @property
    def node(self) -> Node:
        """The node of the lab that it stands on."""
        raise NotImplementedError

    def check_open(self) -> None:
        """Check that it is still there.

        Raises:
            NatlabError: it was closed.
        """

    # Sockets

    def connect(self, host: str, port: int, timeout: float = 2.0) -> Socket:
        """A TCP connection from here. Equivalent to: `nc HOST PORT`.

        Raises:
            OSError: refused, unreachable, or no answer within `timeout` seconds.
        """
        self.check_open()
        return self.node.connect(host, port, timeout)

    def listen(self, port: int, host: str = "0.0.0.0") -> Socket:
        """A listening TCP socket here; port 0 takes a free one. Equivalent to: `nc -l PORT`.

        Raises:
            OSError: EADDRINUSE, somebody listens there already.
        """
        self.check_open()
        return self.node.listen(port, host)

    def http_get(self, url: str, timeout: float = 5.0) -> Response:
        """What a web server answers to a GET from here. Equivalent to: `curl -i URL`.

        Raises:
            UsageError: not an http URL with a host.
            OSError: refused, unreachable, or no answer within `timeout` seconds.
        """
        self.check_open()
        return self.node.http_get(url, timeout)

    def inside(self) -> AbstractContextManager[None]:
        """Let the internet sockets that a block makes live here; see `Node.inside`."""
        self.check_open()
        return self.node.inside()

    # Facts

    @property
    def rules(self) -> NatRules:
        """Its published ports and masquerades, read from the kernel."""
        self.check_open()
        return self.node.rules

    def conntrack(self) -> tuple[ConntrackEntry, ...]:
        """Its connection table. Equivalent to: `conntrack -L`."""
        self.check_open()
        return self.node.conntrack()

    def capture(self, interface: str | None = None) -> Capture:
        """See what crosses an interface, or all of them. Compare: `tcpdump -ni INTERFACE`.

        Raises:
            UsageError: no such interface here.
        """
        self.check_open()
        return self.node.capture(interface)


class StandingHost(Standing):
    """The same of a lab host, which may be asked for its LAN."""

    lab: Lab

    @property
    def node(self) -> Host:
        """The same as a host of the lab."""
        raise NotImplementedError

    @property
    def ip(self) -> str:
        """Its own address on the LAN, which is laid when it is first asked for."""
        self.lab.switch  # noqa: B018
        return str(self.node.ip)

    @property
    def outside(self) -> Host:
        """A machine on the host's LAN, for clients that come from outside; made when asked for."""
        name, address = OUTSIDE
        return self.lab.hosts.get(name) or self.lab.add_host(name, address)
