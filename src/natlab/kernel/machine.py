"""A lab machine's settings: what it starts with, and how it gets back there."""

from __future__ import annotations

import os
import shutil
import signal
from typing import Final

from natlab.kernel import conntrack, firewall, links, namespaces, processes, sysctl
from natlab.kernel.place import ipr, registry, standing
from natlab.kernel.processes import process_facts

_MAIN: Final = 254

BASELINE: Final = {
    "net.ipv4.ip_forward": "0",
    "net.ipv6.conf.all.forwarding": "0",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.all.route_localnet": "0",
    "net.ipv4.conf.default.route_localnet": "0",
    "net.ipv4.conf.all.accept_local": "0",
    "net.ipv4.conf.all.proxy_arp": "0",
    "net.ipv4.conf.default.proxy_arp": "0",
    "net.ipv4.conf.all.arp_ignore": "0",
    "net.ipv4.conf.all.arp_announce": "0",
    "net.ipv4.conf.all.arp_filter": "0",
    "net.ipv4.ip_nonlocal_bind": "0",
    "net.ipv4.tcp_timestamps": "1",
    "net.ipv4.icmp_echo_ignore_all": "0",
    "net.ipv4.ip_local_port_range": "32768\t60999",
    "net.ipv4.ip_unprivileged_port_start": "1024",
    "net.bridge.bridge-nf-call-iptables": "0",
    "net.bridge.bridge-nf-call-ip6tables": "0",
    "net.bridge.bridge-nf-call-arptables": "0",
}
"""A machine before Docker: a new namespace takes many of these from the machine it is made on
(`net.core.devconf_inherit_init_net`), which may be a Docker host itself."""


def settle() -> None:
    """Give the machine in which the caller stands its first settings, and set `lo` up."""
    sysctl.write_all(BASELINE)
    links.set_link("lo", state="up")


def clean(number: int, address: str) -> None:
    """Take a machine back to its first state, and end what runs on it in the background."""
    place = registry.get(number)
    with standing.at(place):
        names = namespaces.list_named()
        containers = [namespaces.open_named(name) for name in names]
        processes.end_all(*(c for c in containers if not namespaces.same_net(c, number)))
        namespaces.close(*containers)
        for name in names:
            namespaces.delete_named(name)
    _end_background(number)
    with standing.at(place):
        firewall.command("flush ruleset")
        _reset_links(address)
        sysctl.write_all(BASELINE | _per_link("eth0") | _per_link("lo"))
        conntrack.flush()
        for leftover in namespaces.NETNS.iterdir() if namespaces.NETNS.is_dir() else ():
            leftover.unlink() if not leftover.is_dir() else shutil.rmtree(leftover)


def _per_link(name: str) -> dict[str, str]:
    keys = ("rp_filter", "route_localnet", "proxy_arp", "accept_local", "arp_ignore", "forwarding")
    return {f"net.ipv4.conf.{name}.{key}": "0" for key in keys}


def _reset_links(address: str) -> None:
    """Only `lo` and eth0 stay; eth0 has its one address, and no route but the connected one."""
    for link in links.links():
        if link.name not in ("lo", "eth0"):
            links.delete(link.name)
    for rule in ipr().get_rules(family=2):
        priority = rule.get_attr("FRA_PRIORITY") or 0
        if priority not in (0, 32766, 32767):
            ipr().rule("del", priority=priority, table=rule["table"])
    ipr().flush_addr(index=links.index("eth0"), family=2)
    ipr().flush_routes(family=2, table=_MAIN)
    links.set_link("eth0", state="down", mtu=1500, master=0)  # down forgets its neighbours too
    links.configure("eth0", [address])


def _end_background(number: int) -> None:
    """Kill what runs on a machine, but for shells with a terminal and what runs before them."""
    for pid, _ in processes.running_in(number, "uts"):
        facts = process_facts(pid)
        if facts is None:
            continue
        in_front = facts.terminal and (facts.leader or facts.group == facts.foreground)
        if not in_front:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
    processes.reap()


def hosts_file(addresses: dict[str, str], own: str) -> str:
    """The `/etc/hosts` of a lab machine: every machine of the lab by name."""
    lines = ["127.0.0.1\tlocalhost", *(f"{ip}\t{name}" for name, ip in addresses.items())]
    if own not in addresses:
        lines.append(f"127.0.1.1\t{own}")
    return "\n".join(lines) + "\n"
