"""`docker stop`, `restart`, `kill`, `rm` and what else is done to containers at once."""

from __future__ import annotations

import contextlib
import json
from typing import Any

from natlab.cli.common import say
from natlab.cli.docker_call import FROM_DAEMON, Call, complain, container_path, each, sure
from natlab.cli.docker_engine import filters
from natlab.cli.docker_wire import EngineError
from natlab.model.go_quote import human_size

_PRUNE = "WARNING! This will remove all stopped containers."


def _stopping(call: Call, verb: str) -> int:
    timeout = call.options.get("timeout")
    query = {"signal": call.options.text("signal"), "t": "" if timeout is None else str(timeout)}
    return each(call.arguments, lambda name: call.api.post(container_path(name, f"/{verb}"), query))


def stop(call: Call) -> int:
    """`docker stop`."""
    return _stopping(call, "stop")


def restart(call: Call) -> int:
    """`docker restart`."""
    return _stopping(call, "restart")


def kill(call: Call) -> int:
    """`docker kill`."""
    return _stopping(call, "kill")


def pause(call: Call) -> int:
    """`docker pause`."""
    return _stopping(call, "pause")


def unpause(call: Call) -> int:
    """`docker unpause`."""
    return _stopping(call, "unpause")


def remove(call: Call) -> int:
    """`docker rm`; with `-f`, one that is not there does not count as a failure."""
    options = call.options
    query = {key: "1" for name, key in _REMOVING.items() if options.on(name)}
    return each(
        call.arguments,
        lambda name: call.api.delete(container_path(name), query),
        absent_is_well=options.on("force"),
    )


_REMOVING = {"force": "force", "link": "link", "volumes": "v"}


def rename(call: Call) -> int:
    """`docker rename`."""
    old, new = (word.strip() for word in call.arguments)
    if not old or not new:
        complain("Error: Neither old nor new names may be empty")
        return 1
    try:
        call.api.post(container_path(old, "/rename"), {"name": new})
    except EngineError as error:
        complain(f"{FROM_DAEMON}{error.message}")
        complain(f"Error: failed to rename container named {old}")
        return 1
    return 0


def wait(call: Call) -> int:
    """`docker wait`: print the exit codes."""
    errors = []
    for name in call.arguments:
        try:
            with contextlib.closing(call.api.exchange(container_path(name, "/wait"))) as waiting:
                answer: dict[str, Any] = json.loads(waiting.whole())
        except EngineError as error:
            errors.append(error.message)
        else:
            say(str(answer["StatusCode"]))
    for message in errors:
        complain(f"{FROM_DAEMON}{message}")
    return int(bool(errors))


def prune(call: Call) -> int:
    """`docker container prune`."""
    if not sure(call, _PRUNE):
        return 0
    query = {"filters": filters(call.options.all("filter"))}
    answer = call.api.post("/containers/prune", query)
    if removed := answer.get("ContainersDeleted"):
        say("\n".join(["Deleted Containers:", *removed, ""]))
    say(f"Total reclaimed space: {human_size(answer.get('SpaceReclaimed') or 0)}")
    return 0
