"""From a client's wish to a container: `POST /containers/create`."""

from __future__ import annotations

import contextlib
import copy
import os
import random
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, Final, TypeVar

from natlab.daemon.container import Container
from natlab.daemon.ignored import warnings
from natlab.daemon.linking import find_links
from natlab.daemon.mounts import mount_warnings, wanted_points
from natlab.daemon.network import BRIDGE, HOST, NONE, Endpoint, Network, check_endpoint
from natlab.kernel.confine import Tree
from natlab.model import identity
from natlab.model.image_config import effective
from natlab.model.names import one_line
from natlab.model.port_bindings import port_specs
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine

_HOST_DEFAULTS: Final[Mapping[str, Any]] = {
    "Binds": None,
    "ContainerIDFile": "",
    "LogConfig": {"Type": "json-file", "Config": {}},
    "NetworkMode": "bridge",
    "PortBindings": {},
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
    "AutoRemove": False,
    "VolumesFrom": None,
    "CapAdd": None,
    "CapDrop": None,
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
    "ExtraHosts": None,
    "GroupAdd": None,
    "IpcMode": "private",
    "Links": None,
    "PidMode": "",
    "Privileged": False,
    "PublishAllPorts": False,
    "ReadonlyRootfs": False,
    "SecurityOpt": None,
    "UTSMode": "",
    "ShmSize": 64 << 20,
}
_A = TypeVar("_A", IPv4Address, IPv6Address)
_NO_LINKS: Final = "{} can't be used with links. This would result in undefined behavior"
_RESTARTS: Final = ("no", "always", "on-failure", "unless-stopped")


def create(engine: Engine, name: str | None, body: dict[str, Any]) -> tuple[Container, list[str]]:
    """Make a container's record and directories; see `Containers.create`."""
    body = copy.deepcopy(body)
    host_config = _host_config(body.pop("HostConfig", None) or {})
    networking = body.pop("NetworkingConfig", None) or {}
    reference = body.get("Image")
    if not body:
        raise Refusal("config cannot be empty in order to create a container")
    if not isinstance(reference, str) or not reference:
        raise Refusal("no command specified")
    if str(host_config["NetworkMode"]).startswith("container:"):
        _refuse_beside_another(body, host_config)
    image = engine.images.find(reference)
    ident = identity.new_id(os.urandom(32))
    hostname = _hostname(engine, body, host_config, ident)
    decided = effective(image.config, body, hostname=hostname)
    name = _name(engine, name)
    port_specs(decided.exposed, host_config)
    points = wanted_points(engine, host_config, decided.volumes)
    directory = f"{engine.directory}/containers/{ident}"
    container = Container(
        id=ident,
        name=name,
        image=image,
        image_ref=reference,
        body={**body, "Hostname": hostname},
        host_config=host_config,
        effective=decided,
        tree=Tree(image.layers, f"{directory}/diff", f"{directory}/work"),
        directory=directory,
        points=points,
    )
    try:
        _refuse_contradictions(engine, container)
        if container.network_mode in (BRIDGE, NONE):  # in others, names are resolved
            container.links = find_links(engine, host_config["Links"] or [])
        container.endpoints = _endpoints(engine, container, networking.get("EndpointsConfig") or {})
    except BaseException:
        container.output.close()
        raise
    return container, [*warnings(container.body, host_config), *mount_warnings(points)]


def _name(engine: Engine, wanted: str | None) -> str:
    if not wanted:
        taken = {container.name for container in engine.containers}
        return identity.random_name(random.Random(), taken)  # noqa: S311 - a name, no secret
    name = identity.check_name(wanted)
    engine.containers.check_free(name)
    return name


