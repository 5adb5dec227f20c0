"""What is mounted where: the lines of `/proc/PID/mountinfo` (proc_pid_mountinfo(5)) as values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

DELETED: Final = "//deleted"
"""What the kernel adds to the root of a mount whose file or directory has no name any more."""

_ESCAPE: Final = re.compile(r"\\([0-7]{3})")
_SEPARATOR: Final = " - "


@dataclass(frozen=True)
class MountPoint:
    """One mount of a mount namespace."""

    number: int
    """Of the mount itself: no two mounts of a machine have the same one at a time."""
    device: str
    """Of the file system, like `0:51`: what `stat` calls the device of its files."""
    root: str
    """Which directory or file of that file system is mounted."""
    target: str
    """Where, as the process sees it."""
    options: frozenset[str]
    kind: str
    """`ext4`, `tmpfs`, `overlay`, …"""
    source: str
    of_the_whole: tuple[str, ...] = ()
    """The options of the file system itself."""

    @property
    def read_only(self) -> bool:
        """Whether nothing can be written through it."""
        return "ro" in self.options or "ro" in self.of_the_whole

    @property
    def deleted(self) -> bool:
        """Whether what is mounted has no name any more."""
        return self.root.endswith(DELETED)

    @property
    def what(self) -> tuple[str, str]:
        """The same for two mounts that show the same: the file system, and the place in it."""
        return self.device, self.root


def parse(text: str) -> list[MountPoint]:
    """The mounts of a namespace, in the order in which they were made."""
    return [_line(line) for line in text.splitlines() if _SEPARATOR in line]


def _line(line: str) -> MountPoint:
    ours, _, theirs = line.partition(_SEPARATOR)
    number, _, device, root, target, options, *_ = ours.split(" ")
    kind, source, *rest = theirs.split(" ")
    return MountPoint(
        number=int(number),
        device=device,
        root=_plain(root),
        target=_plain(target),
        options=frozenset(options.split(",")),
        kind=kind,
        source=_plain(source),
        of_the_whole=tuple(rest[0].split(",")) if rest else (),
    )


def _plain(word: str) -> str:
    return _ESCAPE.sub(lambda code: chr(int(code[1], 8)), word)


def at(mounts: Iterable[MountPoint], target: str) -> MountPoint | None:
    """What is mounted at exactly that place: of several the one on top; None if nothing is."""
    found = None
    for mount in mounts:
        if mount.target == target:
            found = mount
    return found


def path_to(shown: MountPoint, mounts: Sequence[MountPoint]) -> str | None:
    """Where one can find, with these mounts, what is mounted elsewhere; None: nowhere.

    Args:
        shown: A mount of another namespace.
        mounts: Those of the namespace in which one looks.
    """
    for mount in mounts:
        inner = _below(shown.root, mount.root)
        if mount.device == shown.device and inner is not None:
            return f"{mount.target.rstrip('/')}{inner}" or "/"
    return None


def _below(path: str, top: str) -> str | None:
    """The rest of a path that begins with another one; None if it does not."""
    top = top.rstrip("/")
    if path == top or path.startswith(f"{top}/"):
        return path.removeprefix(top)
    return None
