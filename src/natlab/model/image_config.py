"""An image's config, and what follows from it and from a run's own wishes.

The run's settings come first: its Cmd replaces the image's, its Entrypoint drops the image's Cmd
too, its variables and labels override those of the same name, its ports and volumes are added
(moby daemon merge).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from natlab.model.image_changes import apply_changes
from natlab.model.image_settings import ImageConfig
from natlab.model.names import one_line
from natlab.model.refusal import Refusal
from natlab.model.signals import parse_signal

__all__ = [
    "DEFAULT_PATH",
    "DEFAULT_SIGNAL",
    "Effective",
    "ImageConfig",
    "apply_changes",
    "effective",
    "process_env",
]

DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH where neither the image nor the run sets one."""

DEFAULT_SIGNAL: Final = "SIGTERM"
"""What `docker stop` sends unless told otherwise."""


@dataclass(frozen=True)
class Effective:
    """What a container runs, and with what.

    Attributes:
        argv: The program and its arguments: `entrypoint` and then `cmd`.
        env: The whole environment: `config_env` behind PATH, HOSTNAME and TERM.
        config_env: What inspect shows as Config.Env, and what links pass on.
        cwd: Where it starts; `/` unless told otherwise.
        user: Whom it runs as; empty for root.
        entrypoint: What inspect shows as Config.Entrypoint.
        cmd: What inspect shows as Config.Cmd.
        exposed: `80/tcp`, of the image and of the run.
        volumes: Directories of anonymous volumes, of both.
        labels: Of both.
        stop_signal: What `docker stop` sends: `SIGTERM`.
    """

    argv: tuple[str, ...]
    env: tuple[str, ...]
    config_env: tuple[str, ...]
    cwd: str
    user: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    exposed: tuple[str, ...]
    volumes: tuple[str, ...]
    labels: Mapping[str, str]
    stop_signal: str

    @property
    def command(self) -> str:
        """The COMMAND column of `docker ps`: arguments with a space stand in quotes."""
        args = (f"'{arg}'" if " " in arg else arg for arg in self.argv[1:])
        return " ".join([self.argv[0], *args])


def effective(image: ImageConfig, body: Mapping[str, Any], *, hostname: str = "") -> Effective:
    """Put an image's config and a run's together.

    Equivalent to: what `docker create IMAGE` decides before there is a container.

    Args:
        image: The image's config.
        body: What the client sent: Cmd, Entrypoint, Env, ExposedPorts, Labels, StopSignal, Tty,
            User, Volumes, WorkingDir.
        hostname: The container's host name.

    Raises:
        Refusal: `no command specified`, `invalid environment variable: =x`, `invalid signal: x`,
            `the working directory 'x' is invalid, it needs to be an absolute path`, or
            `invalid JSON: …` when a value has the wrong shape.
    """
    run = ImageConfig.from_json(body)
    entrypoint, cmd = _program(image, run, reset=body.get("Entrypoint") == [])
    if not entrypoint and not cmd:
        raise Refusal("no command specified")
    if run.working_dir and not run.working_dir.startswith("/"):
        raise Refusal(
            f"the working directory '{one_line(run.working_dir)}' is invalid, "
            "it needs to be an absolute path"
        )
    signal = run.stop_signal or image.stop_signal or DEFAULT_SIGNAL
    parse_signal(signal)
    config_env = _merged_env(run.env, image.env)
    return Effective(
        argv=(*entrypoint, *cmd),
        env=process_env(config_env, hostname=hostname, tty=body.get("Tty") is True),
        config_env=config_env,
        cwd=run.working_dir or image.working_dir or "/",
        user=run.user or image.user,
        entrypoint=entrypoint,
        cmd=cmd,
        exposed=_union(image.exposed, run.exposed),
        volumes=_union(image.volumes, run.volumes),
        labels={**image.labels, **run.labels},
        stop_signal=signal,
    )


def process_env(
    config_env: Iterable[str], *, hostname: str = "", tty: bool = False, links: Iterable[str] = ()
) -> tuple[str, ...]:
    """Give the environment of a container's program, in Docker's order.

    PATH, HOSTNAME, with a terminal TERM, and the links' variables come first; `config_env`
    overrides them where they stand. A name without `=` in it takes the variable away
    (moby CreateDaemonEnvironment).

    Args:
        config_env: The image's and the run's variables.
        hostname: The container's host name.
        tty: Whether the program has a terminal.
        links: What `--link` adds.
    """
    base = [f"PATH={DEFAULT_PATH}", f"HOSTNAME={hostname}", *(["TERM=xterm"] if tty else ())]
    variables = {_name(variable): variable for variable in [*base, *links]}
    for variable in config_env:
        if "=" in variable:
            variables[_name(variable)] = variable
        else:
            variables.pop(variable, None)
    return tuple(variables.values())


def _program(
    image: ImageConfig, run: ImageConfig, *, reset: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give entrypoint and cmd; one empty word (`--entrypoint ""`) is no entrypoint.

    An empty list (`reset`) takes the image's entrypoint away too, but leaves its Cmd.
    """
    if run.entrypoint:
        return (() if run.entrypoint == ("",) else run.entrypoint), run.cmd
    return () if reset else image.entrypoint, run.cmd or image.cmd


def _merged_env(run: tuple[str, ...], image: tuple[str, ...]) -> tuple[str, ...]:
    for variable in run:
        if not _name(variable):
            raise Refusal(f"invalid environment variable: {one_line(variable)}")
    own = {_name(variable) for variable in run}
    return (*run, *(variable for variable in image if _name(variable) not in own))


def _name(variable: str) -> str:
    return variable.partition("=")[0]


def _union(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(first + second))
