"""What a program printed: kept in a file without a name, and read by any number of readers.

Every reader has a place of its own in it, so a slow one holds nobody up, and one that goes away
leaves nothing behind.
"""

from __future__ import annotations

import os
import struct
import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Final, NamedTuple

STDOUT: Final = 1
STDERR: Final = 2

_HEADER: Final = struct.Struct("!BQI")


class Chunk(NamedTuple):
    """A piece of output as it came out of the program."""

    stream: int
    """`STDOUT` or `STDERR`; a terminal's is all `STDOUT`."""
    time: int
    """Nanoseconds since 1970."""
    data: bytes


class Output:
    """The output of a program over all of its runs."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._size = 0
        self._changed = threading.Condition()
        self._begun = self._ended = 0
        self._closed = False

    def begin(self) -> None:
        """A run of the program begins."""
        with self._changed:
            self._begun += 1

    def append(self, chunk: Chunk) -> None:
        """Add what it printed just now."""
        record = _HEADER.pack(chunk.stream, chunk.time, len(chunk.data)) + chunk.data
        with self._changed:
            if self._closed:
                return
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="natlab-output-")  # noqa: SIM115
            os.pwrite(self._file.fileno(), record, self._size)
            self._size += len(record)
            self._changed.notify_all()

    def end(self) -> None:
        """The run is over: readers that followed it come to their end."""
        with self._changed:
            self._ended = self._begun
            self._changed.notify_all()

    def close(self) -> None:
        """Forget all of it, and what still comes; whoever still reads comes to an end."""
        with self._changed:
            self._closed = True
            if self._file is not None:
                self._file.close()
            self._changed.notify_all()

    @property
    def size(self) -> int:
        """How much there is now: a place from which to read what comes later."""
        return self._size

    def reader(self, position: int = 0, *, follow: bool) -> Reader:
        """Read from a place on: to what is there now, or on to the end of the run.

        Before a run has begun, a reader that follows waits for it, and for its end.
        """
        with self._changed:
            run = self._begun + (self._begun == self._ended)
        return Reader(self, position, run if follow else None)


class Reader:
    """One reader of an output; iterate over it from one thread, `stop` it from any."""

    def __init__(self, output: Output, position: int, run: int | None) -> None:
        self._output = output
        self._position = position
        self._run = run
        self._stopped = False

    def __iter__(self) -> Iterator[Chunk]:
        while (chunk := self._next()) is not None:
            yield chunk

    def stop(self) -> None:
        """Let the loop over it end now."""
        changed = self._output._changed  # noqa: SLF001 - the two are one mechanism
        with changed:
            self._stopped = True
            changed.notify_all()

    def _next(self) -> Chunk | None:
        output = self._output
        with output._changed:  # noqa: SLF001
            while self._position >= output._size:  # noqa: SLF001
                over = self._run is None or output._ended >= self._run  # noqa: SLF001
                if over or self._stopped or output._closed:  # noqa: SLF001
                    return None
                output._changed.wait()  # noqa: SLF001
            if self._stopped or output._closed:  # noqa: SLF001
                return None
            assert output._file is not None  # noqa: S101, SLF001 - there is something in it
            fd = output._file.fileno()  # noqa: SLF001
            stream, time, length = _HEADER.unpack(os.pread(fd, _HEADER.size, self._position))
            data = os.pread(fd, length, self._position + _HEADER.size)
            self._position += _HEADER.size + length
            return Chunk(stream, time, data)


def lines(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The same output by lines: each with the time at which it began, the last one maybe open."""
    open_lines: dict[int, Chunk] = {}
    for chunk in chunks:
        before = open_lines.pop(chunk.stream, None)
        began, data = (before.time, before.data + chunk.data) if before else chunk[1:]
        *whole, rest = data.split(b"\n")
        for line in whole:
            yield Chunk(chunk.stream, began, line + b"\n")
            began = chunk.time
        if rest:
            open_lines[chunk.stream] = Chunk(chunk.stream, began, rest)
    yield from open_lines.values()
