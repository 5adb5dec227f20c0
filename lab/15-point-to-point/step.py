"""Step 15: two namespaces at the two ends of one cable, each with a /32 address."""

from natlab import Container, Lab, ping, tcp
from natlab.course import Fail, answers, check, container, expect, has_address, is_up

ONE, TWO = "10.1.1.1", "10.1.1.2"
UNROUTED = 64


def build(lab: Lab) -> None:
    """The article's last section, by the library."""
    one, two = lab.ubuntu1.add_container("one"), lab.ubuntu1.add_container("two")
    one.join("A", two, "B")
    one.configure("A", f"{ONE}/32")
    two.configure("B", f"{TWO}/32")
    one.add_route(f"{TWO}/32", dev="A")
    two.add_route(f"{ONE}/32", dev="B")


def cable_ends(one: Container, two: Container) -> tuple[str, str] | None:
    """The names of a veth pair's two ends, one in each namespace; None if there is no such pair."""
    for here in one.links():
        for there in two.links():
            mutual = here.peer_index == there.index and there.peer_index == here.index
            if mutual and here.kind == there.kind == "veth":
                return here.name, there.name
    return None


def next_move(lab: Lab, one: Container, two: Container) -> str:
    """What is to be typed so that the pair gets where it belongs."""
    mine = [i for i in lab.ubuntu1.links() if i.name != "eth0" and i.master is None]
    loose = [i.name for i in mine if i.kind == "veth"]
    without = [c.name for c in (one, two) if all(i.kind != "veth" for i in c.links())]
    moves = [f"ip link set {i} netns {name}" for i, name in zip(loose, without, strict=False)]
    return f"on ubuntu1: {', '.join(moves or ['ip link add A type veth peer name B'])}"


def ends(lab: Lab) -> tuple[Container, str, Container, str]:
    """Both containers, each with the name of its end."""
    one, two = container(lab, "one"), container(lab, "two")
    found = cable_ends(one, two)
    if found is None:
        listed = [f"{c.name} has {', '.join(i.name for i in c.links())}" for c in (one, two)]
        ports = [link.name for link in lab.ubuntu1.links() if link.master]
        raise Fail(
            expected="a veth pair with one end in one, and the other end in two",
            actual="; ".join(listed)
            + (f"; ubuntu1 has {', '.join(ports)} in a bridge" if ports else ""),
            hint=next_move(lab, one, two),
        )
    return one, found[0], two, found[1]


@check("one cable joins one and two: a veth pair, with no bridge between")
def cable(lab: Lab) -> str:
    one, here, two, there = ends(lab)
    is_up(one, here)
    is_up(two, there)
    return f"{here} in one and {there} in two are the two ends of one pair, both up"


@check("their addresses are 10.1.1.1/32 and 10.1.1.2/32", needs=[cable])
def addressed(lab: Lab) -> str:
    one, here, two, there = ends(lab)
    for node, end, address in ((one, here, f"{ONE}/32"), (two, there, f"{TWO}/32")):
        link = has_address(node, end, address)
        expect(
            len(link.ipv4) == 1,
            expected=f"{address} and no other address on {end} of {node.name}",
            actual=", ".join(str(each) for each in link.ipv4),
            hint=f"in {node.name}: ip addr delete what is not {address}, dev {end}",
        )
    return f"{ONE}/32 on {here} of one, {TWO}/32 on {there} of two"


@check(
    "each has a route to the other by its end of the cable, without a gateway", needs=[addressed]
)
def device_routes(lab: Lab) -> str:
    one, here, two, there = ends(lab)
    for node, end, other in ((one, here, TWO), (two, there, ONE)):
        route = node.route_to(other)
        expect(
            route and route.dev == end and route.gateway is None,
            expected=f"{node.name} sends what is for {other} to the device {end}",
            actual=f"its route is {route}" if route else f"{node.name} has no route to {other}",
            hint=f"in {node.name}: ip route {'replace' if route else 'add'} {other}/32 dev {end}",
        )
    return f"one: {TWO} dev {here}; two: {ONE} dev {there}"


@check("they answer each other, unrouted, and ubuntu1 sees nothing of it", needs=[device_routes])
def alone(lab: Lab) -> str:
    one, _, two, _ = ends(lab)
    hint = "does a rule in one or two drop it? nft list ruleset (in both)"
    said = ""
    with lab.ubuntu1.capture() as seen:
        for node, target, other, source in ((one, TWO, two, ONE), (two, ONE, one, TWO)):
            said = answers(ping(node, target, server=other), source=source, hint=hint)
            probe = tcp(node, target, 8080, server=other)
            answers(probe, source=source, hint=hint)
            ttl = probe.arrived.ttl if probe.arrived else None
            expect(
                ttl == UNROUTED,
                expected=f"{source} → {target} arrives with ttl {UNROUTED}",
                actual=f"ttl {ttl}",
                hint="nobody may route between the two: the cable goes straight from one to two",
            )
        strays = [packet for packet in seen.packets() if {ONE, TWO} & {packet.src, packet.dst}]
    expect(
        not strays,
        expected="no frame of theirs crosses an interface of ubuntu1",
        actual=f"{len(strays)} frames, the first from {strays[0].src}" if strays else "none",
        hint="on ubuntu1: take the bridge away, and move both ends of one pair into one and two",
    )
    return f"{said}, ttl {UNROUTED}, and none of it on ubuntu1"


CHECKS = [cable, addressed, device_routes, alone]
