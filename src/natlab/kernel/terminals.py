"""Terminals of containers: opened in the container's own `/dev/pts`, held by who started it."""

from __future__ import annotations

import fcntl
import os
import struct
import termios
from typing import Final

_TIOCSPTLCK: Final = 0x40045431
_TIOCGPTPEER: Final = 0x5441


def open_pair(rows: int = 0, columns: int = 0) -> tuple[int, int]:
    """Open a new terminal of the root in which this process stands: master and slave.

    Raises:
        OSError: there is no `/dev/pts` here, or no terminal left.
    """
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(master, _TIOCSPTLCK, struct.pack("i", 0))
        slave = fcntl.ioctl(master, _TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
        if rows and columns:
            resize(master, rows, columns)
    except BaseException:
        os.close(master)
        raise
    return master, slave


def take_control(slave: int) -> None:
    """Make a terminal the one of this session, whose leader the caller is. Compare: `setsid -c`."""
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)


def resize(fd: int, rows: int, columns: int) -> None:
    """Tell a terminal how large it is. Equivalent to: `stty rows ROWS cols COLUMNS`."""
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
