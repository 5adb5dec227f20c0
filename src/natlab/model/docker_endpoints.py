"""Which networks `docker run` asks for, and what in each.

--network n1 --ip 10.1.0.5 --network-alias db
--network name=n1,alias=db,ip=10.1.0.5,mac-address=02:42:00:00:00:05,gw-priority=1
"""

from __future__ import annotations

from typing import Any, Final

from natlab.errors import UsageError
from natlab.model.docker_flags import Options
from natlab.model.docker_mounts import pairs
from natlab.model.names import one_line

DEFAULT: Final = "default"
"""The engine's own choice: the network called bridge."""

_NOT_MADE_BY_USERS: Final = ("bridge", "host", "none", "container", DEFAULT)
_EMPTY: Final[dict[str, Any]] = {
    "IPAMConfig": None,
    "Links": None,
    "Aliases": None,
    "MacAddress": "",
    "DriverOpts": None,
    "GwPriority": 0,
}
_ADDRESSES: Final = {"ip": "IPv4Address", "ip6": "IPv6Address"}


def network_mode(options: Options) -> str:
    """The first network that is asked for."""
    wanted = options.all("network")
    return _read(wanted[0])[0] if wanted else DEFAULT


def endpoints(options: Options) -> dict[str, dict[str, Any]]:
    """The endpoints, by network.

    Raises:
        UsageError: Something that only networks made by users have, and Docker's other texts.
    """
    wanted = [_read(text) for text in options.all("network")] or [(DEFAULT, {})]
    names = [name for name, _ in wanted]
    if len(wanted) > 1 and any(not user_defined(name) for name in names):
        raise UsageError(
            "conflicting options: cannot attach both user-defined and non-user-defined"
            " network-modes"
        )
    for i, name in enumerate(names):
        if name in names[:i]:
            raise UsageError(f'network "{one_line(name)}" is specified multiple times')
    first, settings = wanted[0]
    wanted[0] = first, _with_options(first, settings, options)
    return {
        name: made
        for name, made in wanted
        if made or user_defined(name) or name == DEFAULT
        for made in [{**_EMPTY, **made}]
    }


def user_defined(name: str) -> bool:
    """Whether a network is one that users make."""
    return name.partition(":")[0] not in _NOT_MADE_BY_USERS


def _with_options(name: str, settings: dict[str, Any], options: Options) -> dict[str, Any]:
    """Add what options say that are for the first network."""
    aliases = options.all("network-alias")
    if aliases and not user_defined(name):
        raise UsageError("network-scoped aliases are only supported for user-defined networks")
    addresses = {key: options.text(flag) for flag, key in _ADDRESSES.items() if options.text(flag)}
    local = options.all("link-local-ip")
    given = {
        "Aliases": aliases,
        "Links": options.all("link") if user_defined(name) else [],
        "IPAMConfig": addresses | ({"LinkLocalIPs": local} if local else {}),
        "MacAddress": options.text("mac-address"),
    }
    words = {"Aliases": "alias", "Links": "links", "MacAddress": "MAC address"}
    for key, value in given.items():
        if value and settings.get(key):
            flag = {"Aliases": "network-alias", "Links": "link", "IPAMConfig": "ip"}.get(
                key, "mac-address"
            )
            raise UsageError(
                f"conflicting options: cannot specify both --{flag} and per-network"
                f" {words.get(key, 'IPv4 address')}"
            )
    return settings | {key: value for key, value in given.items() if value}


def _read(text: str) -> tuple[str, dict[str, Any]]:
    """A network's name, and its settings."""
    if "=" not in text:
        return text, {}
    name, made = "", dict[str, Any]()
    for key, value in pairs(text):
        if key == "name":
            name = value
        else:
            _setting(made, key, value)
    if not name:
        raise UsageError("network name/id is not specified")
    return name, made


def _setting(made: dict[str, Any], key: str, value: str) -> None:
    """Note one setting of a network."""
    if key == "alias":
        made.setdefault("Aliases", []).append(value)
    elif key in _ADDRESSES:
        made.setdefault("IPAMConfig", {})[_ADDRESSES[key]] = value
    elif key == "mac-address":
        made["MacAddress"] = value
    elif key == "link-local-ip":
        made.setdefault("IPAMConfig", {}).setdefault("LinkLocalIPs", []).append(value)
    elif key == "driver-opt":
        option, _, setting = value.partition("=")
        made.setdefault("DriverOpts", {})[option] = setting
    elif key == "gw-priority":
        made["GwPriority"] = _number(value)
    else:
        raise UsageError(f"invalid field key {one_line(key)}")


def _number(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"invalid gw-priority ({one_line(text)}): invalid syntax") from None
