"""Waiting for descriptors, whatever their numbers: select(2) stops at 1024, poll(2) does not."""

from __future__ import annotations

import select
from collections.abc import Iterable


def readable(fds: Iterable[int], timeout: float | None = None) -> set[int]:
    """Wait until one of the descriptors can be read (a pidfd: its process has ended).

    Args:
        fds: Descriptors to watch.
        timeout: Seconds, 0 to look without waiting, None to wait for ever.

    Returns:
        Those that can be read, or whose other end is gone; none when the time ran out.
    """
    poll = select.poll()
    for fd in fds:
        poll.register(fd, select.POLLIN)
    milliseconds = None if timeout is None else max(0.0, timeout) * 1000
    return {fd for fd, _ in poll.poll(milliseconds)}
