"""Docker's userland proxy: listens on a host's port and carries bytes to a container's.

    docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 49153 \
                 -container-ip 172.17.0.2 -container-port 8080

The flags are those of moby's cmd/docker-proxy. It is how a published port answers where DNAT
does not reach: on 127.0.0.1, and for containers of the same bridge. Whoever comes this way
arrives at the container with the bridge's address.

With `-use-listen-fd` (moby has that flag as well) the port is open already, and is standard input:
whoever comes before this program has begun waits in the kernel.

It starts with every published port, so it does without slow imports (argparse, asyncio).
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys
import threading
import time
from typing import Any

IDLE_SECONDS = 90.0
"""How long a silent UDP client is remembered (moby: UDPConnTrackTimeout)."""

_BACKLOG = 128
_GIVEN = "-use-listen-fd"

Address = tuple[Any, ...]


def family_of(address: str) -> socket.AddressFamily:
    """The family of an address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def copy(source: socket.socket, sink: socket.socket) -> None:
    """Carry one direction to its end, then close that half only; an error closes both."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def carry(client: socket.socket, target: Address) -> None:
    """Serve one client to the end of both directions."""
    with client:
        try:
            server = socket.create_connection(target)
        except OSError:
            return
        with server:
            forth = threading.Thread(target=copy, args=(client, server))
            forth.start()
            copy(server, client)
            forth.join()


def serve_tcp(front: socket.socket, target: Address) -> None:
    """Carry connections, each in threads of its own, until killed."""
    front.listen(_BACKLOG)
    say_ready()
    while True:
        client, _ = front.accept()
        threading.Thread(target=carry, args=(client, target), daemon=True).start()


class UdpClients:
    """Each UDP client has a socket of its own towards the container, until it falls silent."""

    def __init__(self, front: socket.socket, target: Address) -> None:
        self.front, self.target = front, target
        self.ready = selectors.DefaultSelector()
        self.ready.register(front, selectors.EVENT_READ)
        self.backs: dict[Address, socket.socket] = {}
        self.used: dict[Address, float] = {}

    def step(self) -> None:
        """Carry what has come, and forget who fell silent."""
        for key, _ in self.ready.select(IDLE_SECONDS if self.backs else None):
            with contextlib.suppress(OSError):  # the container refuses: the client hears nothing
                if key.data is None:
                    self._forth()
                else:
                    self.front.sendto(self.backs[key.data].recv(65536), key.data)
                    self.used[key.data] = time.monotonic()
        self._forget_silent()

    def _forth(self) -> None:
        data, client = self.front.recvfrom(65536)
        if client not in self.backs:
            back = socket.socket(family_of(self.target[0]), socket.SOCK_DGRAM)
            back.connect(self.target)
            self.backs[client] = back
            self.ready.register(back, selectors.EVENT_READ, client)
        self.used[client] = time.monotonic()
        self.backs[client].send(data)

    def _forget_silent(self) -> None:
        oldest = time.monotonic() - IDLE_SECONDS
        for client in [client for client, used in self.used.items() if used < oldest]:
            back = self.backs.pop(client)
            del self.used[client]
            self.ready.unregister(back)
            back.close()


def serve_udp(front: socket.socket, target: Address) -> None:
    """Carry datagrams until killed."""
    clients = UdpClients(front, target)
    say_ready()
    while True:
        clients.step()


def say_ready() -> None:
    """Tell whoever started this that the port is open."""
    print("ready", flush=True)  # noqa: T201 - standard output is how this program speaks


def parse(arguments: list[str]) -> dict[str, str]:
    """Read `-flag value` pairs.

    Raises:
        SystemExit: an unknown flag, or one that is missing.
    """
    options = {"-proto": "tcp", "-host-ip": "0.0.0.0"}
    required = ("-host-port", "-container-ip", "-container-port")
    options |= dict(zip(arguments[::2], arguments[1::2], strict=False))
    unknown = set(options) - {"-proto", "-host-ip", *required}
    missing = [flag for flag in required if flag not in options]
    if unknown or missing or len(arguments) % 2 or options["-proto"] not in {"tcp", "udp"}:
        raise SystemExit(
            "usage: docker-proxy [-use-listen-fd] [-proto tcp|udp] [-host-ip IP] -host-port PORT"
            " -container-ip IP -container-port PORT"
        )
    return options


def main() -> None:
    """Carry until killed."""
    arguments = [argument for argument in sys.argv[1:] if argument != _GIVEN]
    options = parse(arguments)
    host = (options["-host-ip"], int(options["-host-port"]))
    target = (options["-container-ip"], int(options["-container-port"]))
    tcp = options["-proto"] == "tcp"
    given = _GIVEN in sys.argv[1:]
    kind = socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM
    family = family_of(host[0])
    with socket.socket(family, kind, fileno=0 if given else None) as front:
        if family == socket.AF_INET6 and not given:
            front.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if tcp and not given:
            front.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if not given:
                front.bind(host)
            (serve_tcp if tcp else serve_udp)(front, target)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            shown = f"[{host[0]}]" if family == socket.AF_INET6 else host[0]
            where = f"{shown}:{host[1]}/{options['-proto']}"
            raise SystemExit(f"docker-proxy: failed to bind host port {where}: {reason}") from error


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
