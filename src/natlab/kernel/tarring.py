"""Making an archive of a container's files, by a worker whose root is the tree."""

from __future__ import annotations

import os
import posixpath
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any, Final, cast

_CHUNK: Final = 1 << 18
_XATTR: Final = "SCHILY.xattr."
_KINDS: Final = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
}


@dataclass
class Packing:
    """One archive on its way out.

    Attributes:
        out: Where it is written.
        empty: Directories whose contents are left out.
    """

    out: int
    empty: frozenset[str] = frozenset()

    def pack(self, path: str, name: str) -> None:
        """Write a file, or a directory with all that is in it, under a name.

        Raises:
            OSError: something cannot be read, or the reader has gone.
        """
        with os.fdopen(self.out, "wb", buffering=0, closefd=False) as raw:
            sink = cast("IO[bytes]", raw)
            with tarfile.open(
                fileobj=sink, mode="w|", bufsize=_CHUNK, format=tarfile.PAX_FORMAT
            ) as archive:
                seen: dict[tuple[int, int], str] = {}
                for inner, inner_name in self._walk(path, name):
                    _add(archive, inner, inner_name, seen)
                    archive.members.clear()  # type: ignore[attr-defined] # nothing piles up

    def _walk(self, path: str, name: str) -> Iterator[tuple[str, str]]:
        """All paths from there on, parents first, and their names in the archive."""
        waiting = [(path, name)]
        while waiting:
            path, name = waiting.pop()
            if name:
                yield path, name
            plain = path.rstrip("/") or "/"
            prefix = "" if name in ("", ".") else f"{name.rstrip('/')}/"
            inner = [] if plain in self.empty else _leaves(path)
            waiting += [(posixpath.join(plain, leaf), prefix + leaf) for leaf in inner]


def _leaves(path: str) -> list[str]:
    """What is in a directory, the last first; nothing if it is none, or has gone meanwhile."""
    try:
        if not stat.S_ISDIR(os.lstat(path).st_mode):
            return []
        return sorted(os.listdir(path), reverse=True)  # noqa: PTH208 - hot
    except (FileNotFoundError, NotADirectoryError):
        return []


def _add(archive: tarfile.TarFile, path: str, name: str, seen: dict[tuple[int, int], str]) -> None:
    try:
        info = os.lstat(path)
    except FileNotFoundError:
        return  # gone meanwhile
    kind = _KINDS.get(stat.S_IFMT(info.st_mode))
    if kind is None:
        return  # a socket: nothing to archive
    member = _header(path, name, info, kind)
    identity = (info.st_dev, info.st_ino)
    if kind == tarfile.REGTYPE and info.st_nlink > 1:
        if identity in seen:
            member.type, member.linkname = tarfile.LNKTYPE, seen[identity]
            archive.addfile(member)
            return
        seen[identity] = name
    if kind != tarfile.REGTYPE:
        archive.addfile(member)
        return
    member.size = info.st_size
    with open(path, "rb", opener=_open_plainly) as file:
        archive.addfile(member, cast("IO[bytes]", _Exactly(file)))


def _header(path: str, name: str, info: os.stat_result, kind: bytes) -> tarfile.TarInfo:
    # The root has the name "/", which tarfile writes as "" and a slash.
    member = tarfile.TarInfo("" if name == "/" else name)
    member.type = kind
    member.mode = stat.S_IMODE(info.st_mode)
    member.uid, member.gid = info.st_uid, info.st_gid
    member.mtime = cast("int", info.st_mtime)
    if kind == tarfile.SYMTYPE:
        member.linkname = os.readlink(path)  # noqa: PTH115 - hot
    if kind in (tarfile.CHRTYPE, tarfile.BLKTYPE):
        member.devmajor, member.devminor = os.major(info.st_rdev), os.minor(info.st_rdev)
    member.pax_headers = _attributes(path) if kind != tarfile.SYMTYPE else {}
    return member


def _attributes(path: str) -> dict[str, str]:
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return {}
    wanted = [
        name
        for name in names
        if name == "security.capability"
        or (name.startswith("user.") and not name.startswith("user.overlay."))
    ]
    return {
        _XATTR + name: os.getxattr(path, name, follow_symlinks=False).decode(
            "utf-8", "surrogateescape"
        )
        for name in wanted
    }


def _open_plainly(path: str, flags: int) -> int:
    """Whatever has taken the place of the file meanwhile: no link is followed, nothing blocks."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


class _Exactly:
    """A file that is as long as it was said to be, even if it is cut meanwhile."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        return data + bytes(size - len(data))
