"""The doctor: can this machine run the lab, and if not, what is to be done?

It looks and tries, but leaves nothing behind, needs no privilege, starts no lab, and works
where natlab's own libraries are missing. What the facts mean is decided in
`natlab.model.diagnosis`.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

from natlab.engine import keep
from natlab.errors import NatlabError
from natlab.kernel import inspect, namespaces, syscalls, try_out
from natlab.kernel.agent import Agent
from natlab.model import diagnosis, diagnosis_network, diagnosis_userns, nft_text
from natlab.model.diagnosis import Feature, Finding, Libnftables, worst
from natlab.model.diagnosis_network import Kept, Surroundings
from natlab.model.diagnosis_userns import UserNamespaces
from natlab.model.ruleset import Ruleset

__all__ = ["Finding", "examine", "worst"]

_NOBODY: Final = 65534
_SOCKETS: Final = ("/run/docker.sock", "/var/run/docker.sock")
_CONTAINER_MARKS: Final = ("/.dockerenv", "/run/.containerenv")
_PATIENCE: Final = 5.0
"""Seconds that a program may take to print its version."""

_BROKEN: Final = (OSError, NatlabError, RuntimeError)
"""What a trial in the sandbox may raise; RuntimeError is how the agent passes strange errors on."""


_TRIALS: Final[tuple[tuple[Feature, str, Callable[[], None]], ...]] = (
    (Feature(name="bridge", module="bridge", use="docker0"), "pyroute2", try_out.bridge),
    (Feature(name="veth", module="veth", use="a container's eth0"), "pyroute2", try_out.veth),
    (Feature(name="nf_tables", module="nft_chain_nat", use="NAT"), "libnftables", try_out.nat),
    (
        Feature(name="conntrack", module="nf_conntrack_netlink", use="the connection table"),
        "pyroute2",
        try_out.connection_table,
    ),
    (
        Feature(name="br_netfilter", module="br_netfilter", use="--icc=false", needed=False),
        "",
        try_out.bridged_filter,
    ),
    (
        Feature(name="overlay", module="overlay", use="a container's root tree", needed=False),
        "",
        try_out.overlay,
    ),
)
"""What is tried, the library that the trial needs, and the trial."""


def examine() -> list[Finding]:
    """Look at the machine; returns what was found, one line each, in the order to read them in.

    Equivalent to: `natlab doctor`. Nothing is changed: features are tried in a sandbox that is
    gone afterwards.
    """
    return list(_findings())


def _findings() -> Iterator[Finding]:
    system = platform.uname()
    yield diagnosis.kernel(system.system, system.release)
    if system.system != "Linux":
        return
    admin = syscalls.has_sys_admin()
    yield diagnosis.privilege(os.geteuid(), admin=admin)
    pyroute2, libnftables = _pyroute2(), _libnftables()
    yield diagnosis.pyroute2(pyroute2)
    yield diagnosis.libnftables(libnftables)
    rules = libnftables.library is not None
    yield from _tried(admin=admin, links=pyroute2 is not None, rules=rules)
    yield from _tools()
    if os.environ.get(keep.INSIDE):
        yield diagnosis_network.inside_a_lab()
        return
    yield from _network(links=pyroute2 is not None, rules=rules and inspect.may_list_rules())
    yield from _leftovers()


# Libraries and programs


def _pyroute2() -> str | None:
    try:
        return inspect.pyroute2_version()
    except ImportError:
        return None


def _libnftables() -> Libnftables:
    nft = _version("nft")
    try:
        return Libnftables(binding=True, library=inspect.libnftables_file(), nft=nft)
    except ImportError:
        return Libnftables(binding=False, nft=nft)
    except OSError:
        return Libnftables(binding=True, nft=nft)


def _tools() -> list[Finding]:
    names = (*diagnosis.REQUIRED_TOOLS, *diagnosis.USEFUL_TOOLS)
    found = {name: _which(name) for name in names}
    return diagnosis.tools(found) + diagnosis.iptables(_version("iptables"))


def _which(program: str) -> str | None:
    """Where a program is: on PATH, or where root's programs are, as it will be in the lab."""
    path = os.environ.get("PATH", os.defpath)
    return shutil.which(program, path=f"{path}:/usr/local/sbin:/usr/sbin:/sbin")


def _version(program: str) -> str | None:
    where = _which(program)
    if where is None:
        return None
    try:
        done = subprocess.run(
            [where, "--version"], capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip().partition("\n")[0] or f"{program} of an unknown version"


# Trials in a throwaway sandbox


def _tried(*, admin: bool, links: bool, rules: bool) -> Iterator[Finding]:
    try:
        agent = Agent.start()
    except (NatlabError, OSError) as error:
        said = str(error) if isinstance(error, NatlabError) else f"none could be made ({error})"
        yield diagnosis.sandbox(said)
        yield diagnosis_userns.user_namespaces(_userns(allowed=False, admin=admin))
        return
    try:
        yield diagnosis.sandbox(None)
        allowed = agent.call(None, try_out.user_namespace, _NOBODY) if admin else True
        yield diagnosis_userns.user_namespaces(_userns(allowed=allowed, admin=admin))
        yield from _features(agent, links=links, rules=rules)
    except _BROKEN as error:
        yield diagnosis.sandbox(f"the sandbox broke while it was looked at ({error})")
    finally:
        agent.close()


def _userns(*, allowed: bool | None, admin: bool) -> UserNamespaces:
    return UserNamespaces(
        allowed=allowed,
        settings=_settings(),
        root=admin,
        python=os.path.realpath(sys.executable),
        container=any(Path(mark).exists() for mark in _CONTAINER_MARKS),
    )


def _settings() -> dict[str, str]:
    paths = {name: Path("/proc/sys", *name.split(".")) for name in diagnosis_userns.SETTINGS}
    return {name: path.read_text().strip() for name, path in paths.items() if path.exists()}


def _features(agent: Agent, *, links: bool, rules: bool) -> Iterator[Finding]:
    here = agent.call(None, namespaces.create_net)
    for feature, library, trial in _TRIALS:
        if {"pyroute2": links, "libnftables": rules}.get(library, True):
            yield diagnosis.feature(replace(feature, error=_error(agent, here, trial)))


def _error(agent: Agent, place: int, trial: Callable[[], None]) -> str | None:
    try:
        agent.call(place, trial)
    except _BROKEN as error:
        return getattr(error, "strerror", None) or str(error)
    return None


# The machine's own network


def _network(*, links: bool, rules: bool) -> Iterator[Finding]:
    found = Surroundings(
        links=tuple(name for _, name in socket.if_nameindex()),
        sockets=tuple({os.path.realpath(path) for path in _SOCKETS if Path(path).is_socket()}),
        processes=inspect.processes_named("dockerd", "firewalld"),
        ufw=_ufw(),
        ruleset=_ruleset() if rules else None,
    )
    yield diagnosis_network.docker(found)
    yield from diagnosis_network.firewalls(found)
    yield from diagnosis_network.collisions(inspect.own_routes() if links else None)


def _ufw() -> bool:
    try:
        return "ENABLED=yes" in Path("/etc/ufw/ufw.conf").read_text().splitlines()
    except OSError:
        return False


def _ruleset() -> Ruleset | None:
    try:
        return nft_text.parse(inspect.own_ruleset())
    except (NatlabError, OSError):
        return None


def _leftovers() -> list[Finding]:
    try:
        labs = [Kept(record.name, record.pid, record.alive) for record in keep.records()]
    except (NatlabError, OSError) as error:
        return [diagnosis_network.unreadable(str(error))]
    return diagnosis_network.leftovers(labs)
