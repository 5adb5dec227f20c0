"""Step 03: docker0, a switch inside the host, to which the host itself is connected."""

from natlab import Host, Lab, ping
from natlab.course import Fail, answers, check, expect, has_address, is_up

DOCKER0 = "172.17.0.1"


def build(lab: Lab) -> None:
    """A bridge with an address."""
    lab.ubuntu1.add_network("docker0", f"{DOCKER0}/16")


@check("docker0 is a bridge on ubuntu1, and up")
def bridge(lab: Lab) -> str:
    found = lab.ubuntu1.find_link("docker0")
    if found is None:
        names = ", ".join(link.name for link in lab.ubuntu1.links())
        raise Fail(
            expected="a bridge docker0 on ubuntu1",
            actual=f"ubuntu1 has {names}",
            hint="on ubuntu1: ip link add docker0 type bridge",
        )
    expect(
        found.kind == "bridge",
        expected="docker0 is a bridge",
        actual=f"docker0 is a {found.kind or 'plain interface'}",
        hint="on ubuntu1: ip link delete docker0; ip link add docker0 type bridge",
    )
    is_up(lab.ubuntu1, "docker0")
    return "docker0 is a bridge, and up"


@check("docker0 has 172.17.0.1/16, and ubuntu1 answers there", needs=[bridge])
def addressed(lab: Lab) -> str:
    has_address(lab.ubuntu1, "docker0", f"{DOCKER0}/16")
    hint = "look at `ip addr show docker0` and `nft list ruleset` on ubuntu1"
    return answers(ping(lab.ubuntu1, DOCKER0, server=lab.ubuntu1), source=DOCKER0, hint=hint)


@check("what is for 172.17.0.0/16 goes to docker0, from 172.17.0.1", needs=[addressed])
def routed(lab: Lab) -> str:
    for target in ("172.17.0.2", "172.17.255.254"):
        way = lab.ubuntu1.route_to(target)
        expect(
            way is not None and (way.dev, way.gateway) == ("docker0", None),
            expected=f"{target} is reached through docker0, directly",
            actual=f"the route is {way}" if way else f"ubuntu1 has no route to {target}",
            hint="on ubuntu1: `ip route`; the route 172.17.0.0/16 dev docker0 comes with the"
            " address, and no narrower one may lead elsewhere",
        )
    return "172.17.0.0/16 dev docker0"


@check("ubuntu1 looks for containers on docker0", needs=[routed])
def asks(lab: Lab) -> str:
    """Send to an address that nobody has: the question for its MAC must appear on the bridge."""
    absent = _unasked(lab.ubuntu1)
    with lab.ubuntu1.capture("docker0") as seen:
        ping(lab.ubuntu1, absent, timeout=0.1)
        question = seen.wait_for(lambda packet: packet.kind == "arp" and packet.dst == absent)
    asker = question.src if question else "nobody: the question is not asked there"
    expect(
        asker == DOCKER0,
        expected=f"on docker0: who has {absent}, tell {DOCKER0}",
        actual=f"on docker0: who has {absent}, tell {asker}",
        hint="on ubuntu1: ip link set docker0 arp on; and 172.17.0.1 the only address of docker0",
    )
    return f"on docker0: who has {absent}, tell {DOCKER0}"


def _unasked(host: Host) -> str:
    """An address at the end of the range that the host has not looked for lately."""
    known = {entry.address for entry in host.neighbours()}
    return next(one for n in range(254, 0, -1) if (one := f"172.17.255.{n}") not in known)


CHECKS = [bridge, addressed, routed, asks]
