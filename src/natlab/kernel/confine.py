"""Containers' programs: the first one of a container, and those that `docker exec` adds.

All of them are children of the agent: it knows how they end, and they end with it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from natlab.errors import ExecError, NatlabError
from natlab.kernel import capabilities, syscalls
from natlab.kernel.furnish import furnish
from natlab.kernel.inside import Inside
from natlab.kernel.launching import Program, Started, launch
from natlab.kernel.limits import Limits
from natlab.kernel.mounting import mount_all, seal_trees
from natlab.kernel.pidspace import Process, freeze, processes_of, signal_all, thaw
from natlab.kernel.place import registry, standing
from natlab.kernel.rootfs import Mount, Tree, assemble
from natlab.kernel.wire import Fd

__all__ = [
    "Confinement",
    "Entry",
    "Mount",
    "Process",
    "Started",
    "Tree",
    "enter",
    "freeze",
    "processes_of",
    "signal_all",
    "start",
    "thaw",
]


@dataclass(frozen=True)
class Confinement:
    """How a container's first process is started; compare the options of `docker run`."""

    argv: tuple[str, ...]
    tree: Tree
    env: Mapping[str, str] = field(default_factory=dict)
    """All of it; HOME is added from the container's `/etc/passwd` if it is missing."""
    cwd: str = "/"
    """Made if missing."""
    user: str = ""
    """"", "UID", "UID:GID", "NAME" or "NAME:GROUP", as the container's own files know them."""
    groups: tuple[str, ...] = ()
    """More groups, by number or by name in the container's `/etc/group`."""
    limits: Limits = field(default_factory=dict)
    hostname: str = ""
    """"": the name of the host where the caller stands."""
    domainname: str = ""
    network: int | None = None
    """The number of the place whose network it is in; None: where the caller stands."""
    mounts: tuple[Mount, ...] = ()
    """Mounted in this order."""
    tty: bool = False
    window: tuple[int, int] = (0, 0)
    """Rows and columns of the terminal; zeros leave it as it is."""
    read_only: bool = False
    """Whether the tree is; what is mounted in it is not for that."""
    capabilities: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    """What is added to Docker's usual ones, and what is dropped; see `capabilities.choose`."""
    privileged: bool = False
    """All capabilities, nothing of `/proc` hidden, `/sys` writable."""
    sysctls: Mapping[str, str] = field(default_factory=dict)
    shm_size: int = 64 << 20
    """Bytes of `/dev/shm`."""
    init: bool = False
    """Whether process 1 is an init, and the program its child."""


@dataclass(frozen=True)
class Entry:
    """How another program is started in a container that runs; see `Confinement`."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = "/"
    user: str = ""
    groups: tuple[str, ...] = ()
    limits: Limits = field(default_factory=dict)
    tty: bool = False
    window: tuple[int, int] = (0, 0)
    capabilities: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    privileged: bool = False


def start(spec: Confinement, stdio: list[Fd]) -> Started:
    """Start a container's first process, and return when it has been executed.

    It is process 1 of a new process namespace, in mount, UTS and IPC namespaces of its own. When
    it ends the kernel ends all others of the container, and its mounts are gone.

    Equivalent to: `docker start NAME`, or `unshare --pid --mount --uts --ipc --fork` and
    `pivot_root`.

    Args:
        spec: What to run, and with what.
        stdio: Three descriptors, lent; with a terminal they are not used and may be none.

    Raises:
        ExecError: the program, its user, its directory or a mount cannot be had; in Docker's
            words. Nothing is left.
        NatlabError: the kernel refuses to make the container.
    """
    place = standing.place if spec.network is None else registry.get(spec.network)
    net = place.fds["net"]
    program = _program(spec, first=True, init=spec.init)
    return launch(program, stdio, None, lambda: _build(spec, net))


def enter(pid: int, entry: Entry, stdio: list[Fd]) -> Started:
    """Start another program in a container. Equivalent to: `docker exec`, or `nsenter --all`.

    Args:
        pid: The container's first process.
        entry: What to run.
        stdio: As in `start`.

    Raises:
        ExecError: the program cannot be run.
        NatlabError: the container has ended.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        raise NatlabError("the container has ended: start it again") from error
    try:
        return launch(_program(entry), stdio, pidfd, lambda: _join(pidfd))
    finally:
        os.close(pidfd)


def _program(spec: Confinement | Entry, *, first: bool = False, init: bool = False) -> Program:
    added, dropped = spec.capabilities
    return Program(
        argv=spec.argv,
        env=spec.env,
        cwd=spec.cwd or "/",
        user=spec.user,
        groups=spec.groups,
        limits=spec.limits,
        tty=spec.tty,
        window=spec.window,
        capabilities=capabilities.choose(added, dropped, privileged=spec.privileged),
        first=first,
        init=init,
    )


def _join(pidfd: int) -> None:
    syscalls.setns(
        pidfd,
        syscalls.CLONE_NEWNS
        | syscalls.CLONE_NEWUTS
        | syscalls.CLONE_NEWIPC
        | syscalls.CLONE_NEWNET,
    )


def _build(spec: Confinement, net: int) -> None:
    """Make the container around this process, which is to be its first."""
    syscalls.setns(net, syscalls.CLONE_NEWNET)
    syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS | syscalls.CLONE_NEWIPC)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    mounted = assemble(spec.tree)
    inside = Inside(mounted[0])
    furnish(inside, privileged=spec.privileged, shm_size=spec.shm_size, sysctls=spec.sysctls)
    mount_all(inside, spec.mounts)
    _make_cwd(inside, spec.cwd or "/")
    if spec.read_only:
        seal_trees(mounted)
    inside.close()
    _move_into(mounted[0])
    if spec.hostname:
        syscalls.sethostname(spec.hostname)
    if spec.domainname:
        syscalls.setdomainname(spec.domainname)


def _make_cwd(inside: Inside, cwd: str) -> None:
    try:
        inside.make(cwd, directory=True)
    except NotADirectoryError:
        raise ExecError(f"Cannot mkdir: {cwd} is not a directory") from None
    except OSError as error:
        raise ExecError(f"mkdir {cwd}: {(error.strerror or '').lower()}") from error


def _move_into(root: str) -> None:
    """Equivalent to: `cd ROOT; pivot_root . .; umount --lazy .`."""
    os.chdir(root)
    syscalls.pivot_root(".", ".")
    syscalls.umount(".")
    os.chdir("/")
