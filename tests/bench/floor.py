"""The raw floor: what attaching and publishing a container costs the kernel and libnftables alone.

Runs inside a lab's agent. Everything that can be prepared is prepared before the clock starts:
the netlink messages are bytes, the nftables transactions are finished text. The timed loop does
the same system calls that natlab causes and nothing else.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from typing import Any

from natlab.kernel import firewall, syscalls
from natlab.kernel.namespaces import NETNS
from natlab.kernel.place import ipr, nft
from natlab.model.firewall import RuleSpec

_NLMSG_ERROR = 2


def _encode(calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]]) -> list[bytes]:
    """Let pyroute2 write messages without sending them."""
    from pyroute2 import IPBatch

    messages = []
    for method, args, kwargs in calls:
        batch = IPBatch()
        getattr(batch, method)(*args, **kwargs)
        messages.append(bytes(batch.batch))
        batch.close()
    return messages


def _send(sock: socket.socket, message: bytes) -> None:
    sock.send(message)
    answer = sock.recv(65536)
    kind = struct.unpack_from("=H", answer, 4)[0]
    code = struct.unpack_from("=i", answer, 16)[0] if kind == _NLMSG_ERROR else 0
    if code:
        raise OSError(-code, os.strerror(-code))


def _netlink() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0)
    sock.bind((0, 0))
    return sock


def _prepared(index: int, name: str, address: str, bridge: int) -> tuple[str, bytes, list[bytes]]:
    """The messages of one container, with a placeholder for the namespace's descriptor."""
    here = _encode(
        [
            (
                "link",
                ("add",),
                {
                    "ifname": f"vf{index}",
                    "kind": "veth",
                    "state": "up",
                    "master": bridge,
                    "mtu": 1500,
                    "peer": {"ifname": "eth0", "net_ns_fd": _PLACEHOLDER, "mtu": 1500},
                },
            )
        ]
    )[0]
    inside = _encode(
        [
            ("addr", ("add",), {"index": 2, "address": address, "prefixlen": 16}),
            ("link", ("set",), {"index": 2, "state": "up"}),
            ("route", ("add",), {"dst": "default", "gateway": "172.17.0.1"}),
            ("link", ("set",), {"index": 1, "state": "up"}),
        ]
    )
    return name, here, inside


_PLACEHOLDER = 0x7EADBEEF


def run(bridge: str, plan: list[tuple[str, str, list[RuleSpec]]]) -> list[float]:
    """Attach and publish as planned; returns the seconds that each container took."""
    number = ipr().link_lookup(ifname=bridge)[0]
    prepared = [
        (
            *_prepared(i, name, address, number),
            json.dumps({"nftables": [s.add_command() for s in specs]}),
        )
        for i, (name, address, specs) in enumerate(plan)
    ]
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    context, route = nft(), _netlink()
    firewall.list_ruleset()
    context.set_json_output(True)
    placeholder = struct.pack("=I", _PLACEHOLDER)
    NETNS.mkdir(exist_ok=True)
    times, kept = [], []
    for name, here, inside, rules in prepared:
        began = time.perf_counter()
        target = f"{NETNS}/{name}"
        os.close(os.open(target, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0))
        syscalls.unshare(syscalls.CLONE_NEWNET)
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        inner = _netlink()
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        syscalls.mount(f"/proc/self/fd/{fd}", target, flags=syscalls.MS_BIND)
        _send(route, here.replace(placeholder, struct.pack("=I", fd)))
        for message in inside:
            _send(inner, message)
        code, _, error = context.cmd(rules)
        if code:
            raise RuntimeError(error)
        times.append(time.perf_counter() - began)
        kept += [fd, inner]
    for one in kept:
        one.close() if isinstance(one, socket.socket) else os.close(one)
    route.close()
    os.close(home)
    return times
