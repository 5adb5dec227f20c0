"""What stands behind the last colon of `docker run -v SOURCE:TARGET:MODE`.

Words are separated by commas, and of each kind there may be one: read and write, the label for
SELinux, propagation, copying, consistency (moby daemon/volume/mounts/linux_parser.go).
"""

from __future__ import annotations

from typing import Final

PROPAGATIONS: Final = ("private", "rprivate", "slave", "rslave", "shared", "rshared")
DEFAULT_PROPAGATION: Final = "rprivate"
NO_COPY: Final = "nocopy"
_READ_ONLY: Final = "ro"
_KINDS: Final = (
    ("rw", _READ_ONLY),
    ("z", "Z"),
    PROPAGATIONS,
    (NO_COPY,),
    ("consistent", "cached", "delegated"),
)


def is_mode(text: str) -> bool:
    """Whether a text is a mode; an empty one is."""
    if not text:
        return True
    words = text.split(",")
    known = {word for kind in _KINDS for word in kind}
    return all(word in known for word in words) and all(
        sum(word in kind for word in words) <= 1 for kind in _KINDS
    )


def is_read_only(mode: str) -> bool:
    """Whether a mode lets the container read only."""
    return _READ_ONLY in mode.split(",")


def copies(mode: str) -> bool:
    """Whether a mode lets an empty volume take what the image has in its place."""
    return NO_COPY not in mode.split(",")


def propagation(mode: str) -> str:
    """The propagation that a mode names; "" if it names none."""
    return next((word for word in mode.split(",") if word in PROPAGATIONS), "")
