"""Reading archives of images: which images are in what `docker load` is given.

The layouts are described in `natlab.model.image_archive`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from natlab.model.json_shapes import as_list, as_object, as_text, as_texts, parse_json
from natlab.model.names import one_line
from natlab.model.references import parse_reference
from natlab.model.refusal import Refusal

MANIFEST: Final = "manifest.json"
INDEX: Final = "index.json"
CONFIG: Final = "the image's config"
"""What the messages call it."""

OCI: Final = "application/vnd.oci.image."
INDEX_TYPES: Final = (
    f"{OCI}index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
FULL_NAME: Final = "io.containerd.image.name"
REF_NAME: Final = "org.opencontainers.image.ref.name"
_REFERENCE_TYPE: Final = "vnd.docker.reference.type"
_DEEPEST: Final = 4


@dataclass(frozen=True)
class ArchivedImage:
    """An image in an archive.

    Attributes:
        tags: Familiar names with their tags: `alpine:3`.
        config: The image's JSON as it stands there.
        layers: The members that hold the layers' tars, lowest first; they may be compressed.
    """

    tags: tuple[str, ...]
    config: bytes
    layers: tuple[str, ...]

    @property
    def id(self) -> str:
        """The image's id: `sha256:` and the hash of its config."""
        return digest_of(self.config)

    @property
    def diff_ids(self) -> tuple[str, ...]:
        """The digests of the uncompressed layers, lowest first."""
        return diff_ids(self.config)


def read_archive(
    names: Iterable[str], read: Callable[[str], bytes], *, architecture: str = "amd64"
) -> tuple[ArchivedImage, ...]:
    """Say which images an archive holds.

    Equivalent to: what `docker load` makes of an archive before it unpacks a layer.

    Args:
        names: The archive's members.
        read: Gives a member's bytes; it is asked for small ones only, never for a layer.
        architecture: Which image is taken of an index for several: `amd64`, `arm64`.

    Raises:
        Refusal: The archive is none of images, a member is missing or malformed, or nothing in
            it is for this architecture.
    """
    members = {_normal(name): name for name in names}
    if MANIFEST in members:
        return tuple(_from_manifest(members, read))
    if INDEX in members:
        return _merged(_from_index(_Layout(members, read, architecture)))
    raise Refusal(
        f"the archive holds neither {MANIFEST} nor {INDEX}: "
        "give one that `docker save` wrote (a root tree is loaded by `docker import`)"
    )


@dataclass(frozen=True)
class _Layout:
    members: Mapping[str, str]
    read: Callable[[str], bytes]
    architecture: str


def _from_manifest(
    members: Mapping[str, str], read: Callable[[str], bytes]
) -> Iterator[ArchivedImage]:
    listed = parse_json(MANIFEST, read(members[MANIFEST]))
    if listed is None:
        raise Refusal("invalid manifest, manifest cannot be null (but can be [])")
    for entry in as_list(MANIFEST, listed):
        item = as_object(MANIFEST, entry)
        config = read(_member(members, as_text(MANIFEST, item.get("Config")), MANIFEST))
        paths = [as_text(MANIFEST, path) for path in as_list(MANIFEST, item.get("Layers"))]
        layers = tuple(_member(members, path, MANIFEST) for path in paths)
        tags = [as_text(MANIFEST, tag) for tag in as_list(MANIFEST, item.get("RepoTags"))]
        yield _image([_tag(tag) for tag in tags], config, layers)


def _from_index(layout: _Layout) -> Iterator[ArchivedImage]:
    index = as_object(INDEX, parse_json(INDEX, layout.read(layout.members[INDEX])))
    for descriptor in _fitting(layout, INDEX, index):
        yield from _resolve(layout, descriptor, _names(descriptor), 0)


