"""The raw floor of a host: what docker0 and one published container cost the kernel, up and down.

Runs inside an agent. Messages, rules and settings are prepared before the clock starts; the timed
part makes the system calls without which there would be no such host, and nothing else.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from floor import _FD, _INDEX, _send

from natlab.kernel import machine, machine_made, rtnl, syscalls
from natlab.kernel.firewall import written
from natlab.kernel.place import Place, _nftables, standing
from natlab.model import firewall as rules
from natlab.programs import launchers

_LO = 1
_NET = syscalls.CLONE_NEWNET
_ALL = _NET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS
_WEB = IPv4Address("172.17.0.2")
_PORT = 8080


def _route_socket() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    sock.bind((0, 0))
    return sock


def _here(kind: str = "net") -> int:
    return os.open(f"/proc/thread-self/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)


def _write(settings: list[tuple[str, bytes]]) -> None:
    for path, value in settings:
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        os.write(fd, value)
        os.close(fd)


def _number(value: int) -> bytes:
    return struct.pack("=I", value)


class Plan:
    """Everything that can be known beforehand."""

    def __init__(self) -> None:
        plain = {key.replace(".", "/"): value for key, value in machine.BASELINE.items()}
        known = [(f"/proc/sys/{key}", f"{value}\n".encode()) for key, value in plain.items()]
        self.first = [item for item in known if Path(item[0]).exists()]
        self.forward = [("/proc/sys/net/ipv4/ip_forward", b"1\n")]
        self.localnet = [("/proc/sys/net/ipv4/conf/docker0/route_localnet", b"1\n")]
        self.docker0 = rtnl.add_bridge("docker0", 1500)
        self.pair = rtnl.add_pair(
            "vethweb", "eth0", _FD, master=_INDEX, mtu=1500, mac="02:42:ac:11:00:02"
        )
        base = [rules.masquerade(IPv4Network("172.17.0.0/16"), "docker0")]
        base += rules.forward_network("docker0")
        commands = [*map(written, rules.skeleton(userland_proxy=False))]
        self.base = _text([*commands, *(spec.add_command for spec in base)])
        chain, guard = rules.loopback_guard()
        to = (_WEB, _PORT, "tcp")
        specs = [
            rules.accept_published("docker0", *to),
            rules.hairpin(*to),
            rules.masquerade_local("docker0"),
            guard,
            rules.dnat("docker0", IPv4Address(0), 49153, *to, userland_proxy=False),
        ]
        self.publish = _text([written(chain), *(spec.add_command for spec in specs)])
        self.programs = launchers()


def _text(commands: list[str]) -> str:
    return f'{{"nftables":[{",".join(commands)}]}}'


def _run(context: object, text: str) -> None:
    code, _, error = context.cmd(text)
    if code:
        raise RuntimeError(error)


def rounds(count: int) -> list[float]:
    """Make and end such a host as often as told; returns the seconds of each."""
    plan = Plan()
    home = standing.place
    times = []
    for _ in range(count):
        began = time.perf_counter()
        held = _up(plan, home)
        for thing in held:
            thing.close() if hasattr(thing, "close") else os.close(thing)
        times.append(time.perf_counter() - began)
    return times


def _up(plan: Plan, home: Place) -> list[object]:
    # the host
    syscalls.unshare(_ALL)
    syscalls.sethostname("ubuntu1")
    machine_made._furnish(plan.programs, "127.0.0.1\tlocalhost\n")
    host_ns, mounts, uts, host = _here(), _here("mnt"), _here("uts"), _route_socket()
    _write(plan.first)
    _send(host, rtnl.set_up(_LO), 1)
    # docker0
    _send(host, plan.docker0, 1)
    docker0 = socket.if_nametoindex("docker0")
    _send(host, rtnl.add_address(docker0, "172.17.0.1/16"), 1)
    _write(plan.forward)
    context = _nftables()
    context.set_json_output(True)
    _run(context, plan.base)
    # the container
    target = "/run/netns/web"
    os.close(os.open(target, os.O_RDONLY | os.O_CREAT | os.O_EXCL, 0))
    syscalls.unshare(_NET)
    web_ns, web = _here(), _route_socket()
    syscalls.mount(f"/proc/self/fd/{web_ns}", target, flags=syscalls.MS_BIND)
    syscalls.setns(host_ns, _NET)
    pair = plan.pair.replace(_number(_FD), _number(web_ns))
    _send(host, pair.replace(_number(_INDEX), _number(docker0)), 1)
    inside = [
        rtnl.add_address(2, f"{_WEB}/16"),
        rtnl.set_up(2),
        rtnl.set_up(_LO),
        rtnl.default_route("172.17.0.1"),
        rtnl.settle(2),
    ]
    _send(web, b"".join(inside), len(inside))
    port = socket.if_nametoindex("vethweb")
    _send(host, rtnl.set_hairpin(port, on=True) + rtnl.settle(port), 2)
    _write(plan.localnet)
    _run(context, plan.publish)
    home.enter()
    return [host, web, host_ns, mounts, uts, web_ns]
