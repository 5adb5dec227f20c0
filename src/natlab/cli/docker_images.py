"""`docker pull`, `tag`, `rmi`, `import`, `load`, `save`, `export`, `image prune`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

from natlab.cli.common import say
from natlab.cli.docker_call import FROM_DAEMON, Call, complain, container_path, part, sure
from natlab.cli.docker_engine import filters, pieces
from natlab.cli.docker_wire import EngineError
from natlab.errors import UsageError
from natlab.model.go_quote import human_size, quote
from natlab.model.references import DEFAULT_TAG, Reference, parse_reference
from natlab.model.refusal import Refusal

_CHUNK: Final = 1 << 20
_NOT_FOUND: Final = 404
_FAILED: Final = 500
_PRUNE: Final = "WARNING! This will remove all {}."
_ONLY_A_TERMINAL: Final = "cowardly refusing to save to a terminal. Use the -o flag or redirect"


def fetch(call: Call, image: str, *, quiet: bool = False) -> None:
    """Pull an image on the way to a container; what happens is told beside the output."""
    _pull(call, parse_reference(image).tagged, (lambda _: None) if quiet else complain)


def _pull(call: Call, wanted: Reference, tell: Callable[[str], object]) -> None:
    query = {"fromImage": wanted.full_name, "tag": wanted.digest or wanted.tag or ""}
    _progress(call, call.api.ask("POST", "/images/create", query, stream=True), tell)


def _progress(call: Call, answer: Any, tell: Callable[[str], object]) -> None:
    """Tell what an answer reports as it comes.

    Raises:
        EngineError: What it reports is an error.
    """
    for step in call.api.lines(answer):
        if "error" in step:
            detail = step.get("errorDetail") or {}
            raise EngineError(detail.get("message") or step["error"], _FAILED)
        if step.get("progressDetail", {}).get("total"):
            continue
        if "stream" in step:
            tell(step["stream"].rstrip("\n"))
        elif "status" in step:
            tell(f"{step['id']}: {step['status']}" if step.get("id") else step["status"])


def pull(call: Call) -> int:
    """`docker pull`."""
    options, [image] = call.options, call.arguments
    named = parse_reference(image)
    if options.on("all-tags"):
        if named.tag or named.digest:
            raise UsageError("tag can't be used with --all-tags/-a")
        _pull(call, named, say)
        return 0
    wanted = named.tagged
    quiet = options.on("quiet")
    if wanted != named and not quiet:
        say(f"Using default tag: {DEFAULT_TAG}")
    _pull(call, wanted, (lambda _: None) if quiet else say)
    tag = f"@{wanted.digest}" if wanted.digest else f":{wanted.tag}"
    say(f"{wanted.full_name}{tag}")
    return 0


def tag(call: Call) -> int:
    """`docker tag`."""
    image, target = call.arguments
    try:
        wanted = parse_reference(target).tagged
    except Refusal as error:
        raise UsageError(
            f"Error parsing reference: {quote(target)} is not a valid repository/tag: {error}"
        ) from None
    query = {"repo": wanted.full_name, "tag": wanted.tag or ""}
    call.api.post(f"/images/{part(image)}/tag", query)
    return 0


def remove(call: Call) -> int:
    """`docker rmi`."""
    options = call.options
    query = {
        "force": "1" if options.on("force") else "",
        "noprune": "1" if options.on("no-prune") else "",
    }
    errors = []
    missing = True
    for name in call.arguments:
        try:
            done = call.api.delete(f"/images/{part(name)}", query)
        except EngineError as error:
            errors.append(error.message)
            missing = missing and error.status == _NOT_FOUND
            continue
        for step in done or ():
            say(f"Deleted: {step['Deleted']}" if "Deleted" in step else _untagged(step))
    for message in errors:
        complain(f"{FROM_DAEMON}{message}")
    return int(bool(errors) and not (options.on("force") and missing))


def _untagged(step: dict[str, str]) -> str:
    return f"Untagged: {step['Untagged']}"


def import_(call: Call) -> int:
    """`docker import`."""
    options = call.options
    source, name = [*call.arguments, ""][:2]
    if name:
        parse_reference(name)
    far = source.startswith(("http://", "https://"))
    query: dict[str, str | list[str]] = {
        "fromSrc": source if far else "-",
        "repo": name,
        "changes": options.all("change"),
        "message": options.text("message"),
    }
    data = None if far else _bytes_of("" if source == "-" else source)
    _progress(call, call.api.ask("POST", "/images/create", query, data=data, stream=True), say)
    return 0


def load(call: Call) -> int:
    """`docker load`."""
    file = call.options.text("input")
    if not file and sys.stdin.isatty():
        raise UsageError("requested load from stdin, but stdin is empty")
    query = {"quiet": "1"}
    data = _bytes_of(file)
    _progress(call, call.api.ask("POST", "/images/load", query, data=data, stream=True), say)
    return 0


def _bytes_of(file: str) -> Iterator[bytes]:
    """A file, or standard input, piece by piece; it is opened at once.

    Raises:
        UsageError: `open x: no such file or directory`.
    """
    try:
        opened: BinaryIO = open(file, "rb") if file else sys.stdin.buffer  # noqa: SIM115, PTH123 - closed when it is read
    except OSError as error:
        raise UsageError(f"open {file}: {(error.strerror or '').lower()}") from None

    def chunks() -> Iterator[bytes]:
        with opened:
            while data := opened.read(_CHUNK):
                yield data

    return chunks()


def save(call: Call) -> int:
    """`docker save`."""
    target = call.options.text("output")
    if not target and sys.stdout.isatty():
        raise UsageError(_ONLY_A_TERMINAL)
    answer = call.api.ask("GET", "/images/get", {"names": call.arguments}, stream=True)
    return _store(pieces(answer), target)


def export(call: Call) -> int:
    """`docker export`."""
    target = call.options.text("output")
    if not target and sys.stdout.isatty():
        raise UsageError(_ONLY_A_TERMINAL.replace("save", "export"))
    path = container_path(call.arguments[0], "/export")
    return _store(pieces(call.api.ask("GET", path, stream=True)), target)


def _store(data: Iterable[bytes], target: str) -> int:
    """Write to standard output, or to a file that is there only when it is whole."""
    if not target:
        sys.stdout.flush()
        for piece in data:
            sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
        return 0
    unfinished = Path(f"{target}.natlab-{os.getpid()}")
    try:
        with unfinished.open("xb") as file:
            for piece in data:
                file.write(piece)
        unfinished.replace(target)
    except OSError as error:
        raise UsageError(f"open {target}: {(error.strerror or '').lower()}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return 0


def prune(call: Call) -> int:
    """`docker image prune`."""
    everything = call.options.on("all")
    which = "images without at least one container associated to them"
    if not sure(call, _PRUNE.format(which if everything else "dangling images")):
        return 0
    given = call.options.all("filter")
    given += [("dangling", "false")] if everything else []
    answer = call.api.post("/images/prune", {"filters": filters(given)})
    if removed := answer.get("ImagesDeleted"):
        say("Deleted Images:")
        for step in removed:
            lower = f"deleted: {step['Deleted']}" if "Deleted" in step else ""
            say(lower or f"untagged: {step['Untagged']}")
        say()
    say(f"Total reclaimed space: {human_size(answer.get('SpaceReclaimed') or 0)}")
    return 0
