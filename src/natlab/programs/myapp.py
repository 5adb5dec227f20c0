"""The seed's demo application: tells each client which source address the container saw.

    myapp [--udp] [--bind ADDRESS] [PORT]        (PORT is 8080 unless given)

Over TCP it speaks just enough HTTP for curl and a browser, and plain text for nc; over UDP it
answers each datagram. One line a client goes to standard output.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import selectors
import signal
import socket

_IP_PKTINFO, _PKTINFO_BYTES = 8, 12  # ip(7): tells the address that a datagram was sent to


def answer(name: str, peer: tuple[str, int], local: tuple[str, int], proto: str) -> str:
    """The one sentence that matters: who asked, who answers, at which port."""
    return f"{name} saw {peer[0]}:{peer[1]} ask {local[0]}:{local[1]}/{proto}\n"


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, end="", flush=True)  # noqa: T201 - standard output is how this program speaks


def serve_tcp(listener: socket.socket, name: str) -> None:
    """Answer one client; a client that says nothing for a second is answered as well."""
    client, peer = listener.accept()
    with client:
        client.settimeout(1)
        try:
            request = client.recv(65536)
        except (TimeoutError, ConnectionError):
            request = b""
        text = answer(name, peer, client.getsockname(), "tcp")
        say(text)
        body = text.encode()
        head = b""
        if request[:4] in (b"GET ", b"HEAD"):
            head = (
                "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            ).encode()
        with contextlib.suppress(OSError):  # gone, or there is no way back: the next one, please
            client.sendall(head if request[:4] == b"HEAD" else head + body)


def serve_udp(sock: socket.socket, name: str) -> None:
    """Answer one datagram."""
    _, control, _, peer = sock.recvmsg(65536, socket.CMSG_SPACE(_PKTINFO_BYTES))
    asked = next((data[8:12] for _, kind, data in control if kind == _IP_PKTINFO), bytes(4))
    text = answer(name, peer, (socket.inet_ntoa(asked), sock.getsockname()[1]), "udp")
    say(text)
    with contextlib.suppress(OSError):
        sock.sendto(text.encode(), peer)


def main() -> None:
    """Listen until killed."""
    parser = argparse.ArgumentParser(prog="myapp", description="natlab's demo application")
    parser.add_argument("port", nargs="?", type=int, default=8080)
    parser.add_argument("--udp", action="store_true", help="serve UDP as well, on the same port")
    parser.add_argument("--bind", default="0.0.0.0", help="address to listen on")
    parser.add_argument("--name", default=socket.gethostname(), help="the name to answer with")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # process 1 has no default action
    ready = selectors.DefaultSelector()
    try:
        if options.udp:  # before TCP: whoever can connect finds both
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            sock.bind((options.bind, options.port))
            ready.register(sock, selectors.EVENT_READ, serve_udp)
        listener = socket.create_server((options.bind, options.port), backlog=64)
        ready.register(listener, selectors.EVENT_READ, serve_tcp)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise SystemExit(
            f"myapp: cannot listen on {options.bind}:{options.port}: {reason}"
        ) from error
    say(f"myapp listens on {options.bind}:{options.port}\n")
    while True:
        for key, _ in ready.select():
            key.data(key.fileobj, options.name)


if __name__ == "__main__":
    main()
