"""Step 18: containers without a network of their own: another's, the host's, or none."""

from collections.abc import Callable

from natlab import Container, Lab, ping, tcp
from natlab.course import (
    Fail,
    Resident,
    answers,
    check,
    docker,
    expect,
    forwarding,
    own_namespaces,
    plugged_in,
    residents,
    silent,
    until_it_listens,
    with_engine,
)

UBUNTU1, OUTSIDE, DOCKER0, LISTENS = "192.168.33.11", "192.168.33.20", "172.17.0.1", 8080
POD = "docker run -d --name pod -p 80:8080 busybox sleep infinity"
APP = "docker run -d --name app --network container:pod myapp:v0.0.1"
QUIET = "docker run -d --name quiet --network none busybox sleep infinity"
OPEN = "docker run -d --name open --network host myapp:v0.0.1"


def build(lab: Lab) -> None:
    """The four containers of the README."""
    docker(lab.ubuntu1, *(line.removeprefix("docker ") for line in (POD, APP, QUIET, OPEN)))
    for address in (lab.ubuntu1.container("pod").ip, UBUNTU1):
        until_it_listens(lab.ubuntu1, address, LISTENS)


def first(
    lab: Lab, suits: Callable[[Container, list[Resident]], object], wanted: str, command: str
) -> tuple[Container, list[Resident]]:
    """The first container of ubuntu1 that suits, with those who live in it."""
    seen = [(guest, residents(guest)) for guest in lab.ubuntu1.containers()]
    for guest, inside in seen:
        if suits(guest, inside):
            return guest, inside
    told = [f"{guest.name} with {len(inside)} programs" for guest, inside in seen]
    raise Fail(
        expected=wanted,
        actual=", ".join(told) or "ubuntu1 has no container",
        hint=with_engine(lab.ubuntu1, f"on ubuntu1: {command}"),
    )


def shared(lab: Lab) -> tuple[Container, list[Resident]]:
    """The network namespace in which more than one container stands."""
    wanted = "two containers of ubuntu1 in one network namespace"
    return first(lab, lambda _, inside: len(inside) > 1, wanted, f"{POD}; {APP}")


@check("two containers stand in one network, each with processes and files of its own")
def two_in_one(lab: Lab) -> str:
    guest, inside = shared(lab)
    for kind, what in (("pid", "processes"), ("mnt", "files")):
        expect(
            len({one.namespaces[kind] for one in inside}) == len(inside),
            expected=f"those in the network of {guest.name} have {what} of their own",
            actual=f"two of them share a namespace for {what}",
            hint=f"share the network only: {APP}",
        )
    pids = " and ".join(str(one.pid) for one in inside)
    return f"processes {pids} of ubuntu1 are each process 1, and both have the eth0 of {guest.name}"


@check("they have one eth0, and one address on docker0", needs=[two_in_one])
def one_eth0(lab: Lab) -> str:
    guest, inside = shared(lab)
    plugged_in(guest, "docker0")
    told = {one.run("cat", "/sys/class/net/eth0/address").stdout for one in inside}
    said = answers(
        ping(lab.ubuntu1, str(guest.ip), server=guest),
        source=DOCKER0,
        hint=f"the network of {guest.name} is broken: docker rm -f pod app, and again {POD}; {APP}",
    )
    expect(
        len(told) == 1,
        expected="each of them finds the same eth0 in its /sys",
        actual=f"{len(told)} different ones",
        hint=f"start the second one anew: docker rm -f app, and then {APP}",
    )
    return f"{said}; eth0 is {told.pop().strip()} for each of them"


@check("one serves port 8080, and the other reaches it at 127.0.0.1", needs=[one_eth0])
def over_loopback(lab: Lab) -> str:
    guest, inside = shared(lab)
    serving = [one for one in inside if one.listens(LISTENS)]
    expect(
        serving,
        expected=f"one of those in the network of {guest.name} listens at port {LISTENS}",
        actual="nobody listens there",
        hint=f"docker logs app; docker rm -f app, and then {APP}",
    )
    other = next(one for one in inside if one is not serving[0])
    asked = other.run("curl", "-s", "-m", "2", f"http://127.0.0.1:{LISTENS}/")
    expect(
        asked.returncode == 0,
        expected=f"process {other.pid} reaches port {LISTENS} of 127.0.0.1",
        actual=f"curl ends with {asked.returncode}",
        hint="is `lo` up in there? docker exec pod ip addr show lo",
    )
    probe = tcp(guest, "127.0.0.1", LISTENS, server=guest)
    return answers(probe, source="127.0.0.1", hint="127.0.0.1 is the same for both: look at lo")


