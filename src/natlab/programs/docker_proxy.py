"""Docker's userland proxy: listens on a host's port and carries bytes to a container's.

    docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port 49153 \
                 -container-ip 172.17.0.2 -container-port 8080

The flags are those of moby's cmd/docker-proxy. It is how a published port answers where DNAT
does not reach: on 127.0.0.1, and for containers of the same bridge. Whoever comes this way
arrives at the container with the bridge's address.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one direction to its end, then close that half only."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


async def _serve_tcp(options: argparse.Namespace) -> None:
    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, forth = await asyncio.open_connection(
                options.container_ip, options.container_port
            )
        except OSError:
            writer.transport.abort()
            return
        await asyncio.gather(_copy(reader, forth), _copy(back, writer))
        for end in (forth, writer):
            end.close()

    server = await asyncio.start_server(carry, options.host_ip, options.host_port)
    print("ready", flush=True)
    await server.serve_forever()


class _Back(asyncio.DatagramProtocol):
    """The container's answers to one client."""

    def __init__(self, front: asyncio.DatagramTransport, client: tuple[str, int]) -> None:
        self.front, self.client = front, client

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.front.sendto(data, self.client)


class _Front(asyncio.DatagramProtocol):
    """The published port: each client gets a socket of its own towards the container."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.backs: dict[tuple[str, int], asyncio.Task[asyncio.DatagramTransport]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr not in self.backs:
            self.backs[addr] = asyncio.ensure_future(self._open(addr))
        self.backs[addr].add_done_callback(lambda task: task.result().sendto(data))

    async def _open(self, client: tuple[str, int]) -> asyncio.DatagramTransport:
        where = (self.options.container_ip, self.options.container_port)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Back(self.transport, client), remote_addr=where  # type: ignore[arg-type]
        )
        return transport


async def _serve_udp(options: argparse.Namespace) -> None:
    where = (options.host_ip, options.host_port)
    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _Front(options), local_addr=where
    )
    print("ready", flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Carry until killed."""
    parser = argparse.ArgumentParser(prog="docker-proxy", allow_abbrev=False)
    parser.add_argument("-proto", choices=("tcp", "udp"), default="tcp")
    parser.add_argument("-host-ip", default="0.0.0.0")
    parser.add_argument("-host-port", type=int, required=True)
    parser.add_argument("-container-ip", required=True)
    parser.add_argument("-container-port", type=int, required=True)
    options = parser.parse_args()
    try:
        asyncio.run({"tcp": _serve_tcp, "udp": _serve_udp}[options.proto](options))
    except OSError as error:
        raise SystemExit(f"docker-proxy: {error}")


if __name__ == "__main__":
    main()
