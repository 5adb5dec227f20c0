"""Taking an archive apart, by a worker whose root is the tree: see `natlab.kernel.workers`.

What is refused, and how it is said, is as in github.com/moby/go-archive (`createTarFile`,
`Unpack`, `UnpackLayer`); device nodes are refused as a whole.
"""

from __future__ import annotations

import contextlib
import io
import os
import posixpath
import shutil
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any, Final

from natlab.kernel import overlays
from natlab.model.refusal import Refusal

_CHUNK: Final = 1 << 18
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_WHITEOUT: Final = ".wh."
_META: Final = ".wh..wh."
_OPAQUE: Final = ".wh..wh..opq"
_XATTR: Final = "SCHILY.xattr."
_FORBIDDEN: Final = 403


class _Strict(tarfile.TarInfo):
    """A header that is wrong is an error wherever it stands, not the end of the archive."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Any:
        """Read the next header."""
        try:
            return super().fromtarfile(tarfile_)
        except (tarfile.InvalidHeaderError, tarfile.SubsequentHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError("archive/tar: invalid tar header") from error
        except tarfile.TruncatedHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError("unexpected EOF") from error


def members(fd: int) -> Iterator[tuple[tarfile.TarInfo, IO[bytes] | None]]:
    """Read an archive from a pipe: each header, and what reads its file; to the very end.

    Plain, or compressed with gzip, bzip2 or xz.

    Raises:
        tarfile.TarError: it is none, it is damaged, or it is cut off.
    """
    raw = io.FileIO(fd, "rb", closefd=False)
    with io.BufferedReader(raw, _CHUNK) as source:
        if source.peek(4)[:4] == _ZSTD:
            raise Refusal("the archive is compressed with zstd: unpack it first, or use gzip")
        try:
            archive = tarfile.open(  # noqa: SIM115 - closed below
                fileobj=source, mode="r|*", tarinfo=_Strict, errorlevel=2
            )
        except tarfile.ReadError as error:
            raise _clear(error) from error
        with archive:
            while (member := archive.next()) is not None:
                yield member, archive.extractfile(member) if member.isreg() else None
                archive.members.clear()  # type: ignore[attr-defined] # nothing piles up
        while source.read(_CHUNK):
            pass


def _clear(error: tarfile.ReadError) -> tarfile.ReadError:
    """Say what Go says: a file that is no archive at all has failed for every compression."""
    if str(error) in ("unexpected EOF", "empty file"):
        return tarfile.ReadError("unexpected EOF")
    return tarfile.ReadError("archive/tar: invalid tar header")


@dataclass
class Unpacking:
    """One archive on its way into a directory.

    Attributes:
        base: The directory, as this process sees it.
        layer: Whether it is a layer of an image: whiteouts become an overlay's marks, and no name
            may stand twice (github.com/vbatts/tar-split, `ErrDuplicatePath`).
        no_overwrite: Whether a directory never replaces something else, nor the other way round.
        owner: Whose everything is to be; None: as the archive says, as far as one may.
        size: Bytes of all files so far.
    """

    base: str = "/"
    layer: bool = False
    no_overwrite: bool = False
    owner: tuple[int, int] | None = None
    size: int = 0
    _times: list[tuple[str, float]] = field(default_factory=list)
    _seen: set[str] = field(default_factory=set)

    def unpack(self, fd: int) -> None:
        """Unpack all of it.

        Raises:
            Refusal: a member that leads out, a device, or a forbidden replacement.
            tarfile.TarError: the archive is damaged.
            OSError: the file system refuses.
        """
        for member, content in members(fd):
            self._take(member, content)
        for path, mtime in reversed(self._times):
            _set_time(path, mtime)

    def _take(self, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
        name = self._checked(member)
        if self.layer:
            if name in self._seen:
                raise Refusal("duplicates of file paths not supported", 500)
            self._seen.add(name)
        path = posixpath.normpath(posixpath.join(self.base, name))
        if name == ".":
            if self.layer:
                self._dress(path, member)
            return
        directory, leaf = posixpath.split(path)
        os.makedirs(directory, exist_ok=True)  # noqa: PTH103 - hot
        if self.layer and leaf.startswith(_WHITEOUT):
            _white_out(directory, leaf)
            return
        self._make_room(path, member)
        self._make(path, member, content)
        self._dress(path, member)

    def _checked(self, member: tarfile.TarInfo) -> str:
        """The member's name, in its plain form."""
        name = member.name
        if name.startswith("/") or ".." in name.split("/") or "\0" in name:
            raise Refusal(f'"{name}" is outside of "{self.base}"')
        if member.ischr() or member.isblk():
            raise Refusal(f'device nodes are not unpacked, and "{name}" is one: leave it out')
        if member.issym() and _climbs(posixpath.dirname(name), member.linkname):
            raise Refusal(f'invalid symlink "{name}" -> "{member.linkname}"')
        if member.islnk() and (member.linkname.startswith("/") or _climbs("", member.linkname)):
            raise Refusal(f'invalid hardlink "{name}" -> "{member.linkname}"')
        return posixpath.normpath(name)

    def _make_room(self, path: str, member: tarfile.TarInfo) -> None:
        try:
            there = os.lstat(path)
        except FileNotFoundError:
            return
        is_directory = stat.S_ISDIR(there.st_mode)
        if is_directory and member.isdir():
            return
        if self.no_overwrite and is_directory:
            raise Refusal(f'cannot overwrite directory "{path}" with non-directory "{self.base}"')
        if self.no_overwrite and member.isdir():
            raise Refusal(f'cannot overwrite non-directory "{path}" with directory "{self.base}"')
        if is_directory:
            shutil.rmtree(path)
        else:
            os.unlink(path)  # noqa: PTH108 - hot

    def _make(self, path: str, member: tarfile.TarInfo, content: IO[bytes] | None) -> None:
        if member.isdir():
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)  # noqa: PTH102 - hot
        elif member.issym():
            os.symlink(member.linkname, path)  # noqa: PTH211 - hot
        elif member.islnk():
            os.link(posixpath.join(self.base, member.linkname), path, follow_symlinks=False)
        elif member.isfifo():
            os.mkfifo(path)
        elif content is not None:
            self.size += member.size
            _write(path, content, member)
        else:
            raise Refusal(f'"{member.name}" is of a kind that is not unpacked: leave it out')

    def _dress(self, path: str, member: tarfile.TarInfo) -> None:
        """Owner, mode, attributes and time, in the order in which they do not undo each other."""
        if member.islnk():
            return
        with contextlib.suppress(OSError):  # a user that this user namespace does not have
            os.lchown(path, *(self.owner or (member.uid, member.gid)))
        if not member.issym():
            os.chmod(path, stat.S_IMODE(member.mode))  # noqa: PTH101 - hot
        for key, value in member.pax_headers.items():
            name = key.removeprefix(_XATTR)
            if key.startswith(_XATTR) and _is_welcome(name):
                with contextlib.suppress(OSError):
                    raw = value.encode("utf-8", "surrogateescape")
                    os.setxattr(path, name, raw, follow_symlinks=False)
        if member.isdir():
            self._times.append((path, member.mtime))
        else:
            _set_time(path, member.mtime)


