"""A service and its client: what a project has that is to be tested behind NAT."""

from __future__ import annotations

import socket


def serve(port: int) -> None:
    """Tell every client its address, for ever."""
    with socket.create_server(("", port)) as listener:
        while True:
            peer, (address, _) = listener.accept()
            with peer:
                peer.sendall(address.encode())


def my_address(host: str, port: int) -> str:
    """Ask a server for the address that it sees."""
    with socket.create_connection((host, port), timeout=5) as sock:
        return sock.recv(100).decode()
