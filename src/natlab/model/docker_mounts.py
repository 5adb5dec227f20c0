"""What `docker run` mounts: `--mount`, `--volume`, and how sizes are written."""

from __future__ import annotations

import csv
import os.path
import re
from collections.abc import Iterable
from typing import Any, Final

from natlab.errors import UsageError
from natlab.model.names import one_line

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kKmMgGtTpP])?[iI]?[bB]?)?")
_POWERS: Final = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_MOUNT_WORDS: Final = {
    "type": "Type",
    "source": "Source",
    "src": "Source",
    "target": "Target",
    "dst": "Target",
    "destination": "Target",
    "consistency": "Consistency",
}
_SWITCH: Final = {"true": True, "1": True, "": True, "false": False, "0": False}
_READ_ONLY: Final = ("readonly", "ro")


def size(text: str) -> int:
    """Bytes: `10m` is 10485760 (docker/go-units, RAMInBytes)."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"invalid size: '{one_line(text)}'")
    return int(float(match[1]) * 1024 ** _POWERS.get((match[2] or "").lower(), 0))


def pairs(text: str) -> list[tuple[str, str]]:
    """The fields of `a=b,"c=d,e",f`; a field without a value has an empty one."""
    found = next(csv.reader([text]), [])
    return [(key.lower(), value) for key, _, value in (field.partition("=") for field in found)]


def mount(text: str) -> dict[str, Any]:
    """A mount: `type=bind,source=/a,target=/b,readonly`."""
    made: dict[str, Any] = {"Type": "volume"}
    for key, value in pairs(text):
        if not value and key not in (*_READ_ONLY, "volume-nocopy"):
            raise UsageError(f"invalid field '{one_line(key)}' must be a key=value pair")
        _mount_field(made, key, value)
    if not made.get("Target"):
        raise UsageError("target is required")
    if made["Type"] == "bind" and not made.get("Source"):
        raise UsageError("source is required for bind mounts")
    return made


def _mount_field(made: dict[str, Any], key: str, value: str) -> None:
    if key in _MOUNT_WORDS:
        made[_MOUNT_WORDS[key]] = value.lower() if key == "type" else value
    elif key in _READ_ONLY:
        if value.lower() not in _SWITCH:
            raise UsageError(f"invalid value for {key}: {one_line(value)}")
        made["ReadOnly"] = _SWITCH[value.lower()]
    elif key == "bind-propagation":
        made.setdefault("BindOptions", {})["Propagation"] = value.lower()
    elif key == "volume-nocopy":
        made.setdefault("VolumeOptions", {})["NoCopy"] = _SWITCH.get(value.lower(), True)
    elif key == "tmpfs-size":
        made.setdefault("TmpfsOptions", {})["SizeBytes"] = size(value)
    elif key == "tmpfs-mode":
        made.setdefault("TmpfsOptions", {})["Mode"] = int(value, 8)
    else:
        raise UsageError(f"unexpected key '{one_line(key)}' in '{one_line(f'{key}={value}')}'")


def volumes_and_binds(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Part the values of `-v`: volumes without a name, and what is mounted from somewhere.

    A source that begins with a dot is a path from here.
    """
    binds, volumes = [], []
    for text in texts:
        source, colon, rest = text.partition(":")
        if not colon:
            volumes.append(text)
        elif source.startswith("."):
            binds.append(f"{os.path.abspath(source)}:{rest}")  # noqa: PTH100 - links stay
        else:
            binds.append(text)
    return volumes, binds
