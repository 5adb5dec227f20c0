"""What `docker version` and `docker info` print."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from natlab.model.go_quote import bytes_size


def client_version(version: str, api: str) -> dict[str, Any]:
    """This client as `docker version` describes one.

    Args:
        version: natlab's own version.
        api: The version of the API that it speaks with the engine; empty without one.
    """
    return {
        "Platform": {"Name": "natlab"},
        "Version": version,
        "ApiVersion": api,
        "Os": "linux",
        "Arch": "amd64",
        "Context": "default",
    }


def version_text(client: Mapping[str, Any], server: Mapping[str, Any] | None) -> str:
    """Print both sides; without a server only the client's."""
    lines = [
        f"Client: {client['Platform']['Name']}",
        f" Version:           {client['Version']}",
        f" API version:       {client['ApiVersion']}",
        f" OS/Arch:           {client['Os']}/{client['Arch']}",
        f" Context:           {client['Context']}",
    ]
    return "\n".join([*lines, *(_server(server) if server else ())]) + "\n"


def _server(server: Mapping[str, Any]) -> Iterator[str]:
    yield ""
    name = (server.get("Platform") or {}).get("Name")
    yield f"Server: {name}" if name else "Server:"
    for component in server.get("Components") or ():
        details = component.get("Details") or {}
        yield f" {component['Name']}:"
        yield f"  Version:          {component['Version']}"
        if component["Name"] != "Engine":
            yield f"  GitCommit:        {details.get('GitCommit', '')}"
            continue
        least = details.get("MinAPIVersion")
        api = details.get("ApiVersion", "")
        yield f"  API version:      {api}{f' (minimum version {least})' if least else ''}"
        yield f"  Go version:       {details.get('GoVersion', '')}"
        yield f"  Git commit:       {details.get('GitCommit', '')}"
        yield f"  Built:            {details.get('BuildTime', '')}"
        yield f"  OS/Arch:          {details.get('Os', '')}/{details.get('Arch', '')}"
        yield f"  Experimental:     {details.get('Experimental', '')}"


def info_text(found: Mapping[str, Any]) -> str:
    """Print what an engine says of itself."""
    client = found["ClientInfo"]
    lines = [
        "Client:",
        f" Version:    {client['Version']}",
        f" Context:    {client['Context']}",
        f" Debug Mode: {_flag(client['Debug'])}",
        "",
        "Server:",
        *_counts(found),
        *_parts(found),
        *_machine(found),
    ]
    return "\n".join(lines) + "\n\n"


def _flag(value: object) -> str:
    return "true" if value else "false"


def _counts(found: Mapping[str, Any]) -> Iterator[str]:
    yield f" Containers: {found['Containers']}"
    for name in ("Running", "Paused", "Stopped"):
        yield f"  {name}: {found[f'Containers{name}']}"
    yield f" Images: {found['Images']}"
    yield f" Server Version: {found['ServerVersion']}"
    yield f" Storage Driver: {found['Driver']}"
    for name, value in found.get("DriverStatus") or ():
        yield f"  {name}: {value}"


def _parts(found: Mapping[str, Any]) -> Iterator[str]:
    yield f" Logging Driver: {found['LoggingDriver']}"
    yield f" Cgroup Driver: {found['CgroupDriver']}"
    yield f" Cgroup Version: {found['CgroupVersion']}"
    plugins = found.get("Plugins") or {}
    yield " Plugins:"
    yield f"  Volume: {' '.join(plugins.get('Volume') or ())}"
    yield f"  Network: {' '.join(plugins.get('Network') or ())}"
    if plugins.get("Authorization"):
        yield f"  Authorization: {' '.join(plugins['Authorization'])}"
    yield f"  Log: {' '.join(plugins.get('Log') or ())}"
    yield f" Swarm: {found['Swarm']['LocalNodeState']}"
    yield f" Runtimes: {' '.join(sorted(found.get('Runtimes') or ()))}"
    yield f" Default Runtime: {found['DefaultRuntime']}"
    yield f" Init Binary: {found['InitBinary']}"
    for name, key in (
        ("containerd", "ContainerdCommit"),
        ("runc", "RuncCommit"),
        ("init", "InitCommit"),
    ):
        yield f" {name} version: {(found.get(key) or {}).get('ID', '')}"
    if found.get("SecurityOptions"):
        yield " Security Options:"
        for option in found["SecurityOptions"]:
            fields = dict(field.partition("=")[::2] for field in option.split(","))
            yield f"  {fields.pop('name', option)}"
            yield from (f"   {key.capitalize()}: {value}" for key, value in fields.items())


def _machine(found: Mapping[str, Any]) -> Iterator[str]:
    yield f" Kernel Version: {found['KernelVersion']}"
    yield f" Operating System: {found['OperatingSystem']}"
    yield f" OSType: {found['OSType']}"
    yield f" Architecture: {found['Architecture']}"
    yield f" CPUs: {found['NCPU']}"
    yield f" Total Memory: {bytes_size(found['MemTotal'])}"
    yield f" Name: {found['Name']}"
    yield f" ID: {found['ID']}"
    yield f" Docker Root Dir: {found['DockerRootDir']}"
    yield f" Debug Mode: {_flag(found['Debug'])}"
    if found.get("Labels"):
        yield " Labels:"
        yield from (f"  {label}" for label in found["Labels"])
    yield f" Experimental: {_flag(found['ExperimentalBuild'])}"
    yield f" Live Restore Enabled: {_flag(found['LiveRestoreEnabled'])}"
