"""Step 01: the machine as it is before there is any container."""

from natlab import Lab, ping, tcp
from natlab.course import (
    answers,
    check,
    expect,
    forwarding,
    has_address,
    is_up,
    no_route,
    no_rules,
    silent,
)

OUTSIDE = "192.168.33.20"
CONNECTED = "192.168.33.0/24 dev eth0"


def build(lab: Lab) -> None:
    """Speak to a neighbour once."""
    ping(lab.ubuntu1, OUTSIDE)


@check("ubuntu1 has learned outside's MAC address")
def learned(lab: Lab) -> str:
    """Only looks: a probe from here would make the entry that is looked for."""
    mac = lab.outside.link("eth0").mac
    known = {entry.address: entry.mac for entry in lab.ubuntu1.neighbours() if entry.dev == "eth0"}
    found = ", ".join(
        f"{address} is at {at or 'no MAC (nobody answered)'}" for address, at in known.items()
    )
    stale = f"ip neigh delete {OUTSIDE} dev eth0; " if known.get(OUTSIDE) else ""
    expect(
        known.get(OUTSIDE) == mac,
        expected=f"{OUTSIDE} is at {mac} in the ARP table of ubuntu1",
        actual=found or "ubuntu1 has spoken to nobody on eth0",
        hint=f"on ubuntu1: {stale}ping -c 1 {OUTSIDE}",
    )
    return f"{OUTSIDE} is at {mac}, learned by asking on eth0"


@check("eth0 of ubuntu1 has 192.168.33.11/24, and outside reaches it", needs=[learned])
def addressed(lab: Lab) -> str:
    is_up(lab.ubuntu1, "eth0")
    has_address(lab.ubuntu1, "eth0", "192.168.33.11/24")
    probe = ping(lab.outside, "192.168.33.11", server=lab.ubuntu1)
    return answers(probe, source=OUTSIDE, hint="look at `ip addr` and `ip route` on both machines")


@check("ubuntu1 has its connected route and no other", needs=[learned])
def connected(lab: Lab) -> str:
    routes = [str(route) for route in lab.ubuntu1.routes()]
    extra = [route for route in routes if route != CONNECTED]
    expect(
        routes == [CONNECTED],
        expected=f"{CONNECTED}, and nothing else",
        actual=", ".join(routes) or "no route",
        hint=f"on ubuntu1: ip route {f'delete {extra[0]}' if extra else f'add {CONNECTED}'}",
    )
    hint = "no interface of ubuntu1 may lead to 172.17.0.2 yet: look at `ip rule`"
    return f"{CONNECTED}; {silent(ping(lab.ubuntu1, '172.17.0.2', timeout=0.5), hint=hint)}"


@check("ubuntu1 has no rules", needs=[learned])
def ruleless(lab: Lab) -> str:
    no_rules(lab.ubuntu1)
    hint = "look at `nft list ruleset` on ubuntu1: something stops what comes in"
    probe = tcp(lab.outside, "192.168.33.11", 8080, server=lab.ubuntu1)
    return f"no rule in any table; {answers(probe, source=OUTSIDE, hint=hint)}"


@check("ubuntu1 does not forward", needs=[learned])
def no_router(lab: Lab) -> str:
    forwarding(lab.ubuntu1, on=False)
    return "net.ipv4.ip_forward = 0"


@check("outside knows no way to 172.17.0.0/16", needs=[learned])
def unknown_outside(lab: Lab) -> str:
    no_route(lab.outside, "172.17.0.2")
    probe = tcp(lab.outside, "172.17.0.2", 8080, server=lab.ubuntu1, timeout=0.5)
    expect(
        probe.outcome == "unreachable",
        expected="outside → 172.17.0.2 is unreachable, said by outside itself",
        actual=str(probe),
        hint="look at `ip route` and `ip rule` on outside",
    )
    return str(probe)


CHECKS = [learned, addressed, connected, ruleless, no_router, unknown_outside]
