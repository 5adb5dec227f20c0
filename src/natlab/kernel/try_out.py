"""Features of the kernel, tried for real: each function does the thing once, in a throwaway place.

A function that returns has worked; one that raises `OSError` or `NatlabError` has not.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Final

from natlab.errors import NatlabError
from natlab.kernel import conntrack, firewall, links, namespaces, sandbox, syscalls, sysctl
from natlab.model import firewall as rules

_PR_SET_DUMPABLE: Final = 4
_NO_SUCH_USER: Final = 2
_REFUSED: Final = 1


def bridge() -> None:
    """Make a bridge with an address. Equivalent to: `ip link add natlab0 type bridge`."""
    links.add_bridge("natlab0", ["172.17.0.1/16"])


def veth() -> None:
    """Make a veth pair into another namespace. Equivalent to: `ip link add … type veth peer …`."""
    other = namespaces.create_net()
    try:
        links.add_pair("natlab1", "eth0", other, {}, {})
    finally:
        namespaces.close(other)


def nat() -> None:
    """Make natlab's table, with a masquerade and a DNAT rule in it."""
    firewall.create()
    subnet, guest = IPv4Network("172.17.0.0/16"), IPv4Address("172.17.0.2")
    dnat = rules.dnat("natlab0", IPv4Address(0), 49153, guest, 8080, "tcp")
    firewall.add([rules.masquerade(subnet, "natlab0"), dnat])


def connection_table() -> None:
    """Read the connection table. Equivalent to: `conntrack -L`."""
    conntrack.entries()


def bridged_filter() -> None:
    """Look for the setting that lets FORWARD see bridged frames (br_netfilter).

    Raises:
        NatlabError: this kernel has not loaded it.
    """
    if sysctl.read("net.bridge.bridge-nf-call-iptables") is None:
        raise NatlabError("the module is not loaded")


def overlay() -> None:
    """Mount an overlay of two directories in the sandbox, as containers' root trees are made."""
    root = Path("/run/natlab-try")
    parts = {name: root / name for name in ("lower", "upper", "work", "merged")}
    for part in parts.values():
        part.mkdir(parents=True)
    layers = ",".join(f"{name}dir={parts[name]}" for name in ("lower", "upper", "work"))
    try:
        syscalls.mount("overlay", str(parts["merged"]), "overlay", data=f"{layers},userxattr")
        syscalls.umount(str(parts["merged"]))
    finally:
        shutil.rmtree(root)


def user_namespace(uid: int) -> bool | None:
    """Whether that user may make a sandbox; None where root cannot become that user.

    A child of the calling (single-threaded) process tries it and ends.
    """
    child = os.fork()
    if child == 0:
        _try_as(uid)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return None if code == _NO_SUCH_USER else code == 0


def _try_as(uid: int) -> None:
    code = _NO_SUCH_USER
    try:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        code = _REFUSED
        # whoever changes uid loses its own /proc files, and with them its uid_map, until this:
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        sandbox.unshare_sandbox()
        code = 0
    finally:
        os._exit(code)
