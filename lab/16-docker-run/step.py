"""Step 16: `docker run -d -P`, and what it has made."""

from natlab import Container, Lab, NatlabError, ping, tcp
from natlab.course import (
    Fail,
    Resident,
    answers,
    check,
    default_route,
    docker,
    expect,
    forwarding,
    has_address,
    iptables_listing,
    is_up,
    own_namespaces,
    plugged_in,
    residents,
    until_it_listens,
    with_engine,
)

UBUNTU1, OUTSIDE, DOCKER0 = "192.168.33.11", "192.168.33.20", "172.17.0.1"
RUN = "docker run -d -P myapp:v0.0.1"
FIRST_PORT, LISTENS = 49153, 8080
WHAT = {"pid": "processes", "mnt": "mounts", "uts": "host name", "ipc": "IPC", "net": "network"}


def build(lab: Lab) -> None:
    """The seed's one command, given to an engine on ubuntu1."""
    lab.ubuntu1.start_dockerd().close()
    docker(lab.ubuntu1, RUN.removeprefix("docker "))
    [guest] = lab.ubuntu1.containers()
    until_it_listens(lab.ubuntu1, guest.ip, LISTENS)


def inhabited(lab: Lab) -> tuple[Container, Resident]:
    """The first container of ubuntu1 in which a program runs, whatever its name is."""
    there = lab.ubuntu1.containers()
    for guest in there:
        for resident in residents(guest):
            return guest, resident
    names = ", ".join(guest.name for guest in there)
    raise Fail(
        expected="a container of ubuntu1 with a program that is process 1 in it",
        actual=f"nothing runs in {names}" if names else "ubuntu1 has no container",
        hint=with_engine(lab.ubuntu1, f"on ubuntu1: {RUN}"),
    )


def port_of(lab: Lab, guest: Container) -> int:
    """The port of ubuntu1 that leads to the container's port 8080."""
    found = [item for item, to in lab.ubuntu1.published() if to == guest.ip]
    for item in found:
        if item.container_port == LISTENS and item.proto == "tcp" and item.host_port >= FIRST_PORT:
            return item.host_port
    raise Fail(
        expected=f"a port of ubuntu1 from {FIRST_PORT} up that leads to {guest.ip}:{LISTENS}",
        actual=", ".join(map(str, found)) or f"no DNAT rule leads to {guest.ip}",
        hint=f"-P publishes what the image exposes: docker rm -f {guest.name}, and then {RUN}",
    )


@check("a program runs as process 1, in five namespaces of its own")
def own_world(lab: Lab) -> str:
    guest, resident = inhabited(lab)
    hosts = own_namespaces(lab.ubuntu1)
    shared = [WHAT[kind] for kind, inode in resident.namespaces.items() if inode == hosts[kind]]
    expect(
        not shared,
        expected=f"the program in {guest.name} shares no namespace with ubuntu1",
        actual=f"it shares {', '.join(shared)}",
        hint=f"it was given the host's own on purpose: docker rm -f {guest.name}, and then {RUN}",
    )
    told = ", ".join(WHAT[kind] for kind in resident.namespaces)
    return f"process {resident.pid} of ubuntu1 is process 1 of {guest.name}: own {told}"


@check("its eth0 is a port of docker0, with an address of 172.17.0.0/16", needs=[own_world])
def plugged(lab: Lab) -> str:
    guest, _ = inhabited(lab)
    has_address(lab.ubuntu1, "docker0", f"{DOCKER0}/16")
    host_end = plugged_in(guest, "docker0")
    is_up(guest, "eth0")
    try:
        address = guest.address
    except NatlabError:
        address = None
    expect(
        address and address in lab.ubuntu1.network("docker0").subnet,
        expected="eth0 has an address of 172.17.0.0/16",
        actual=str(address or "no IPv4 address"),
        hint=f"start it anew: docker rm -f {guest.name}, and then {RUN}",
    )
    default_route(guest, DOCKER0)
    hint = "look at `bridge link` and at `ip -n NAME addr`: is the cable plugged in and up?"
    said = answers(ping(lab.ubuntu1, str(guest.ip), server=guest), source=DOCKER0, hint=hint)
    return f"{host_end} on docker0, {address} on eth0: {said}"


@check("what it sends leaves with ubuntu1's address", needs=[plugged])
def masqueraded(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    guest, _ = inhabited(lab)
    hint = (
        "dockerd writes a masquerade rule for 172.17.0.0/16 when it starts, and not again:"
        " end it (kill %1), start it, and run the container anew"
    )
    return answers(ping(guest, OUTSIDE, server=lab.outside), source=UBUNTU1, hint=hint)


@check("a port of ubuntu1 leads to its port 8080, and it sees who asks", needs=[plugged])
def published(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    guest, resident = inhabited(lab)
    port = port_of(lab, guest)
    expect(
        resident.listens(LISTENS),
        expected=f"a program in {guest.name} that listens at port {LISTENS}",
        actual="nobody listens there",
        hint=f"does its program run? docker top {guest.name}; docker logs {guest.name}",
    )
    probe = tcp(lab.outside, UBUNTU1, port, server=guest, server_port=LISTENS)
    return answers(probe, source=OUTSIDE, hint="does PREROUTING jump to DOCKER, as in step 08?")


@check("ubuntu1 reaches it there too, as itself", needs=[published])
def from_the_host(lab: Lab) -> str:
    guest, _ = inhabited(lab)
    probe = tcp(lab.ubuntu1, UBUNTU1, port_of(lab, guest), server=guest, server_port=LISTENS)
    hint = "OUTPUT must jump to DOCKER as well; without that rule only docker-proxy answers"
    return answers(probe, source=UBUNTU1, hint=hint)


@check("127.0.0.1 leads there through docker-proxy", needs=[published])
def by_proxy(lab: Lab) -> str:
    guest, _ = inhabited(lab)
    port = port_of(lab, guest)
    probe = tcp(lab.ubuntu1, "127.0.0.1", port, server=guest, server_port=LISTENS)
    hint = f"no docker-proxy listens at port {port} of ubuntu1: run the container anew, {RUN}"
    return answers(probe, source=DOCKER0, hint=hint)


@check("the nat table has the seed's two rows", needs=[masqueraded, published])
def two_rows(lab: Lab) -> str:
    guest, _ = inhabited(lab)
    port = port_of(lab, guest)
    rows = [" ".join(row.split()[2:]) for row in iptables_listing(lab.ubuntu1).splitlines()]
    for wanted in (
        "MASQUERADE all -- * !docker0 172.17.0.0/16 0.0.0.0/0",
        f"DNAT tcp -- !docker0 * 0.0.0.0/0 0.0.0.0/0 tcp dpt:{port} to:{guest.ip}:{LISTENS}",
    ):
        expect(
            wanted in rows,
            expected=f"a row `{wanted}`",
            actual="; ".join(row for row in rows if row.startswith(("MASQ", "DNAT"))) or "none",
            hint="end dockerd (kill %1), start it without options, and run the container anew",
        )
    return "MASQUERADE for 172.17.0.0/16 but not on docker0; DNAT but not from docker0"


CHECKS = [own_world, plugged, masqueraded, published, from_the_host, by_proxy, two_rows]
