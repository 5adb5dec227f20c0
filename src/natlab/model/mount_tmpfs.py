"""The options of `docker run --mount type=tmpfs` (moby linux_parser.go, ConvertTmpfsOptions)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from natlab.model.go_quote import quote
from natlab.model.names import one_line
from natlab.model.refusal import Refusal

_SIZES: Final = (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10))
_WORDS: Final = ("exec", "noexec")
_FLAGS: Final = (
    *("defaults", "ro", "rw", "suid", "nosuid", "dev", "nodev", "exec", "noexec"),
    *("sync", "async", "dirsync", "atime", "noatime", "diratime", "nodiratime"),
    *("relatime", "norelatime", "strictatime", "nostrictatime"),
)
_DATA: Final = ("size", "mode", "uid", "gid", "nr_inodes", "nr_blocks", "mpol")


def check_tmpfs_words(options: str) -> None:
    """Check what stands behind the colon of `docker run --tmpfs TARGET:OPTIONS`.

    Raises:
        Refusal: `invalid tmpfs option ["foo"]` (moby mount.MergeTmpfsOptions).
    """
    for option in options.split(",") if options else ():
        parts = option.split("=", 1)
        if option not in _FLAGS and (len(parts) == 1 or parts[0] not in _DATA):
            raise Refusal(f"invalid tmpfs option [{' '.join(map(quote, parts))}]")


def tmpfs_options(given: Mapping[str, Any], *, read_only: bool) -> str:
    """What `mount -o` takes for a tmpfs that is asked for with TmpfsOptions.

    Raises:
        Refusal: `invalid option: uid`, or an option of the wrong shape (400).
    """
    words = ["ro"] if read_only else []
    if mode := given.get("Mode"):
        words.append(f"mode={mode:o}")
    if size := given.get("SizeBytes"):
        suffix, unit = next(((s, u) for s, u in _SIZES if size % u == 0), ("", 1))
        words.append(f"size={size // unit}{suffix}")
    return ",".join([*words, *_words(given.get("Options") or ())])


def _words(options: Sequence[Sequence[str]]) -> list[str]:
    for option in options:
        if len(option) not in (1, 2):
            raise Refusal("invalid option array length")
        if option[0] not in _WORDS:
            raise Refusal(f"invalid option: {one_line(option[0])}")
    return ["=".join(option) for option in options]
