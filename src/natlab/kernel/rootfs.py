"""From the layers of an image to a mounted root: what a container sees as `/`.

Ordinary layers are one overlay. The machine's own tree (the layer "/") cannot be: the kernel
refuses to an ordinary user an overlay of a directory that has locked mounts in it, and "/" always
has some. So the root is an overlay over a skeleton of the machine's "/" (empty directories,
links, small files), and each of its directories is an overlay of its own, a *part*. A directory
in which something is mounted is taken apart in the same way once more; what has mounts deeper
down is shown read-only. Root gets the same, so that a container is the same for both.

The changes of a "/" tree are in `UPPER/root` (the skeleton's) and `UPPER/parts/PATH`; those of
any other tree are in `UPPER` itself.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from natlab.kernel import docker_root, overlays, skeleton, syscalls

STAGE: Final = "/run/natlab/stage"
"""Where a root is put together, in a mount namespace that nobody else sees."""

MACHINE: Final = "/"
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")
OWN: Final = frozenset(
    {"/proc", "/sys", "/dev", "/run", "/srv", "/tmp"}  # noqa: S108 - no file of ours
)
"""What every container has of its own, whatever the machine has there."""


@dataclass(frozen=True)
class Tree:
    """The files of a container: read-only layers, and where its own changes go.

    Attributes:
        layers: Directories of this place, the topmost first. "/" stands for the machine's own
            tree; it may only be the last one.
        upper: A directory for the changes; made if missing. Keep it, and the container finds
            its files again at the next start.
        work: A directory on the same file system as `upper`, for the kernel's use.
    """

    layers: tuple[str, ...]
    upper: str
    work: str

    @property
    def shows_machine(self) -> bool:
        """Whether the machine's own tree is the lowest layer."""
        return self.layers[-1:] == (MACHINE,)

    @property
    def images(self) -> tuple[str, ...]:
        """The layers less the machine's own tree."""
        return self.layers[:-1] if self.shows_machine else self.layers


@dataclass(frozen=True)
class Mount:
    """One thing mounted in a container.

    Attributes:
        source: A file or directory of this place, or a volume's name; of no meaning for a tmpfs.
        target: An absolute path in the container; made if missing.
        read_only: Whether the container may only read it.
        kind: `bind`, `volume` or `tmpfs`.
        options: Of a tmpfs, as `mount -o` takes them: `size=64m,mode=1777`.
        subpath: Which directory of a volume; "" for all of it.
        recursive: Whether what is mounted in the source comes along.
        deep: Whether that is read-only too, if the mount is.
    """

    source: str
    target: str
    read_only: bool = False
    kind: str = "bind"
    options: str = ""
    subpath: str = ""
    recursive: bool = True
    deep: bool = True


def assemble(tree: Tree) -> list[str]:
    """Mount a tree, in a mount namespace made for it; returns its mounts, the root first.

    Raises:
        OSError: a layer is missing, or the kernel refuses.
    """
    Path(STAGE).mkdir(parents=True, exist_ok=True)
    syscalls.mount("none", STAGE, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "mode=755")
    root, bones = f"{STAGE}/root", f"{STAGE}/skeleton"
    for directory in (tree.work, root, bones):
        Path(directory).mkdir(parents=True, exist_ok=True)
    if tree.shows_machine:
        return _Machine(tree, root, bones).show()
    skeleton.add_mount_points(bones)
    skeleton.dress(tree.upper, next(iter(tree.images), bones))
    overlays.mount(root, [*tree.images, bones], tree.upper, tree.work)
    return [root]


class _Machine:
    """The machine's own tree below a container's layers, put together part by part."""

    def __init__(self, tree: Tree, root: str, bones: str) -> None:
        self._tree, self._root, self._bones = tree, root, bones
        self._mounted_on = _mount_points()
        self._parts: list[tuple[str, list[str]]] = []
        self._binds: list[str] = []

    def show(self) -> list[str]:
        """Mount all of it; returns its mounts."""
        images = list(self._tree.images)
        skeleton.like(self._bones, MACHINE)
        self._look_into("", images)
        skeleton.add_mount_points(self._bones)
        self._overlay(self._root, [*images, self._bones], "root")
        mounted = [self._root]
        for path, lowers in self._parts:
            target = self._target(path)
            if target is None:
                continue
            mounted.append(target)
            try:
                self._overlay(target, lowers, f"parts{path}")
            except OSError:  # an overlay of an overlay, and no more of that
                _show_read_only(path, target)
        for path in self._binds:
            target = self._target(path)
            if target is not None:
                _show_read_only(path, target)
        return mounted

    def _look_into(self, path: str, layers: list[str]) -> None:
        """Copy a directory's bones, and decide how each directory in it is shown."""
        for name in skeleton.copy(path or MACHINE, self._bones + path):
            inner = f"{path}/{name}"
            below = overlays.look_up(layers, name)
            if below.hides or inner in OWN or not _has_entries(inner):
                continue
            if not self._has_mounts(inner):
                self._parts.append((inner, [*below.directories, inner]))
            elif path:
                self._binds.append(inner)
            else:
                self._look_into(inner, list(below.directories))

    def _has_mounts(self, path: str) -> bool:
        """Whether other directories are mounted below, or files that cannot be left out."""
        inside = [point for point in self._mounted_on if point.startswith(f"{path}/")]
        if not inside:
            return False
        return any(Path(point).is_dir() for point in inside) or not syscalls.can_clone_mount(path)

    def _target(self, path: str) -> str | None:
        """Where a part goes; None if the container has made something else of that name."""
        target = self._root + path
        plain = _is_plain_directory(target) and _is_plain_directory(posixpath.dirname(target))
        return target if plain else None

    def _overlay(self, target: str, lowers: list[str], kept: str) -> None:
        upper = f"{self._tree.upper}/{kept}"
        work = f"{self._tree.work}/{quote(kept, safe='')}"
        fresh = skeleton.dress(upper, lowers[0])
        if fresh and target != self._root and overlays.in_user_namespace():
            skeleton.take_over(lowers, upper)
        Path(work).mkdir(exist_ok=True)
        overlays.mount(target, lowers, upper, work)


def _is_plain_directory(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _show_read_only(path: str, target: str) -> None:
    syscalls.mount(path, target, flags=syscalls.MS_BIND | syscalls.MS_REC)
    docker_root.hide(path, target)
    fd = os.open(target, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        syscalls.make_read_only(fd)
    finally:
        os.close(fd)


def _has_entries(path: str) -> bool:
    """Whether there is anything to see in a directory, for this user."""
    try:
        with os.scandir(path) as entries:
            return any(True for _ in entries)
    except PermissionError:
        return False


def _mount_points() -> list[str]:
    """Where something is mounted in this mount namespace (proc_pid_mountinfo(5)).

    Less what is a lab host's own in `/var/lib`: its containers see the machine's.
    """
    lines = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines()
    rows = [line.split(" ") for line in lines if f" {docker_root.SOURCE} " not in line]
    points = [_ESCAPE.sub(lambda code: chr(int(code[1], 8)), row[4]) for row in rows]
    return [point for point in points if not point.startswith(f"{docker_root.DIRECTORY}/")]
