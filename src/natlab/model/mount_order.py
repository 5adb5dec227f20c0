"""Which mounts a container gets: what overrides what, and which comes first.

Another container's volumes (`--volumes-from`) come first, then `-v SOURCE:TARGET` and `--mount`,
each overriding what is at its place already. `-v TARGET` and an image's VOLUME give an anonymous
volume where nothing else is (moby daemon/volumes.go, registerMountPoints).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from natlab.model.mount_points import MountPoint
from natlab.model.mount_specs import parse_bind, parse_mount, parse_tmpfs, parse_volume
from natlab.model.refusal import Refusal


def gather(
    config: Mapping[str, Any], volumes: Iterable[str], lent: Iterable[MountPoint] = ()
) -> tuple[MountPoint, ...]:
    """All mounts of a container, those nearer to the root first.

    Args:
        config: The HostConfig: its Binds, Mounts, Tmpfs and VolumeDriver.
        volumes: Where anonymous volumes are wanted: Config.Volumes and the image's own.
        lent: What other containers lend it, in the order of VolumesFrom.

    Raises:
        Refusal: malformed, or two at one place (400), or natlab has not that kind (501).
    """
    tmpfs = [parse_tmpfs(target, text or "") for target, text in _items(config.get("Tmpfs"))]
    driver = str(config.get("VolumeDriver") or "")
    found = {point.target: point for point in lent}
    own: set[str] = set()
    for point in (parse_bind(text, driver) for text in config.get("Binds") or ()):
        if point.target in own or any(point.target == other.target for other in tmpfs):
            raise Refusal(f"Duplicate mount point: {point.target}")
        own.add(point.target)
        found[point.target] = point
    for item in config.get("Mounts") or ():
        point = parse_mount(item)
        if point.target in own or any(point.target == other.target for other in tmpfs):
            raise Refusal(f"Duplicate mount point: {item['Target']}")
        own.add(point.target)
        found[point.target] = point
    found |= {point.target: point for point in tmpfs}
    for point in map(parse_volume, volumes):
        found.setdefault(point.target, point)
    return ordered(found.values())


def ordered(points: Iterable[MountPoint]) -> tuple[MountPoint, ...]:
    """Parents before what lies in them; the rest by name."""
    return tuple(sorted(points, key=lambda point: (point.depth, point.target)))


def _items(given: Mapping[str, str] | None) -> Iterable[tuple[str, str]]:
    return (given or {}).items()
