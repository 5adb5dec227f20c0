"""`natlab engine`: Docker's Engine API on the hosts of a lasting lab."""

from __future__ import annotations

from typing import Annotated

import typer

from natlab.cli.common import DEFAULT_LAB, Name, say

app = typer.Typer(
    help="Docker's Engine API on a lab's hosts, for unmodified Docker clients.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

HostOption = Annotated[str, typer.Option("--host", help="Which host of the lab.")]
DEFAULT_HOST = "ubuntu1"


Icc = Annotated[
    bool, typer.Option("--icc/--no-icc", help="Whether containers of docker0 reach each other.")
]
UserlandProxy = Annotated[
    bool,
    typer.Option(
        "--userland-proxy/--no-userland-proxy",
        help="Whether published ports get a userland proxy.",
    ),
]


KeepVolumes = Annotated[
    bool,
    typer.Option(
        "--keep-volumes",
        help="Keep volumes on this machine (in natlab's data directory), so that they outlive"
        " the lab.",
    ),
]


@app.command()
def start(
    host: HostOption = DEFAULT_HOST,
    name: Name = DEFAULT_LAB,
    *,
    icc: Icc = True,
    userland_proxy: UserlandProxy = True,
    keep_volumes: KeepVolumes = False,
) -> None:
    """Start a host's engine."""
    from natlab.api import background
    from natlab.cli.docker_call import complain

    if background.start(
        name,
        host,
        icc=icc,
        userland_proxy=userland_proxy,
        keep_volumes=keep_volumes,
        told=complain,
    ):
        say(f"the engine of {host} runs: `eval $(natlab engine env --host {host})` tells docker")
    else:
        say(f"the engine of {host} runs already: `natlab engine stop --host {host}` ends it")


@app.command()
def env(host: HostOption = DEFAULT_HOST, name: Name = DEFAULT_LAB) -> None:
    """Print what a shell must know to reach a host's engine; it is started if need be."""
    from natlab.api import background
    from natlab.cli.docker_call import complain

    background.start(name, host, told=complain)
    say(f"export DOCKER_HOST={background.url(name, host)}")


@app.command()
def stop(host: HostOption = DEFAULT_HOST, name: Name = DEFAULT_LAB) -> None:
    """End a host's engine and its containers."""
    from natlab.api import background

    if background.stop(name, host):
        say(f"the engine of {host} has ended, and its containers with it")
    else:
        say(f"no engine runs on {host}")


@app.command()
def status(host: HostOption = DEFAULT_HOST, name: Name = DEFAULT_LAB) -> None:
    """Say whether a host's engine runs, and where; exit code 1 if it does not."""
    from natlab.api import background

    record = background.running(name, host)
    if record is None:
        say(f"no engine runs on {host}: start it with `natlab engine start --host {host}`")
        raise typer.Exit(1)
    say(f"the engine of {host} runs (process {record.pid}) at {background.url(name, host)}")


@app.command(hidden=True)
def serve(
    ready: Annotated[int, typer.Option("--ready", help="Where to say that it is ready.")],
    host: HostOption = DEFAULT_HOST,
    name: Name = DEFAULT_LAB,
    *,
    icc: Icc = True,
    userland_proxy: UserlandProxy = True,
    keep_volumes: KeepVolumes = False,
) -> None:
    """Be a host's engine."""
    from natlab.api import background

    background.serve(
        name,
        host,
        ready,
        icc=icc,
        userland_proxy=userland_proxy,
        keep_volumes=keep_volumes,
    )
