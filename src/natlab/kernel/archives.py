"""Archives in and out of containers and images: each by a worker shut into the tree.

Every function but `changes` and `finish` is for the agent and returns at once with a `Job`. The
client then feeds or drains the archive's pipe and calls `finish` for the result.
"""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from natlab.kernel.changes import ADDED, DELETED, MODIFIED, Change, changes
from natlab.kernel.rootfs import Mount, Tree
from natlab.kernel.tarring import Packing
from natlab.kernel.untar import Unpacking
from natlab.kernel.wire import Fd
from natlab.kernel.workers import Job, RootRef, entrance, finish, stand_in_directory, submit
from natlab.model.refusal import Refusal

__all__ = [
    "ADDED",
    "DELETED",
    "MODIFIED",
    "Change",
    "Job",
    "Mount",
    "PathStat",
    "RootRef",
    "Tree",
    "changes",
    "export",
    "finish",
    "pack",
    "stat_path",
    "unpack",
    "unpack_layer",
]

_NOT_FOUND: Final = 404
_BAD: Final = 400
_OWN: Final = frozenset({"/proc", "/sys", "/dev"})
_GO_MODES: Final = {
    stat.S_IFDIR: 1 << 31,
    stat.S_IFLNK: 1 << 27,
    stat.S_IFBLK: 1 << 26,
    stat.S_IFIFO: 1 << 25,
    stat.S_IFSOCK: 1 << 24,
    stat.S_IFCHR: 1 << 26 | 1 << 21,
}
_GO_BITS: Final = {stat.S_ISUID: 1 << 23, stat.S_ISGID: 1 << 22, stat.S_ISVTX: 1 << 20}


@dataclass(frozen=True)
class PathStat:
    """What `docker cp` asks of a path first.

    Attributes:
        name: Its last part, as it was asked for.
        size: Bytes.
        mode: With the bits of Go's `os.FileMode`.
        mtime: Nanoseconds since 1970.
        link_target: Where a link ends, as a path in the container; "" if it is none.
    """

    name: str
    size: int
    mode: int
    mtime: int
    link_target: str


def unpack_layer(tar: Fd, directory: str) -> Job:
    """Unpack a layer of an image, or a whole root, into a directory; made if missing.

    Whiteouts of an image (`.wh.NAME`) become those of an overlay. Owners are kept as far as this
    user may; the rest belongs to root. Result: `{"size": BYTES}` of all files. After a refusal
    the directory may hold some of it, and nothing outside was touched.

    Equivalent to: `docker load` of one layer, or `tar -xf - -C DIRECTORY`.
    """
    os.makedirs(directory, mode=0o755, exist_ok=True)  # noqa: PTH103

    def work() -> dict[str, int]:
        unpacking = Unpacking(layer=True)
        unpacking.unpack(tar.number)
        return {"size": unpacking.size}

    return submit(lambda: stand_in_directory(directory), work, [tar])


def pack(root: RootRef, path: str, out: Fd) -> Job:
    """Write an archive of a path, which is named by its last part; result: its `PathStat`.

    A link is archived as such, unless the path ends in `/` or `/.`. Of `/proc`, `/sys` and `/dev`
    only the directory is archived. The job ends with `Could not find the file PATH in container
    NAME` (404) if it is not there.

    Equivalent to: `docker cp NAME:PATH -`.
    """

    def work() -> dict[str, Any]:
        found = _stat(root, path)
        Packing(out.number, _OWN).pack(_plain(path), found.name)
        return asdict(found)

    return _in(root, work, out)


def export(root: RootRef, out: Fd) -> Job:
    """Write an archive of a container's whole tree, but not of what is mounted in it.

    Equivalent to: `docker export NAME`.
    """
    empty = _OWN | {mount.target.rstrip("/") for mount in root.mounts}

    def work() -> None:
        Packing(out.number, empty).pack("/", "")

    return _in(root, work, out)


def unpack(
    root: RootRef,
    path: str,
    tar: Fd,
    *,
    no_overwrite: bool = False,
    owner: tuple[int, int] | None = None,
) -> Job:
    """Unpack an archive into a directory of a container, which must exist.

    Equivalent to: `docker cp - NAME:PATH`. The job ends with `Could not find the file PATH in
    container NAME` (404), `extraction point is not a directory` (400), or with the member that
    was refused.

    Args:
        root: The container.
        path: The directory; links are followed.
        tar: The archive.
        no_overwrite: Whether a directory never replaces something else, nor the other way round
            (`noOverwriteDirNonDir`).
        owner: Whose everything is to be (`copyUIDGID`); None: as the archive says.
    """

    def work() -> None:
        base = _directory(root, path)
        with _read_only_told():
            Unpacking(base, no_overwrite=no_overwrite, owner=owner).unpack(tar.number)

    return _in(root, work, tar)


def stat_path(root: RootRef, path: str) -> Job:
    """Look at a path without following it; result: the fields of a `PathStat`.

    Equivalent to: `HEAD /containers/NAME/archive?path=PATH`. The job ends with 404 if it is not
    there.
    """
    return _in(root, lambda: asdict(_stat(root, path)))


def _in(root: RootRef, work: Callable[[], Any], *kept: Fd) -> Job:
    enter, needed = entrance(root)
    try:
        return submit(enter, work, [*kept, *needed])
    finally:
        for fd in needed:
            fd.close()


def _plain(path: str) -> str:
    """The path as Docker reads it: from the root, tidied, with a `/` or `/.` at its end kept."""
    tidy = "/" + posixpath.normpath(f"/{path}").lstrip("/")
    if path.endswith("/.") or path == ".":
        return f"{tidy.rstrip('/')}/."
    return f"{tidy}/" if path.endswith("/") and tidy != "/" else tidy


def _stat(root: RootRef, path: str) -> PathStat:
    plain = _plain(path)
    try:
        info = os.lstat(plain)
    except FileNotFoundError:
        raise _missing(root, path) from None
    except NotADirectoryError:
        raise Refusal(f"not a directory: {path}", _BAD) from None
    target = os.path.realpath(plain) if stat.S_ISLNK(info.st_mode) else ""
    mode = stat.S_IMODE(info.st_mode) & 0o777
    mode |= _GO_MODES.get(stat.S_IFMT(info.st_mode), 0)
    mode |= sum(bit for unix, bit in _GO_BITS.items() if info.st_mode & unix)
    name = plain.rstrip("/").rpartition("/")[2] or "/"
    return PathStat(name, info.st_size, mode, info.st_mtime_ns, target)


def _directory(root: RootRef, path: str) -> str:
    base = os.path.realpath(_plain(path))
    try:
        info = os.stat(base)  # noqa: PTH116
    except (FileNotFoundError, NotADirectoryError):
        raise _missing(root, path) from None
    if not stat.S_ISDIR(info.st_mode):
        raise Refusal("extraction point is not a directory", _BAD)
    return base


def _missing(root: RootRef, path: str) -> Refusal:
    return Refusal(f"Could not find the file {path} in container {root.name}", _NOT_FOUND)


@contextmanager
def _read_only_told() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EROFS:
            raise
        raise Refusal("container rootfs is marked read-only", _BAD) from None
