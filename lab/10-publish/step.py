"""Step 10: publishing by Docker's rules: which port, at which address, for which protocol."""

from collections.abc import Sequence

from natlab import Container, Lab, tcp, udp
from natlab.course import answers, check, container, forwarding, has_address, silent

FIRST, SECOND = "192.168.33.11", "192.168.33.111"


def build(lab: Lab) -> None:
    """The same ports that the README publishes by hand, chosen by the allocator."""
    host = lab.ubuntu1
    web, db = host.container("web"), host.container("db")
    host.configure("eth0", f"{SECOND}/24")
    for guest, specs in (
        (web, ["8080"]),
        (db, ["8080"]),
        (web, ["80:8080", f"{FIRST}:8000:8080", "53:53/tcp"]),
        (db, [f"{SECOND}:8000:8080", f"{SECOND}::8080", "53:53/udp"]),
    ):
        host.publish(guest, *specs, proxy=False)


def rule(guest: str, port: int, to: int, *, at: str | None = None, proto: str = "tcp") -> str:
    """The rule that publishes a port, as one types it."""
    leads_to = {"web": "172.17.0.2", "db": "172.17.0.3"}[guest]
    address = f"ip daddr {at} " if at else ""
    return f'iifname != "docker0" {address}{proto} dport {port} dnat to {leads_to}:{to}'


def reaches(lab: Lab, guest: Container, ports: Sequence[tuple[str, int]], *, hint: str) -> str:
    """From outside, each of these addresses and ports leads to port 8080 of a container."""
    for address, port in ports:
        probe = tcp(lab.outside, address, port, server=guest, server_port=8080)
        answers(probe, source="192.168.33.20", hint=f"in DOCKER: {hint}")
    return f"{', '.join(f'{address}:{port}' for address, port in ports)} → {guest.name}:8080"


def closed(lab: Lab, guest: Container, address: str, port: int, *, hint: str) -> str:
    """From outside, this address and port leads nowhere."""
    probe = tcp(lab.outside, address, port, server=guest, server_port=8080, timeout=0.5)
    silent(probe, hint=hint)
    return f"{address}:{port} is shut"


@check("ubuntu1 forwards, and has a second address on eth0")
def two_addresses(lab: Lab) -> str:
    forwarding(lab.ubuntu1)
    has_address(lab.ubuntu1, "eth0", f"{FIRST}/24")
    has_address(lab.ubuntu1, "eth0", f"{SECOND}/24")
    return f"eth0 has {FIRST}/24 and {SECOND}/24"


@check("automatic ports go up from 49153: web got 49153, db 49154", needs=[two_addresses])
def automatic(lab: Lab) -> str:
    said = [
        reaches(lab, container(lab, name), [(FIRST, port)], hint=rule(name, port, 8080))
        for name, port in (("web", 49153), ("db", 49154))
    ]
    return ", ".join(said)


@check("port 80 belongs to web, at every address of ubuntu1", needs=[two_addresses])
def chosen(lab: Lab) -> str:
    """Port 80 is taken: a second rule for it must not be reached before the first."""
    hint = f"{rule('web', 80, 8080)}, above any other for port 80: the first rule that matches wins"
    return reaches(lab, container(lab, "web"), [(FIRST, 80), (SECOND, 80)], hint=hint)


@check("port 8000 is web's at one address and db's at the other", needs=[two_addresses])
def by_address(lab: Lab) -> str:
    said = [
        reaches(lab, container(lab, name), [(at, 8000)], hint=rule(name, 8000, 8080, at=at))
        for name, at in (("web", FIRST), ("db", SECOND))
    ]
    return ", ".join(said)


@check("db's automatic port at 192.168.33.111 is 49155, and shut elsewhere", needs=[two_addresses])
def automatic_by_address(lab: Lab) -> str:
    db, hint = container(lab, "db"), rule("db", 49155, 8080, at=SECOND)
    said = reaches(lab, db, [(SECOND, 49155)], hint=hint)
    return f"{said}, {closed(lab, db, FIRST, 49155, hint=f'only for one address: {hint}')}"


@check("port 53 is two ports: tcp leads to web, udp to db", needs=[two_addresses])
def by_protocol(lab: Lab) -> str:
    web, db = container(lab, "web"), container(lab, "db")
    said = []
    for probe, name, guest in ((tcp, "web", web), (udp, "db", db)):
        proto = probe.__name__
        hint = f"in DOCKER: {rule(name, 53, 53, proto=proto)}"
        found = probe(lab.outside, FIRST, 53, server=guest)
        said.append(answers(found, source="192.168.33.20", hint=hint))
    return "; ".join(said)


CHECKS = [two_addresses, automatic, chosen, by_address, automatic_by_address, by_protocol]
