"""Containers as the Engine API shows them."""

from __future__ import annotations

import pwd
import time
from typing import Any, Final

from natlab.daemon.container import Container
from natlab.daemon.engine import Engine
from natlab.daemon.mounts import shown_mounts
from natlab.daemon.names import dns_names
from natlab.daemon.network import NONE, Endpoint
from natlab.kernel.confine import Process
from natlab.model.container_status import format_time, status_text
from natlab.model.port_bindings import ports_list, ports_map

TITLES: Final = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
_NO_ADDRESSES: Final = {
    "Bridge": "",
    "LinkLocalIPv6Address": "",
    "LinkLocalIPv6PrefixLen": 0,
    "SecondaryIPAddresses": None,
    "SecondaryIPv6Addresses": None,
    "HairpinMode": False,
    "GlobalIPv6Address": "",
    "GlobalIPv6PrefixLen": 0,
    "IPv6Gateway": "",
}


def summary(container: Container, now: int) -> dict[str, Any]:
    """One entry of `GET /containers/json`: what `docker ps` prints."""
    state = container.state
    return {
        "Id": container.id,
        "Names": [f"/{container.name}"],
        "Image": container.image_ref,
        "ImageID": container.image.id,
        "Command": command(container),
        "Created": container.created // 1_000_000_000,
        "Ports": shown_ports(container),
        "Labels": dict(container.effective.labels),
        "State": state.status,
        "Status": status(container, now),
        "HostConfig": {"NetworkMode": container.host_config["NetworkMode"]},
        "NetworkSettings": {"Networks": _networks(container)},
        "Mounts": shown_mounts(container),
    }


def shown_ports(container: Container) -> list[dict[str, Any]]:
    """What `docker ps` shows as its ports."""
    return ports_list(container.published, _shown_ports(container))


def status(container: Container, now: int) -> str:
    """`Up 5 seconds`, `Exited (0) 2 minutes ago` and so on."""
    state = container.state
    return status_text(
        state.status,
        now,
        started=state.started,
        finished=state.finished,
        exit_code=state.exit_code,
    )


def command(container: Container) -> str:
    """What is run, in one line."""
    return " ".join(_quoted(word) for word in container.effective.argv)


def _quoted(word: str) -> str:
    return f"'{word}'" if " " in word else word


def details(engine: Engine, container: Container) -> dict[str, Any]:
    """`GET /containers/{id}/json`: what `docker inspect` prints."""
    decided, state = container.effective, container.state
    path, *args = decided.argv
    return {
        "Id": container.id,
        "Created": format_time(container.created),
        "Path": path,
        "Args": args,
        "State": {
            "Status": state.status,
            "Running": state.running or state.status == "restarting",
            "Paused": state.status == "paused",
            "Restarting": state.status == "restarting",
            "OOMKilled": False,
            "Dead": state.status == "dead",
            "Pid": engine.pid_of(container),
            "ExitCode": state.exit_code,
            "Error": state.error,
            "StartedAt": format_time(state.started),
            "FinishedAt": format_time(state.finished),
        },
        "Image": container.image.id,
        "ResolvConfPath": f"{container.directory}/resolv.conf",
        "HostnamePath": f"{container.directory}/hostname",
        "HostsPath": f"{container.directory}/hosts",
        "LogPath": "",
        "Name": f"/{container.name}",
        "RestartCount": container.restarts,
        "Driver": "overlay2",
        "Platform": "linux",
        "MountLabel": "",
        "ProcessLabel": "",
        "AppArmorProfile": "",
        "ExecIDs": [ident for ident, e in container.execs.items() if e.running] or None,
        "HostConfig": {**container.host_config, **_links(container)},
        "GraphDriver": {
            "Name": "overlay2",
            "Data": {
                "ID": container.id,
                "LowerDir": ":".join(container.tree.layers),
                "UpperDir": container.tree.upper,
                "WorkDir": container.tree.work,
            },
        },
        "Mounts": shown_mounts(container),
        "Config": _config(container),
        "NetworkSettings": _network_settings(container),
    }


def _links(container: Container) -> dict[str, list[str]]:
    """Links as Docker shows them, by the names of now: `/db:/web/database`."""
    shown = [f"/{child.name}:/{container.name}/{alias}" for child, alias in container.links]
    return {"Links": shown} if shown else {}


