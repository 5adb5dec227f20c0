"""A root that is being put together, seen through a descriptor: nothing in it leads out.

An image may hold links such as `/etc -> /` or `/data -> ../../root`. Whatever is made or mounted in
a container's root is therefore found with openat2(2), to which that root is the only one.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from typing import Final

from natlab.kernel import syscalls

_MANY: Final = 40
"""So many links on one way are a loop, to the kernel and to us."""


class Inside:
    """Paths in a mounted root."""

    def __init__(self, root: str) -> None:
        self._fd = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def close(self) -> None:
        """Let go of the root."""
        os.close(self._fd)

    @contextlib.contextmanager
    def at(self, path: str) -> Iterator[str]:
        """A path to what is there now, of use to any system call in this process.

        Raises:
            OSError: nothing is there, or it cannot be reached.
        """
        fd = syscalls.open_in_root(self._fd, path, os.O_PATH)
        try:
            yield f"/proc/self/fd/{fd}"
        finally:
            os.close(fd)

    def make(self, path: str, *, directory: bool) -> None:
        """Make a file or directory, and the directories above it, as needed; links are followed.

        Equivalent to: `mkdir -p` and `touch`, by someone who stands in that root.

        Raises:
            OSError: it cannot be made, or a part of the way is no directory.
        """
        done: list[str] = []
        pending = [part for part in path.split("/") if part not in ("", ".")]
        links = 0
        while pending:
            part = pending.pop(0)
            if part == "..":
                done = done[:-1]
                continue
            link = self._link("/".join([*done, part]))
            if link is None:
                self._step("/".join(done), part, directory=directory or bool(pending))
                done.append(part)
                continue
            links += 1
            if links > _MANY:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            done = [] if link.startswith("/") else done
            pending = [piece for piece in link.split("/") if piece not in ("", ".")] + pending

    def _link(self, path: str) -> str | None:
        """Where a link leads; None if it is none, or nothing is there."""
        try:
            fd = syscalls.open_in_root(self._fd, path, os.O_PATH | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            if not stat.S_ISLNK(os.fstat(fd).st_mode):
                return None
            return os.readlink("", dir_fd=fd)
        finally:
            os.close(fd)

    def _step(self, parent: str, name: str, *, directory: bool) -> None:
        fd = syscalls.open_in_root(self._fd, parent, os.O_PATH | os.O_DIRECTORY)
        try:
            if directory:
                os.mkdir(name, 0o755, dir_fd=fd)
            else:
                flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
                os.close(os.open(name, flags, 0o644, dir_fd=fd))
        except FileExistsError:
            return
        finally:
            os.close(fd)
