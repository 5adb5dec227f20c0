"""What a container has changed in its files: `docker diff`, read from its upper directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from natlab.kernel import overlays
from natlab.kernel.rootfs import MACHINE, Tree

MODIFIED: Final = 0
ADDED: Final = 1
DELETED: Final = 2


@dataclass(frozen=True, order=True)
class Change:
    """One line of `docker diff`: its path, and 0 for modified, 1 for added, 2 for deleted."""

    path: str
    kind: int


def changes(tree: Tree) -> list[Change]:
    """What differs from the layers, sorted by path; a container may run meanwhile.

    A directory counts as modified when something in it has changed, as with Docker, or its owner
    or mode; a file when its size, time, owner or mode differ.

    Equivalent to: `docker diff NAME`.
    """
    found: dict[str, int] = {}
    if not tree.shows_machine:
        _walk(found, "", tree.upper, tree.layers)
    else:
        pile = (*tree.images, MACHINE)
        _walk(found, "", f"{tree.upper}/root", pile)
        _walk(found, "", f"{tree.upper}/parts", pile)
    return sorted(Change(path, kind) for path, kind in found.items())


def _walk(found: dict[str, int], path: str, upper: str, pile: Sequence[str]) -> bool:
    """Note the changes in a directory; returns whether there is any."""
    before = len(found)
    for name in _names(upper):
        _compare(found, f"{path}/{name}", f"{upper}/{name}", overlays.look_up(pile, name))
    if overlays.is_opaque(upper):
        for name in {name for directory in pile for name in _names(directory)}:
            gone = overlays.look_up(pile, name).info is not None
            if gone and not os.path.lexists(f"{upper}/{name}"):
                found[f"{path}/{name}"] = DELETED
    return len(found) > before


def _compare(found: dict[str, int], path: str, upper: str, below: overlays.Found) -> None:
    info = os.lstat(upper)
    if overlays.is_whiteout(upper, info):
        if below.info is not None:
            found[path] = DELETED
        return
    directory = stat.S_ISDIR(info.st_mode)
    if below.info is None:
        found[path] = ADDED
    elif _differs(info, below.info):
        found[path] = MODIFIED
    if directory and _walk(found, path, upper, below.directories):
        found.setdefault(path, MODIFIED)


def _differs(one: os.stat_result, other: os.stat_result) -> bool:
    """Whether Docker takes two files for different (moby, `statDifferent`)."""
    if one.st_mode != other.st_mode or _owner(one) != _owner(other):
        return True
    if stat.S_ISDIR(one.st_mode):
        return False
    return (one.st_size, one.st_mtime_ns, one.st_rdev) != (
        other.st_size,
        other.st_mtime_ns,
        other.st_rdev,
    )


def _owner(info: os.stat_result) -> tuple[int, int]:
    """The owner; who is not there in this user namespace is root in a copy made there."""
    if overlays.in_user_namespace():
        return 0, 0
    return info.st_uid, info.st_gid


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - hot
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