def process_row(process: Process) -> list[str]:
    """One line of `docker top`, in the columns of `TITLES`."""
    hours, rest = divmod(int(process.cpu), 3600)
    return [
        _user(process.uid),
        str(process.pid),
        str(process.parent),
        "0",
        time.strftime("%H:%M", time.localtime(process.started)),
        process.terminal,
        f"{hours:02}:{rest // 60:02}:{rest % 60:02}",
        process.command,
    ]


def _user(uid: int) -> str:
    """A user's name on the machine, or the number, as ps prints it."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _config(container: Container) -> dict[str, Any]:
    body, decided = container.body, container.effective
    return {
        "Hostname": container.hostname,
        "Domainname": body.get("Domainname") or "",
        "User": decided.user,
        "AttachStdin": bool(body.get("AttachStdin")),
        "AttachStdout": bool(body.get("AttachStdout")),
        "AttachStderr": bool(body.get("AttachStderr")),
        **({"ExposedPorts": {p: {} for p in decided.exposed}} if decided.exposed else {}),
        "Tty": container.tty,
        "OpenStdin": container.open_stdin,
        "StdinOnce": bool(body.get("StdinOnce")),
        "Env": list(decided.config_env),
        "Cmd": list(decided.cmd) or None,
        "Image": container.image_ref,
        "Volumes": {path: {} for path in decided.volumes} or None,
        "WorkingDir": decided.cwd,
        "Entrypoint": list(decided.entrypoint) or None,
        "OnBuild": None,
        "Labels": dict(decided.labels),
        **({"StopSignal": decided.stop_signal} if decided.stop_signal else {}),
        **({"StopTimeout": body["StopTimeout"]} if body.get("StopTimeout") is not None else {}),
    }


def _network_settings(container: Container) -> dict[str, Any]:
    default = next(
        (e for e in container.endpoints.values() if e.network.name == "bridge" and e.address), None
    )
    return {
        **_NO_ADDRESSES,
        "SandboxID": container.id if container.sandbox else "",
        "SandboxKey": f"/run/netns/{container.name}" if container.sandbox else "",
        "Ports": ports_map(container.published, _shown_ports(container)),
        "EndpointID": default.id if default else "",
        "Gateway": str(default.gateway or "") if default else "",
        "IPAddress": str(default.address) if default else "",
        "IPPrefixLen": _prefix(default) if default else 0,
        "MacAddress": default.mac if default else "",
        "Networks": _networks(container),
    }


def _shown_ports(container: Container) -> tuple[str, ...]:
    """Exposed ports are shown while the container has a network of its own."""
    has_one = container.sandbox is not None and container.network_mode != NONE
    return container.effective.exposed if has_one else ()


def _networks(container: Container) -> dict[str, Any]:
    return {
        endpoint.network.name: endpoint_settings(container, endpoint)
        for endpoint in container.endpoints.values()
    }


def _prefix(endpoint: Endpoint) -> int:
    bridge = endpoint.network.bridge
    return bridge.subnet.prefixlen if bridge is not None and endpoint.address else 0


def endpoint_settings(container: Container, endpoint: Endpoint) -> dict[str, Any]:
    """EndpointSettings: a container's place in one network."""
    asked = {"IPv4Address": endpoint.wanted_ip, "IPv6Address": endpoint.wanted_ip6}
    wanted = {key: str(address) for key, address in asked.items() if address} or None
    named = endpoint.network.user_defined
    return {
        "IPAMConfig": wanted,
        "Links": list(endpoint.links) or None,
        "Aliases": list(endpoint.aliases) or None,
        "MacAddress": endpoint.mac,
        "DriverOpts": dict(endpoint.options) or None,
        "GwPriority": endpoint.priority,
        "NetworkID": endpoint.network.id if endpoint.network.driver else "",
        "EndpointID": endpoint.id,
        "Gateway": str(endpoint.gateway or "") if endpoint.address else "",
        "IPAddress": str(endpoint.address or ""),
        "IPPrefixLen": _prefix(endpoint),
        "IPv6Gateway": str(endpoint.gateway6 or "") if endpoint.address6 else "",
        "GlobalIPv6Address": str(endpoint.address6 or ""),
        "GlobalIPv6PrefixLen": endpoint.prefix6,
        "DNSNames": dns_names(container, endpoint) if named else None,
    }
