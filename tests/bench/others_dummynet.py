"""dummynet's own: one namespace on a bridge, up and down, as root in namespaces of its own.

Prints the seconds of each round, up and down, one line each.
"""

import logging
import sys
import time

from dummynet import DummyNet, HostShell, ProcessMonitor


def once(number: int) -> tuple[float, float]:
    """One namespace with an address, a route and NAT, as dummynet's examples have it."""
    log = logging.getLogger("dummynet")
    log.setLevel(logging.ERROR)
    monitor = ProcessMonitor(log=log)
    shell = HostShell(log=log, sudo=False, process_monitor=monitor)
    began = time.perf_counter()
    net = DummyNet(shell=shell)
    bridge = net.bridge_add(name=f"br{number}")
    outer, inner = net.link_veth_add(p1_name=f"a{number}", p2_name=f"b{number}")
    space = net.netns_add(name=f"n{number}")
    net.link_set(namespace=space, interface=inner)
    net.bridge_set(bridge=bridge, interface=outer)
    net.addr_add(ip="172.17.0.1/16", interface=bridge)
    space.addr_add(ip="172.17.0.2/16", interface=inner)
    net.up(interface=bridge)
    net.up(interface=outer)
    space.up(interface=inner)
    space.route(ip="172.17.0.1")
    up = time.perf_counter()
    net.cleanup()
    return up - began, time.perf_counter() - up


once(0)
for turn in range(1, int(sys.argv[1]) + 1):
    print(*once(turn))
