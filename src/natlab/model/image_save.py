"""Writing archives of images: the members of what `docker save` gives out.

Docker 25 and later write two layouts into one archive: `natlab.model.image_archive` shows them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from natlab.model.image_load import (
    CONFIG,
    FULL_NAME,
    INDEX,
    INDEX_TYPES,
    MANIFEST,
    OCI,
    REF_NAME,
    diff_ids,
    digest_of,
)
from natlab.model.json_shapes import as_object, parse_json
from natlab.model.references import Reference, parse_reference
from natlab.model.refusal import Refusal

_BLOBS: Final = "blobs/sha256/"


@dataclass(frozen=True)
class SavedLayer:
    """A layer that is to be saved: the digest of its uncompressed tar, its size in bytes."""

    digest: str
    size: int


@dataclass(frozen=True)
class SavedImage:
    """An image that is to be saved; layers lowest first, in the order of the config's diff ids."""

    tags: tuple[str, ...]
    config: bytes
    layers: tuple[SavedLayer, ...]


@dataclass(frozen=True)
class Member:
    """A member of the archive that is to be written.

    Attributes:
        path: Its name; a directory's ends in a slash.
        data: What is in it; None for a layer, whose tar the caller writes.
        digest: Which layer it is: `sha256:…`; empty for all else.
        size: How many bytes it has.
    """

    path: str
    data: bytes | None
    digest: str = ""
    size: int = 0


def archive_members(images: Sequence[SavedImage]) -> tuple[Member, ...]:
    """List the members of an archive of these images, in the order of their paths.

    A layer of several images is there once.

    Equivalent to: what `docker save IMAGE…` writes.

    Raises:
        Refusal: An image has no layer, or other layers than its config names.
    """
    blobs: dict[str, Member] = {}
    manifest: list[dict[str, Any]] = []
    index: list[dict[str, Any]] = []
    repositories: dict[str, dict[str, str]] = {}
    for image in images:
        _check_layers(image)
        for layer in image.layers:
            path = _blob(layer.digest)
            blobs[path] = Member(path, None, layer.digest, layer.size)
        oci = _json(_oci_manifest(image))
        for data in (image.config, oci):
            path = _blob(digest_of(data))
            blobs[path] = Member(path, data, size=len(data))
        references = [parse_reference(tag).tagged for tag in image.tags]
        manifest.append(_manifest_entry(image, references))
        index += _index_entries(image, oci, references)
        for ref in references:
            top = image.layers[-1].digest.partition(":")[2]
            repositories.setdefault(ref.name, {})[ref.tag or ""] = top
    files = {
        INDEX: {"schemaVersion": 2, "mediaType": INDEX_TYPES[0], "manifests": index},
        MANIFEST: manifest,
        "oci-layout": {"imageLayoutVersion": "1.0.0"},
        **({"repositories": repositories} if repositories else {}),
    }
    return (
        Member("blobs/", b""),
        Member(_BLOBS, b""),
        *(blobs[path] for path in sorted(blobs)),
        *(_file(path, content) for path, content in files.items()),
    )


def _check_layers(image: SavedImage) -> None:
    if not image.layers:
        raise Refusal("empty export - not implemented")
    if tuple(layer.digest for layer in image.layers) != diff_ids(image.config):
        raise Refusal(f"image {digest_of(image.config)} has other layers than its config names")


def _oci_manifest(image: SavedImage) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": f"{OCI}manifest.v1+json",
        "config": {
            "mediaType": f"{OCI}config.v1+json",
            "digest": digest_of(image.config),
            "size": len(image.config),
        },
        "layers": [_layer_descriptor(layer) for layer in image.layers],
    }


def _layer_descriptor(layer: SavedLayer) -> dict[str, Any]:
    return {"mediaType": f"{OCI}layer.v1.tar", "digest": layer.digest, "size": layer.size}


def _manifest_entry(image: SavedImage, references: list[Reference]) -> dict[str, Any]:
    return {
        "Config": _blob(digest_of(image.config)),
        "RepoTags": [str(reference) for reference in references] or None,
        "Layers": [_blob(layer.digest) for layer in image.layers],
        "LayerSources": {layer.digest: _layer_descriptor(layer) for layer in image.layers},
    }


def _index_entries(
    image: SavedImage, oci: bytes, references: list[Reference]
) -> list[dict[str, Any]]:
    config = as_object(CONFIG, parse_json(CONFIG, image.config))
    plain = {
        "mediaType": f"{OCI}manifest.v1+json",
        "digest": digest_of(oci),
        "size": len(oci),
        "platform": {
            "architecture": config.get("architecture") or "",
            "os": config.get("os") or "linux",
        },
    }
    named = [
        {
            **plain,
            "annotations": {
                FULL_NAME: f"{reference.full_name}:{reference.tag}",
                REF_NAME: reference.tag,
            },
        }
        for reference in references
    ]
    return named or [plain]


def _blob(digest: str) -> str:
    return f"{_BLOBS}{digest.partition(':')[2]}"


def _file(path: str, content: object) -> Member:
    data = _json(content)
    return Member(path, data, size=len(data))


def _json(content: object) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
