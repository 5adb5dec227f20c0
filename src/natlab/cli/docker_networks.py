"""`docker network create`, `connect`, `disconnect`, `rm`, `prune`."""

from __future__ import annotations

from typing import Any

from natlab.cli.common import say
from natlab.cli.docker_call import FROM_DAEMON, Call, complain, part, sure
from natlab.cli.docker_engine import filters
from natlab.cli.docker_wire import EngineError
from natlab.model.docker_networks import connection, creation

_PRUNE = "WARNING! This will remove all custom networks not used by at least one container."
_NOT_FOUND = 404


def create(call: Call) -> int:
    """`docker network create`."""
    answer = call.api.post("/networks/create", body=creation(call.options))
    if answer.get("Warning"):
        complain(f"WARNING: {answer['Warning']}")
    say(answer["Id"])
    return 0


def connect(call: Call) -> int:
    """`docker network connect`."""
    network, container = call.arguments
    call.api.post(f"/networks/{part(network)}/connect", body=connection(call.options, container))
    return 0


def disconnect(call: Call) -> int:
    """`docker network disconnect`."""
    network, container = call.arguments
    body = {"Container": container, "Force": call.options.on("force")}
    call.api.post(f"/networks/{part(network)}/disconnect", body=body)
    return 0


def remove(call: Call) -> int:
    """`docker network rm`."""
    code = 0
    for name in call.arguments:
        try:
            call.api.delete(f"/networks/{part(name)}")
        except EngineError as error:
            if call.options.on("force") and error.status == _NOT_FOUND:
                continue
            complain(f"{FROM_DAEMON}{error.message}")
            code = 1
        else:
            say(name)
    return code


def prune(call: Call) -> int:
    """`docker network prune`."""
    if not sure(call, _PRUNE):
        return 0
    query = {"filters": filters(call.options.all("filter"))}
    answer: dict[str, Any] = call.api.post("/networks/prune", query)
    if removed := answer.get("NetworksDeleted"):
        say("\n".join(["Deleted Networks:", *removed, ""]))
    return 0
