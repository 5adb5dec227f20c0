"""Docker's multiplexed stream: stdout and stderr of a program without a terminal, in one stream.

Source: the "Stream format" section of the Engine API's ContainerAttach.
"""

from __future__ import annotations

import struct
from typing import Final

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2

_HEADER: Final = struct.Struct(">BxxxL")


def frame(kind: int, data: bytes) -> bytes:
    """Return `data` behind its 8-byte header: kind (1 stdout, 2 stderr), three zeros, the length.

    One call is one frame; nothing is split.
    """
    return _HEADER.pack(kind, len(data)) + data
