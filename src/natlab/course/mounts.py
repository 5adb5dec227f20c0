"""Where the files of a container come from: its own layer, a mount, and where that lies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from natlab.course.checks import Fail
from natlab.course.facts import expect
from natlab.course.inside import Resident, residents
from natlab.course.writes import written
from natlab.model import mountinfo
from natlab.model.mountinfo import MountPoint

if TYPE_CHECKING:
    from natlab.engine.host import Host
    from natlab.engine.node import Node

LAYERS: Final = ("/srv", "/run", "/var/lib/docker")
"""Where the layers of containers lie on a lab host, whoever made them."""


def bind_by_hand(name: str, source: str, target: str) -> str:
    """What a person types to mount something in a container that `box` has made.

    Args:
        name: The container.
        source: A directory or file of its host.
        target: Where in the container.
    """
    return f"nsenter -m -t $(cat /srv/{name}/pid) mount --bind {source} /srv/{name}/root{target}"


def union_root(inside: Resident, *, hint: str) -> MountPoint:
    """The container's root, which is to be a union of directories."""
    root = mountinfo.at(inside.mounts(), "/")
    kind = root.kind if root else "nothing of its own"
    if root is None or kind != "overlay":
        raise Fail(
            expected=f"the root of {inside.name} is an overlay",
            actual=f"it is {kind}",
            hint=hint,
        )
    return root


def mounted_at(inside: Resident, target: str, *, hint: str) -> MountPoint:
    """What is mounted at exactly that place in a container."""
    mounts = inside.mounts()
    found = mountinfo.at(mounts, target)
    if found is None:
        others = [m.target for m in mounts if not m.target.startswith(("/proc", "/sys", "/dev"))]
        raise Fail(
            expected=f"something is mounted at {target} in {inside.name}",
            actual=f"its mounts are {', '.join(sorted(set(others)))}",
            hint=hint,
        )
    return found


def place_on(host: Node, mount: MountPoint, *, hint: str) -> str:
    """Where on its host the directory or file lies that is mounted in a container."""
    expect(
        not mount.deleted,
        expected=f"what is mounted at {mount.target} still has a name on {host.name}",
        actual=f"{mount.root.removesuffix(mountinfo.DELETED)} was removed or replaced there",
        hint=hint,
    )
    found = mountinfo.path_to(mount, _mounts(host))
    if found is None:
        raise Fail(
            expected=f"what is mounted at {mount.target} lies on {host.name}",
            actual=f"it is a {mount.kind} of its own, which {host.name} does not see",
            hint=hint,
        )
    return found


def shown_inside(host: Host) -> dict[str, str]:
    """The places on a host that containers have mounted, each with the name of one that has it."""
    mine = _mounts(host)
    found: dict[str, str] = {}
    for guest in host.containers():
        for inside in residents(guest):
            for mount in inside.mounts():
                place = mountinfo.path_to(mount, mine)
                if place is not None:
                    found[place] = guest.name
    return found


def own_layer(host: Node, inside: Resident, directory: str = "/", *, hint: str) -> str:
    """The directory on the host in which the container's own writes arrive.

    Args:
        host: Where the container is.
        inside: The container.
        directory: Where it writes.
        hint: What to do if they arrive nowhere.
    """
    with written(inside, directory, hint=hint) as name:
        paths = host.run(["find", *LAYERS, "-xdev", "-name", name]).stdout.split()
    expect(
        paths,
        expected=f"what {inside.name} writes in {directory} arrives in a directory of {host.name}",
        actual=f"it is nowhere below {', '.join(LAYERS)}",
        hint=hint,
    )
    return paths[0].removesuffix(f"/{name}")


def _mounts(host: Node) -> list[MountPoint]:
    return mountinfo.parse(host.run(["cat", "/proc/self/mountinfo"]).stdout)
