"""Tar archives into files here, for `docker cp` out of a container.

What is in a container is not to be trusted: nothing of it may land outside of where it was asked
to. (Python's own filters for this are missing in the oldest releases that natlab runs on.)
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final

from natlab.errors import UsageError

_MODES: Final = 0o7777


class _Reader(io.RawIOBase):
    """Pieces, as a file that is read once."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._rest = b""
        self.size = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = piece
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self.size += count
        return count


def unpack(pieces: Iterable[bytes], place: Path, *, inside: bool, owners: bool) -> int:
    """Unpack an archive of one file or directory; how many bytes it had.

    Args:
        pieces: The archive.
        place: Where it goes.
        inside: Whether it keeps its name in `place`; else it becomes `place`.
        owners: Whether owners are kept; else everything is the user's.

    Raises:
        UsageError: Something in it would land elsewhere, or cannot be written.
    """
    reader = _Reader(pieces)
    unpacking = _Unpacking(place.absolute(), inside=inside, owners=owners)
    try:
        with tarfile.open(fileobj=io.BufferedReader(reader), mode="r|") as tar:
            for member in tar:
                unpacking.put(tar, member)
        unpacking.finish()
    except (OSError, tarfile.TarError) as error:
        raise UsageError(f"cannot copy to {place}: {error}") from None
    return reader.size


class _Unpacking:
    """Puts members of an archive in their places."""

    def __init__(self, place: Path, *, inside: bool, owners: bool) -> None:
        self.place, self.inside, self.owners = place, inside, owners
        self.root = Path(os.path.realpath(place if inside else place.parent))
        self.directories: list[tuple[Path, tarfile.TarInfo]] = []

    def where(self, name: str) -> Path:
        """Where a name of the archive belongs.

        Raises:
            UsageError: It would be outside.
        """
        parts = [part for part in PurePosixPath(name).parts if part not in ("/", ".")]
        if not self.inside:
            parts = [self.place.name, *parts[1:]]
        path = self.root.joinpath(*parts)
        parent = os.path.realpath(path.parent) if parts else str(self.root)
        if ".." in parts or not Path(parent).is_relative_to(self.root):
            raise UsageError(
                f"the archive has {name!r}, which would land outside: nothing more is copied"
            )
        return path

    def put(self, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Put one member in its place."""
        path = self.where(member.name)
        if member.isdir():
            self._directory(path, member)
            return
        if path.is_dir() and not path.is_symlink():
            raise UsageError(f'cannot overwrite directory "{path}" with non-directory')
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        if member.issym():
            path.symlink_to(member.linkname)
        elif member.islnk():
            path.hardlink_to(self.where(member.linkname))
        elif member.isreg():
            source = tar.extractfile(member)
            with path.open("xb") as file:
                if source is not None:
                    shutil.copyfileobj(source, file)
            self._attributes(path, member)
        elif member.isfifo():
            os.mkfifo(path)

    def _directory(self, path: Path, member: tarfile.TarInfo) -> None:
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise UsageError(f'cannot overwrite non-directory "{path}" with directory')
        if not path.exists():
            path.mkdir(parents=True)
            path.chmod(stat.S_IRWXU)
            self.directories.append((path, member))

    def finish(self) -> None:
        """Give directories their modes and times, the inner ones first."""
        for path, member in reversed(self.directories):
            self._attributes(path, member)

    def _attributes(self, path: Path, member: tarfile.TarInfo) -> None:
        if self.owners:
            with contextlib.suppress(PermissionError):  # only root may
                os.chown(path, member.uid, member.gid)
        path.chmod(member.mode & _MODES)
        os.utime(path, (member.mtime, member.mtime))
