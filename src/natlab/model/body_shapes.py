"""The shapes of what clients send: a value of another kind is refused before anything looks at it.

Docker reads a body into Go's structs, so a number where a text belongs is a bad request there.
The tables below are those structs, as far as natlab looks into them (moby api/types). A field
that is not named here is left alone, and null stands for any field that was not given.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from natlab.model.json_shapes import as_list, as_object, as_text, as_texts
from natlab.model.names import one_line
from natlab.model.refusal import Refusal

_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
_MULTICAST: Final = 1

Shape: TypeAlias = Callable[[str, Any], object]
"""Checks a value; what it is called comes first."""


def _flag(where: str, value: Any) -> None:
    if value is not None and not isinstance(value, bool):
        raise Refusal(f"invalid JSON: {where} must be true or false")


def _whole(where: str, value: Any) -> None:
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise Refusal(f"invalid JSON: {where} must be a whole number")
    if value is not None and not -(1 << 63) <= value < 1 << 63:
        raise Refusal(f"invalid JSON: {where} is too large a number")


def _size(where: str, value: Any) -> None:
    _whole(where, value)
    if value is not None and value < 0:
        raise Refusal("SHM size can not be less than 0")


def _mac(where: str, value: Any) -> None:
    text = as_text(where, value)
    if text and (_MAC.fullmatch(text) is None or int(text[:2], 16) & _MULTICAST):
        raise Refusal(f"invalid MAC address {one_line(text)}")


def _words(where: str, value: Any) -> None:
    if not isinstance(value, str):
        as_texts(where, value)


def _list_of(shape: Shape) -> Shape:
    def check(where: str, value: Any) -> None:
        for item in as_list(where, value):
            shape(f"an entry of {where}", item)

    return check


def _map_of(shape: Shape) -> Shape:
    def check(where: str, value: Any) -> None:
        for key, item in as_object(where, value).items():
            shape(f"{where}[{one_line(key)}]", item)

    return check


def _struct(**fields: Shape) -> Shape:
    def check(where: str, value: Any) -> None:
        given = as_object(where, value)
        for key, shape in fields.items():
            shape(key, given.get(key))

    return check


def _all(shape: Shape, *names: str) -> dict[str, Shape]:
    return dict.fromkeys(names, shape)


_TEXT_MAP: Final = _map_of(as_text)
_ENDPOINT: Final = _struct(
    IPAMConfig=_struct(**_all(as_text, "IPv4Address", "IPv6Address"), LinkLocalIPs=as_texts),
    **_all(as_texts, "Links", "Aliases"),
    MacAddress=_mac,
    DriverOpts=_TEXT_MAP,
    GwPriority=_whole,
)
_MOUNT: Final = _struct(
    **_all(as_text, "Type", "Source", "Target", "Consistency"),
    ReadOnly=_flag,
    BindOptions=_struct(
        Propagation=as_text,
        **_all(_flag, "NonRecursive", "CreateMountpoint", "ReadOnlyNonRecursive"),
        ReadOnlyForceRecursive=_flag,
    ),
    VolumeOptions=_struct(
        NoCopy=_flag,
        Labels=_TEXT_MAP,
        Subpath=as_text,
        DriverConfig=_struct(Name=as_text, Options=_TEXT_MAP),
    ),
    TmpfsOptions=_struct(SizeBytes=_whole, Mode=_whole, Options=_list_of(as_texts)),
)
_HOST_CONFIG: Final = _struct(
    **_all(as_texts, "Binds", "VolumesFrom", "Dns", "DnsOptions", "DnsSearch", "ExtraHosts"),
    **_all(as_texts, "GroupAdd", "Links", "SecurityOpt", "MaskedPaths", "ReadonlyPaths"),
    **_all(_words, "CapAdd", "CapDrop"),
    **_all(as_text, "ContainerIDFile", "NetworkMode", "VolumeDriver", "CgroupnsMode", "IpcMode"),
    **_all(as_text, "Cgroup", "PidMode", "UTSMode", "UsernsMode", "Runtime", "Isolation"),
    **_all(as_text, "CgroupParent", "CpusetCpus", "CpusetMems"),
    **_all(_flag, "AutoRemove", "Privileged", "PublishAllPorts", "ReadonlyRootfs", "Init"),
    **_all(_whole, "Memory", "MemorySwap", "MemoryReservation", "NanoCpus"),
    **_all(_whole, "CpuShares", "CpuPeriod", "CpuQuota", "PidsLimit", "OomScoreAdj"),
    **_all(_TEXT_MAP, "Tmpfs", "Sysctls", "StorageOpt", "Annotations"),
    ShmSize=_size,
    ConsoleSize=_list_of(_whole),
    LogConfig=_struct(Type=as_text, Config=_TEXT_MAP),
    RestartPolicy=_struct(Name=as_text, MaximumRetryCount=_whole),
    PortBindings=_map_of(_list_of(_struct(**_all(as_text, "HostIp", "HostPort")))),
    Ulimits=_list_of(_struct(Name=as_text, Soft=_whole, Hard=_whole)),
    Mounts=_list_of(_MOUNT),
)
_CONTAINER: Final = _struct(
    **_all(as_text, "Hostname", "Domainname", "User", "Image", "WorkingDir"),
    **_all(as_text, "StopSignal"),
    **_all(_flag, "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin"),
    **_all(_flag, "StdinOnce", "NetworkDisabled"),
    **_all(as_object, "ExposedPorts", "Volumes", "Healthcheck"),
    **_all(as_texts, "Env", "OnBuild", "Shell"),
    **_all(_words, "Cmd", "Entrypoint"),
    MacAddress=_mac,
    Labels=_TEXT_MAP,
    StopTimeout=_whole,
    HostConfig=_HOST_CONFIG,
    NetworkingConfig=_struct(EndpointsConfig=_map_of(_ENDPOINT)),
)
_EXEC: Final = _struct(
    **_all(as_text, "User", "WorkingDir", "DetachKeys"),
    **_all(_flag, "Privileged", "Tty", "AttachStdin", "AttachStdout", "AttachStderr", "Detach"),
    **_all(as_texts, "Env", "Cmd"),
    ConsoleSize=_list_of(_whole),
)
_NETWORK: Final = _struct(
    **_all(as_text, "Name", "Driver", "Scope"),
    **_all(_flag, "Internal", "Attachable", "Ingress", "EnableIPv4", "EnableIPv6"),
    **_all(_TEXT_MAP, "Options", "Labels"),
    IPAM=_struct(
        Driver=as_text,
        Options=_TEXT_MAP,
        Config=_list_of(
            _struct(**_all(as_text, "Subnet", "IPRange", "Gateway"), AuxiliaryAddresses=_TEXT_MAP)
        ),
    ),
)
_VOLUME: Final = _struct(
    **_all(as_text, "Name", "Driver"), **_all(_TEXT_MAP, "DriverOpts", "Labels")
)
_MEMBERSHIP: Final = _struct(Container=as_text, EndpointConfig=_ENDPOINT, Force=_flag)


def container_body(body: dict[str, Any]) -> dict[str, Any]:
    """Check the body of `docker create`; returns it.

    Raises:
        Refusal: `invalid JSON: ShmSize must be a whole number`, and so on.
    """
    return _checked(_CONTAINER, body)


def exec_body(body: dict[str, Any]) -> dict[str, Any]:
    """Check a body of `docker exec`, of its creation or its start; see `container_body`."""
    return _checked(_EXEC, body)


def network_body(body: dict[str, Any]) -> dict[str, Any]:
    """Check the body of `docker network create`; see `container_body`."""
    return _checked(_NETWORK, body)


def volume_body(body: dict[str, Any]) -> dict[str, Any]:
    """Check the body of `docker volume create`; see `container_body`."""
    return _checked(_VOLUME, body)


def membership_body(body: dict[str, Any]) -> dict[str, Any]:
    """Check a body of `docker network connect` or `disconnect`; see `container_body`."""
    return _checked(_MEMBERSHIP, body)


def _checked(shape: Shape, body: dict[str, Any]) -> dict[str, Any]:
    shape("the body", body)
    return _without_nul(body)


def _without_nul(body: dict[str, Any]) -> dict[str, Any]:
    """No text has a NUL in it: the kernel takes none, wherever it may end up."""
    waiting: list[Mapping[str, Any] | list[Any]] = [body]
    while waiting:
        inner = waiting.pop()
        values = [*inner, *inner.values()] if isinstance(inner, Mapping) else inner
        for value in values:
            if isinstance(value, str) and "\0" in value:
                raise Refusal(f"invalid JSON: {one_line(value)} has a NUL character in it")
            if isinstance(value, (Mapping, list)):
                waiting.append(value)
    return body
