"""Where a packet will end, as far as the rules tell, and a server of our own to answer it there.

A journey is about the network, not about the program at its end. So where nobody listens yet, a
server is brought: in a container, and on a machine that has neither containers nor a bridge
(as `outside`). A Docker host itself gets none: a port of it that leads nowhere is refused, and
that reset is the thing to be seen.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

from natlab.engine.host import Host
from natlab.engine.journey_scene import Scene
from natlab.kernel import sockets
from natlab.model.journey import Flow
from natlab.model.ruleset import Rule, Ruleset

_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


@dataclass(frozen=True)
class End:
    """A node, and the address and port there that a packet may come to."""

    node: str
    address: str
    port: int


def ends(scene: Scene, flow: Flow) -> tuple[End, ...]:
    """Follow a flow's destination through the DNAT rules of the hosts that have its address.

    Where containers of two hosts have one address, both may be the end.
    """
    found: list[End] = []
    waiting, known = [(flow.dst, flow.dport or 0)], set()
    while waiting:
        address, port = waiting.pop()
        if (address, port) in known:
            continue
        known.add((address, port))
        owners = [flow.origin] if IPv4Address(address).is_loopback else scene.owners(address)
        for name in owners:
            onward = _translated(scene.rulesets[name], flow.proto, address, port)
            waiting += onward
            found += [] if onward else [End(name, address, port)]
    return tuple(found)


def _translated(ruleset: Ruleset, proto: str, address: str, port: int) -> list[tuple[str, int]]:
    """Where DNAT rules may send a packet on, judged by its protocol, address and port."""
    return [
        (rule.dnat[0], rule.dnat[1] or port)
        for _, _, rule in ruleset.rules()
        if rule.dnat and _may_match(rule, proto, address, port)
    ]


def _may_match(rule: Rule, proto: str, address: str, port: int) -> bool:
    wanted = {"ip daddr": address, f"{proto} dport": str(port)}
    for match in rule.matches:
        if match.key.endswith(" dport") and match.key not in (*wanted, "th dport"):
            return False
        single = match.op == "==" and not set(match.value) & set("{-/@$")
        if match.key in wanted and single and match.value != wanted[match.key]:
            return False
    return True


@contextlib.contextmanager
def serving(scene: Scene, flow: Flow) -> Iterator[dict[str, socket.socket]]:
    """Listen, until the end of the block, wherever the flow may end and nobody listens yet.

    Yields:
        The servers by the name of their node; none for a ping, which the kernel answers.
    """
    with contextlib.ExitStack() as stack:
        servers: dict[str, socket.socket] = {}
        for end in ends(scene, flow) if flow.proto in _KINDS else ():
            server = _server(scene, end, _KINDS[flow.proto])
            if server is not None:
                servers[end.node] = stack.enter_context(server)
        yield servers


def _server(scene: Scene, end: End, kind: socket.SocketKind) -> socket.socket | None:
    node = scene.nodes[end.node]
    if isinstance(node, Host) and _is_docker_host(scene, node):
        return None
    try:
        fd = node.place.call(sockets.open_server, int(kind), end.address, end.port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return socket.socket(fileno=fd.detach())


def _is_docker_host(scene: Scene, host: Host) -> bool:
    bridges = [link for link in scene.links[host.name] if link.kind == "bridge"]
    return bool(bridges) or bool(host.container_names())
