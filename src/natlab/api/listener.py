"""The socket file: nobody else may open it, and no other server's is taken away."""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from natlab.errors import NatlabError, UsageError

_MODE = 0o600


class Listener:
    """A listening unix socket, and its file of mode 0600.

    The file of a server that died is replaced.

    Raises:
        NatlabError: another server listens there, something else is there, or the folder is
            missing or closed to us.
        UsageError: the path is longer than a socket's may be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._file = self._bind()
        except BaseException:
            self.sock.close()
            raise

    def _bind(self) -> tuple[int, int]:
        os.fchmod(self.sock.fileno(), _MODE)  # the file is born with the socket's mode
        try:
            with _alone_in(self.path.parent):
                _clear(self.path)
                self.sock.bind(str(self.path))
                self.path.chmod(_MODE)  # an odd umask may have taken our own rights away
                self.sock.listen(socket.SOMAXCONN)
                self.sock.setblocking(False)
                return _identity(self.path)
        except OSError as error:
            if "too long" in str(error):
                raise UsageError(
                    f"socket path {self.path} is too long: 107 bytes at most"
                ) from None
            raise NatlabError(
                f"cannot listen on {self.path}: {error.strerror or error}; choose another path"
            ) from None

    def close(self) -> None:
        """Stop listening and remove the file, if it is still ours."""
        with contextlib.suppress(OSError):
            if _identity(self.path) == self._file:
                self.path.unlink()
        self.sock.close()


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One at a time looks whether a file is stale and takes its place."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _identity(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _clear(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise NatlabError(f"cannot listen on {path}: a file that is no socket is there; move it")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except BlockingIOError:  # it lives, and has many clients waiting
            pass
    raise NatlabError(f"another server listens on {path}: end it first, or choose another path")
