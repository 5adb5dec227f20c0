"""`natlab docker …`: Docker's command line, where there is no Docker client.

A thin client of the Engine API: the commands, options, output and exit codes are those of the
docker client of version 28. The manual of its commands is `docker_manual.txt`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

import typer

from natlab.cli.common import say

if TYPE_CHECKING:
    from natlab.cli.docker_call import Call
    from natlab.model.docker_flags import Options

SETTINGS: Final = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "allow_interspersed_args": False,
    "help_option_names": [],
}
"""Every word is Docker's own: `natlab docker run --help` too."""

_MANUAL: Final = """\
  -H, --host string   Engine socket to connect to (default: DOCKER_HOST, else the lab's)
      --on string     The lab host whose engine is meant (default "ubuntu1")
      --name string   Which lab, if there are several
  -v, --version       Print version information and quit"""


def docker(context: typer.Context) -> None:
    """Docker's command line against a lab host's engine; needs no Docker."""
    raise typer.Exit(main(context.args))


def main(words: list[str]) -> int:
    """Carry a command line out; its exit code."""
    from natlab.cli.docker_call import complain
    from natlab.model.docker_flags import CommandLineError

    try:
        return _main(words)
    except CommandLineError as error:
        complain(str(error))
        return error.code


def _main(words: list[str]) -> int:
    from natlab.cli.docker_call import Call
    from natlab.cli.docker_commands import find
    from natlab.cli.docker_engine import Api, engine_url
    from natlab.model.docker_flags import Command
    from natlab.model.docker_parse import parse

    outer = parse(Command("", "", "[OPTIONS] COMMAND", "", _MANUAL, most=None, mixed=False), words)
    if text := _told(outer):
        say(text)
        return 0
    command, rest = find(outer.arguments)
    options = parse(command, rest)
    if options.on("help"):
        say(command.help)
        return 0
    api = Api(engine_url(outer.text("host"), outer.text("on"), outer.text("name")))
    try:
        return _carry_out(Call(command, options, api))
    finally:
        api.close()


def _told(outer: Options) -> str:
    """What is told without asking an engine; nothing if one is to be asked."""
    from natlab.cli.docker_commands import GROUPS, group_help, overview
    from natlab.release import VERSION

    if outer.on("version"):
        return f"natlab docker version {VERSION}"
    words = outer.arguments
    if not words or outer.on("help") or words == ["help"]:
        return overview(_MANUAL)
    if words[0] in GROUPS and words[1:] in ([], ["--help"], ["-h"]):
        return group_help(words[0])
    return ""


def _carry_out(call: Call) -> int:
    """Call the command's function; what goes wrong is told in Docker's words."""
    from natlab.cli.docker_call import FROM_DAEMON, complain
    from natlab.cli.docker_wire import EngineError, UnreachableError
    from natlab.errors import UsageError
    from natlab.model.refusal import Refusal

    module, _, name = call.command.code.partition(":")
    function = getattr(importlib.import_module(f"natlab.cli.{module}"), name)
    try:
        code: int = function(call) or 0
    except EngineError as error:
        complain(f"{FROM_DAEMON}{error.message}")
    except (UnreachableError, UsageError, Refusal) as error:
        complain(str(error))
    else:
        return code
    return 1
