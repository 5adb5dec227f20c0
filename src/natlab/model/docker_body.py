"""What `docker run` and `docker create` ask the engine for: the body of a container's creation.

Behaviour: docker/cli, cli/command/container/opts.go; what an engine does with it is its own matter.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, TypeVar

from natlab.errors import UsageError
from natlab.model.docker_binds import volumes_and_binds
from natlab.model.docker_endpoints import endpoints, network_mode
from natlab.model.docker_flags import Options
from natlab.model.names import one_line
from natlab.model.publish import PublishSpec, parse_expose, parse_publish

ReadFile = Callable[[str], list[str]]
"""Gives the lines of a file on the machine where the client runs."""

_Port = TypeVar("_Port")
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}([:-][0-9a-fA-F]{2}){5}")
_HEALTH: Final = {
    "health-interval": "Interval",
    "health-timeout": "Timeout",
    "health-start-period": "StartPeriod",
    "health-start-interval": "StartInterval",
    "health-retries": "Retries",
}
_TEXTS: Final = {
    "cgroup-parent": "CgroupParent",
    "cgroupns": "CgroupnsMode",
    "cpuset-cpus": "CpusetCpus",
    "cpuset-mems": "CpusetMems",
    "ipc": "IpcMode",
    "isolation": "Isolation",
    "pid": "PidMode",
    "userns": "UsernsMode",
    "uts": "UTSMode",
    "volume-driver": "VolumeDriver",
    "cidfile": "ContainerIDFile",
}
_NUMBERS: Final = {
    "blkio-weight": "BlkioWeight",
    "cpu-period": "CpuPeriod",
    "cpu-quota": "CpuQuota",
    "cpu-rt-period": "CpuRealtimePeriod",
    "cpu-rt-runtime": "CpuRealtimeRuntime",
    "cpu-shares": "CpuShares",
    "cpus": "NanoCpus",
    "memory": "Memory",
    "memory-reservation": "MemoryReservation",
    "memory-swap": "MemorySwap",
    "oom-score-adj": "OomScoreAdj",
    "pids-limit": "PidsLimit",
    "shm-size": "ShmSize",
}
_LISTS: Final = {
    "device-cgroup-rule": "DeviceCgroupRules",
    "add-host": "ExtraHosts",
    "group-add": "GroupAdd",
    "link": "Links",
    "security-opt": "SecurityOpt",
    "volumes-from": "VolumesFrom",
}
"""Those that are null where none was given; the others are empty."""


def creation(
    options: Options, image: str, argv: list[str], env: Mapping[str, str], read: ReadFile
) -> dict[str, Any]:
    """Make the body of `POST /containers/create`.

    Args:
        options: What the command line said.
        image: The image, as it was typed.
        argv: What is to be run instead of the image's own command.
        env: The client's environment: `-e NAME` takes a value from it.
        read: Reads the files that options name.

    Raises:
        UsageError: Options that do not go together, in Docker's words.
    """
    attached = [str(stream) for stream in options.all("attach")] or ["stdout", "stderr"]
    stdin = options.on("interactive") or "stdin" in attached
    specs = [spec for text in options.all("publish") for spec in _ports(parse_publish, text)]
    volumes, binds = volumes_and_binds(options.all("volume"))
    body: dict[str, Any] = {
        "Hostname": options.text("hostname"),
        "Domainname": options.text("domainname"),
        "User": options.text("user"),
        "AttachStdin": stdin,
        "AttachStdout": "stdout" in attached,
        "AttachStderr": "stderr" in attached,
        "Tty": options.on("tty"),
        "OpenStdin": options.on("interactive"),
        "StdinOnce": options.on("interactive") and stdin,
        "Env": variables(options, env, read) or None,
        "Cmd": argv or None,
        "Image": image,
        "Volumes": {path: {} for path in volumes},
        "WorkingDir": options.text("workdir"),
        "Entrypoint": [options.text("entrypoint")] if options.given("entrypoint") else None,
        "OnBuild": None,
        "Labels": _labels(options, read),
    }
    exposed = [str(port) for text in options.all("expose") for port in _ports(parse_expose, text)]
    exposed += [f"{spec.container_port}/{spec.proto}" for spec in specs]
    if exposed:
        body["ExposedPorts"] = {port: {} for port in sorted(set(exposed))}
    for name, key in (("stop-signal", "StopSignal"), ("stop-timeout", "StopTimeout")):
        if options.given(name):
            body[key] = options.get(name)
    if health := _health(options):
        body["Healthcheck"] = health
    mac = options.text("mac-address")
    if mac and not _MAC.fullmatch(mac):
        raise UsageError(f"{one_line(mac)} is not a valid mac address")
    body["HostConfig"] = _host_config(options, specs, binds)
    body["NetworkingConfig"] = {"EndpointsConfig": endpoints(options)}
    return body


def _ports(parse: Callable[[str], tuple[_Port, ...]], text: str) -> tuple[_Port, ...]:
    """Read ports; the messages are Docker's own, without what natlab adds in parentheses."""
    try:
        return parse(text)
    except UsageError as error:
        raise UsageError(str(error).partition(" (")[0]) from None


