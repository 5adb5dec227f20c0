"""Residents: programs in a node's network namespace that are process 1 of their own namespaces.

That is what `docker run` starts, and it is read from the kernel: whoever made them, a person with
`unshare` or an engine, they count alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from natlab.model import mountinfo
from natlab.model.mountinfo import MountPoint

if TYPE_CHECKING:
    from natlab.engine.node import Node
    from natlab.engine.process import Completed

KINDS: Final = ("net", "pid", "mnt", "uts", "ipc")
"""The namespaces that a container has of its own, as `/proc/PID/ns` calls them."""

_LOOK: Final = (
    f"stat -Lc '%n %i' /proc/self/ns/net /proc/[0-9]*/ns/{{{','.join(KINDS)}}} 2>/dev/null;"
    " grep -H ^NSpid: /proc/[0-9]*/status 2>/dev/null"
)
_PATIENT_ONCE: Final = {"RES_OPTIONS": "timeout:1 attempts:1"}
"""resolv.conf(5): ask each name server once, and wait a second."""


@dataclass(frozen=True)
class Resident:
    """A program that is process 1 of its own process namespace."""

    node: Node
    """In whose network namespace it is."""
    pid: int
    """Its number in the lab's own process namespace."""
    namespaces: Mapping[str, str]
    """The inode of each of its namespaces, by kind."""

    @property
    def name(self) -> str:
        """The name of its container; of its host, where it has no network of its own."""
        return self.node.name

    def run(self, *argv: str) -> Completed:
        """Run a program with its files and host name. Equivalent to: `docker exec NAME ARGV`."""
        inside = ["nsenter", "-t", str(self.pid), "-m", "-u", "--root", "--wd", "--", *argv]
        return self.node.run(inside, env=_PATIENT_ONCE)

    def read(self, path: str) -> str:
        """A file as it sees it; empty without one. Equivalent to: `docker exec NAME cat PATH`."""
        return self.run("cat", path).stdout

    def environment(self) -> dict[str, str]:
        """The variables that it was started with."""
        text = self.node.run(["cat", f"/proc/{self.pid}/environ"]).stdout
        pairs = (line.partition("=") for line in text.split("\0") if line)
        return {name: value for name, _, value in pairs}

    def mounts(self) -> list[MountPoint]:
        """What is mounted in its tree. Equivalent to: `docker exec NAME findmnt`."""
        return mountinfo.parse(self.node.run(["cat", f"/proc/{self.pid}/mountinfo"]).stdout)

    def mounted(self) -> set[str]:
        """The places in its tree where something is mounted."""
        return {mount.target for mount in self.mounts()}

    def finds(self, name: str) -> str | None:
        """The address that a name has for it, or None: hosts file first, then name servers.

        Equivalent to: `docker exec CONTAINER getent ahostsv4 NAME`.
        """
        words = self.run("getent", "ahostsv4", name).stdout.split()
        return words[0] if words else None

    def listens(self, port: int) -> bool:
        """Whether a program of its process namespace waits at a TCP port: not a probe's own.

        Equivalent to: `ss -ltnp sport = :PORT`, and a look who that is.
        """
        told = self.node.run(["ss", "-Hltnp", f"sport = :{port}"]).stdout
        paths = [f"/proc/{pid}/ns/pid" for pid in re.findall(r"pid=(\d+)", told)]
        inodes = self.node.run(["stat", "-Lc", "%i", *paths]).stdout.split() if paths else []
        return self.namespaces["pid"] in inodes


def residents(node: Node) -> list[Resident]:
    """Those of a node, the oldest first."""
    own, inodes, numbers = "", dict[int, dict[str, str]](), dict[int, list[str]]()
    for line in node.run(_LOOK).stdout.splitlines():
        path, *words = line.replace(":NSpid:", " ").split()
        _, _, pid, *where = path.split("/")
        if pid == "self":
            own = words[0]
        elif where[0] == "ns":
            inodes.setdefault(int(pid), {})[where[1]] = words[0]
        else:
            numbers[int(pid)] = words
    return [
        Resident(node, pid, inodes[pid])
        for pid in sorted(numbers)
        if len(numbers[pid]) > 1
        and numbers[pid][-1] == "1"
        and inodes.get(pid, {}).keys() == set(KINDS)
        and inodes[pid]["net"] == own
    ]


def own_namespaces(node: Node) -> dict[str, str]:
    """The inodes of the namespaces in which a node's own shell stands, by kind."""
    paths = [f"/proc/self/ns/{kind}" for kind in KINDS]
    lines = node.run(["stat", "-Lc", "%i", *paths]).stdout.split()
    return dict(zip(KINDS, lines, strict=True))
