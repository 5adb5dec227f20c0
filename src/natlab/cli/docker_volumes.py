"""`docker volume create`, `rm`, `prune`."""

from __future__ import annotations

from natlab.cli.common import say
from natlab.cli.docker_call import Call, each, part, sure
from natlab.cli.docker_engine import filters
from natlab.model.docker_networks import mapping
from natlab.model.go_quote import human_size

_PRUNE = "WARNING! This will remove {} volumes not used by at least one container."


def create(call: Call) -> int:
    """`docker volume create`."""
    options = call.options
    body = {
        "Driver": options.text("driver") or "local",
        "DriverOpts": mapping(options.all("opt")),
        "Labels": mapping(options.all("label")),
        "Name": call.arguments[0] if call.arguments else "",
    }
    say(call.api.post("/volumes/create", body=body)["Name"])
    return 0


def remove(call: Call) -> int:
    """`docker volume rm`."""
    query = {"force": "1" if call.options.on("force") else ""}
    return each(call.arguments, lambda name: call.api.delete(f"/volumes/{part(name)}", query))


def prune(call: Call) -> int:
    """`docker volume prune`."""
    everything = call.options.on("all")
    if not sure(call, _PRUNE.format("all local" if everything else "anonymous local")):
        return 0
    given = [*call.options.all("filter"), *([("all", "true")] if everything else [])]
    answer = call.api.post("/volumes/prune", {"filters": filters(given)})
    if removed := answer.get("VolumesDeleted"):
        say("\n".join(["Deleted Volumes:", *removed, ""]))
    say(f"Total reclaimed space: {human_size(answer.get('SpaceReclaimed') or 0)}")
    return 0
