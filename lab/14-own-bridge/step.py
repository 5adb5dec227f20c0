"""Step 14: a second bridge with a network of its own, kept apart from docker0."""

from natlab import Container, Lab, Probe, ping, tcp
from natlab.course import (
    answers,
    check,
    container,
    default_route,
    dropped,
    expect,
    forwarding,
    has_address,
    is_up,
    plugged_in,
)

UBUNTU1, OUTSIDE = "192.168.33.11", "192.168.33.20"
APP, WEB = "192.168.5.2", "172.17.0.2"


def build(lab: Lab) -> None:
    """bridge0 with app in it, its masquerade, and the isolation that comes with FORWARD rules."""
    bridge0 = lab.ubuntu1.add_network("bridge0", "192.168.5.1/24")
    bridge0.attach(lab.ubuntu1.add_container("app"), APP)
    bridge0.masquerade()
    bridge0.forward()


@check("bridge0 is a bridge with 192.168.5.1/24, up, beside docker0")
def beside(lab: Lab) -> str:
    for name, address in (("bridge0", "192.168.5.1/24"), ("docker0", "172.17.0.1/16")):
        bridges = [link.name for link in lab.ubuntu1.links() if link.kind == "bridge"]
        expect(
            name in bridges,
            expected=f"a bridge {name} on ubuntu1",
            actual=f"ubuntu1 has the bridges {', '.join(bridges)}" if bridges else "no bridge",
            hint=f"on ubuntu1: ip link add {name} type bridge",
        )
        is_up(lab.ubuntu1, name)
        has_address(lab.ubuntu1, name, address)
    return "docker0 with 172.17.0.1/16 and bridge0 with 192.168.5.1/24 are up"


@check("app is a port of bridge0, has 192.168.5.2/24, and talks to its host", needs=[beside])
def plugged(lab: Lab) -> str:
    app = container(lab, "app")
    plugged_in(app, "bridge0")
    is_up(app, "eth0")
    has_address(app, "eth0", f"{APP}/24")
    default_route(app, "192.168.5.1")
    probe = ping(lab.ubuntu1, APP, server=app)
    return answers(probe, source="192.168.5.1", hint="look at `bridge link` and `ip -n app addr`")


@check("app reaches the outside, with ubuntu1's address", needs=[plugged])
def app_outside(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    hint = (
        "on ubuntu1: masquerade what comes from 192.168.5.0/24 and leaves by another interface"
        " than bridge0; and drop nothing on its way out"
    )
    app = container(lab, "app")
    said = answers(ping(app, OUTSIDE, server=lab.outside), source=UBUNTU1, hint=hint)
    answers(tcp(app, OUTSIDE, 8080, server=lab.outside), source=UBUNTU1, hint=hint)
    return said


@check("web and db reach it as before")
def docker0_outside(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    hint = "on ubuntu1: docker0's masquerade stays, and only what goes to bridge0 is dropped"
    probes = [ping(container(lab, name), OUTSIDE, server=lab.outside) for name in ("web", "db")]
    return "; ".join(answers(probe, source=UBUNTU1, hint=hint) for probe in probes)


def apart(guest: Container, target: str, server: Container, rule: str) -> str:
    """Neither a ping nor a connection even arrives there: no half-open door."""
    probes: list[Probe] = [
        ping(guest, target, server=server, timeout=0.5),
        tcp(guest, target, 8080, server=server, timeout=0.5),
    ]
    for probe in probes:
        dropped(probe, hint=f"on ubuntu1: a rule in FORWARD: {rule}, drop")
    return f"icmp and tcp {guest.name} → {target}: dropped on the way"


@check("nothing passes from docker0 to bridge0", needs=[plugged])
def not_to_bridge0(lab: Lab) -> str:
    web, app = container(lab, "web"), container(lab, "app")
    return apart(web, APP, app, "in by docker0, out by bridge0")


@check("nothing passes from bridge0 to docker0", needs=[plugged])
def not_to_docker0(lab: Lab) -> str:
    web, app = container(lab, "web"), container(lab, "app")
    return apart(app, WEB, web, "in by bridge0, out by docker0")


CHECKS = [beside, plugged, app_outside, docker0_outside, not_to_bridge0, not_to_docker0]