def _host_config(options: Options, specs: list[PublishSpec], binds: list[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "Binds": binds or None,
        "LogConfig": {
            "Type": options.text("log-driver"),
            "Config": _mapping(options.all("log-opt")),
        },
        "NetworkMode": network_mode(options),
        "PortBindings": _bindings(specs),
        "RestartPolicy": _restart(options),
        "AutoRemove": options.on("rm"),
        "ConsoleSize": [0, 0],
        "Dns": options.all("dns"),
        "DnsOptions": options.all("dns-option"),
        "DnsSearch": [name for name in options.all("dns-search") if name],
        "Privileged": options.on("privileged"),
        "PublishAllPorts": options.on("publish-all"),
        "ReadonlyRootfs": options.on("read-only"),
        "Devices": [_device(text) for text in options.all("device")],
        "OomKillDisable": options.on("oom-kill-disable"),
        "MemorySwappiness": options.get("memory-swappiness", -1),
        "Ulimits": sorted(options.all("ulimit"), key=lambda limit: str(limit["Name"])),
        **_capabilities(options),
        **{key: options.text(name) for name, key in _TEXTS.items()},
        **{key: options.get(name, 0) for name, key in _NUMBERS.items()},
        **{key: options.all(name) or None for name, key in _LISTS.items()},
    }
    optional = {
        "Annotations": _mapping(options.all("annotation")),
        "Init": options.get("init"),
        "Mounts": options.all("mount"),
        "Runtime": options.text("runtime"),
        "StorageOpt": _mapping(options.all("storage-opt")),
        "Sysctls": _mapping(options.all("sysctl")),
        "Tmpfs": _mapping(options.all("tmpfs"), ":"),
    }
    return made | {key: value for key, value in optional.items() if value}


def _capabilities(options: Options) -> dict[str, list[str] | None]:
    """What is added and dropped, by the kernel's names; what is added is not dropped."""
    added, dropped = (
        {name if name == "ALL" else f"CAP_{name.removeprefix('CAP_')}" for name in names}
        for names in (
            [text.strip().upper() for text in options.all(flag)] for flag in ("cap-add", "cap-drop")
        )
    )
    return {"CapAdd": sorted(added) or None, "CapDrop": sorted(dropped - added) or None}


def _mapping(texts: Iterable[str], sign: str = "=") -> dict[str, str]:
    return {key: value for key, _, value in (text.partition(sign) for text in texts)}


def variables(options: Options, env: Mapping[str, str], read: ReadFile) -> list[str]:
    """Give the variables that are asked for: those of files first.

    Args:
        options: What the command line said.
        env: The client's environment: a name without a value takes its value.
        read: Reads the files that options name.
    """
    lines = [line for file in options.all("env-file") for line in read(file)]
    given = [*(line for line in lines if line), *options.all("env")]
    return [f"{text}={env[text]}" if text in env else text for text in given]


def _labels(options: Options, read: ReadFile) -> dict[str, str]:
    lines = [line for file in options.all("label-file") for line in read(file) if line]
    return _mapping([*lines, *options.all("label")])


def _bindings(specs: list[PublishSpec]) -> dict[str, list[dict[str, str]]]:
    made: dict[str, list[dict[str, str]]] = {}
    for spec in specs:
        binding = {
            "HostIp": "" if spec.host_ip is None else str(spec.host_ip),
            "HostPort": "" if spec.host_port is None else str(spec.host_port),
        }
        made.setdefault(f"{spec.container_port}/{spec.proto}", []).append(binding)
    return made


def _restart(options: Options) -> dict[str, Any]:
    text = options.text("restart") or "no"
    name, colon, count = text.partition(":")
    if colon and not (count.isdigit() or (count[:1] == "-" and count[1:].isdigit())):
        raise UsageError("invalid restart policy format: maximum retry count must be an integer")
    if name != "no" and options.on("rm"):
        raise UsageError("conflicting options: cannot specify both --restart and --rm")
    return {"Name": name, "MaximumRetryCount": int(count or 0)}


def _health(options: Options) -> dict[str, Any]:
    given = {key: options.get(name) for name, key in _HEALTH.items() if options.get(name)}
    command = options.text("health-cmd")
    if options.on("no-healthcheck"):
        if given or command:
            raise UsageError("--no-healthcheck conflicts with --health-* options")
        return {"Test": ["NONE"]}
    test = {"Test": ["CMD-SHELL", command]} if command else {}
    return test | given


def _device(text: str) -> dict[str, str]:
    path, _, rest = text.partition(":")
    inside, _, rights = rest.partition(":")
    if rest and not inside.startswith("/"):
        inside, rights = path, inside
    return {
        "PathOnHost": path,
        "PathInContainer": inside or path,
        "CgroupPermissions": rights or "rwm",
    }
