"""Run inside `unshare -rmn`: a lab in miniature, one flow, and what was seen of it as JSON.

    outside 192.168.33.20 ── eth0 192.168.33.11 (here) docker0 172.17.0.1 ── web 172.17.0.2

Usage: trace_lab.py nft|iptables in|out|own|refused|dropped
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator

from natlab.model import conntrack_read, trace
from natlab.model.journey import Flow, Lookups, Sighting, assemble

CLONE_NEWNET = 0x40000000
SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, NETLINK_NETFILTER = 270, 1, 12
SO_TIMESTAMPNS = 35
ETH_P_ALL = 3
NODES = ("ubuntu1", "web", "outside")
LIBC = ctypes.CDLL(None, use_errno=True)

LINKS = """
ip link set lo up
ip netns add web
ip netns add outside
ip link add docker0 address 02:42:ac:11:00:01 type bridge
ip link set docker0 up
ip address add 172.17.0.1/16 dev docker0
ip link add veth0 type veth peer name eth0 netns web
ip netns exec web ip link set lo up
ip netns exec web ip link set eth0 up
ip netns exec web ip address add 172.17.0.2/16 dev eth0
ip netns exec web ip route add default via 172.17.0.1
ip link set veth0 up
ip link set veth0 master docker0
ip link add eth0 type veth peer name eth0 netns outside
ip link set eth0 up
ip address add 192.168.33.11/24 dev eth0
ip netns exec outside ip link set eth0 up
ip netns exec outside ip address add 192.168.33.20/24 dev eth0
"""

TRACING = """
table ip natlab-trace {
  chain all-in { type filter hook prerouting priority -400; meta nftrace set 1; }
  chain all-out { type filter hook output priority -400; meta nftrace set 1; }
}
"""

NFT = """
table ip natlab {
  chain DOCKER { iifname != "docker0" tcp dport 49153 dnat to 172.17.0.2:8080; }
  chain PREROUTING {
    type nat hook prerouting priority dstnat; policy accept;
    fib daddr type local jump DOCKER
  }
  chain OUTPUT {
    type nat hook output priority -100; policy accept;
    ip daddr != 127.0.0.0/8 fib daddr type local jump DOCKER
  }
  chain POSTROUTING {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
  }
}
"""

IPTABLES = """
iptables-nft -t nat -N DOCKER
iptables-nft -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
iptables-nft -t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
iptables-nft -t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
iptables-nft -t nat -A DOCKER ! -i docker0 -p tcp --dport 49153 -j DNAT --to 172.17.0.2:8080
"""

DROPPING = """
table ip natlab {
  chain FORWARD { type filter hook forward priority filter; policy accept; tcp dport 8080 drop; }
}
"""


def run(command: str) -> str:
    return subprocess.run(command.split(), check=True, capture_output=True, text=True).stdout


def nft(rules: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=rules, check=True, text=True)


@contextlib.contextmanager
def standing_in(node: str) -> Iterator[None]:
    """Make what is opened inside belong to another node's network namespace."""
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = here if node == "ubuntu1" else os.open(f"/run/netns/{node}", os.O_RDONLY)
    try:
        enter(there)
        yield
        enter(here)
    finally:
        for fd in {here, there}:
            os.close(fd)


