"""Names: which ones Docker and the kernel accept, which ones are made, and which was meant.

Two rules meet here. Docker is generous with a container's name and strict about its first
character; the kernel gives an interface 15 bytes and no more, which is why `docker network
create` does not name the bridge after the network but `br-` and twelve digits of its id.
"""

from __future__ import annotations

import difflib
import hashlib
import re
from collections.abc import Iterable
from typing import Final

from natlab.errors import UsageError

MAX_INTERFACE_NAME: Final = 15
"""Bytes in an interface's name: the kernel's IFNAMSIZ is 16 and the last one is a zero."""

MAX_LAB_NAME: Final = 32
"""Characters in a lab's name: it is part of the path of a unix socket, which has 108 bytes."""

_CONTAINER: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_INTERFACE: Final = re.compile(r"[!-~]+")
_NOT_IN_INTERFACE: Final = frozenset("/:%")
_LAB: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_NETWORK_ID: Final = re.compile(r"[0-9a-f]{12,}")
_LISTED: Final = 8
_SUGGESTED: Final = 3


def one_line(text: str) -> str:
    r"""Give the text as it can stand in a one-line message: `a\nb` instead of a line break."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def check_container_name(name: str) -> str:
    """Check a container's name as Docker does; one leading slash is dropped.

    The rule is `[a-zA-Z0-9][a-zA-Z0-9_.-]+`: two characters or more (moby daemon/names).

    Equivalent to: `docker run --name NAME`.

    Returns:
        The name without the slash.

    Raises:
        UsageError: With Docker's text: `Invalid container name (-x), only
            [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`.
    """
    bare = name.removeprefix("/")
    if not _CONTAINER.fullmatch(bare):
        raise UsageError(
            f"Invalid container name ({one_line(name)}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
        )
    return bare


def check_interface_name(name: str) -> str:
    """Check that the kernel takes this as an interface's name, and a person can type it.

    The kernel wants 1 to 15 bytes without white space, `/` and `:`, neither `.` nor `..`, and
    reads `veth%d` as a pattern to number (dev_valid_name and dev_alloc_name in net/core/dev.c).
    Here it must be printable ASCII besides, so that it reads the same in every listing.

    Equivalent to: `ip link add NAME type dummy`.

    Returns:
        The name.

    Raises:
        UsageError: The message says how long it is, or which character is in the way.
    """
    shown = f'interface name "{one_line(name)}"'
    if not name:
        raise UsageError("interface name is empty: give it 1 to 15 characters, such as docker0")
    if (size := len(name.encode(errors="surrogatepass"))) > MAX_INTERFACE_NAME:
        unit = "characters" if size == len(name) else "bytes"
        raise UsageError(
            f"{shown} has {size} {unit}: the kernel takes at most {MAX_INTERFACE_NAME}, "
            "choose a shorter one"
        )
    if name in {".", ".."}:
        raise UsageError(f"{shown} means a directory: choose a name with a letter")
    if not _INTERFACE.fullmatch(name) or _NOT_IN_INTERFACE & set(name):
        raise UsageError(
            f"{shown} holds a space or another character that is not taken: "
            "use letters, digits, '-', '_' and '.'"
        )
    return name


def check_lab_name(name: str) -> str:
    """Check a lab's name: 1 to 32 letters, digits, `_`, `.` and `-`, the first no sign.

    Equivalent to: `natlab --name NAME up`.

    Returns:
        The name.

    Raises:
        UsageError: When it cannot be part of a file's name, or is too long for a socket's path.
    """
    if len(name) > MAX_LAB_NAME:
        raise UsageError(
            f'lab name "{one_line(name)}" has {len(name)} characters: '
            f"at most {MAX_LAB_NAME}, choose a shorter one"
        )
    if not _LAB.fullmatch(name):
        raise UsageError(
            f'lab name "{one_line(name)}" is not taken: begin with a letter or digit, '
            "then use letters, digits, '_', '.' and '-'"
        )
    return name


def veth_name(seed: str) -> str:
    """Name the host's end of a container's veth: `veth` and 7 hex digits, the same for a seed.

    Docker draws the digits at random (moby netutils.GenerateIfaceName); here the seed, such as
    the endpoint's id, decides, so that a lab built twice looks the same. The caller takes
    another seed if the name stands already.

    Equivalent to: `ip link add vethXXXXXXX type veth peer name eth0`.
    """
    return f"veth{hashlib.sha256(seed.encode()).hexdigest()[:7]}"


def bridge_name(network_id: str) -> str:
    """Name a network's bridge: `br-` and the first 12 hex digits of the network's id.

    The default network's bridge is the exception: it is called docker0 (moby bridge driver).

    Equivalent to: what `docker network create` calls the bridge.

    Raises:
        UsageError: The id is not made of 12 or more lower-case hex digits.
    """
    if not _NETWORK_ID.fullmatch(network_id):
        raise UsageError(
            f'network id "{one_line(network_id)}" does not name a bridge: '
            "it needs 12 or more hex digits"
        )
    return f"br-{network_id[:12]}"


def nearest(word: str, known: Iterable[str]) -> tuple[str, ...]:
    """Give the known names that look like the word, the likeliest first, three at most.

    Upper and lower case count as the same; names that share less than about six letters in
    ten are left out.
    """
    by_folded: dict[str, str] = {}
    for name in known:
        by_folded.setdefault(name.casefold(), name)
    close = difflib.get_close_matches(word.casefold(), by_folded, n=_SUGGESTED)
    return tuple(by_folded[folded] for folded in close)


def unknown(
    kind: str, word: str, known: Iterable[str], *, place: str = "", hint: str = ""
) -> UsageError:
    """Make the error for a name that nothing has; the caller raises it.

    `unknown("container", "wbe", ["web"], place="on ubuntu1")` reads
    `no container "wbe" on ubuntu1: did you mean "web"?`

    Args:
        kind: What was looked for: "container", "host", "step".
        word: What was typed.
        known: The names there are, in any order.
        place: Where it was looked for, with its preposition: "on ubuntu1".
        hint: How to make the first one, for when there is none: "make one with `natlab up`".

    Returns:
        The error: the nearest names; else all there are; else the hint.
    """
    names = sorted(set(known))
    where = f" {place}" if place else ""
    return UsageError(f'no {kind} "{one_line(word)}"{where}: {_instead(word, names, hint)}')


def _instead(word: str, names: list[str], hint: str) -> str:
    if close := nearest(word, names):
        return f"did you mean {_series(_quoted(close), 'or')}?"
    if not names:
        return f"there is none yet; {hint}" if hint else "there is none"
    if len(names) == 1:
        return f'there is only "{names[0]}"'
    shown = _quoted(names[:_LISTED])
    if len(names) > _LISTED:
        shown.append(f"{len(names) - _LISTED} more")
    return f"there are {_series(shown, 'and')}"


def _quoted(names: Iterable[str]) -> list[str]:
    return [f'"{name}"' for name in names]


def _series(items: list[str], word: str) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {word} {items[-1]}"