def _host_config(given: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise Refusal("invalid HostConfig: it must be an object")
    known = {key: value for key, value in given.items() if value is not None}
    config = {**copy.deepcopy(dict(_HOST_DEFAULTS)), **known}
    if config["NetworkMode"] in ("", "default"):
        config["NetworkMode"] = BRIDGE
    if not config["ShmSize"]:
        config["ShmSize"] = _HOST_DEFAULTS["ShmSize"]
    if not (config.get("RestartPolicy") or {}).get("Name"):
        config["RestartPolicy"] = dict(_HOST_DEFAULTS["RestartPolicy"])
    if not (config.get("LogConfig") or {}).get("Type"):
        config["LogConfig"] = copy.deepcopy(_HOST_DEFAULTS["LogConfig"])
    _check_restart(config["RestartPolicy"])
    if config["AutoRemove"] and config["RestartPolicy"]["Name"] != "no":
        raise Refusal("can't create 'AutoRemove' container with restart policy")
    return config


def _check_restart(policy: Mapping[str, Any]) -> None:
    """Source: moby, `runconfig`, `ValidateRestartPolicy`."""
    name = str(policy["Name"])
    if name not in _RESTARTS:
        raise Refusal(
            f"invalid restart policy: unknown policy {one_line(name)!r};"
            " use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
        )
    if policy.get("MaximumRetryCount") and name != "on-failure":
        raise Refusal(
            "invalid restart policy: maximum retry count can only be used with 'on-failure'"
        )


def _hostname(
    engine: Engine, body: Mapping[str, Any], host_config: Mapping[str, Any], ident: str
) -> str:
    if host_config["NetworkMode"] == HOST:
        return str(body.get("Hostname") or engine.host.name)
    return str(body.get("Hostname") or ident[:12])


def _refuse_beside_another(body: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Refuse what belongs to the container whose network namespace is to be shared.

    Source: moby, `runconfig/hostconfig_unix.go`, `validateNetMode`, in its order.
    """
    for wanted, text in (
        (body.get("Hostname"), "hostname and the network mode"),
        (
            config["Links"],
            _NO_LINKS.format("container type network"),
        ),
        (config["Dns"], "dns and the network mode"),
        (config["ExtraHosts"], "custom host-to-IP mapping and the network mode"),
        (body.get("MacAddress"), "mac-address and the network mode"),
        (
            config["PortBindings"] or config["PublishAllPorts"],
            "port publishing and the container type network mode",
        ),
        (body.get("ExposedPorts"), "port exposing and the container type network mode"),
    ):
        if wanted:
            raise Refusal(f"conflicting options: {text}")


def _refuse_contradictions(engine: Engine, container: Container) -> None:
    mode, config = container.network_mode, container.host_config
    if mode.startswith("container:"):
        with contextlib.suppress(Refusal):  # looked for again when it starts
            other = engine.containers.find(mode.partition(":")[2])
            config["NetworkMode"] = f"container:{other.id}"
    if mode == HOST and container.body.get("MacAddress"):
        raise Refusal("conflicting options: mac-address and the network mode")
    if mode == HOST and config["Links"]:
        raise Refusal(f"conflicting options: {_NO_LINKS.format('host type networking')}")


def _endpoints(
    engine: Engine, container: Container, wanted: Mapping[str, Any]
) -> dict[str, Endpoint]:
    mode = container.network_mode
    if mode.startswith("container:"):
        return {}
    first = engine.networks.named(mode)
    found = {first.id: Endpoint(first)}
    for reference, settings in wanted.items():
        network = first if reference in ("default", mode) else engine.networks.named(reference)
        found[network.id] = asked = endpoint(network, settings or {})
        try:
            check_endpoint(asked)
        except Refusal as error:
            raise Refusal(f"invalid config for network {reference}: {error}") from error
    if first.name in (HOST, NONE) and len(found) > 1:
        raise Refusal(
            f"conflicting options: cannot attach both user-defined and {first.name} networks"
        )
    mac = container.body.get("MacAddress")
    if mac and not found[first.id].wanted_mac:
        found[first.id].wanted_mac = str(mac)
    return found


def endpoint(network: Network, settings: Mapping[str, Any]) -> Endpoint:
    """An endpoint as a client asks for it: EndpointSettings of the Engine API.

    Raises:
        Refusal: a malformed address; what else a network has not, `check_endpoint` refuses.
    """
    asked = settings.get("IPAMConfig") or {}
    return Endpoint(
        network,
        aliases=tuple(settings.get("Aliases") or ()),
        links=tuple(settings.get("Links") or ()),
        wanted_ip=_address(asked.get("IPv4Address"), IPv4Address),
        wanted_ip6=_address(asked.get("IPv6Address"), IPv6Address),
        wanted_mac=settings.get("MacAddress") or None,
        options=settings.get("DriverOpts") or {},
        priority=int(settings.get("GwPriority") or 0),
    )


def _address(text: str | None, kind: type[_A]) -> _A | None:
    """An address of that kind, or None where none was asked for."""
    try:
        return kind(text) if text else None
    except ValueError:
        raise Refusal(f"invalid {kind.__name__[:4]} address: {text}") from None
