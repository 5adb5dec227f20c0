"""The connection table of the network namespace in which the caller stands (ctnetlink)."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator, Sequence
from typing import Any, Final

from natlab.model.conntrack import ConntrackEntry
from natlab.model.conntrack_read import from_nfct

_FAMILIES: Final = (socket.AF_INET, socket.AF_INET6)
_PROTO_FIELDS: Final = {
    "sport": "CTA_PROTO_SRC_PORT",
    "dport": "CTA_PROTO_DST_PORT",
    "type": "CTA_PROTO_ICMP_TYPE",
    "code": "CTA_PROTO_ICMP_CODE",
    "id": "CTA_PROTO_ICMP_ID",
}


@contextlib.contextmanager
def _table() -> Iterator[Any]:
    from pyroute2 import NFCTSocket

    table = NFCTSocket()
    try:
        yield table
    finally:
        table.close()


def entries() -> tuple[ConntrackEntry, ...]:
    """Every IPv4 connection that the kernel knows here. Equivalent to: `conntrack -L`."""
    with _table() as table:
        found = (m for m in table.dump() if m["nfgen_family"] == socket.AF_INET)
        return tuple(_entry(message) for message in found)


def flush() -> None:
    """Forget every connection. Equivalent to: `conntrack -F`."""
    with _table() as table:
        table.flush()


def forget(addresses: Sequence[str] = (), udp_ports: Sequence[int] = ()) -> int:
    """Forget every connection of these addresses, and every UDP one to these ports.

    A flow that goes on (a UDP sender with a fixed port) is then looked at anew: without this it
    would go on to a container that is gone, or to the host itself. Equivalent to: `conntrack -D
    -s ADDRESS`, `-D -r ADDRESS` and `-D -p udp --dport PORT`. Source: moby,
    libnetwork/drivers/bridge, `clearConntrackEntries`.

    Returns:
        How many were forgotten.
    """
    forgotten = 0
    with _table() as table:
        for message in list(table.dump()):
            if message["nfgen_family"] in _FAMILIES and _is_of(message, addresses, udp_ports):
                forgotten += _delete(table, message)
    return forgotten


def _is_of(message: Any, addresses: Sequence[str], udp_ports: Sequence[int]) -> bool:
    original = _tuple(message.get_attr("CTA_TUPLE_ORIG"))
    if original["src"] in addresses or original["dst"] in addresses:
        return True
    if _tuple(message.get_attr("CTA_TUPLE_REPLY"))["src"] in addresses:
        return True
    return _proto(message) == socket.IPPROTO_UDP and original["dport"] in udp_ports


def _delete(table: Any, message: Any) -> int:
    """Delete one entry; one that has ended meanwhile is fine."""
    from pyroute2.netlink.exceptions import NetlinkError
    from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple

    side = NFCTAttrTuple.from_netlink(message["nfgen_family"], message.get_attr("CTA_TUPLE_ORIG"))
    try:
        table.entry("del", tuple_orig=side)
    except NetlinkError as error:
        if error.code != errno.ENOENT:
            raise
        return 0
    return 1


def _proto(message: Any) -> int:
    side = message.get_attr("CTA_TUPLE_ORIG")
    return int(side.get_attr("CTA_TUPLE_PROTO").get_attr("CTA_PROTO_NUM"))


def _entry(message: Any) -> ConntrackEntry:
    info = message.get_attr("CTA_PROTOINFO")
    tcp = info.get_attr("CTA_PROTOINFO_TCP") if info else None
    original, reply = message.get_attr("CTA_TUPLE_ORIG"), message.get_attr("CTA_TUPLE_REPLY")
    return from_nfct(
        {
            "orig": _tuple(original),
            "reply": _tuple(reply),
            "proto": _proto(message),
            "status": message.get_attr("CTA_STATUS") or 0,
            "timeout": message.get_attr("CTA_TIMEOUT"),
            "tcp_state": tcp.get_attr("CTA_PROTOINFO_TCP_STATE") if tcp else None,
            "mark": message.get_attr("CTA_MARK"),
            "zone": message.get_attr("CTA_ZONE"),
            "use": message.get_attr("CTA_USE"),
        }
    )


def _tuple(side: Any) -> dict[str, Any]:
    address, proto = side.get_attr("CTA_TUPLE_IP"), side.get_attr("CTA_TUPLE_PROTO")
    values = {
        end: address.get_attr(f"CTA_IP_V4_{end.upper()}")
        or address.get_attr(f"CTA_IP_V6_{end.upper()}")
        for end in ("src", "dst")
    }
    present = {name: proto.get_attr(attr) for name, attr in _PROTO_FIELDS.items()}
    return values | {name: value for name, value in present.items() if value is not None}
