"""Archives on their way in: kept in files without a name, and freed of their compression."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import hashlib
import io
import lzma
import tarfile
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any, Final

from natlab.model.refusal import Refusal

DAMAGED: Final = (OSError, EOFError, lzma.LZMAError, zlib.error, tarfile.TarError)
"""What reading a damaged archive may raise."""

_BLOCK: Final = 1 << 20
_OPENERS: Final[dict[bytes, Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}


@dataclass(frozen=True)
class Copy:
    """A file without name and compression: its descriptor, its digest, its size in bytes."""

    descriptor: int
    digest: str
    size: int


@contextlib.contextmanager
def spooled(chunks: Iterable[bytes]) -> Iterator[IO[bytes]]:
    """A file with all that comes in, from its beginning; gone after the block."""
    with tempfile.TemporaryFile(prefix="natlab-upload-") as spool:
        for chunk in chunks:
            spool.write(chunk)
        spool.seek(0)
        yield spool


@contextlib.contextmanager
def plain_copy(source: IO[bytes]) -> Iterator[Copy]:
    """A copy without compression; gone after the block, unless its descriptor was copied.

    Args:
        source: Read from where it stands; left open.

    Raises:
        Refusal: the compressed data is damaged (400).
    """
    with tempfile.TemporaryFile(prefix="natlab-layer-") as file:
        digest, size = hashlib.sha256(), 0
        for block in _blocks(source):
            digest.update(block)
            size += len(block)
            file.write(block)
        file.flush()
        yield Copy(file.fileno(), f"sha256:{digest.hexdigest()}", size)


def _blocks(source: IO[bytes]) -> Iterator[bytes]:
    buffered = io.BufferedReader(_Unclosed(source), _BLOCK)
    opener = _OPENERS.get(buffered.peek(2)[:2])
    plain = opener(buffered) if opener is not None else buffered
    try:
        while block := plain.read(_BLOCK):
            yield block
    except DAMAGED as error:
        raise Refusal(f"the archive is damaged: {error}") from error


class _Unclosed(io.RawIOBase):
    """A file seen through a wrapper that leaves it open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