def _resolve(
    layout: _Layout, descriptor: Mapping[str, Any], tags: list[str], depth: int
) -> Iterator[ArchivedImage]:
    """Follow a descriptor: to an image, or through an index to the image for this machine."""
    path = _descriptor_member(layout, descriptor)
    document = as_object(path, parse_json(path, layout.read(path)))
    kind = document.get("mediaType") or descriptor.get("mediaType")
    if "manifests" in document or kind in INDEX_TYPES:
        if depth >= _DEEPEST:
            raise Refusal(f"{path} is an index in too many others: save the image again")
        yield from _resolve(layout, _fitting(layout, path, document)[0], tags, depth + 1)
        return
    config = layout.read(_descriptor_member(layout, as_object(path, document.get("config"))))
    entries = [as_object(path, layer) for layer in as_list(path, document.get("layers"))]
    layers = tuple(_descriptor_member(layout, layer) for layer in entries)
    yield _image(tags, config, layers)


def _fitting(layout: _Layout, path: str, index: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give an index's images for this machine: attestations and other platforms are none."""
    entries = [as_object(path, entry) for entry in as_list(path, index.get("manifests"))]
    fitting = [e for e in entries if _is_image(e) and _fits(e, layout.architecture)]
    if not fitting:
        raise Refusal(
            f"no image for linux/{layout.architecture} in {path}: save it for this platform"
        )
    return fitting


def _image(tags: list[str], config: bytes, layers: tuple[str, ...]) -> ArchivedImage:
    system = as_object(CONFIG, parse_json(CONFIG, config)).get("os")
    if system not in (None, "", "linux"):
        raise Refusal(f"cannot load {one_line(str(system))} image on linux")
    expected = len(diff_ids(config))
    if len(layers) != expected:
        raise Refusal(
            f"invalid manifest, layers length mismatch: expected {len(layers)}, got {expected}"
        )
    return ArchivedImage(tuple(dict.fromkeys(tags)), config, layers)


def _merged(images: Iterable[ArchivedImage]) -> tuple[ArchivedImage, ...]:
    """Put the tags of one and the same image together: an index has an entry for each tag."""
    found: dict[str, ArchivedImage] = {}
    for image in images:
        known = found.get(image.id)
        tags = (*(known.tags if known else ()), *image.tags)
        found[image.id] = replace(known or image, tags=tuple(dict.fromkeys(tags)))
    return tuple(found.values())


def _names(descriptor: Mapping[str, Any]) -> list[str]:
    annotations = as_object(INDEX, descriptor.get("annotations"))
    full = annotations.get(FULL_NAME)
    short = annotations.get(REF_NAME)
    name = full or (short if isinstance(short, str) and (":" in short or "/" in short) else None)
    return [_tag(as_text(INDEX, name))] if name else []


def _is_image(descriptor: Mapping[str, Any]) -> bool:
    annotations = descriptor.get("annotations")
    return not (isinstance(annotations, Mapping) and _REFERENCE_TYPE in annotations)


def _fits(descriptor: Mapping[str, Any], architecture: str) -> bool:
    platform = descriptor.get("platform")
    if not isinstance(platform, Mapping):
        return True
    return (platform.get("os"), platform.get("architecture")) == ("linux", architecture)


def _descriptor_member(layout: _Layout, descriptor: Mapping[str, Any]) -> str:
    digest = as_text("a descriptor", descriptor.get("digest"))
    algorithm, _, digits = digest.partition(":")
    return _member(layout.members, f"blobs/{algorithm}/{digits}", INDEX)


def _tag(text: str) -> str:
    reference = parse_reference(text)
    if not reference.tag:
        raise Refusal(f'invalid tag "{one_line(text)}"')
    return str(replace(reference, digest=None))


def _member(members: Mapping[str, str], path: str, named_by: str) -> str:
    name = members.get(_normal(path))
    if name is None:
        raise Refusal(
            f'the archive is incomplete: {named_by} names "{one_line(path)}", which is not in it'
        )
    return name


def _normal(path: str) -> str:
    return path.removeprefix("./")


def diff_ids(config: bytes) -> tuple[str, ...]:
    """Give the digests that an image's config names for its uncompressed layers, lowest first.

    Raises:
        Refusal: The config is malformed.
    """
    rootfs = as_object("rootfs", as_object(CONFIG, parse_json(CONFIG, config)).get("rootfs"))
    return as_texts("diff_ids", rootfs.get("diff_ids"))


def digest_of(data: bytes) -> str:
    """Give the digest by which OCI and Docker know a piece of data: `sha256:…`."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