@check("what is published for the one leads to the other", needs=[over_loopback])
def published(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    guest, _ = shared(lab)
    found = [
        item
        for item, to in lab.ubuntu1.published()
        if to == guest.ip and item.container_port == LISTENS and item.proto == "tcp"
    ]
    expect(
        found,
        expected=f"a port of ubuntu1 that leads to {guest.ip}:{LISTENS}",
        actual="there is none",
        hint=f"the one whose network it is publishes: docker rm -f app pod, and then {POD}; {APP}",
    )
    probe = tcp(lab.outside, UBUNTU1, found[0].host_port, server=guest, server_port=LISTENS)
    return answers(probe, source=OUTSIDE, hint="does PREROUTING jump to DOCKER, as in step 08?")


@check("a container has no network at all: lo, and nothing else")
def nothing_but_lo(lab: Lab) -> str:
    def suits(guest: Container, inside: list[Resident]) -> bool:
        return bool(inside) and [link.name for link in guest.links()] == ["lo"]

    guest, _ = first(lab, suits, "a container with a program in it, and lo alone", QUIET)
    expect(
        guest.link("lo").up,
        expected=f"lo is up in {guest.name}",
        actual="it is down",
        hint=f"docker rm -f {guest.name}, and then {QUIET}",
    )
    own = tcp(guest, "127.0.0.1", LISTENS, server=guest)
    answers(own, source="127.0.0.1", hint=f"lo of {guest.name} must have 127.0.0.1")
    out = ping(guest, DOCKER0, timeout=0.5)
    return f"{guest.name} talks to itself; {silent(out, hint='it must have no way out')}"


def in_the_host(lab: Lab) -> Resident:
    """The container that stands in ubuntu1's own network, preferably one that serves."""
    found = sorted(residents(lab.ubuntu1), key=lambda one: not one.listens(LISTENS))
    hosts = own_namespaces(lab.ubuntu1)
    for one in found:
        if one.namespaces["mnt"] != hosts["mnt"]:
            return one
    raise Fail(
        expected="a container in ubuntu1's own network namespace",
        actual="there is none: only programs of ubuntu1 itself",
        hint=with_engine(lab.ubuntu1, f"on ubuntu1: {OPEN}"),
    )


@check("a container stands in ubuntu1's own network, with its own processes and files")
def hosts_network(lab: Lab) -> str:
    resident = in_the_host(lab)
    links = resident.run("ls", "/sys/class/net").stdout.split()
    expect(
        {"docker0", "eth0"} <= set(links),
        expected="it finds docker0 and eth0 in its /sys",
        actual=", ".join(links) or "nothing",
        hint=f"docker rm -f open, and then {OPEN}",
    )
    return f"process {resident.pid} is process 1 of its own, and has {', '.join(links)}"


@check(
    "port 8080, which it has opened, is ubuntu1's own: no rule leads there", needs=[hosts_network]
)
def hosts_port(lab: Lab) -> str:
    resident = in_the_host(lab)
    expect(
        resident.listens(LISTENS),
        expected=f"the container in ubuntu1's network listens at port {LISTENS}",
        actual="it does not",
        hint=f"docker rm -f open, and then {OPEN} (is the port taken? ss -ltnp)",
    )
    ruled = [str(item) for item, _ in lab.ubuntu1.published() if item.host_port == LISTENS]
    expect(
        not ruled,
        expected=f"port {LISTENS} of ubuntu1 is published for nobody",
        actual=", ".join(ruled),
        hint="take away the container that publishes it, `docker ps` shows which",
    )
    probe = tcp(lab.outside, UBUNTU1, LISTENS, server=lab.ubuntu1)
    hint = "it must listen at every address of ubuntu1, and not only at 127.0.0.1: ss -ltn"
    return answers(probe, source=OUTSIDE, hint=hint)


CHECKS = [
    two_in_one,
    one_eth0,
    over_loopback,
    published,
    nothing_but_lo,
    hosts_network,
    hosts_port,
]
