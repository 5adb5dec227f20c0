"""Image references: `name[:tag][@digest]`, and which stored image one means.

A short name stands for one on Docker Hub: `alpine` is `docker.io/library/alpine`, and is shown
as `alpine` again (its familiar form). The grammar and its messages are those of
distribution/reference.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from natlab.model.names import one_line
from natlab.model.refusal import Refusal

DEFAULT_TAG: Final = "latest"
"""What a name without tag and digest means."""

_HUB: Final = "docker.io"
_LEGACY_HUB: Final = "index.docker.io"
_OFFICIAL: Final = "library/"
_MAX_NAME: Final = 255
_NOT_FOUND: Final = 404

_COMPONENT: Final = r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*"
_LABEL: Final = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_DOMAIN: Final = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?"
_REFERENCE: Final = re.compile(
    rf"(?P<domain>{_DOMAIN})/(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)"
    r"(?::(?P<tag>[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}))?"
    r"(?:@(?P<digest>[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9A-Fa-f]{32,}))?"
)
_HEX: Final = re.compile(r"[0-9a-f]+")
_ID: Final = re.compile(r"(?:sha256:)?[0-9a-f]{64}")
_BARE_ID: Final = re.compile(r"[0-9a-f]{64}")
_HEX_DIGITS: Final = {"sha256": 64, "sha384": 96, "sha512": 128}


@dataclass(frozen=True)
class Reference:
    """A reference to an image, written out in full.

    Attributes:
        domain: The registry: `docker.io`, `localhost:5000`.
        path: The repository there: `library/alpine`.
        tag: `3.20`; None when none was given.
        digest: `sha256:…`; None when none was given.
    """

    domain: str
    path: str
    tag: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """The familiar name without tag and digest: `alpine`, `localhost:5000/x`."""
        if self.domain != _HUB:
            return f"{self.domain}/{self.path}"
        short = self.path.removeprefix(_OFFICIAL)
        return self.path if "/" in short else short

    @property
    def full_name(self) -> str:
        """The name with its registry, without tag and digest: `docker.io/library/alpine`."""
        return f"{self.domain}/{self.path}"

    @property
    def tagged(self) -> Reference:
        """The same one, with the tag `latest` where neither tag nor digest is given."""
        return self if self.tag or self.digest else replace(self, tag=DEFAULT_TAG)

    def __str__(self) -> str:
        """Spell it as `docker images` does: `alpine:3`."""
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.name}{tag}{digest}"


def parse_reference(text: str) -> Reference:
    """Read a reference; no default tag is added (see `Reference.tagged`).

    Equivalent to: the IMAGE of `docker pull IMAGE`.

    Raises:
        Refusal: `invalid reference format`, `invalid reference format: repository name
            (library/Foo) must be lowercase`, and the other texts of distribution/reference.
    """
    if _BARE_ID.fullmatch(text):
        raise Refusal(
            f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
        )
    domain, rest = _split_domain(text)
    repository = rest.partition(":")[0]
    if repository != repository.lower():
        raise Refusal(
            f"invalid reference format: repository name ({one_line(repository)}) must be lowercase"
        )
    match = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if match is None:
        raise Refusal("invalid reference format")
    if len(match["domain"]) + 1 + len(match["path"]) > _MAX_NAME:
        raise Refusal(f"repository name must not be more than {_MAX_NAME} characters")
    digest = match["digest"]
    if digest is not None:
        _check_digest(digest)
    return Reference(match["domain"], match["path"], match["tag"], digest)


def find_image(text: str, images: Mapping[str, Collection[str]]) -> str:
    """Say which stored image a reference, an id or the beginning of an id means.

    A name comes before an id that begins alike. The beginning of several ids means none of
    them: Docker says that there is no such image, and so does this.

    Equivalent to: the IMAGE of `docker image inspect IMAGE`.

    Args:
        text: `alpine`, `alpine:3`, `alpine@sha256:…`, `sha256:…`, `0123456789ab`.
        images: The stored ones: id (`sha256:` and 64 digits) to familiar tags and digests.

    Returns:
        The id.

    Raises:
        Refusal: `No such image: x:latest` (404), or as `parse_reference` (400).
    """
    if _ID.fullmatch(text):
        ident = f"sha256:{text.removeprefix('sha256:')}"
        if ident in images:
            return ident
        raise Refusal(f"No such image: {ident}", _NOT_FOUND)
    wanted = parse_reference(text).tagged
    key = str(replace(wanted, tag=None)) if wanted.digest else str(wanted)
    for ident, names in images.items():
        if key in names:
            return ident
    by_prefix = _by_prefix(text, images)
    if len(by_prefix) == 1:
        return by_prefix[0]
    raise Refusal(f"No such image: {wanted}", _NOT_FOUND)


def _by_prefix(text: str, images: Mapping[str, Collection[str]]) -> list[str]:
    digits = text.removeprefix("sha256:")
    if not _HEX.fullmatch(digits):
        return []
    return [ident for ident in images if ident.removeprefix("sha256:").startswith(digits)]


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash:
        return _HUB, f"{_OFFICIAL}{text}"
    if first == _LEGACY_HUB:
        domain, path = _HUB, rest
    elif first == "localhost" or "." in first or ":" in first or first != first.lower():
        domain, path = first, rest
    else:
        domain, path = _HUB, text
    if domain == _HUB and "/" not in path:
        path = f"{_OFFICIAL}{path}"
    return domain, path


def _check_digest(digest: str) -> None:
    algorithm, _, digits = digest.partition(":")
    length = _HEX_DIGITS.get(algorithm)
    if length is None:
        raise Refusal("unsupported digest algorithm")
    if len(digits) != length:
        raise Refusal("invalid checksum digest length")
    if not _HEX.fullmatch(digits):
        raise Refusal("invalid checksum digest format")
