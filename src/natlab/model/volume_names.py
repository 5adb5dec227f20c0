"""Names of volumes: what is one, and how Docker's engine refuses what is none.

A name is a directory's name below `/var/lib/docker/volumes`. It begins with a letter or a digit,
so that no name leads anywhere else (moby daemon/volume/local/local.go).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from natlab.model.go_quote import quote
from natlab.model.mount_points import LOCAL
from natlab.model.names import one_line
from natlab.model.refusal import Refusal

ANONYMOUS: Final = "com.docker.volume.anonymous"
"""The label by which an anonymous volume is known."""
_NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_LONGEST: Final = 232
"""A file's name has at most 255 bytes, and natlab adds a few while it makes or removes one."""


def check_volume_name(name: str) -> str:
    """The name, if a volume may have it.

    Raises:
        Refusal: `create X: volume name is too short, …`, or it has other characters (400).
    """
    if len(name) == 1:
        raise Refusal(
            f"create {one_line(name)}: volume name is too short, names should be at least two"
            " alphanumeric characters"
        )
    if not _NAME.fullmatch(name):
        raise Refusal(
            f"create {one_line(name)}: {quote(name)} includes invalid characters for a local"
            ' volume name, only "[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a'
            " host directory, use absolute path"
        )
    if len(name) > _LONGEST:
        raise Refusal(
            f"create {name[:20]}…: the volume name has {len(name)} characters: give it at most"
            f" {_LONGEST}"
        )
    return name


def is_volume_name(name: str) -> bool:
    """Whether a directory's name may be a volume's."""
    return _NAME.fullmatch(name) is not None and len(name) <= _LONGEST


def check_driver(name: str, driver: str, options: Mapping[str, str]) -> None:
    """Check that natlab has a driver, with these options.

    Raises:
        Refusal: there is only `local` (404), and it takes no options: `create X: invalid option:
            "size"` (400), or natlab has not what they ask for (501).
    """
    if driver not in ("", LOCAL):
        raise Refusal(
            f"create {one_line(name)}: error looking up volume plugin {one_line(driver)}:"
            f' plugin "{one_line(driver)}" not found',
            404,
        )
    for option in options:
        if option not in ("type", "o", "device", "size"):
            raise Refusal(f"create {one_line(name)}: invalid option: {quote(option)}")
    if options:
        raise Refusal(
            "natlab's volumes are directories and take no driver options: leave"
            f" {', '.join(sorted(options))} out, and use --mount type=tmpfs or type=bind instead",
            501,
        )
