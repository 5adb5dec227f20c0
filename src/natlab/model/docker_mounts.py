"""What the client makes of `docker run --mount`, and how sizes are written."""

from __future__ import annotations

import os.path
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from natlab.errors import UsageError
from natlab.model.go_csv import fields
from natlab.model.names import one_line

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kKmMgGtTpP])?[iI]?[bB]?)?")
_POWERS: Final = {"k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_WORDS: Final = {
    "source": "Source",
    "src": "Source",
    "target": "Target",
    "dst": "Target",
    "destination": "Target",
}
_TRUE: Final = ("1", "t", "T", "TRUE", "true", "True")
_FALSE: Final = ("0", "f", "F", "FALSE", "false", "False")
_READ_ONLY: Final = ("readonly", "ro")
_SWITCHES: Final = {"volume-nocopy": "NoCopy", "bind-nonrecursive": "NonRecursive"}
_RECURSIVE: Final = {
    "enabled": "",
    "disabled": "NonRecursive",
    "writable": "ReadOnlyNonRecursive",
    "readonly": "ReadOnlyForceRecursive",
}
_GROUPS: Final = {
    "volume": "VolumeOptions",
    "bind": "BindOptions",
    "tmpfs": "TmpfsOptions",
    "image": "ImageOptions",
}


def size(text: str) -> int:
    """Bytes: `10m` is 10485760 (docker/go-units, RAMInBytes)."""
    match = _SIZE.fullmatch(text)
    if match is None:
        raise UsageError(f"invalid size: '{one_line(text)}'")
    return int(float(match[1]) * 1024 ** _POWERS.get((match[2] or "").lower(), 0))


def pairs(text: str) -> list[tuple[str, str]]:
    """The fields of `a=b,"c=d,e",f`; a field without a value has an empty one."""
    return [(key.lower(), value) for key, _, value in (f.partition("=") for f in fields(text))]


def mount(text: str) -> dict[str, Any]:
    """A mount: `type=bind,source=/a,target=/b,readonly` (docker/cli, opts/mount.go).

    Raises:
        UsageError: in the words of Docker's client.
    """
    made: dict[str, Any] = {"Type": "volume"}
    for field in fields(text):
        key, equals, value = field.partition("=")
        _set(made, field, key.lower(), value if equals else None)
    if not made["Type"]:
        raise UsageError("type is required")
    if not made.get("Target"):
        raise UsageError("target is required")
    for kind, group in _GROUPS.items():
        if group in made and made["Type"] != kind:
            shown = one_line(made["Type"])
            raise UsageError(f"cannot mix '{kind}-*' options with mount type '{shown}'")
    _check_recursive(made, made.get("BindOptions") or {})
    return made


def _set(made: dict[str, Any], field: str, key: str, value: str | None) -> None:
    switch = key in _READ_ONLY or key in _SWITCHES
    if value is None and not switch:
        raise UsageError(f"invalid field '{one_line(field)}' must be a key=value pair")
    text = value or ""
    if key in _READ_ONLY:
        made["ReadOnly"] = _flag(key, value)
    elif key == "type":
        made["Type"] = text.lower()
    elif key == "consistency":
        made["Consistency"] = text.lower()
    elif key in _WORDS:
        made[_WORDS[key]] = _from_here(text) if _WORDS[key] == "Source" else text
    elif not _set_option(made, key, value):
        raise UsageError(f"unexpected key '{one_line(key)}' in '{one_line(field)}'")


def _from_here(source: str) -> str:
    """A path from the client's directory, in full."""
    if source == "." or source.startswith("./"):
        return os.path.abspath(source)  # noqa: PTH100 - links stay
    return source


def _set_option(made: dict[str, Any], key: str, value: str | None) -> bool:
    """Set an option of a kind of mount; False if there is none of that name."""
    kind = key.partition("-")[0]
    group, text = _GROUPS.get(kind, ""), value or ""
    own: dict[str, Any] = made.get(group, {})
    if key in _SWITCHES:
        own[_SWITCHES[key]] = _flag(key, value)
    elif key in ("volume-subpath", "image-subpath"):
        own["Subpath"] = text
    elif key in _OPTIONS:
        _OPTIONS[key](own, text)
    else:
        return False
    if kind == "volume":
        own = {"Labels": {}, "DriverConfig": {}, **own}
    made[group] = own
    return True


_OPTIONS: Final[Mapping[str, Callable[[dict[str, Any], str], None]]] = {
    "bind-propagation": lambda own, text: own.update(Propagation=text.lower()),
    "bind-recursive": lambda own, text: own.update(_recursive("bind-recursive", text)),
    "volume-label": lambda own, text: own.setdefault("Labels", {}).update(_pair(text)),
    "volume-driver": lambda own, text: own.setdefault("DriverConfig", {}).update(Name=text),
    "volume-opt": lambda own, text: (
        own.setdefault("DriverConfig", {}).setdefault("Options", {}).update(_pair(text))
    ),
    "tmpfs-size": lambda own, text: own.update(SizeBytes=_read("tmpfs-size", text, size)),
    "tmpfs-mode": lambda own, text: own.update(Mode=_read("tmpfs-mode", text, _octal)),
}


def _octal(text: str) -> int:
    return int(text, 8)


def _pair(text: str) -> dict[str, str]:
    key, _, value = text.partition("=")
    return {key: value} if key else {}


def _flag(key: str, value: str | None) -> bool:
    if value in _FALSE:
        return False
    if value is not None and value not in _TRUE:
        raise _invalid(key, value)
    return True


def _read(key: str, value: str, reader: Callable[[str], int]) -> int:
    try:
        return reader(value)
    except (UsageError, ValueError):
        raise _invalid(key, value) from None


def _recursive(key: str, value: str) -> dict[str, bool]:
    if value not in _RECURSIVE:
        words = "enabled", "disabled", "writable"
        known = ", ".join(f'"{word}"' for word in words)
        raise UsageError(f'{_invalid(key, value)} (must be {known}, or "readonly")')
    return {_RECURSIVE[value]: True} if _RECURSIVE[value] else {}


def _check_recursive(made: dict[str, Any], given: dict[str, Any]) -> None:
    for word in ("writable", "readonly"):
        if given.get(_RECURSIVE[word]) and not made.get("ReadOnly"):
            raise UsageError(
                f"option 'bind-recursive={word}' requires 'readonly' to be specified in conjunction"
            )
    if given.get(_RECURSIVE["readonly"]) and given.get("Propagation") != "rprivate":
        raise UsageError(
            "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be"
            " specified in conjunction"
        )


def _invalid(key: str, value: str) -> UsageError:
    return UsageError(f"invalid value for {key}: {one_line(value)}")
