"""Step 13: containers of two hosts, through a published port, and then by plain routes."""

from natlab import Container, Host, Lab, ping, tcp
from natlab.course import (
    answers,
    check,
    container,
    default_route,
    expect,
    forwarding,
    has_address,
    is_up,
    plugged_in,
)

UBUNTU1, UBUNTU2, OUTSIDE = "192.168.33.11", "192.168.33.12", "192.168.33.20"
WEB = APP = "172.17.0.2"
LEFT, RIGHT = "10.1.0.2", "10.2.0.2"
PUBLISHED = 49153
TWO_ROUTERS_LATER = 62


def build(lab: Lab) -> None:
    """docker0 and app on ubuntu2; then a routed network on each host."""
    docker0 = lab.ubuntu2.add_network("docker0")
    docker0.attach(lab.ubuntu2.add_container("app"), APP)
    lab.ubuntu2.forwarding = True
    docker0.masquerade()
    for host, name, subnet in ((lab.ubuntu1, "left", "10.1.0"), (lab.ubuntu2, "right", "10.2.0")):
        docker1 = host.add_network("docker1", f"{subnet}.1/24")
        docker1.attach(host.add_container(name), f"{subnet}.2")
    lab.ubuntu1.add_route("10.2.0.0/24", via=UBUNTU2)
    lab.ubuntu2.add_route("10.1.0.0/24", via=UBUNTU1)


@check("app on ubuntu2 has the very address that web has on ubuntu1")
def same_address(lab: Lab) -> str:
    app = container(lab, "app", "ubuntu2")
    plugged_in(app, "docker0")
    is_up(app, "eth0")
    has_address(app, "eth0", f"{APP}/16")
    has_address(container(lab, "web"), "eth0", f"{WEB}/16")
    default_route(app, "172.17.0.1")
    hint = "on ubuntu2: is docker0 up, with 172.17.0.1/16?"
    answers(ping(lab.ubuntu2, APP, server=app), source="172.17.0.1", hint=hint)
    return f"{APP}/16 is web on ubuntu1, and app on ubuntu2"


@check("what app sends leaves with ubuntu2's address", needs=[same_address])
def masqueraded(lab: Lab) -> str:
    forwarding(lab.ubuntu2)
    probe = ping(container(lab, "app", "ubuntu2"), OUTSIDE, server=lab.outside)
    hint = "on ubuntu2: a rule at postrouting: source 172.17.0.0/16, out not docker0, masquerade"
    return answers(probe, source=UBUNTU2, hint=hint)


@check(
    "app reaches web through ubuntu1's published port, and web sees ubuntu2", needs=[masqueraded]
)
def through_the_port(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    app, web = container(lab, "app", "ubuntu2"), container(lab, "web")
    probe = tcp(app, UBUNTU1, PUBLISHED, server=web, server_port=8080)
    hint = f"on ubuntu1: port {PUBLISHED} goes to {WEB}:8080 (step 08), and the source is kept"
    return answers(probe, source=UBUNTU2, hint=hint)


@check(
    "each host wrote down what it rewrote: source there, destination here", needs=[through_the_port]
)
def both_tables(lab: Lab) -> str:
    """One new connection, looked up in both tables by its ports."""
    app, web = container(lab, "app", "ubuntu2"), container(lab, "web")
    port = tcp(app, UBUNTU1, PUBLISHED, server=web, server_port=8080).client_port
    theirs = [
        entry
        for entry in lab.ubuntu2.conntrack()
        if entry.matches(src=APP, sport=port, dport=PUBLISHED, proto="tcp", reply_dst=UBUNTU2)
    ]
    ours = [
        entry
        for there in theirs
        for entry in lab.ubuntu1.conntrack()
        if entry.matches(
            src=UBUNTU2, sport=there.reply.dport, dport=PUBLISHED, proto="tcp", reply_src=WEB
        )
    ]
    expect(
        theirs and ours,
        expected=f"an entry from {APP} on ubuntu2, and one from {UBUNTU2} on ubuntu1",
        actual=f"{len(theirs)} on ubuntu2, {len(ours)} on ubuntu1",
        hint="let app ask web again, and look at `conntrack -L -p tcp` on both hosts",
    )
    return f"ubuntu2: {theirs[0].snat}; ubuntu1: {ours[0].dnat}"


def in_its_network(guest: Container, address: str, gateway: str) -> None:
    is_up(guest, "eth0")
    has_address(guest, "eth0", f"{address}/24")
    default_route(guest, gateway)


@check("left and right stand in two networks that do not overlap")
def own_networks(lab: Lab) -> str:
    in_its_network(container(lab, "left"), LEFT, "10.1.0.1")
    in_its_network(container(lab, "right", "ubuntu2"), RIGHT, "10.2.0.1")
    for host, guest in ((lab.ubuntu1, "left"), (lab.ubuntu2, "right")):
        inside = container(lab, guest, host.name)
        probe = ping(inside, str(host.ip), server=host)
        answers(probe, source=str(inside.ip), hint=f"is the bridge of {guest} on {host.name} up?")
    return f"left has {LEFT}/24, right has {RIGHT}/24"


def knows_the_way(host: Host, guest: Container, address: str, gateway: str) -> str:
    route = host.route_to(address)
    network = f"{address.rpartition('.')[0]}.0/24"
    expect(
        route and route.gateway == gateway,
        expected=f"{host.name} sends what is for {address} to {gateway}",
        actual=f"it takes the route {route}" if route else "no route",
        hint=f"on {host.name}: ip route {'replace' if route else 'add'} {network} via {gateway}",
    )
    forwarding(guest.host)
    hint = f"does {guest.host.name} pass on what comes for {network}?"
    return answers(ping(host, address, server=guest), source=str(host.ip), hint=hint)


@check("each host knows the way to the other's network", needs=[own_networks])
def routes(lab: Lab) -> str:
    right, left = container(lab, "right", "ubuntu2"), container(lab, "left")
    there = knows_the_way(lab.ubuntu1, right, RIGHT, UBUNTU2)
    back = knows_the_way(lab.ubuntu2, left, LEFT, UBUNTU1)
    return f"{there}; {back}"


@check("left and right see each other's own address, two routers away", needs=[routes])
def end_to_end(lab: Lab) -> str:
    left, right = container(lab, "left"), container(lab, "right", "ubuntu2")
    said = ""
    for one, other, source, target in ((left, right, LEFT, RIGHT), (right, left, RIGHT, LEFT)):
        hint = f"no rule on ubuntu1 or ubuntu2 may touch what {one.name} sends to {target}"
        answers(ping(one, target, server=other), source=source, hint=hint)
        probe = tcp(one, target, 8080, server=other)
        said = answers(probe, source=source, hint=hint)
        ttl = probe.arrived.ttl if probe.arrived else None
        expect(
            ttl == TWO_ROUTERS_LATER,
            expected=f"it arrives with ttl {TWO_ROUTERS_LATER}: both hosts have routed it",
            actual=f"ttl {ttl}",
            hint="let the two hosts route it: no tunnel, no proxy, no cable of its own",
        )
    return f"{said}, ttl {TWO_ROUTERS_LATER}"


CHECKS = [
    same_address,
    masqueraded,
    through_the_port,
    both_tables,
    own_networks,
    routes,
    end_to_end,
]
