"""An empty volume takes what the image has in its place: at a container's creation only.

A worker of its own does it, in a mount namespace where the container's tree is mounted, and with
descriptors only: a link in the image is followed inside that tree, and a file that is swapped for
a link while it is being copied is not followed at all.

An ordinary user's lab has one user and makes no devices. There everything belongs to root; what
this user may not read, and devices, are left out and named.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from natlab.kernel import overlays, syscalls
from natlab.kernel.rootfs import Tree, assemble
from natlab.kernel.volume_files import COPYING, READY, like, move_in, names, opened
from natlab.kernel.workers import Job, submit
from natlab.model.mount_points import DATA, VOLUMES
from natlab.model.refusal import Refusal

_READ: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE: Final = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_CHUNK: Final = 1 << 24
_DEEP: Final = 1 << 15
_FAILED: Final = 500


def fill(tree: Tree, wanted: Sequence[tuple[str, str]]) -> Job:
    """Let empty volumes take what a container's tree has; others stay as they are.

    Result: what was left out, by the volume's name. After a failure the volumes are empty again.

    Args:
        tree: Of a container that does not run.
        wanted: Pairs of a path in the container and a volume's name.
    """
    roots: list[int] = []

    def enter() -> None:
        roots.append(os.open(VOLUMES, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        syscalls.unshare(syscalls.CLONE_NEWNS)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
        mounted = assemble(tree)
        roots.append(os.open(mounted[0], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))

    def work() -> dict[str, list[str]]:
        sys.setrecursionlimit(_DEEP)
        volumes, own = roots
        return {name: _fill(own, path, volumes, name) for path, name in wanted}

    return submit(enter, work)


def _fill(own: int, path: str, volumes: int, name: str) -> list[str]:
    with opened(volumes, name) as inside, opened(inside, DATA) as data:
        if names(data):
            return []
        if os.fstat(data).st_dev != os.fstat(inside).st_dev:
            raise Refusal(
                f"failed to populate volume: something is mounted at {VOLUMES}/{name}/{DATA}:"
                " umount it, or add nocopy",
                _FAILED,
            )
        try:
            source = syscalls.open_in_root(own, path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return []
        except NotADirectoryError:
            raise Refusal(
                f"cannot mount volume over existing file, file exists {path}", _FAILED
            ) from None
        except PermissionError:
            return [path]
        try:
            return _take(source, path, inside, name)
        finally:
            os.close(source)


def _take(source: int, path: str, inside: int, name: str) -> list[str]:
    os.mkdir(COPYING, 0o700, dir_fd=inside)
    try:
        with opened(inside, COPYING) as draft:
            copy = Copy(draft, path, f"{VOLUMES}/{name}/{DATA}")
            copy.directory(source, draft, "")
        os.rename(COPYING, READY, src_dir_fd=inside, dst_dir_fd=inside)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(COPYING, dir_fd=inside)
        raise
    move_in(inside)
    return copy.left_out


@dataclass
class Copy:
    """A directory on its way into another one.

    Attributes:
        top: Where to, as a descriptor.
        source: What it is called where it comes from.
        target: What it is called where it goes to.
        left_out: What this user may not read or make, as it is called there.
    """

    top: int
    source: str
    target: str
    left_out: list[str] = field(default_factory=list)
    _seen: dict[tuple[int, int], str] = field(default_factory=dict)

    def directory(self, source: int, target: int, path: str) -> None:
        """Copy what is in an open directory, and then what it is like itself.

        Raises:
            Refusal: `failed to populate volume: …`, as on a full disk (500).
        """
        for name in names(source):
            inner = f"{path}/{name}"
            with self._told(inner):
                self._entry(source, target, name, inner)
        with self._told(path):
            like(target, source)

    @contextlib.contextmanager
    def _told(self, path: str) -> Iterator[None]:
        """Say what could not be copied, and where to."""
        try:
            yield
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise Refusal(
                f"failed to populate volume: write {self.target}{path}: {reason}", _FAILED
            ) from error

    def _entry(self, source: int, target: int, name: str, path: str) -> None:
        try:
            info = os.stat(name, dir_fd=source, follow_symlinks=False)
        except FileNotFoundError:  # gone meanwhile
            return
        kind = stat.S_IFMT(info.st_mode)
        if kind == stat.S_IFLNK:
            self._link(source, target, name, info)
        elif kind in (stat.S_IFREG, stat.S_IFDIR):
            self._open(source, target, name, path)
        elif kind in (stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK):
            self._node(target, name, path, info)

    def _link(self, source: int, target: int, name: str, info: os.stat_result) -> None:
        os.symlink(os.readlink(name, dir_fd=source), name, dir_fd=target)
        self._dress(target, name, info)

    def _node(self, target: int, name: str, path: str, info: os.stat_result) -> None:
        try:
            os.mknod(name, info.st_mode, info.st_rdev, dir_fd=target)
        except PermissionError:
            self.left_out.append(f"{self.source}{path}")
            return
        os.chmod(name, stat.S_IMODE(info.st_mode), dir_fd=target)
        self._dress(target, name, info)

    def _dress(self, target: int, name: str, info: os.stat_result) -> None:
        """The owner and times of what cannot be opened."""
        try:
            os.chown(name, info.st_uid, info.st_gid, dir_fd=target, follow_symlinks=False)
        except OSError:
            if not overlays.in_user_namespace():
                raise
        times = (info.st_atime_ns, info.st_mtime_ns)
        os.utime(name, ns=times, dir_fd=target, follow_symlinks=False)

    def _open(self, source: int, target: int, name: str, path: str) -> None:
        try:
            fd = os.open(name, _READ, dir_fd=source)
        except PermissionError:
            self.left_out.append(f"{self.source}{path}")
            return
        except OSError as error:  # gone, or something else meanwhile
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.ENXIO):
                return
            raise
        try:
            info = os.fstat(fd)
            if stat.S_ISDIR(info.st_mode):
                os.mkdir(name, 0o700, dir_fd=target)
                with opened(target, name) as inner:
                    self.directory(fd, inner, path)
            elif stat.S_ISREG(info.st_mode):
                self._file(fd, info, target, name, path)
        finally:
            os.close(fd)

    def _file(self, fd: int, info: os.stat_result, target: int, name: str, path: str) -> None:
        known = self._seen.get((info.st_dev, info.st_ino)) if info.st_nlink > 1 else None
        if known is not None:
            os.link(known, name, src_dir_fd=self.top, dst_dir_fd=target, follow_symlinks=False)
            return
        made = os.open(name, _WRITE, 0o600, dir_fd=target)
        try:
            _copy_content(fd, made, info.st_size)
            like(made, fd)
        finally:
            os.close(made)
        self._seen[info.st_dev, info.st_ino] = path.removeprefix("/")


def _copy_content(source: int, target: int, size: int) -> None:
    """Copy a file's data and leave its holes out."""
    at = 0
    while at < size and (begin := _data_after(source, at)) is not None:
        end = min(os.lseek(source, begin, os.SEEK_HOLE), size)
        os.lseek(target, begin, os.SEEK_SET)
        at = begin
        while at < end and (done := os.sendfile(target, source, at, min(_CHUNK, end - at))):
            at += done
        if at < end:  # it was cut meanwhile
            break
    os.ftruncate(target, size)


def _data_after(fd: int, offset: int) -> int | None:
    try:
        return os.lseek(fd, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return None
