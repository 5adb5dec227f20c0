"""The rules in a container that lead to its name server, and where it finds it."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Final

SERVER: Final = IPv4Address("127.0.0.11")
"""Where a container finds its name server; the first line of its resolv.conf."""

OPTIONS: Final = ("ndots:0",)
"""What resolv.conf says beside it, so that a name without a dot is asked as it stands."""

PORT: Final = 53


def rules(udp_port: int, tcp_port: int) -> str:
    """One nft transaction that leads port 53 of 127.0.0.11 to the ports of our own sockets.

    Programs of the container may then listen at port 53 themselves. What stood in the table is
    replaced. Equivalent to: `iptables -t nat -A DOCKER_OUTPUT -d 127.0.0.11 -p udp --dport 53
    -j DNAT --to 127.0.0.11:PORT; iptables -t nat -A DOCKER_POSTROUTING -s 127.0.0.11 -p udp
    --sport PORT -j SNAT --to :53`, and the same for tcp. Source: moby, `resolver_unix.go`.
    """
    pairs = (("udp", udp_port), ("tcp", tcp_port))
    there = "\n".join(
        f"ip daddr {SERVER} {proto} dport {PORT} counter dnat to {SERVER}:{port}"
        for proto, port in pairs
    )
    back = "\n".join(
        f"ip saddr {SERVER} {proto} sport {port} counter snat to :{PORT}" for proto, port in pairs
    )
    return f"""table ip natlab
delete table ip natlab
table ip natlab {{
    chain DOCKER_OUTPUT {{
{there}
    }}
    chain DOCKER_POSTROUTING {{
{back}
    }}
    chain OUTPUT {{
        type nat hook output priority -100; policy accept;
        ip daddr {SERVER} counter jump DOCKER_OUTPUT
    }}
    chain POSTROUTING {{
        type nat hook postrouting priority 100; policy accept;
        ip daddr {SERVER} counter jump DOCKER_POSTROUTING
    }}
}}
"""
