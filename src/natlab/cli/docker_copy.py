"""`docker cp`: files between a container and this machine.

Where a copy lands depends on what is there already: in a directory it keeps its name, elsewhere it
takes the name that was given; `DIR/.` means what is in the directory (docker/cli, container/cp.go).
"""

from __future__ import annotations

import base64
import json
import os
import posixpath
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from natlab.cli.docker_call import Call, complain, container_path
from natlab.cli.docker_engine import pieces
from natlab.cli.docker_tar import pack
from natlab.cli.docker_untar import unpack
from natlab.cli.docker_wire import EngineError
from natlab.errors import UsageError
from natlab.model.go_quote import human_size

_STAT: Final = "X-Docker-Container-Path-Stat"
_DIRECTORY: Final = 1 << 31
_LINK: Final = 1 << 27
_CHUNK: Final = 1 << 20
_NO_DIRECTORY: Final = "no such directory"
_NOT_INTO_A_FILE: Final = "cannot copy directory"


def copy(call: Call) -> int:
    """`docker cp`."""
    source, target = (_place(word) for word in call.arguments)
    if source[0] and target[0]:
        raise UsageError("copying between containers is not supported")
    if source[0]:
        return _out(call, source[0], source[1], target[1])
    if target[0]:
        return _in(call, source[1], target[0], target[1])
    raise UsageError("must specify at least one container source")


def _place(word: str) -> tuple[str, str]:
    """The container that a word names, if it names one, and the path."""
    name, colon, path = word.partition(":")
    if not colon or word.startswith("/") or name.startswith("."):
        return "", word
    return name, path


def _stat(headers: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.b64decode(headers[_STAT]))
    return found


def _look(call: Call, name: str, path: str) -> dict[str, Any]:
    """What is at a path in a container."""
    answer = call.api.ask("HEAD", container_path(name, "/archive"), {"path": path})
    return _stat(answer.headers)


def _followed(path: str, found: Mapping[str, Any]) -> str:
    """Where a link leads."""
    if not found["mode"] & _LINK:
        return path
    return posixpath.join(posixpath.dirname(path.rstrip("/")), found["linkTarget"])


def _out(call: Call, name: str, path: str, target: str) -> int:
    """From the container to this machine."""
    if call.options.on("follow-link"):
        path = _followed(path, _look(call, name, path))
    answer = call.api.ask("GET", container_path(name, "/archive"), {"path": path}, stream=True)
    if target == "-":
        sys.stdout.flush()
        for piece in pieces(answer):
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return 0
    is_directory = bool(_stat(answer.headers)["mode"] & _DIRECTORY)
    place, inside = Path(target), Path(target).is_dir()
    if place.exists() and not inside and is_directory:
        raise UsageError(_NOT_INTO_A_FILE)
    if target.endswith("/") and not inside and not is_directory:
        raise UsageError(_NO_DIRECTORY)
    if not inside and not place.absolute().parent.is_dir():
        raise UsageError(
            f'invalid output path: directory "{place.absolute().parent}" does not exist'
        )
    size = unpack(pieces(answer), place, inside=inside, owners=call.options.on("archive"))
    _tell(call, size, str(place.absolute()))
    return 0


def _in(call: Call, source: str, name: str, path: str) -> int:
    """From this machine to the container."""
    if source == "-":
        _put(call, name, path, iter(lambda: sys.stdin.buffer.read(_CHUNK), b""))
        return 0
    if not os.path.lexists(source):
        raise UsageError(f"lstat {Path(source).absolute()}: no such file or directory")
    follow = call.options.on("follow-link") or source.endswith(("/", "/."))
    is_directory = Path(source).is_dir() and (follow or not Path(source).is_symlink())
    directory, base = _landing(call, name, path, source, is_directory=is_directory)
    counted = pack(source, base, follow=follow, owners=call.options.on("archive"))
    _put(call, name, directory, counted)
    _tell(call, counted.size, f"{name}:{path}")
    return 0


def _landing(
    call: Call, name: str, path: str, source: str, *, is_directory: bool
) -> tuple[str, str]:
    """The directory in the container that a copy goes to, and the name that it has there."""
    own = posixpath.basename(os.path.abspath(source))  # noqa: PTH100 - links stay as they are
    own = "." if source.endswith("/.") or source == "." else own
    try:
        found = _look(call, name, path)
        path = _followed(path, found)
        found = _look(call, name, path) if found["mode"] & _LINK else found
    except EngineError:
        if path.endswith("/") and not is_directory:
            raise UsageError(_NO_DIRECTORY) from None
        bare = path.rstrip("/")
        return posixpath.dirname(bare) or "/", posixpath.basename(bare)
    if found["mode"] & _DIRECTORY:
        return path, own
    if is_directory:
        raise UsageError(_NOT_INTO_A_FILE)
    return posixpath.dirname(path) or "/", posixpath.basename(path)


def _put(call: Call, name: str, path: str, data: Iterable[bytes]) -> None:
    query = {
        "path": path,
        "noOverwriteDirNonDir": "true",
        "copyUIDGID": "true" if call.options.on("archive") else "",
    }
    call.api.ask("PUT", container_path(name, "/archive"), query, data=data)


def _tell(call: Call, size: int, where: str) -> None:
    """Say that it is done, to a person."""
    if sys.stderr.isatty() and not call.options.on("quiet"):
        complain(f"Successfully copied {human_size(size, 3)} to {where}")
