"""What else is on the machine: a real Docker, firewalls, routes, labs that were left behind.

The sandbox has interfaces, routes and rules of its own, so nothing here is more than a warning.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Final

from natlab.model.diagnosis import Finding
from natlab.model.rule_spec import FAMILIES, TABLE
from natlab.model.ruleset import Ruleset, Table
from natlab.model.state import RouteEntry

SUBNETS: Final = ("172.17.0.0/16", "192.168.33.0/24", "192.168.5.0/24")
"""docker0's network, the lab's LAN, and that of the bridge which the course adds."""

_HALF_OF_EVERYTHING: Final = 1
"""The longest prefix that stands for a default route: VPNs route 0.0.0.0/1 and 128.0.0.0/1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What was found of other people's networking on this machine.

    Attributes:
        links: The names of its interfaces.
        sockets: The paths of Docker's sockets that are there.
        processes: The names of the processes that were found, such as "dockerd".
        ufw: Whether ufw is switched on in its settings.
        ruleset: The machine's rules; None where they could not be listed.
    """

    links: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    processes: tuple[str, ...] = ()
    ufw: bool = False
    ruleset: Ruleset | None = None


def docker(found: Surroundings) -> Finding:
    """Whether a real Docker is here. Compare: `docker info`."""
    signs = [f"interface {name}" for name in found.links if _is_dockers(name)]
    signs += [f"process {name}" for name in found.processes if name == "dockerd"]
    signs += [f"socket {path}" for path in found.sockets]
    signs += [f"table {table.title}" for table in _tables(found) if table.name.startswith("docker")]
    signs += [
        f"chain {chain.name} in {table.title}"
        for table in _tables(found)
        for chain in table.chains
        if chain.name == "DOCKER"
    ]
    if not signs:
        return Finding("ok", "docker", "no real Docker is in the way")
    return Finding(
        "warning",
        "docker",
        f"a real Docker is here ({', '.join(signs)}); it does not disturb the sandbox",
        "nothing to do for the sandbox; to work in place:"
        " `sudo systemctl stop docker.socket docker`, then `sudo ip link delete docker0`",
    )


def _is_dockers(link: str) -> bool:
    return link == "docker0" or (link.startswith("br-") and len(link) == len("br-") + 12)


def _tables(found: Surroundings) -> tuple[Table, ...]:
    tables = found.ruleset.tables if found.ruleset else ()
    return tuple(table for table in tables if not _ours(table))


def _ours(table: Table) -> bool:
    return table.family in FAMILIES and table.name == TABLE


def firewalls(found: Surroundings) -> list[Finding]:
    """Which other firewalls are here. Compare: `nft list chains`, `ufw status`."""
    findings = [_firewall(name) for name in ("firewalld",) if name in found.processes]
    findings += [_firewall("ufw")] if found.ufw else []
    for table, chain in found.ruleset.base_chains("forward") if found.ruleset else ():
        if chain.policy == "drop":
            findings.append(_dropping(table, chain.name))
    if findings:
        return findings
    says = "no other firewall is in the way"
    if found.ruleset is None:
        says += ", as far as can be seen without listing rules (`sudo natlab doctor` lists them)"
    return [Finding("ok", "firewall", says)]


def _firewall(name: str) -> Finding:
    return Finding(
        "warning",
        "firewall",
        f"{name} is on; it does not disturb the sandbox",
        f"nothing to do for the sandbox; to work in place: `sudo systemctl stop {name}`",
    )


def _dropping(table: Table, chain: str) -> Finding:
    return Finding(
        "warning",
        "firewall",
        f"chain {chain} of table {table.title} ({owner(table)}) drops what the machine forwards"
        " unless a rule accepts it; it does not disturb the sandbox",
        "nothing to do for the sandbox; to work in place, let docker0 through there",
    )


def owner(table: Table) -> str:
    """Whose table it seems to be, by the names in it."""
    names = [table.name, *(chain.name for chain in table.chains)]
    for mark, whose in (("firewalld", "firewalld's"), ("ufw-", "ufw's"), ("docker", "Docker's")):
        if any(name.lower().startswith(mark) for name in names):
            return whose
    if _ours(table):
        return "natlab's"
    return "somebody's own"


def collisions(routes: Sequence[RouteEntry] | None) -> list[Finding]:
    """Whether routes of any table overlap the lab's subnets. Compare: `ip route show table all`."""
    if routes is None:
        return []
    findings = [_collision(subnet, hits) for subnet in SUBNETS if (hits := _hits(subnet, routes))]
    if findings:
        return findings
    return [Finding("ok", "subnets", f"no route of any table overlaps {', '.join(SUBNETS)}")]


def _hits(subnet: str, routes: Iterable[RouteEntry]) -> list[RouteEntry]:
    ours = IPv4Network(subnet)
    return [r for r in routes if r.dst != "default" and _overlaps(ours, IPv4Network(r.dst))]


def _overlaps(ours: IPv4Network, other: IPv4Network) -> bool:
    return other.prefixlen > _HALF_OF_EVERYTHING and ours.overlaps(other)


def _collision(subnet: str, hits: list[RouteEntry]) -> Finding:
    return Finding(
        "warning",
        "subnets",
        f"{subnet} overlaps the machine's route{'s' * (len(hits) > 1)} "
        f"{', '.join(map(_named, hits))}; the sandbox has routing tables of its own, so its traffic"
        " does not meet them",
        "nothing to do for the sandbox; to work in place, end the VPN or network behind that route"
        f" or choose another subnet than {subnet}",
    )


def _named(route: RouteEntry) -> str:
    if route.dev is not None:
        return str(route)
    table = "" if route.table_name == "main" else f" table {route.table_name}"
    return f"{route.kind} {route.dst}{table}"


@dataclass(frozen=True, slots=True)
class Kept:
    """A lab in the journal: its name, its keeper's pid, and whether that still runs."""

    name: str
    pid: int
    alive: bool


def leftovers(labs: Iterable[Kept]) -> list[Finding]:
    """Whether a lab's record was left behind by a keeper that is gone. Compare: `natlab status`."""
    labs = list(labs)
    gone = [lab for lab in labs if not lab.alive]
    up = ", ".join(lab.name for lab in labs if lab.alive)
    if not gone:
        return [Finding("ok", "labs", f"up: {up}" if up else "none is up, nothing is left behind")]
    return [
        Finding(
            "warning",
            "labs",
            f"lab {lab.name}: its keeper (process {lab.pid}) was killed, and the lab with it",
            f"run `natlab down --name {lab.name}` to forget it, or `natlab up --name {lab.name}`",
        )
        for lab in gone
    ]


def unreadable(error: str) -> Finding:
    """What to say where the journal of labs cannot be read; the error says what to do."""
    what, _, remedy = error.partition(": ")
    return Finding("warning", "labs", what, remedy or "remove the file that the message names")


def inside_a_lab() -> Finding:
    """What to say in a lab's own shell, where docker0 and its routes are what they should be."""
    says = "this is a lab's own shell: what else is on the machine is seen from outside it"
    return Finding("ok", "machine", says, "leave this shell and run `natlab doctor` again")
