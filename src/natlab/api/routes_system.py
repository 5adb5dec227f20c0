"""The engine itself: ping, version, info, events, disk usage."""

from __future__ import annotations

import json
import os
import platform
import posixpath
import time
from collections.abc import Iterator
from typing import Any, Final

from natlab.api.container_views import summary
from natlab.api.http import Request, Response, Routes, Stream, json_response, text_response
from natlab.api.object_views import image_summary, volumes_used
from natlab.api.target import API_VERSION, MIN_API_VERSION
from natlab.daemon.engine import Engine
from natlab.daemon.events import Event
from natlab.model.container_status import format_time, parse_since
from natlab.model.filters import Filters, parse_filters
from natlab.model.mount_points import LOCAL, VOLUMES
from natlab.release import VERSION

_FILTERS: Final = (
    "config",
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "node",
    "plugin",
    "scope",
    "secret",
    "service",
    "type",
    "volume",
)

routes: Routes[Engine] = Routes()


@routes.get("/_ping")
def ping(_engine: Engine, _request: Request) -> Response:
    """Say that somebody is here; the versions stand in every answer's headers."""
    return text_response("OK", headers={"Builder-Version": "1", "Swarm": "inactive"})


@routes.get("/version")
def version(_engine: Engine, _request: Request) -> Response:
    """What `docker version` prints of the server."""
    ours = VERSION
    system = platform.uname()
    details = {
        "ApiVersion": API_VERSION,
        "MinAPIVersion": MIN_API_VERSION,
        "Os": "linux",
        "Arch": "amd64",
        "KernelVersion": system.release,
    }
    return json_response(
        {
            "Platform": {"Name": "natlab: Docker's network without Docker"},
            "Components": [{"Name": "Engine", "Version": ours, "Details": details}],
            "Version": ours,
            "GitCommit": "",
            "GoVersion": "",
            **details,
        }
    )


@routes.get("/info")
def info(engine: Engine, _request: Request) -> Response:
    """What `docker info` prints of the server."""
    containers = list(engine.containers)

    def count(*statuses: str) -> int:
        return sum(container.state.status in statuses for container in containers)

    system = platform.uname()
    return json_response(
        {
            "ID": engine.id,
            "Name": engine.host.name,
            "Containers": len(containers),
            "ContainersRunning": count("running"),
            "ContainersPaused": count("paused"),
            "ContainersStopped": len(containers) - count("running", "paused"),
            "Images": len(list(engine.images)),
            "Driver": "overlay2",
            "DriverStatus": [],
            "Plugins": {
                "Volume": [LOCAL],
                "Network": ["bridge", "host", "null"],
                "Authorization": None,
                "Log": ["json-file"],
            },
            "MemoryLimit": False,
            "SwapLimit": False,
            "IPv4Forwarding": engine.host.forwarding,
            "Debug": False,
            "NGoroutines": 0,
            "SystemTime": format_time(time.time_ns()),
            "LoggingDriver": "json-file",
            "CgroupDriver": "none",
            "CgroupVersion": "2",
            "KernelVersion": system.release,
            "OperatingSystem": "natlab",
            "OSType": "linux",
            "Architecture": system.machine,
            "NCPU": os.cpu_count() or 1,
            "MemTotal": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
            "IndexServerAddress": "",
            "RegistryConfig": {"InsecureRegistryCIDRs": [], "IndexConfigs": {}, "Mirrors": []},
            "DockerRootDir": posixpath.dirname(VOLUMES),
            "HttpProxy": "",
            "HttpsProxy": "",
            "NoProxy": "",
            "Labels": [],
            "ExperimentalBuild": False,
            "ServerVersion": VERSION,
            "Runtimes": {"natlab": {"path": "natlab"}},
            "DefaultRuntime": "natlab",
            "Swarm": {"LocalNodeState": "inactive"},
            "LiveRestoreEnabled": False,
            "Isolation": "",
            "InitBinary": "",
            "SecurityOptions": [] if os.geteuid() == 0 else ["name=rootless"],
            "Warnings": [],
        }
    )


@routes.get("/events")
def events(engine: Engine, request: Request) -> Response:
    """What happens, as JSON lines: `docker events`."""
    filters = parse_filters(request.query.text("filters"), _FILTERS)
    now = time.time_ns()
    since, until = (
        parse_since(text, now) if (text := request.query.text(name)) not in ("", "0") else None
        for name in ("since", "until")
    )
    listener = engine.events.listen(since, until)
    request.gone.call(listener.stop)

    def items() -> Iterator[bytes]:
        for event in listener:
            if _wanted(event, filters):
                yield json.dumps(event.to_json(), separators=(",", ":")).encode() + b"\n"

    return Stream(items(), on_close=listener.stop)


def _wanted(event: Event, filters: Filters) -> bool:
    name = event.attributes.get("name", "")
    action = event.action.partition(":")[0]
    checks = [
        filters.exact("type", event.kind),
        filters.exact("event", action, event.action),
        filters.labels("label", event.attributes),
        filters.exact("scope", "local"),
    ]
    for kind in ("container", "network", "image", "volume"):
        if kind in filters:
            ident, mine = event.id, event.kind == kind
            if kind == "image":
                image = event.attributes.get("image", name)
                mine = event.kind in ("image", "container")
                checks.append(mine and filters.exact(kind, image, image.partition(":")[0], ident))
            else:
                checks.append(mine and (filters.exact(kind, name) or filters.prefix(kind, ident)))
    return all(checks)


@routes.get("/system/df")
def disk_usage(engine: Engine, _request: Request) -> Response:
    """What `docker system df` prints; sizes of the machine's own tree are not counted."""
    now = time.time_ns()
    value: dict[str, Any] = {
        "LayersSize": sum(image.size for image in engine.images),
        "Images": [image_summary(engine, image) for image in engine.images],
        "Containers": [summary(container, now) for container in engine.containers],
        "Volumes": volumes_used(engine),
        "BuildCache": [],
    }
    return json_response(value)


@routes.post("/auth")
def login(_engine: Engine, _request: Request) -> Response:
    """`docker login`: there is no registry to log in to."""
    return json_response({"message": "natlab has no registry: there is nothing to log in to"}, 501)
