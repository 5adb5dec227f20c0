"""Ids and names: how they are made, and which object one means.

An id has 64 hexadecimal digits, and its beginning will do as long as no other one begins alike.
A full id comes before a name, and a name before the beginning of an id (moby GetContainer,
FindNetwork).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from random import Random
from typing import Final, Literal, TypeAlias

from natlab.errors import UsageError
from natlab.model.names import check_container_name, one_line
from natlab.model.refusal import Refusal

Kind: TypeAlias = Literal["container", "network", "exec"]

ID_BYTES: Final = 32
"""How many random bytes make an id."""

_SHORT: Final = 12
_LONGEST: Final = 255
"""A name is a file's name, too: that of the network namespace."""
_TRIES: Final = 6
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_BORING: Final = "boring_wozniak"

_ADJECTIVES: Final = (
    "admiring adoring affectionate agitated amazing angry awesome beautiful blissful bold boring "
    "brave busy charming clever compassionate competent condescending confident cool cranky crazy "
    "dazzling determined distracted dreamy eager ecstatic elastic elated elegant eloquent epic "
    "exciting fervent festive flamboyant focused friendly frosty funny gallant gifted goofy "
    "gracious great happy hardcore heuristic hopeful hungry infallible inspiring intelligent "
    "interesting jolly jovial keen kind laughing loving lucid magical modest musing mystifying"
)
_SURNAMES: Final = (
    "albattani allen almeida archimedes ardinghelli aryabhata austin babbage banach bardeen "
    "bartik bell bhabha bhaskara blackwell bohr booth borg bose brahmagupta brattain carson "
    "chandrasekhar colden cori cray curie darwin davinci dijkstra easley einstein elion "
    "engelbart euclid fermat fermi feynman franklin galileo goldberg goldstine goodall hamilton "
    "hawking heisenberg hodgkin hoover hopper hypatia jang jennings jepsen jones kalam kare "
    "keller khorana kilby kirch knuth kowalevski lamarr leakey leavitt liskov lovelace lumiere "
    "mayer mccarthy mcclintock meitner noether pasteur ritchie swartz tesla thompson torvalds "
    "turing wozniak wright"
)


def new_id(random: bytes) -> str:
    """Make an id: the first 32 of the given random bytes as 64 hexadecimal digits.

    Raises:
        ValueError: There are fewer than 32 bytes.
    """
    if len(random) < ID_BYTES:
        raise ValueError(f"an id needs {ID_BYTES} random bytes, here are {len(random)}")
    return random[:ID_BYTES].hex()


def short_id(ident: str) -> str:
    """Give the 12 digits by which `docker ps` shows an id; an image's `sha256:` is dropped."""
    return ident.removeprefix("sha256:")[:_SHORT]


def resolve(text: str, names: Mapping[str, str], kind: Kind = "container") -> str:
    """Say which object a full id, a name or the beginning of an id means.

    A container's name may have its slash (`/web`). An exec instance has no name, and is known
    by its full id only.

    Equivalent to: the CONTAINER of `docker inspect CONTAINER`.

    Args:
        text: What the client sent.
        names: The objects: full id to name, without a slash; empty for one without a name.
        kind: What is looked for; it decides the words of the refusal.

    Returns:
        The full id.

    Raises:
        Refusal: `No such container: x`, `network x not found`, `No such exec instance: x`
            (404); `multiple IDs found with provided prefix: x`, `network x is ambiguous (2
            matches found based on ID prefix)` (400).
    """
    if text in names:
        return text
    if kind == "exec" or not text:
        raise _nothing(text, kind)
    bare = text.removeprefix("/") if kind == "container" else text
    by_name = [ident for ident, name in names.items() if name and name == bare]
    found = by_name or [ident for ident in names if ident.startswith(text)]
    if not found:
        raise _nothing(text, kind)
    if len(found) > 1:
        raise _several(text, kind, len(found), "on name" if by_name else "based on ID prefix")
    return found[0]


def random_name(random: Random, taken: Collection[str] = ()) -> str:
    """Draw a name such as `jolly_curie` that is not taken; `boring_wozniak` is never drawn.

    From the second try on it ends in a digit. When all tries are taken the name is 12 random
    hexadecimal digits, where Docker takes the container's short id (moby namesgenerator,
    generateAndReserveName).

    Equivalent to: what `docker run` without `--name` calls the container.
    """
    for attempt in range(_TRIES):
        name = _draw(random)
        if attempt:
            name = f"{name}{random.randrange(10)}"
        if name not in taken:
            return name
    return random.randbytes(_SHORT // 2).hex()


def check_name(name: str) -> str:
    """Check a container's name; one leading slash is dropped.

    Equivalent to: `docker run --name NAME`.

    Returns:
        The name without the slash.

    Raises:
        Refusal: `Invalid container name (-x), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed`, or it
            is too long.
    """
    if len(name) > _LONGEST:
        raise Refusal(f"Invalid container name: it has more than {_LONGEST} characters")
    try:
        return check_container_name(name)
    except UsageError as error:
        raise Refusal(str(error)) from None


def name_conflict(name: str, holder: str) -> Refusal:
    """Make the refusal (409) of a name that a container has; the caller raises it.

    Args:
        name: The name, with or without its slash.
        holder: The full id of the container that has it.
    """
    return Refusal(
        f'Conflict. The container name "/{name.removeprefix("/")}" is already in use by container '
        f'"{holder}". You have to remove (or rename) that container to be able to reuse that name.',
        _CONFLICT,
    )


def _draw(random: Random) -> str:
    while True:
        name = f"{random.choice(_ADJECTIVES.split())}_{random.choice(_SURNAMES.split())}"
        if name != _BORING:
            return name


def _nothing(text: str, kind: Kind) -> Refusal:
    shown = one_line(text)
    if kind == "network":
        return Refusal(f"network {shown} not found", _NOT_FOUND)
    what = "exec instance" if kind == "exec" else kind
    return Refusal(f"No such {what}: {shown}", _NOT_FOUND)


def _several(text: str, kind: Kind, count: int, why: str) -> Refusal:
    shown = one_line(text)
    if kind == "network":
        return Refusal(f"network {shown} is ambiguous ({count} matches found {why})")
    return Refusal(f"multiple IDs found with provided prefix: {shown}")
