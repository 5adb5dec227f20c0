"""Mininet's own: one host on a LinuxBridge, up and down. Run by the system's Python, as root.

Prints the seconds of each round, up and down, one line each.
"""

import sys
import time

from mininet.net import Mininet
from mininet.nodelib import LinuxBridge


def once() -> tuple[float, float]:
    """One host at one bridge."""
    began = time.perf_counter()
    net = Mininet(controller=None, switch=LinuxBridge)
    net.addLink(net.addHost("h1"), net.addSwitch("s1"))
    net.start()
    up = time.perf_counter()
    net.stop()
    return up - began, time.perf_counter() - up


once()
for _ in range(int(sys.argv[1])):
    print(*once())
