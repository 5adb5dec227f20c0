"""What a test's lab is to be like: values that are checked before anything is made."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from ipaddress import IPv4Interface, IPv4Network, ip_interface
from typing import Any, Final

from natlab.engine.host import Docker0
from natlab.engine.lab import CLASSROOM
from natlab.errors import UsageError
from natlab.model.ports import SEED_RANGE, PortRange

KERNEL: Final = "kernel"
_SMALLEST_MTU: Final = 68
"""The smallest packet that every IPv4 machine takes whole (RFC 791)."""
_LARGEST_MTU: Final = 65535
_FLAGS: Final = ("userland_proxy", "icc")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How a fixture's lab is made.

    Attributes:
        subnet: docker0's network, or the bridge's own address in it with the prefix length.
        port_range: Where automatic published ports come from, as FIRST-LAST; "kernel" for the
            kernel's own range, as Docker has it today.
        userland_proxy: Whether published ports get Docker's userland proxy as well as rules.
        mtu: docker0's largest packet, in bytes.
        lan_mtu: The same for the LAN between the hosts.
        icc: Whether docker0's containers reach each other.
        hosts: Each host's name and its LAN address with the prefix length.
        rules: nft commands that are run on every host when it has been made.

    Raises:
        UsageError: one of them makes no sense; the message names it.
    """

    subnet: str = "172.17.0.0/16"
    port_range: str = str(SEED_RANGE)
    userland_proxy: bool = False
    mtu: int = 1500
    lan_mtu: int = 1500
    icc: bool = True
    hosts: Mapping[str, str] = field(default_factory=lambda: CLASSROOM)
    rules: str = ""

    def __post_init__(self) -> None:
        self.docker0  # noqa: B018 - checked when it is made
        self.ports  # noqa: B018
        for name in ("mtu", "lan_mtu"):
            _check_mtu(name, getattr(self, name))
        for name in _FLAGS:
            if not isinstance(getattr(self, name), bool):
                raise UsageError(f"natlab's {name} is True or False, not {getattr(self, name)!r}")

    def changed(self, **changes: Any) -> Settings:
        """The same with changes.

        Raises:
            UsageError: there is no setting of that name, or its value makes no sense.
        """
        known = [each.name for each in fields(self)]
        for name in changes:
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                meant = f": did you mean {near[0]}?" if near else ""
                raise UsageError(
                    f"natlab has no setting {name!r}{meant or ': there is ' + ', '.join(known)}"
                )
        return replace(self, **changes)

    @property
    def docker0(self) -> Docker0:
        """The same for the library."""
        return Docker0(address=str(_gateway(self.subnet)), mtu=self.mtu, icc=self.icc)

    @property
    def ports(self) -> PortRange | None:
        """The same for the library."""
        if self.port_range == KERNEL:
            return None
        first, _, last = str(self.port_range).partition("-")
        if not (first.isdecimal() and (last or first).isdecimal()):
            raise UsageError(
                f"natlab's port_range is like 49153-65535, or {KERNEL}, not {self.port_range!r}"
            )
        try:
            return PortRange(int(first), int(last or first))
        except UsageError as error:
            raise UsageError(f"natlab's port_range: {error}") from None


def _gateway(subnet: str) -> IPv4Interface:
    try:
        interface = ip_interface(subnet)
    except ValueError:
        interface = None
    if not isinstance(interface, IPv4Interface) or interface.network.prefixlen > 30:  # noqa: PLR2004
        raise UsageError(
            f"natlab's subnet is an IPv4 network with room for containers, like 172.17.0.0/16,"
            f" not {subnet!r}"
        )
    network: IPv4Network = interface.network
    if interface.ip == network.network_address:
        return IPv4Interface((int(network.network_address) + 1, network.prefixlen))
    return interface


def _check_mtu(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UsageError(f"natlab's {name} is a number of bytes, not {value!r}")
    if not _SMALLEST_MTU <= value <= _LARGEST_MTU:
        raise UsageError(f"natlab's {name} is {_SMALLEST_MTU} to {_LARGEST_MTU} bytes, not {value}")
