"""Loss and delay on a link, where the kernel has netem (tc-netem(8))."""

from __future__ import annotations

import errno
from typing import Any, Final

from natlab.errors import UnsupportedError
from natlab.kernel.links import index
from natlab.kernel.place import ipr

_MICROSECONDS: Final = 1_000_000
_ABSENT: Final = (errno.ENOENT, errno.EOPNOTSUPP)


def add(interface: str, *, loss: float, delay: float) -> None:
    """Let what leaves by an interface be lost or delayed.

    Equivalent to: `tc qdisc add dev INTERFACE root netem loss LOSS% delay DELAYs`.

    Args:
        interface: Its name.
        loss: How many packets of a hundred are lost.
        delay: Seconds that each of the others takes longer.

    Raises:
        UnsupportedError: this kernel has no netem.
    """
    from pyroute2.netlink.exceptions import NetlinkError

    options: dict[str, Any] = {"delay": round(delay * _MICROSECONDS), "loss": loss}
    try:
        ipr().tc("add", "netem", index(interface), 0x10000, **options)
    except NetlinkError as error:
        if error.code not in _ABSENT:
            raise
        raise UnsupportedError(
            "this kernel has no netem, which loses and delays packets: `sudo modprobe sch_netem`,"
            " or boot a kernel that has it"
        ) from error


def remove(interface: str) -> None:
    """Let packets pass as before. Equivalent to: `tc qdisc delete dev INTERFACE root`."""
    ipr().tc("del", index=index(interface), root=True)
