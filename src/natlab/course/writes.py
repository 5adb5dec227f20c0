"""Live writes: a file is written here, looked for there, and taken away again.

A directory's time is put back as well: a check changes nothing of what it looks at.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from natlab.course.checks import Fail
from natlab.course.facts import expect
from natlab.course.inside import Resident

if TYPE_CHECKING:
    from natlab.engine.node import Node
    from natlab.engine.process import Completed

_WRITE: Final = 'cd "$1" && stat -c %y . && echo "$2" >"$2"'
_APPEND: Final = 'stat -c "%s %y" "$1" && echo "$2" >>"$1"'
_CUT: Final = 'truncate -s "$2" "$1" && touch -m -d "$3" "$1"'
_CLEAR: Final = 'cd "$1" && rm -f "$2" && touch -m -d "$3" .'


def shell(who: Node | Resident, script: str, *arguments: str) -> Completed:
    """Run a script of the shell on a host or in a container; `$1` is the first argument."""
    argv = ["sh", "-c", script, "sh", *arguments]
    return who.run(*argv) if isinstance(who, Resident) else who.run(argv)


@contextlib.contextmanager
def written(who: Node | Resident, directory: str, *, hint: str) -> Iterator[str]:
    """A file with a name of its own, which is also its text, for the length of a block."""
    name = f"natlab-{secrets.token_hex(6)}"
    done = shell(who, _WRITE, directory, name)
    if done.returncode:
        raise Fail(expected=f"{who.name} can write in {directory}", actual=_reason(done), hint=hint)
    try:
        yield name
    finally:
        shell(who, _CLEAR, directory, name, done.stdout.strip())


@contextlib.contextmanager
def appended(who: Node | Resident, path: str) -> Iterator[str]:
    """A line of its own at the end of a file, in place, for the length of a block."""
    words = f"natlab-{secrets.token_hex(6)}"
    done = shell(who, _APPEND, path, words)
    if done.returncode:
        raise Fail(
            expected=f"{who.name} can write in {path}",
            actual=_reason(done),
            hint=f"make the file, or let {who.name} write in it",
        )
    size, _, time = done.stdout.strip().partition(" ")
    try:
        yield words
    finally:
        shell(who, _CUT, path, size, time)


def reads(who: Node | Resident, directory: str, name: str) -> bool:
    """Whether the file that somebody has just written is in that directory too."""
    return shell(who, 'cat "$1/$2"', directory, name).stdout.strip() == name


def arrives(
    writer: Node | Resident, here: str, reader: Node | Resident, there: str, *, hint: str
) -> str:
    """What the one writes the other reads; returns it as a sentence."""
    with written(writer, here, hint=hint) as name:
        expect(
            reads(reader, there, name),
            expected=f"what {writer.name} writes in {here} is in {there} of {reader.name}",
            actual="it is not there",
            hint=hint,
        )
    return f"what {writer.name} writes in {here}, {reader.name} reads in {there}"


def stays(
    writer: Node | Resident, here: str, reader: Node | Resident, there: str, *, hint: str
) -> str:
    """What the one writes the other does not see; returns it as a sentence."""
    with written(writer, here, hint=hint) as name:
        expect(
            not reads(reader, there, name),
            expected=f"what {writer.name} writes in {here} is not in {there} of {reader.name}",
            actual="it is there",
            hint=hint,
        )
    return f"what {writer.name} writes in {here} is not in {there} of {reader.name}"


def refused(who: Node | Resident, directory: str, *, hint: str) -> str:
    """Nothing can be written there; returns the kernel's reason as a sentence."""
    name = f"natlab-{secrets.token_hex(6)}"
    done = shell(who, _WRITE, directory, name)
    if done.returncode == 0:
        shell(who, _CLEAR, directory, name, done.stdout.strip())
    expect(
        done.returncode,
        expected=f"{who.name} cannot write in {directory}",
        actual="it can",
        hint=hint,
    )
    return f"{who.name} cannot write in {directory}: {_reason(done)}"


def _reason(done: Completed) -> str:
    """The last words of what the shell says: `Read-only file system`."""
    return done.stderr.strip().rpartition(": ")[2] or f"the shell ended with {done.returncode}"
