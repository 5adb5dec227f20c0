"""Docker's commands that natlab has not. The engine knows why, and says so."""

from __future__ import annotations

from typing import Final

from natlab.cli.docker_call import Call
from natlab.errors import UsageError

MISSING: Final = {
    "build": ("POST", "/build"),
    "image build": ("POST", "/build"),
    "buildx": ("POST", "/build"),
    "commit": ("POST", "/commit"),
    "container commit": ("POST", "/commit"),
    "push": ("POST", "/images/image/push"),
    "image push": ("POST", "/images/image/push"),
    "search": ("GET", "/images/search"),
    "login": ("POST", "/auth"),
    "stats": ("GET", "/containers/container/stats"),
    "container stats": ("GET", "/containers/container/stats"),
    "update": ("POST", "/containers/container/update"),
    "container update": ("POST", "/containers/container/update"),
    "checkpoint": ("GET", "/containers/container/checkpoints"),
    "plugin": ("GET", "/plugins"),
    "swarm": ("GET", "/swarm"),
    "service": ("GET", "/services"),
    "stack": ("GET", "/services"),
    "node": ("GET", "/nodes"),
    "secret": ("GET", "/secrets"),
    "config": ("GET", "/configs"),
}
"""What the engine is asked for each, so that it gives its sentence."""


def ask(call: Call) -> int:
    """Let the engine say why there is no such command."""
    method, path = MISSING[call.command.name]
    call.api.ask(method, path)
    raise UsageError(f"natlab docker has no {call.command.name}: use Docker's own client for it")
