"""Images and networks as the Engine API shows them."""

from __future__ import annotations

from typing import Any

from natlab.daemon.engine import Engine
from natlab.daemon.image import Image
from natlab.daemon.network import Network
from natlab.model.container_status import format_time

_ARCHITECTURE = "amd64"


def image_summary(engine: Engine, image: Image) -> dict[str, Any]:
    """One entry of `GET /images/json`: what `docker images` prints."""
    users = sum(container.image is image for container in engine.containers)
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": list(image.tags),
        "RepoDigests": [],
        "Created": image.created // 1_000_000_000,
        "Size": image.size,
        "SharedSize": -1,
        "VirtualSize": image.size,
        "Labels": dict(image.config.labels) or None,
        "Containers": users,
    }


def image_details(image: Image) -> dict[str, Any]:
    """`GET /images/{name}/json`: what `docker image inspect` prints."""
    return {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": [],
        "Parent": "",
        "Comment": image.comment,
        "Created": format_time(image.created),
        "DockerVersion": "",
        "Author": "",
        "Config": image.config.to_json(),
        "Architecture": _ARCHITECTURE,
        "Os": "linux",
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": {"Name": "overlay2", "Data": {"LowerDir": ":".join(image.layers)}},
        "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
        "Metadata": {"LastTagTime": format_time(image.created)},
    }


def network_details(engine: Engine, network: Network, *, verbose: bool = True) -> dict[str, Any]:
    """A network, with its running containers if asked: `docker network inspect`."""
    return {
        "Name": network.name,
        "Id": network.id,
        "Created": format_time(network.created),
        "Scope": "local",
        "Driver": network.driver,
        "EnableIPv4": True,
        "EnableIPv6": False,
        "IPAM": dict(network.ipam),
        "Internal": network.internal,
        "Attachable": network.attachable,
        "Ingress": False,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": False,
        "Containers": _members(engine, network) if verbose else {},
        "Options": dict(network.options),
        "Labels": dict(network.labels),
    }


def _members(engine: Engine, network: Network) -> dict[str, Any]:
    bridge, found = network.bridge, {}
    for container in engine.containers:
        endpoint = network.endpoints.get(container.id)
        if endpoint is None or bridge is None:
            continue
        found[container.id] = {
            "Name": container.name,
            "EndpointID": endpoint.id,
            "MacAddress": endpoint.mac,
            "IPv4Address": f"{endpoint.address}/{bridge.subnet.prefixlen}",
            "IPv6Address": "",
        }
    return found
