"""The name server that a container of a user-defined network finds at 127.0.0.11.

As Docker does it: the server's sockets are in the container's network namespace, at random ports
of 127.0.0.11, and NAT rules there lead port 53 to them; the server itself is a thread of this
process. What it does not know, it asks the host's name servers, from the host's namespace.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Final, Self

from natlab.daemon.dns_container import Attachment
from natlab.daemon.dns_loop import Loop
from natlab.daemon.dns_outlet import Outlets, Upstream
from natlab.errors import NatlabError
from natlab.kernel.agent import Namespace
from natlab.model.dns import View

__all__ = ["Attachment", "Resolver", "Upstream", "View"]

MOST_SERVERS: Final = 3
"""How many servers are asked before a query has failed (moby: maxExtDNS)."""

TIMEOUT: Final = 2.5
"""Seconds for which a server's answer is waited for (moby: 4, which leaves glibc's 5 no room)."""


class Resolver:
    """The name servers of all containers of one engine, in one thread.

    Args:
        timeout: Seconds for which one server's answer is waited for.
    """

    def __init__(self, *, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._loop = Loop("natlab-dns")
        self._outlets = Outlets(self._loop)
        self._attaching = threading.Lock()
        self._attachments: set[Attachment] = set()
        self._closed = False

    def attach(
        self,
        place: Namespace,
        view: View,
        upstream: Sequence[Upstream] = (),
        *,
        forward: bool = True,
        ndots: bool = False,
    ) -> Attachment:
        """Give a container its name server at 127.0.0.11.

        Args:
            place: The container's; its `lo` is up.
            view: What it may know. It is asked in the resolver's thread, so it should be quick;
                it may take a lock, but not one that is held while `Resolver.close` is called.
            upstream: The servers that are asked about everything else, in this order; the first
                three count. A query over TCP is passed on over TCP.
            forward: False in a container that has internal networks only: servers are not
                asked from the host's place then, and unknown names are SERVFAIL (moby,
                `SetForwardingPolicy`). `Attachment.forward` may be changed later.
            ndots: The user has chosen the option `ndots` himself: unknown names without a
                dot get an empty answer instead of being passed on.

        Raises:
            NatlabError: it cannot listen there, or the container or this resolver is gone.
        """
        with self._attaching, contextlib.ExitStack() as undo:
            if self._closed:
                raise NatlabError("the engine's name server was closed: start the engine again")
            ways = []
            for server in [server for server in upstream if server.usable][:MOST_SERVERS]:
                outlet = self._outlets.take(server.place or place)
                undo.callback(self._outlets.give_back, outlet)
                ways.append((outlet, server))
            made = Attachment(
                self._loop,
                place,
                view,
                ways,
                forward=forward,
                ndots=ndots,
                timeout=self._timeout,
                gone=self._forget,
            )
            undo.pop_all()
            with self._loop.lock:
                self._attachments.add(made)
                made.start()
        return made

    def close(self) -> None:
        """Take every name server away and end the thread; closing twice does nothing."""
        with self._attaching:
            self._closed = True
        with self._loop.lock:
            attachments = list(self._attachments)
        for attachment in attachments:
            attachment.close()
        self._loop.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _forget(self, attachment: Attachment) -> None:
        with self._loop.lock:
            self._attachments.discard(attachment)
        for outlet, _ in attachment.ways:
            self._outlets.give_back(outlet)
