"""Step 05: two containers on one bridge talk like two machines on one switch."""

from natlab import Container, Lab, ping, tcp
from natlab.course import (
    answers,
    check,
    container,
    default_route,
    expect,
    forward_tally,
    has_address,
    is_up,
    plugged_in,
)

WEB, DB = "172.17.0.2", "172.17.0.3"


def build(lab: Lab) -> None:
    """A second container, plugged in like the first."""
    docker0 = lab.ubuntu1.network("docker0")
    docker0.attach(lab.ubuntu1.add_container("db"), DB)


@check("db is plugged in to docker0, beside web")
def plugged(lab: Lab) -> str:
    ports = [plugged_in(container(lab, name), "docker0") for name in ("db", "web")]
    alone = [port for port in ports if lab.ubuntu1.link(port).isolated]
    expect(
        len(alone) < 2,
        expected="two ports of docker0 that talk with each other",
        actual=f"{' and '.join(alone)}: isolated",
        hint="on ubuntu1: "
        + "; ".join(f"bridge link set dev {port} isolated off" for port in alone),
    )
    return f"docker0 has the ports {ports[0]} (db) and {ports[1]} (web)"


@check("db has 172.17.0.3/16 on eth0, up, and a default route to the bridge", needs=[plugged])
def addressed(lab: Lab) -> str:
    for name, address in (("db", DB), ("web", WEB)):
        node = container(lab, name)
        is_up(node, "eth0")
        has_address(node, "eth0", f"{address}/16")
        default_route(node, "172.17.0.1")
    return f"db {DB}/16 beside web {WEB}/16, both default via 172.17.0.1"


@check("db reaches web, and web sees db's own address", needs=[addressed])
def neighbours(lab: Lab) -> str:
    db, web = container(lab, "db"), container(lab, "web")
    hint = (
        "look at `bridge fdb show br docker0`, at `ip -n db neigh` and `ip -n db route`,"
        " and at the rules in db and web: `ip netns exec web nft list ruleset`"
    )
    said = answers(ping(db, WEB, server=web), source=DB, hint=hint)
    answers(tcp(db, WEB, 8080, server=web), source=DB, hint=hint)
    answers(ping(web, DB, server=db), source=WEB, hint=hint)
    return said


@check("what db sends arrives as it left: bridged, not routed", needs=[neighbours])
def bridged(lab: Lab) -> str:
    """A router takes one off the TTL and puts its own MAC on the frame; a bridge does neither."""
    db, web = container(lab, "db"), container(lab, "web")
    sent_ttl, sent_mac = db.sysctl("net.ipv4.ip_default_ttl"), db.link("eth0").mac
    arrived = ping(db, WEB, server=web).arrived
    expect(
        arrived and (str(arrived.ttl), arrived.ether_src) == (sent_ttl, sent_mac),
        expected=f"it arrives with ttl {sent_ttl}, in a frame from {sent_mac}",
        actual=f"ttl {arrived.ttl}, in a frame from {arrived.ether_src}" if arrived else "nothing",
        hint="ubuntu1 routes between them: delete the route in db that leads to web through"
        " 172.17.0.1 (`ip -n db route`), or the proxy_arp on docker0",
    )
    return f"ttl {sent_ttl} on both sides, in a frame from db's own {sent_mac}"


@check("db knows web's MAC address: it asked, and web itself answered", needs=[neighbours])
def resolved(lab: Lab) -> str:
    db, web = container(lab, "db"), container(lab, "web")
    ping(db, WEB)
    mac = web.link("eth0").mac
    known = next((entry.mac for entry in db.neighbours() if entry.address == WEB), None)
    expect(
        known == mac,
        expected=f"in db's ARP table: {WEB} is at {mac}, which is web's eth0",
        actual=f"{WEB} is at {known}" if known else f"no MAC for {WEB}",
        hint=f"ip -n db neigh delete {WEB} dev eth0, then ping again",
    )
    return f"{WEB} is at {mac}"


@check("docker0 has learned both MAC addresses, each at its port", needs=[neighbours])
def learned(lab: Lab) -> str:
    ping(container(lab, "db"), WEB)
    places = [_learned_at(lab, container(lab, name)) for name in ("db", "web")]
    return "; ".join(places)


def _learned_at(lab: Lab, guest: Container) -> str:
    mac, port = guest.link("eth0").mac, guest.host_end
    table = lab.ubuntu1.network("docker0").forwarding_table()
    ports = {entry.port for entry in table if entry.mac == mac}
    expect(
        port in ports,
        expected=f"in docker0's forwarding table: {mac} ({guest.name}) at {port}",
        actual=f"{mac} at {', '.join(ports)}" if ports else f"{mac} is not there",
        hint=f"on ubuntu1: bridge link set dev {port} learning on, then ping once more",
    )
    return f"{mac} ({guest.name}) at {port}"


@check("FORWARD never sees it", needs=[neighbours])
def unseen(lab: Lab) -> str:
    """Count at the hook itself while a ping goes from db to web."""
    db, web = container(lab, "db"), container(lab, "web")
    with forward_tally(lab.ubuntu1, f"ip saddr {DB} ip daddr {WEB}") as count:
        said = answers(ping(db, WEB, server=web), hint="look at `bridge fdb show br docker0`")
        seen = count()
    called = lab.ubuntu1.sysctl("net.bridge.bridge-nf-call-iptables") == "1"
    expect(
        seen == 0,
        expected="the FORWARD hook of ubuntu1 sees 0 packets from db to web",
        actual=f"it saw {seen}",
        hint="on ubuntu1: sysctl -w net.bridge.bridge-nf-call-iptables=0"
        if called
        else "on ubuntu1: ip link set docker0 type bridge nf_call_iptables 0",
    )
    return f"{said}; packets counted at the FORWARD hook: 0"


CHECKS = [plugged, addressed, neighbours, bridged, resolved, learned, unseen]