def enter(fd: int) -> None:
    if LIBC.setns(fd, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def build(spelling: str) -> None:
    run("mount -t tmpfs tmpfs /run")
    for line in LINKS.strip().splitlines():
        run(line)
    run("sysctl -qw net.ipv4.ip_forward=1")
    nft(TRACING)
    if spelling == "nft":
        nft(NFT)
    else:
        for line in IPTABLES.strip().splitlines():
            run(line)
    wait_for_bridge()


def wait_for_bridge() -> None:
    """Wait until the bridge forwards through its port."""
    deadline = time.monotonic() + 20
    while json.loads(run("bridge -j link"))[0]["state"] != "forwarding":
        if time.monotonic() > deadline:
            sys.exit("the bridge's port never began to forward")


def listen_to_traces() -> socket.socket:
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    sock.bind((0, 0))
    sock.setsockopt(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, trace.NFNLGRP_NFTRACE)
    sock.setblocking(False)
    return sock


def capture_on(node: str) -> socket.socket:
    with standing_in(node):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    sock.setblocking(False)
    return sock


@contextlib.contextmanager
def packets_stamped() -> Iterator[None]:
    """Wait until the kernel stamps packets as they pass: it begins a while after it was asked.

    Until then a packet gets its time only when it is read. Captures that are opened inside
    keep it going. (linux net/core/dev.c, net_enable_timestamp and netstamp_work)
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        probe.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        stamp, sent = 1, 0
        while stamp > sent:
            probe.sendto(b"", probe.getsockname())
            sent = time.time_ns()
            stamp = time_of(probe.recvmsg(0, 128)[1])
        yield


def time_of(control: list[tuple[int, int, bytes]]) -> int:
    seconds, nanos = struct.unpack("@ll", control[0][2])
    return seconds * 10**9 + nanos


def sightings(node: str, sock: socket.socket) -> Iterator[Sighting]:
    with contextlib.suppress(BlockingIOError):
        while True:
            frame, control, _, (name, _, kind, _, _) = sock.recvmsg(65536, 128)
            yield Sighting.from_capture(node, name, kind, frame, time_of(control))


def events(sock: socket.socket) -> Iterator[trace.TraceEvent]:
    with contextlib.suppress(BlockingIOError):
        while True:
            yield from trace.decode(sock.recv(65536))


def server(node: str, address: str, port: int) -> socket.socket:
    with standing_in(node):
        return socket.create_server((address, port))


def send(flow: Flow, *, answered: bool) -> None:
    """Connect from the flow's origin, and wait for the answer if there will be one."""
    with standing_in(flow.origin), socket.socket() as client:
        client.bind(("0.0.0.0", flow.sport))
        client.setblocking(answered)
        with contextlib.suppress(ConnectionRefusedError, BlockingIOError):
            client.connect((flow.dst, flow.dport))


def events_until_drop(sock: socket.socket) -> list[trace.TraceEvent]:
    found = list(events(sock))
    while not any(event.verdict == "drop" for event in found):
        select.select([sock], [], [])
        found += events(sock)
    return found


def rule_texts() -> dict[tuple[str, str, int], str]:
    """Read `nft -a list ruleset`: (table, chain, handle) → text."""
    texts, table, chain = {}, "", ""
    for line in run("nft -a list ruleset").splitlines():
        if found := re.match(r"table (\S+ \S+) \{", line):
            table = found[1]
        elif found := re.match(r"\tchain (\S+) \{", line):
            chain = found[1]
        elif found := re.match(r"\t\t(.*) # handle (\d+)$", line):
            texts[table, chain, int(found[2])] = found[1]
    return texts


FLOWS = {
    "in": Flow("outside", "tcp", "192.168.33.11", 49153, sport=40000),
    "refused": Flow("outside", "tcp", "192.168.33.11", 49153, sport=40000),
    "dropped": Flow("outside", "tcp", "192.168.33.11", 49153, sport=40000),
    "out": Flow("web", "tcp", "192.168.33.20", 8080, sport=40000),
    "own": Flow("ubuntu1", "tcp", "192.168.33.11", 49153, sport=40000),
}


def main() -> None:
    spelling, which = sys.argv[1:]
    build(spelling)
    if which == "dropped":
        nft(DROPPING)
    servers = [server("web", "0.0.0.0", 8080)] if which != "refused" else []
    servers.append(server("outside", "0.0.0.0", 8080))
    with packets_stamped():
        captures = {node: capture_on(node) for node in NODES}
    listener = listen_to_traces()
    flow, dropped = FLOWS[which], which == "dropped"
    send(flow, answered=not dropped)
    traced = events_until_drop(listener) if dropped else list(events(listener))
    seen = [each for node, sock in captures.items() for each in sightings(node, sock)]
    table = run("conntrack -L")
    texts = rule_texts()
    journey = assemble(
        flow,
        seen,
        traces={"ubuntu1": traced},
        conntrack={"ubuntu1": conntrack_read.parse_list(table)},
        lookups=Lookups(
            rule_text=lambda _host, tab, chain, handle: texts[tab, chain, handle],
            interface=lambda _host, index: socket.if_indextoname(index),
            hidden_tables=frozenset({"ip natlab-trace"}),
        ),
    )
    for sock in (*servers, *captures.values(), listener):
        sock.close()
    result = {
        "events": [
            {
                "table": event.table,
                "chain": event.chain,
                "kind": event.kind,
                "verdict": event.verdict,
                "rule": texts.get(
                    (f"{event.family} {event.table}", event.chain, event.rule_handle)
                ),
                "packet": event.packet.summary() if event.packet else None,
                "state": event.ct_state,
            }
            for visit in trace.group(traced)
            if visit[0].packet.flags == "S" and visit[0].table != "natlab-trace"
            for event in visit
        ],
        "conntrack": table,
        "conntrack again": [str(each) for each in conntrack_read.parse_list(table)],
        "journey": journey.to_dict(),
        "rows": journey.rows(),
    }
    sys.stdout.write(json.dumps(result))


main()
