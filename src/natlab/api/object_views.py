"""Images, networks and volumes as the Engine API shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from natlab.daemon.engine import Engine
from natlab.daemon.image import Image, moment
from natlab.daemon.network import Endpoint, Network
from natlab.kernel.volumes import Volume
from natlab.model.container_status import format_time
from natlab.model.json_shapes import as_list, as_object
from natlab.model.mount_points import DATA, LOCAL, VOLUMES

_ARCHITECTURE = "amd64"
_MISSING = "<missing>"
_SECOND = 1_000_000_000


def image_summary(engine: Engine, image: Image) -> dict[str, Any]:
    """One entry of `GET /images/json`: what `docker images` prints."""
    users = sum(container.image is image for container in engine.containers)
    return {
        "Id": image.id,
        "ParentId": "",
        "RepoTags": list(image.tags),
        "RepoDigests": [],
        "Created": image.created // _SECOND,
        "Size": image.size,
        "SharedSize": -1,
        "VirtualSize": image.size,
        "Labels": dict(image.config.labels) or None,
        "Containers": users,
    }


def image_details(image: Image) -> dict[str, Any]:
    """`GET /images/{name}/json`: what `docker image inspect` prints."""
    document = image.document
    return {
        "Id": image.id,
        "RepoTags": list(image.tags),
        "RepoDigests": [],
        "Parent": "",
        "Comment": image.comment,
        "Created": format_time(image.created),
        "DockerVersion": "",
        "Author": str(document.get("author") or ""),
        "Config": image.config.to_json(),
        "Architecture": str(document.get("architecture") or _ARCHITECTURE),
        "Os": str(document.get("os") or "linux"),
        "Size": image.size,
        "VirtualSize": image.size,
        "GraphDriver": {"Name": "overlay2", "Data": {"LowerDir": ":".join(image.layers)}},
        "RootFS": {"Type": "layers", "Layers": list(image.diff_ids)},
        "Metadata": {"LastTagTime": format_time(image.tagged)},
    }


def image_history(image: Image) -> list[dict[str, Any]]:
    """How an image was made, the last step first: what `docker history` prints."""
    steps = as_list("history", image.document.get("history"))
    sizes = list(image.sizes)
    lines = [_step(as_object("history", step), sizes) for step in steps]
    if not lines:
        made = {"Created": image.created // _SECOND, "CreatedBy": "", "Comment": image.comment}
        lines = [{"Id": _MISSING, **made, "Tags": None, "Size": image.size}]
    lines.reverse()
    lines[0] |= {"Id": image.id, "Tags": list(image.tags) or None}
    return lines


def _step(step: Mapping[str, Any], sizes: list[int]) -> dict[str, Any]:
    """One step; one that made a layer takes the next of the sizes."""
    return {
        "Id": _MISSING,
        "Created": moment(step.get("created")) // _SECOND,
        "CreatedBy": str(step.get("created_by") or ""),
        "Tags": None,
        "Size": sizes.pop(0) if sizes and not step.get("empty_layer") else 0,
        "Comment": str(step.get("comment") or ""),
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
        "EnableIPv6": network.ipv6,
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


def with_prefix(endpoint: Endpoint) -> str:
    """Its IPv6 address with the prefix length, or nothing."""
    return f"{endpoint.address6}/{endpoint.prefix6}" if endpoint.address6 else ""


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
            "IPv6Address": with_prefix(endpoint),
        }
    return found


def volume_details(volume: Volume) -> dict[str, Any]:
    """A volume: `docker volume inspect`."""
    return {
        "CreatedAt": format_time(volume.created // _SECOND * _SECOND),
        "Driver": LOCAL,
        "Labels": None if volume.labels is None else dict(volume.labels),
        "Mountpoint": f"{VOLUMES}/{volume.name}/{DATA}",
        "Name": volume.name,
        "Options": None,
        "Scope": "local",
    }


def volumes_used(engine: Engine) -> list[dict[str, Any]]:
    """Volumes with their sizes and users: what `docker system df -v` prints."""
    found = engine.volumes.all()
    sizes = engine.volumes.sizes(volume.name for volume in found)
    return [
        volume_details(volume)
        | {
            "UsageData": {
                "Size": sizes[volume.name],
                "RefCount": len(engine.volumes.users(volume.name)),
            }
        }
        for volume in found
    ]
