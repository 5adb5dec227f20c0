"""Docker's commands on a lab host, and what a check says where a container of theirs is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from natlab.course.checks import Fail
from natlab.course.facts import container
from natlab.course.inside import Resident, residents

if TYPE_CHECKING:
    from natlab.engine.container import Container
    from natlab.engine.host import Host
    from natlab.engine.lab import Lab

CLIENT: Final = (
    'test -x "$(type -P docker)" ||'
    ' docker() { DOCKER_HOST=unix:///run/docker.sock natlab docker "$@"; }\n'
)
"""For a shell on a lab host: where no Docker client is installed, `docker` is natlab's own."""

_ENGINE: Final = ("/run/docker.sock", "@natlab-engine")


def docker(host: Host, *commands: str) -> None:
    """Give Docker's client commands on a host; each begins after the word `docker`.

    Raises:
        NatlabError: the engine refused one, or none runs there.
    """
    for command in commands:
        script(host, f"docker {command}")


def script(host: Host, text: str) -> str:
    """Run a shell script on a host, in which `docker` is its Docker client.

    Returns:
        What was printed.

    Raises:
        NatlabError: it ended with a failure.
    """
    return host.run(f"{CLIENT}set -eu\n{text}", check=True).stdout


def until_it_listens(host: Host, address: object, port: int) -> None:
    """Wait until somebody listens at an address and TCP port. Compare: `nc -z ADDRESS PORT`.

    Raises:
        NatlabError: nobody did for 30 seconds.
    """
    host.run(f"until nc -z {address} {port}; do :; done", check=True)


def engine_runs(host: Host) -> bool:
    """Whether a Docker engine listens on the host."""
    sockets = host.run(["cat", "/proc/net/unix"]).stdout
    return any(line.endswith(_ENGINE) for line in sockets.splitlines())


def with_engine(host: Host, advice: str) -> str:
    """The advice; or, where no engine runs on the host, that it has to be started first."""
    if engine_runs(host):
        return advice
    return f"start dockerd on {host.name}: dockerd >/dev/null 2>&1 & (its containers end with it)"


def running(
    lab: Lab, name: str, command: str, *, host: str = "ubuntu1"
) -> tuple[Container, Resident]:
    """A container by name, and the program that runs in it.

    Args:
        lab: The lab.
        name: The container's name.
        command: What starts it.
        host: Its host.
    """
    hint = with_engine(lab.host(host), f"on {host}: {command}")
    found = container(lab, name, host, hint=hint)
    inside = residents(found)
    if not inside:
        raise Fail(
            expected=f"a program in {name} that is process 1 of its own process namespace",
            actual=f"{name} is a network namespace, and nothing runs in it",
            hint=f"on {host}: ip netns delete {name}, and then {command}",
        )
    return found, inside[0]
