"""Archives in and out of containers and images: each by a worker shut into the tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from natlab.kernel.rootfs import Mount, Tree
from natlab.kernel.wire import Fd


@dataclass(frozen=True)
class RootRef:
    """Whose files: a running container's, by its pid, or a stopped one's, by its tree.

    Attributes:
        name: What messages call the container.
        pid: Of its first process as the agent sees it; 0: it does not run.
        tree, mounts: Of a stopped one (`mounts` of a running one too: `export` leaves them out).
    """

    name: str
    pid: int = 0
    tree: Tree | None = None
    mounts: tuple[Mount, ...] = ()


@dataclass(frozen=True)
class Job:
    """A worker of the agent: a pidfd of it, and the pipe where it says how it went."""

    pid: int
    pidfd: Fd
    result: Fd


@dataclass(frozen=True)
class PathStat:
    """What `docker cp` asks of a path first; `mode` has the bits of Go's os.FileMode."""

    name: str
    size: int
    mode: int
    mtime: int
    """Nanoseconds since 1970."""
    link_target: str


@dataclass(frozen=True)
class Change:
    """A line of `docker diff`: kind 0 modified, 1 added, 2 deleted."""

    kind: int
    path: str


def unpack_layer(tar: Fd, directory: str) -> Job:
    """Result: {"size": bytes of its files}."""
    raise NotImplementedError


def pack(root: RootRef, path: str, out: Fd) -> Job:
    raise NotImplementedError


def export(root: RootRef, out: Fd) -> Job:
    raise NotImplementedError


def unpack(root: RootRef, path: str, tar: Fd, *, no_overwrite: bool = False,
           owner: tuple[int, int] | None = None) -> Job:
    raise NotImplementedError


def stat_path(root: RootRef, path: str) -> Job:
    """Result: a PathStat (finish gives it)."""
    raise NotImplementedError


def changes(tree: Tree) -> list[Change]:
    raise NotImplementedError


def finish(job: Job) -> Any:
    """Client side: wait for the worker, close its descriptors, return its result or raise."""
    raise NotImplementedError
