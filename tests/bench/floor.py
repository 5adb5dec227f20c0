"""The raw floor: what attaching and publishing a container costs the kernel and libnftables alone.

Runs inside a lab's agent. Everything that can be prepared is prepared before the clock starts:
the netlink messages are bytes, the nftables transactions are finished text. The timed loop makes
the system calls without which there would be no such container, and nothing else.
"""

from __future__ import annotations

import os
import socket
import struct
import time

from natlab.kernel import firewall, rtnl, syscalls
from natlab.kernel.namespaces import NETNS
from natlab.kernel.place import nft
from natlab.model.rule_spec import RuleSpec

Plan = list[tuple[str, str, str, list[RuleSpec]]]

_FD, _INDEX = 0x7AAAAAA1, 0x7AAAAAA2


def _send(sock: socket.socket, message: bytes, answers: int) -> None:
    sock.send(message)
    while answers:
        codes = rtnl.answers(sock.recv(65536))
        answers -= len(codes)
        if any(codes):
            raise OSError(max(codes), os.strerror(max(codes)))


def _netlink() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    sock.bind((0, 0))
    return sock


def run(bridge: str, plan: Plan) -> list[float]:
    """Attach and publish as planned; returns the seconds that each container took."""
    master = socket.if_nametoindex(bridge)
    plugged = rtnl.set_hairpin(_INDEX, on=True) + rtnl.settle(_INDEX)
    prepared = []
    for name, address, mac, specs in plan:
        end = f"vf{name}"
        pair = rtnl.add_pair(end, "eth0", _FD, master=master, mtu=1500, mac=mac)
        inside = [
            rtnl.add_address(2, f"{address}/16"),
            rtnl.set_up(2),
            rtnl.set_up(1),
            rtnl.default_route("172.17.0.1"),
            rtnl.settle(2),
        ]
        rules = f'{{"nftables":[{",".join(spec.add_command for spec in specs)}]}}'
        prepared.append((name, end, pair, b"".join(inside), rules))
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    context, route = nft(), _netlink()
    firewall.list_ruleset()
    context.set_json_output(True)
    fd_mark, index_mark = struct.pack("=I", _FD), struct.pack("=I", _INDEX)
    NETNS.mkdir(exist_ok=True)
    times: list[float] = []
    kept: list[tuple[int, socket.socket]] = []
    for name, end, pair, inside, rules in prepared:
        began = time.perf_counter()
        target = f"{NETNS}/{name}"
        os.close(os.open(target, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0))
        syscalls.unshare(syscalls.CLONE_NEWNET)
        fd = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        inner = _netlink()
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        syscalls.mount(f"/proc/self/fd/{fd}", target, flags=syscalls.MS_BIND)
        _send(route, pair.replace(fd_mark, struct.pack("=I", fd)), 1)
        index = struct.pack("=I", socket.if_nametoindex(end))
        _send(inner, inside, 5)
        _send(route, plugged.replace(index_mark, index), 2)
        code, _, error = context.cmd(rules)
        if code:
            raise RuntimeError(error)
        times.append(time.perf_counter() - began)
        kept.append((fd, inner))
    for fd, inner in kept:
        inner.close()
        os.close(fd)
    route.close()
    os.close(home)
    return times
