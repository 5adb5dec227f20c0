"""Labs that stay after a failed test, for a person to look into."""

from __future__ import annotations

import itertools
import os

from natlab.engine import keep
from natlab.engine.lab import Lab
from natlab.kernel.agent import Agent

_numbers = itertools.count(1)


def sandbox() -> Agent:
    """A sandbox of its own for a lab that may have to stay; it ends with this process unless kept.

    Raises:
        UnsupportedError: neither privilege nor user namespaces.
    """
    return Agent.keep()


def name() -> str:
    """A name for a lab that stays."""
    return f"pytest-{os.getpid()}-{next(_numbers)}"


def how_to_enter(lab: Lab, name: str) -> str:
    """What to type to get into a lab that stays, and to end it."""
    pid = lab.agent.pid
    hosts = [f"natlab shell --name {name} {host}" for host in lab.hosts]
    sandbox = f"nsenter --preserve-credentials -U -n -m -t {pid}   # the sandbox around it"
    if os.geteuid() == 0:
        sandbox = sandbox.replace(" --preserve-credentials -U", "")
    containers = [
        f"natlab exec --name {name} {c.host.name}/{c.name} -- bash" for c in lab.containers()
    ]
    return "\n".join([*hosts, *containers, sandbox, f"natlab down --name {name}   # ends it"])


def leave_up(lab: Lab, name: str) -> None:
    """Let a lab that stands in a `sandbox` go on after this process."""
    keep.leave(lab, name)
