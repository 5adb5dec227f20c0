"""Step 06: ubuntu1 becomes a router; what containers send gets out, and no answer gets back."""

from natlab import Host, Lab, ping
from natlab.course import (
    answers,
    check,
    container,
    default_route,
    expect,
    forwarding,
    no_route,
    silent,
)

OUTSIDE = "192.168.33.20"


def build(lab: Lab) -> None:
    """The routing process runs."""
    lab.ubuntu1.forwarding = True


@check("ubuntu1 forwards: what web sends elsewhere is taken on at docker0 and put out at eth0")
def forwards(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    way = lab.ubuntu1.route_to(OUTSIDE, source="172.17.0.2", iif="docker0")
    expect(
        way is not None and way.dev == "eth0",
        expected=f"from 172.17.0.2, in by docker0, to {OUTSIDE}: out by eth0",
        actual=f"the route is {way}" if way else "ubuntu1 finds no route for that",
        hint=f"on ubuntu1: ip route get {OUTSIDE} from 172.17.0.2 iif docker0",
    )
    return f"net.ipv4.ip_forward = 1; in by docker0, to {OUTSIDE}: out by eth0"


@check("what web sends arrives outside, routed, with its private source", needs=[forwards])
def leaves(lab: Lab) -> str:
    return _arrives(lab, "web", "172.17.0.2")


@check("so does what db sends", needs=[leaves])
def leaves_too(lab: Lab) -> str:
    return _arrives(lab, "db", "172.17.0.3")


def _arrives(lab: Lab, name: str, address: str) -> str:
    sender = container(lab, name)
    default_route(sender, "172.17.0.1")
    sent_ttl = int(sender.sysctl("net.ipv4.ip_default_ttl") or 64)
    probe = ping(sender, OUTSIDE, server=lab.outside, timeout=0.5)
    expect(
        probe.source_seen == address,
        expected=f"icmp {name} → {OUTSIDE} arrives there from {address}",
        actual=str(probe),
        hint=_translated(probe.source_seen) if probe.arrived else _stopped(lab.ubuntu1),
    )
    ttl = probe.arrived.ttl if probe.arrived else None
    expect(
        ttl == sent_ttl - 1,
        expected=f"ttl {sent_ttl - 1}: one router on the way",
        actual=f"ttl {ttl}",
        hint="look at `ip route` on ubuntu1 and in the container: one hop leads to outside",
    )
    return f"outside sees a packet from {address} with ttl {ttl}"


def _translated(source: str | None) -> str:
    return (
        f"on ubuntu1 a rule makes {source} of it (`nft list ruleset`): delete it; that is step 07"
    )


def _stopped(router: Host) -> str:
    chains = [
        f"{chain.name} of {table.title}" for table, chain in router.ruleset().base_chains("forward")
    ]
    if chains:
        return f"on {router.name}: does {' or '.join(chains)} drop it? Look at `nft list ruleset`"
    return "follow it with tcpdump: -i docker0 and -i eth0 on ubuntu1, -i eth0 on outside"


@check("no answer finds the way back: outside has no route to 172.17.0.0/16", needs=[leaves])
def lost(lab: Lab) -> str:
    no_route(lab.outside, "172.17.0.2")
    with lab.outside.capture("eth0") as seen:
        probe = ping(container(lab, "web"), OUTSIDE, server=lab.outside, timeout=0.5)
        replies = [packet for packet in seen.packets() if packet.is_echo_reply]
    said = silent(probe, hint="look at `ip route` and `ip rule` on outside")
    expect(
        not replies,
        expected="outside puts no echo reply on the wire",
        actual=f"it sent {replies[0].summary()}" if replies else "",
        hint="look at `ip route` and `ip rule` on outside",
    )
    return f"{said}; no reply on the wire"


@check("ubuntu1 itself reaches outside as before", needs=[forwards])
def own_traffic(lab: Lab) -> str:
    probe = ping(lab.ubuntu1, OUTSIDE, server=lab.outside)
    return answers(probe, source="192.168.33.11", hint="look at `ip route` on ubuntu1")


CHECKS = [forwards, leaves, leaves_too, lost, own_traffic]
