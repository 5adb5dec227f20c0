"""A lab machine: its namespaces, and the places that must be its own."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from natlab.kernel import docker_root, machine_mounts, syscalls
from natlab.kernel.namespaces import NETNS
from natlab.kernel.place import Place, registry, standing

_SAFE: Final = syscalls.MS_NOSUID | syscalls.MS_NODEV

_NO_NAME_SERVER: Final = "# the lab has no name server\n"
_BASHRC: Final = """PS1='\\u@${NATLAB_NODE:-\\h}:\\w\\$ '
alias ls='ls --color=auto'
"""
"""What an interactive shell of `natlab shell` reads: the prompt names the node."""


def create_machine(hostname: str, programs: dict[str, str], hosts_file: str) -> int:
    """Make a machine: a network, a mount and a UTS namespace; returns its number.

    It has its own `/run` (so its own `/run/netns`), `/srv`, `/var/lib/docker`, `/sys`, `/etc/hosts`
    and host name.
    Equivalent to: `unshare --net --mount --uts`, then `mount -t tmpfs none /run` and so on.
    """
    before = standing.place
    syscalls.unshare(syscalls.CLONE_NEWNET | syscalls.CLONE_NEWNS | syscalls.CLONE_NEWUTS)
    try:
        syscalls.sethostname(hostname)
        _furnish(programs, hosts_file)
        made = Place.here()
    finally:
        before.enter()
    return registry.add(made)


def _furnish(programs: dict[str, str], hosts_file: str) -> None:
    """Give a new machine the places that must be its own."""
    syscalls.mount("none", "/run", "tmpfs", _SAFE, "mode=755")
    machine_mounts.add_site()
    mount_sys()
    _make_room_for_names()
    docker_root.furnish()
    _bind_over("/etc/hosts", hosts_file)
    _bind_over("/etc/resolv.conf", _NO_NAME_SERVER)
    programs_dir = Path("/run/natlab/bin")
    programs_dir.mkdir(parents=True)
    Path("/run/natlab/bashrc").write_text(_BASHRC)
    for name, text in programs.items():
        path = programs_dir / name
        path.write_text(text)
        path.chmod(0o755)
    machine_mounts.remember()


def _make_room_for_names() -> None:
    """Make `/run/netns` a shared mount of its own, as `ip netns add` does when it is not one yet.

    Otherwise the first `ip netns add` that a person types would lay a second mount over every
    name made before, and those could no longer be deleted (`EBUSY`). Source: iproute2,
    `netns_add` in ip/ipnetns.c.
    """
    NETNS.mkdir(mode=0o755)
    syscalls.mount(str(NETNS), str(NETNS), flags=syscalls.MS_BIND | syscalls.MS_REC)
    syscalls.mount("none", str(NETNS), flags=syscalls.MS_SHARED | syscalls.MS_REC)


def mount_sys() -> None:
    """Show this network namespace's `/sys/class/net`; where the kernel refuses, the old one stays.

    In a container whose /sys is partly covered the kernel does not let a user namespace mount
    a fresh one (`mount_too_revealing` in fs/namespace.c).
    """
    try:
        syscalls.mount("none", "/sys", "sysfs", _SAFE)
    except PermissionError:
        return


def rewrite_files(hosts_file: str) -> None:
    """Give the machine in which the caller stands its first `/etc/hosts` and resolv.conf again."""
    rewrite_hosts(hosts_file)
    _rewrite("/etc/resolv.conf", _NO_NAME_SERVER)


def rewrite_hosts(text: str) -> None:
    """Give the machine in which the caller stands an `/etc/hosts`."""
    _rewrite("/etc/hosts", text)


def _rewrite(target: str, text: str) -> None:
    source = _source(target)
    if source.is_file():
        source.write_text(text)


def _source(target: str) -> Path:
    """The file in a machine's own /run that stands in for one of the real machine."""
    return Path("/run", target.replace("/", "-").lstrip("-"))


def _bind_over(target: str, text: str) -> None:
    if not Path(target).is_file():
        return
    source = _source(target)
    source.write_text(text)
    syscalls.mount(str(source), target, flags=syscalls.MS_BIND)
