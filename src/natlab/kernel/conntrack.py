"""The connection table of the network namespace in which the caller stands (ctnetlink)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any, Final

from natlab.model.conntrack import ConntrackEntry
from natlab.model.conntrack_read import from_nfct

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
        return tuple(_entry(message) for message in table.dump() if message["nfgen_family"] == 2)  # noqa: PLR2004 - AF_INET


def flush() -> None:
    """Forget every connection. Equivalent to: `conntrack -F`."""
    with _table() as table:
        table.flush()


def _entry(message: Any) -> ConntrackEntry:
    info = message.get_attr("CTA_PROTOINFO")
    tcp = info.get_attr("CTA_PROTOINFO_TCP") if info else None
    original, reply = message.get_attr("CTA_TUPLE_ORIG"), message.get_attr("CTA_TUPLE_REPLY")
    return from_nfct(
        {
            "orig": _tuple(original),
            "reply": _tuple(reply),
            "proto": original.get_attr("CTA_TUPLE_PROTO").get_attr("CTA_PROTO_NUM"),
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
    values = {"src": address.get_attr("CTA_IP_V4_SRC"), "dst": address.get_attr("CTA_IP_V4_DST")}
    present = {name: proto.get_attr(attr) for name, attr in _PROTO_FIELDS.items()}
    return values | {name: value for name, value in present.items() if value is not None}
