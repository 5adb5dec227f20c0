"""What a container is run with: its files, its mounts, its environment, its confinement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from natlab.daemon import linking
from natlab.daemon.container import Container
from natlab.daemon.mounts import mounts
from natlab.daemon.network import HOST
from natlab.kernel import files
from natlab.kernel.confine import Confinement, Entry, Mount
from natlab.model.etc_files import hostname_file, hosts_file, resolv_conf
from natlab.model.image_config import process_env

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine

_FILES: Final = {
    "/etc/hosts": "hosts",
    "/etc/hostname": "hostname",
    "/etc/resolv.conf": "resolv.conf",
}


def write_files(engine: Engine, container: Container) -> None:
    """Write `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf` of a container, in place.

    A container in another one's network has that one's files, as with Docker.
    """
    if container.network_mode.startswith("container:"):
        return
    config, addresses = container.host_config, []
    if container.network_mode == HOST:
        hosts = engine.place.call(files.read_all, "/etc/hosts").get("/etc/hosts", "")
    else:
        addresses = [one for e in container.endpoints.values() for one in e.addresses]
        hosts = hosts_file(
            container.hostname,
            addresses,
            domainname=str(container.body.get("Domainname") or ""),
            extra=config["ExtraHosts"] or (),
            links=linking.hosts_lines(container),
            gateway=engine.networks.docker0.gateway,
        )
    embedded = any(e.network.user_defined for e in container.endpoints.values())
    resolv = resolv_conf(
        engine.resolv_conf(),
        embedded=embedded,
        servers=config["Dns"] or (),
        search=config["DnsSearch"] or (),
        options=config["DnsOptions"] or (),
    )
    texts = {
        "hosts": hosts,
        "hostname": hostname_file(container.hostname),
        "resolv.conf": resolv.text,
    }
    paths = {f"{container.directory}/{name}": text for name, text in texts.items()}
    engine.place.call(files.write_all, paths)


def confinement(engine: Engine, container: Container) -> Confinement:
    """How a container's first process is started."""
    config = container.host_config
    place = engine.plugging.place(container)
    owner = container
    if container.network_mode.startswith("container:"):
        owner = engine.plugging.shared_with(container)
    return Confinement(
        argv=container.effective.argv,
        env=environment(container, tty=container.tty),
        cwd=container.effective.cwd or "/",
        user=container.effective.user,
        groups=tuple(config["GroupAdd"] or ()),
        limits=_limits(config),
        hostname=owner.hostname if owner is not container else container.hostname,
        domainname=str(container.body.get("Domainname") or ""),
        network=place.number if place is not None else None,
        tree=container.tree,
        mounts=_all_mounts(container, owner),
        tty=container.tty,
        window=_window(config),
        read_only=bool(config["ReadonlyRootfs"]),
        capabilities=_capabilities(config),
        privileged=bool(config["Privileged"]),
        sysctls=dict(config.get("Sysctls") or {}),
        shm_size=int(config["ShmSize"]),
        init=bool(config.get("Init")),
    )


def entry(container: Container, argv: Sequence[str], body: Mapping[str, Any]) -> Entry:
    """How `docker exec` starts a program in a container."""
    env = {**environment(container, tty=bool(body.get("Tty"))), **_pairs(body.get("Env") or ())}
    return Entry(
        argv=tuple(argv),
        env=env,
        cwd=str(body.get("WorkingDir") or container.effective.cwd or "/"),
        user=str(body.get("User") or container.effective.user),
        groups=tuple(container.host_config["GroupAdd"] or ()),
        limits=_limits(container.host_config),
        tty=bool(body.get("Tty")),
        window=_window(body),
        privileged=bool(body.get("Privileged")),
        capabilities=_capabilities(container.host_config),
    )


def environment(container: Container, *, tty: bool) -> dict[str, str]:
    """The environment: what links give, then the image's and the container's own."""
    variables = process_env(
        container.effective.config_env,
        hostname=container.hostname,
        tty=tty,
        links=linking.variables(container),
    )
    return _pairs(variables)


def _pairs(texts: Sequence[str]) -> dict[str, str]:
    return {name: value for name, _, value in (text.partition("=") for text in texts)}


def _window(settings: Mapping[str, Any]) -> tuple[int, int]:
    rows, columns = settings.get("ConsoleSize") or (0, 0)
    return int(rows), int(columns)


def _limits(config: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """By name, the soft and the hard limit."""
    limits = config.get("Ulimits") or ()
    return {str(one.get("Name")): (one.get("Soft", 0), one.get("Hard", 0)) for one in limits}


def _capabilities(config: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is added to Docker's usual ones, and what is dropped."""
    return tuple(config["CapAdd"] or ()), tuple(config["CapDrop"] or ())


def _all_mounts(container: Container, owner: Container) -> tuple[Mount, ...]:
    """What was asked for, and then the files of `/etc` that nobody has asked to be others."""
    own = mounts(container)
    taken = {mount.target for mount in own}
    return (*own, *(mount for mount in etc_mounts(owner) if mount.target not in taken))


def etc_mounts(owner: Container) -> list[Mount]:
    """The three files that Docker mounts over the image's, once they were written."""
    return [
        Mount(source=f"{owner.directory}/{name}", target=target) for target, name in _FILES.items()
    ]