def _climbs(directory: str, target: str) -> bool:
    """Whether a link in a directory of the archive leads out of it; an absolute one does not."""
    if target.startswith("/"):
        return False
    return posixpath.normpath(posixpath.join(directory, target)).split("/")[0] == ".."


def _is_welcome(attribute: str) -> bool:
    """Attributes that people set; never those that mean something to the overlay."""
    if attribute == "security.capability":
        return True
    return attribute.startswith("user.") and not attribute.startswith("user.overlay.")


def _set_time(path: str, mtime: float) -> None:
    nanoseconds = int(mtime * 1_000_000_000)
    os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)


def _white_out(directory: str, leaf: str) -> None:
    if leaf == _OPAQUE:
        overlays.make_opaque(directory)
    elif not leaf.startswith(_META):
        path = f"{directory}/{leaf.removeprefix(_WHITEOUT)}"
        if not os.path.lexists(path):
            overlays.make_whiteout(path)


def _write(path: str, content: IO[bytes], member: tarfile.TarInfo) -> None:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb", buffering=0) as file:
        left = member.size
        while left:
            chunk = content.read(min(_CHUNK, left))
            if not chunk:
                raise tarfile.ReadError("unexpected EOF")
            left -= len(chunk)
            if member.issparse() and not any(chunk):
                file.seek(len(chunk), os.SEEK_CUR)
            else:
                file.write(chunk)
        file.truncate(member.size)
