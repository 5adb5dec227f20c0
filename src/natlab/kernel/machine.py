"""A lab machine's settings: what it starts with, and how it gets back there."""

from __future__ import annotations

import contextlib
import errno
import shutil
import socket
from collections.abc import Iterator
from typing import Final

from natlab.kernel import (
    conntrack,
    docker_root,
    files,
    firewall,
    link_facts,
    links,
    machine_made,
    machine_mounts,
    namespaces,
    processes,
    rtnl,
    syscalls,
    sysctl,
)
from natlab.kernel.place import ipr, registry, standing
from natlab.kernel.processes import process_facts

_LOOPBACK: Final = 1
"""The number of `lo` in every network namespace."""
_RULES: Final = {0: 255, 32766: 254, 32767: 253}
"""The rules of a new namespace: priority and table (`local`, `main`, `default`)."""

BASELINE: Final = {
    "net.ipv4.ip_forward": "0",
    "net.ipv6.conf.all.disable_ipv6": "1",
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


ENGINE_FILES: Final = ("/run/natlab/docker", "/run/natlab/stage", "/run/docker.sock")
"""What an engine keeps on its host, and leaves there when it is killed."""


def settle() -> None:
    """Give the machine in which the caller stands its first settings, and set `lo` up."""
    sysctl.write_all(BASELINE)
    rtnl.transact(rtnl.set_up(_LOOPBACK))


def settle_switch() -> None:
    """Let the LAN's own namespace pass frames, and do nothing else with them."""
    sysctl.write_all({key: "0" for key in BASELINE if key.startswith("net.bridge.")})
    rtnl.transact(rtnl.set_up(_LOOPBACK))


def prepare_container() -> None:
    """Set up `lo` here, and let every program listen at low ports and send pings.

    In a network without IPv6 nothing has such an address, not even a link's own.
    Source: moby, `daemon/oci_linux.go`, `WithSysctls`; libnetwork, `osl/interface_linux.go`.
    """
    rtnl.transact(rtnl.set_up(_LOOPBACK))
    sysctl.write_all(
        {
            "net/ipv4/ip_unprivileged_port_start": "0",
            "net/ipv6/conf/all/disable_ipv6": "1",  # those to come too: networks are IPv4 only
        }
    )
    with _tolerated(errno.EINVAL):  # an ordinary user's sandbox has one group only
        sysctl.write_all({"net/ipv4/ping_group_range": "0 2147483647"})


def clean(number: int, hostname: str, hosts: str) -> None:
    """Take a machine back to its first state, unplugged: only `lo` is left.

    What runs on it in the background is ended.
    """
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
        _reset_links()
        _reset_routing()
        sysctl.write_all(BASELINE | _per_link("lo"))
        conntrack.flush()
        syscalls.sethostname(hostname)
        machine_made.rewrite_files(hosts)
        machine_mounts.go_back()
        files.remove_trees(*ENGINE_FILES)
        docker_root.renew()
        for leftover in namespaces.NETNS.iterdir() if namespaces.NETNS.is_dir() else ():
            leftover.unlink() if not leftover.is_dir() else shutil.rmtree(leftover)
        machine_mounts.remember()


def _per_link(name: str) -> dict[str, str]:
    keys = ("rp_filter", "route_localnet", "proxy_arp", "accept_local", "arp_ignore", "forwarding")
    return {f"net.ipv4.conf.{name}.{key}": "0" for key in keys}


def _reset_links() -> None:
    """Delete every link but `lo`, and with them their addresses, routes, neighbours and queues."""
    for link in link_facts.links():
        if link.name != "lo":
            with _tolerated(errno.EOPNOTSUPP):  # tunl0 and its kind: each namespace has one
                links.delete(link.name)
    lo = links.index("lo")
    ipr().flush_addr(index=lo)
    with _tolerated(errno.ENOENT, errno.EINVAL):
        ipr().tc("del", index=lo, root=True)
    links.set_link("lo", state="down", mtu=65536)
    links.set_link("lo", state="up")  # the kernel gives it 127.0.0.1 again


def _reset_routing() -> None:
    """Leave no route but the kernel's own of the table `local`, and only the three first rules."""
    tables = {route.table for route in link_facts.routes()}
    for table in tables:
        ipr().flush_routes(family=socket.AF_INET, table=table)
    ipr().flush_rules(family=socket.AF_INET, priority=lambda at: (at or 0) not in _RULES)
    there = {rule.get_attr("FRA_PRIORITY") or 0 for rule in ipr().get_rules(family=socket.AF_INET)}
    for priority in _RULES.keys() - there:
        ipr().rule("add", family=socket.AF_INET, priority=priority, table=_RULES[priority])


@contextlib.contextmanager
def _tolerated(*codes: int) -> Iterator[None]:
    """Let these errors pass, of this process's own or of netlink."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except (OSError, NetlinkError) as error:
        if getattr(error, "code", getattr(error, "errno", None)) not in codes:
            raise


def _end_background(number: int) -> None:
    """Kill what runs on a machine, but for shells with a terminal and what runs before them."""
    for pid, _ in processes.running_in(number, "uts"):
        facts = process_facts(pid)
        if facts is None:
            continue
        in_front = facts.terminal and (facts.leader or facts.group == facts.foreground)
        if not in_front:
            processes.kill_and_wait(pid)
    processes.reap()


def hosts_file(addresses: dict[str, str], own: str) -> str:
    """The `/etc/hosts` of a lab machine: every machine of the lab by name."""
    lines = ["127.0.0.1\tlocalhost", *(f"{ip}\t{name}" for name, ip in addresses.items())]
    if own not in addresses:
        lines.append(f"127.0.1.1\t{own}")
    return "\n".join(lines) + "\n"
