"""The commands and their options. What they do is in the engine and the course."""

from __future__ import annotations

from typing import Annotated

import typer

from natlab.cli import docker, engine
from natlab.cli.common import DEFAULT_LAB, Name, say
from natlab.errors import UsageError

app = typer.Typer(
    help="Rebuild Docker's default network by hand, without Docker, and check every step.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(engine.app, name="engine")
app.command(name="docker", context_settings=docker.SETTINGS)(docker.docker)

StepArgument = Annotated[str, typer.Argument(metavar="STEP", help="A step's number or name.")]
OptionalStep = Annotated[
    str | None, typer.Argument(metavar="[STEP]", help="A step's number or name.")
]
PASS_THROUGH = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": ["--help"],
}


def version(value: bool) -> None:
    """Print the version and leave."""
    if value:
        from natlab import __version__

        say(f"natlab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Rebuild Docker's default network by hand, without Docker, and check every step."""


@app.command()
def up(name: Name = DEFAULT_LAB) -> None:
    """Start the lab: outside, ubuntu1 and ubuntu2 on one LAN."""
    from natlab.engine import keep

    if keep.up(name):
        say(
            f"lab {name} is up: outside 192.168.33.20, ubuntu1 192.168.33.11, ubuntu2 192.168.33.12"
        )
        say("Next: `natlab steps` shows the course, `natlab shell ubuntu1` goes inside.")
    else:
        say(f"lab {name} is up already: `natlab status` shows it, `natlab down` ends it.")


@app.command()
def down(name: Name = DEFAULT_LAB) -> None:
    """End the lab and everything in it."""
    from natlab.engine import keep

    if keep.down(name):
        say(f"lab {name} is down; nothing of it is left.")
    else:
        say(f"lab {name} was gone already (its keeper had been killed); its record is removed.")


@app.command()
def status() -> None:
    """Show which labs are up, and what is in them."""
    from natlab.cli import show

    raise typer.Exit(show.status())


@app.command()
def shell(
    node: Annotated[str, typer.Argument(help="A host or a container.")] = "ubuntu1",
    name: Name = DEFAULT_LAB,
) -> None:
    """Open a shell on a host or in a container."""
    from natlab.engine import keep

    rc = "/run/natlab/bashrc"
    raise typer.Exit(keep.enter_node(name, node, ["bash", "--rcfile", rc, "-i"]))


@app.command(name="exec", context_settings={"allow_interspersed_args": False})
def exec_(
    node: Annotated[str, typer.Argument(help="A host or a container.")],
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", help="What to run there.")
    ],
    name: Name = DEFAULT_LAB,
) -> None:
    """Run a command on a host or in a container; its exit code is passed on."""
    from natlab.engine import keep

    argv = command[1:] if command[:1] == ["--"] else command
    if not argv:
        raise UsageError("no command given: `natlab exec ubuntu1 -- ip addr`")
    raise typer.Exit(keep.enter_node(name, node, argv))


@app.command()
def doctor() -> None:
    """Look whether this machine can run the lab, and say what to do where it cannot."""
    from natlab.cli import show

    raise typer.Exit(show.doctor())


@app.command(name="iptables", context_settings=PASS_THROUGH)
def iptables_(
    context: typer.Context,
    host: Annotated[str, typer.Option("--host", "-H", help="Whose rules.")] = "ubuntu1",
    name: Name = DEFAULT_LAB,
) -> None:
    """List a host's rules as `iptables -t nat -nvL` does, whoever made them."""
    from natlab.cli import show

    raise typer.Exit(show.iptables(name, host, context.args))


@app.command()
def journey(
    origin: Annotated[str, typer.Argument(metavar="FROM", help="A host or a container.")],
    target: Annotated[
        str, typer.Argument(metavar="TO[:PORT]", help="A node's name or an address.")
    ],
    udp: Annotated[
        bool, typer.Option("--udp", help="Send a datagram instead of a connection.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    name: Name = DEFAULT_LAB,
) -> None:
    """Send one real packet and tell its way: interfaces, hooks, rules, rewrites, and back."""
    from natlab.cli import show

    raise typer.Exit(show.journey(name, origin, target, udp=udp, as_json=as_json))


@app.command(name="map")
def map_(
    svg: Annotated[
        str | None, typer.Option("--svg", metavar="FILE", help="Write a picture.")
    ] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="Print a Mermaid flowchart.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    name: Name = DEFAULT_LAB,
) -> None:
    """Draw the lab as it stands now, read from the kernel."""
    from natlab.cli import show

    raise typer.Exit(show.draw_map(name, svg=svg, mermaid=mermaid, as_json=as_json))


@app.command()
def steps(name: Name = DEFAULT_LAB) -> None:
    """Show the syllabus, and which steps have passed."""
    from natlab.cli import lessons

    lessons.steps(name)


@app.command(name="show")
def show_(step: StepArgument) -> None:
    """Print a step: what to read, and what to type on which machine."""
    from natlab.cli import lessons

    lessons.show(step)


@app.command()
def do(
    step: OptionalStep = None,
    all_: Annotated[bool, typer.Option("--all", help="Every step, in order.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Check each step as well.")] = False,
    throwaway: Annotated[
        bool, typer.Option("--throwaway", help="In a lab of its own, gone afterwards.")
    ] = False,
    name: Name = DEFAULT_LAB,
) -> None:
    """Build the end state of a step directly, whatever stood before."""
    from natlab.cli import lessons

    raise typer.Exit(lessons.do(step, everything=all_, check=check, throwaway=throwaway, name=name))


@app.command()
def check(
    step: OptionalStep = None,
    all_: Annotated[
        bool, typer.Option("--all", help="Every step, against the lab as it is.")
    ] = False,
    name: Name = DEFAULT_LAB,
) -> None:
    """Check a step (or the first that has not passed yet) against the lab as it is now."""
    from natlab.cli import lessons

    raise typer.Exit(lessons.check(step, everything=all_, name=name))


@app.command()
def hint(step: OptionalStep = None, name: Name = DEFAULT_LAB) -> None:
    """Say what to do next, from what is missing now."""
    from natlab.cli import lessons

    raise typer.Exit(lessons.hint(step, name=name))


@app.command()
def reset(step: StepArgument, name: Name = DEFAULT_LAB) -> None:
    """Take the lab back to where a step begins."""
    from natlab.cli import lessons

    lessons.reset(step, name=name)
