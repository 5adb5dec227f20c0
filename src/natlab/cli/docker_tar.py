"""Tar archives of files here, for `docker cp` into a container."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from natlab.errors import UsageError

_CHUNK: Final = 1 << 20


class Packed:
    """An archive, made piece by piece while it is read.

    Attributes:
        size: How many bytes have been given.
    """

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.size = 0

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.size += len(piece)
            yield piece


def pack(source: str, base: str, *, follow: bool, owners: bool) -> Packed:
    """Archive a file, or a directory with all that is in it.

    Args:
        source: What is archived.
        base: The name that it has in the archive.
        follow: Whether a link at `source` stands for what it leads to.
        owners: Whether owners are kept; else everything is root's.
    """
    return Packed(_packed(Path(os.path.realpath(source) if follow else source), base, owners))


def _packed(source: Path, base: str, owners: bool) -> Iterator[bytes]:
    for path in _tree(source):
        name = os.path.normpath(f"{base}/{path.relative_to(source)}")
        with tarfile.TarFile(fileobj=io.BytesIO(), mode="w", format=tarfile.PAX_FORMAT) as tar:
            try:
                member = tar.gettarinfo(path, arcname=name)
            except OSError as error:
                raise UsageError(f"{path}: {(error.strerror or '').lower()}") from None
        if not owners:
            member.uid = member.gid = 0
            member.uname = member.gname = ""
        yield member.tobuf(tarfile.PAX_FORMAT)
        if member.isreg():
            yield from _content(path, member.size)
    yield b"\0" * (2 * tarfile.BLOCKSIZE)


def _tree(source: Path) -> Iterator[Path]:
    """A path, and what is below it, directories first; what is neither file nor link is left."""
    if source.is_symlink() or not source.is_dir():
        yield source
        return
    for folder, directories, files in os.walk(source):
        directories.sort()
        yield Path(folder)
        links = [name for name in directories if Path(folder, name).is_symlink()]
        for name in sorted([*files, *links]):
            path = Path(folder, name)
            if path.is_symlink() or path.is_file():
                yield path


def _content(path: Path, size: int) -> Iterator[bytes]:
    """A file's bytes, as many as its head says, and the zeros that fill the last block."""
    left = size
    try:
        with path.open("rb") as file:
            while left and (data := file.read(min(left, _CHUNK))):
                left -= len(data)
                yield data
    except OSError as error:
        raise UsageError(f"open {path}: {(error.strerror or '').lower()}") from None
    yield b"\0" * (left + -size % tarfile.BLOCKSIZE)
