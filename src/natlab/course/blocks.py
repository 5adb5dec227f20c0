"""The blocks of a step's README that a person types, and typing them.

A fenced block that names its machine is typed there:

    ```sh ubuntu1
    ip netns add web
    ```

Further words on the fence: `nft` or `iptables`, or else `hand` or `docker`, for a block that exists
in both spellings, of which one is typed; `fails` for a command whose failure is the lesson.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from natlab.course.client import CLIENT
from natlab.errors import NatlabError

if TYPE_CHECKING:
    from natlab.engine.lab import Lab

Spelling = Literal["nft", "iptables", "hand", "docker"]
SPELLINGS: Final[tuple[Spelling, ...]] = ("nft", "iptables", "hand", "docker")

_FENCE: Final = re.compile(
    r"^```sh (?P<words>[^\n]+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    """Commands for one machine."""

    machine: str
    text: str
    spelling: Spelling | None = None
    fails: bool = False


def parse(readme: str) -> list[Block]:
    """The blocks to type, in order.

    Raises:
        NatlabError: a fence has a word that is not known.
    """
    return [_block(match["words"].split(), match["text"]) for match in _FENCE.finditer(readme)]


def _block(words: list[str], text: str) -> Block:
    machine, *rest = words
    unknown = set(rest) - {*SPELLINGS, "fails"}
    if unknown:
        raise NatlabError(
            f"a block for {machine} has the unknown word {min(unknown)!r} on its fence"
        )
    spelling = next((one for one in SPELLINGS if one in rest), None)
    return Block(machine, text, spelling, "fails" in rest)


def spellings(blocks: list[Block]) -> tuple[Spelling | None, ...]:
    """The spellings in which a step can be typed; None alone if there is only one way."""
    return tuple(one for one in SPELLINGS if one in {b.spelling for b in blocks}) or (None,)


def chosen(blocks: list[Block], spelling: Spelling | None) -> list[Block]:
    """Those blocks that are typed in one spelling."""
    return [block for block in blocks if block.spelling in (None, spelling)]


def type_block(lab: Lab, block: Block) -> str:
    """Type a block into a shell on its machine; returns what was printed.

    Raises:
        NatlabError: a command failed (or none did, where one should).
    """
    return type_text(lab, block.machine, block.text, fails=block.fails)


def type_text(lab: Lab, machine: str, text: str, *, fails: bool = False) -> str:
    """Type commands into a shell on a machine, stopping at the first that fails.

    Where no Docker client is installed, `docker` is natlab's own.
    """
    done = lab.node(machine).run(["bash", "-euo", "pipefail", "-c", CLIENT + text])
    if bool(done.returncode) != fails:
        said = (done.stderr or done.stdout).strip()
        wanted = "should have failed" if fails else f"ended with {done.returncode}"
        raise NatlabError(f"typed on {machine}: {text.strip()!r} {wanted}: {said}")
    return done.stdout
