"""The userland proxies of a host's published ports: `docker-proxy`, one program a port."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

from natlab.engine import process
from natlab.engine.process import Process
from natlab.errors import NatlabError
from natlab.kernel import processes, sockets
from natlab.model.addresses import Address
from natlab.model.ports import host_and_port
from natlab.model.publish import Published

if TYPE_CHECKING:
    from natlab.engine.host import Host

_KINDS: Final = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


class Proxies:
    """Those that this process has started; others' are found by how they were started."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._mine: dict[tuple[Published, Address], Process] = {}

    def start(self, item: Published, address: Address) -> None:
        """Start one for a published port, where its protocol has one.

        Raises:
            NatlabError: `failed to bind host port 0.0.0.0:80/tcp: address already in use`.
        """
        kind = _KINDS.get(item.proto)
        if kind is None:
            return
        place = self._host.place
        try:
            listening = place.call(
                sockets.open_server, int(kind), str(item.host_ip), item.host_port
            )
        except OSError as error:
            where = host_and_port(item.host_ip, item.host_port)
            reason = (error.strerror or str(error)).lower()
            raise NatlabError(f"failed to bind host port {where}/{item.proto}: {reason}") from error
        try:
            command = ["docker-proxy", "-use-listen-fd", *_options(item, address)]
            self._mine[item, address] = process.start(place, command, stdin=listening)
        finally:
            listening.close()

    def end(self, item: Published, address: Address) -> None:
        """End the proxy of a published port, whoever started it."""
        mine = self._mine.pop((item, address), None)
        if mine is not None:
            mine.kill()
        elif item.proto in _KINDS:
            options, place = " ".join(_options(item, address)), self._host.place
            place.agent.call(None, processes.end_programs, place.number, options)

    def end_mine(self) -> None:
        """End those that this process has started."""
        for proxy in self._mine.values():
            proxy.kill()
        self._mine.clear()


def _options(item: Published, address: Address) -> list[str]:
    return [
        *("-proto", item.proto, "-host-ip", str(item.host_ip), "-host-port", str(item.host_port)),
        *("-container-ip", str(address), "-container-port", str(item.container_port)),
    ]
