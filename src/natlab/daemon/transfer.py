"""Images in and out without a registry: `docker import`, `docker load`, `docker save`."""

from __future__ import annotations

import contextlib
import json
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Final

from natlab.daemon import spooling
from natlab.daemon.image import Image, moment
from natlab.model.container_status import format_time
from natlab.model.image_archive import (
    ArchivedImage,
    Member,
    SavedImage,
    SavedLayer,
    archive_members,
    read_archive,
)
from natlab.model.image_config import ImageConfig, apply_changes
from natlab.model.image_load import CONFIG, digest_of
from natlab.model.json_shapes import as_object, parse_json
from natlab.model.references import parse_reference
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine

_BLOCK: Final = 1 << 20


class Saving:
    """An archive of images on its way out: iterate over it once, and `close` it in any case."""

    def __init__(self, members: Sequence[Member], layers: Mapping[str, IO[bytes]]) -> None:
        self._members = members
        self._layers = layers

    def close(self) -> None:
        """Close the layers' files."""
        for layer in self._layers.values():
            layer.close()

    def __iter__(self) -> Iterator[bytes]:
        for member in self._members:
            yield from _written(member, self._layers.get(member.digest))
        yield b"\0" * 2 * tarfile.BLOCKSIZE


class Transfer:
    """Takes images in, and gives them out."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def import_tree(
        self,
        chunks: Iterable[bytes],
        name: str,
        *,
        changes: Sequence[str] = (),
        message: str = "",
    ) -> Image:
        """An image from a tar of a root tree. Equivalent to: `docker import - NAME`.

        Raises:
            Refusal: the name, a change or the archive is not valid (400); nothing is left of it.
        """
        config = apply_changes(ImageConfig(), changes)
        tags = [str(parse_reference(name).tagged)] if name else []
        comment = message or "Imported from -"
        created = format_time(time.time_ns())
        with contextlib.ExitStack() as undo, spooling.spooled(chunks) as spool:
            layer = self._take_layer(spool, undo)
            document = {
                "architecture": "amd64",
                "os": "linux",
                "created": created,
                "comment": comment,
                "config": config.to_json(),
                "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
                "history": [{"created": created, "comment": comment}],
            }
            image = self._add(json.dumps(document).encode(), tags, [layer], undo)
        self._engine.images.tell("import", image, image.id)
        return image

    def load(self, chunks: Iterable[bytes]) -> list[tuple[Image, list[str]]]:
        """The images of a `docker save` or OCI archive, with the names that came with them.

        Equivalent to: `docker load`.

        Raises:
            Refusal: the archive is damaged, or not of that kind (400); the images before the one
                that is have been taken in.
        """
        loaded = []
        with spooling.spooled(chunks) as spool, _opened(spool) as archive:
            members = {member.name.removeprefix("./"): member for member in _members(archive)}
            found = read_archive(members, lambda path: _file(archive, members, path).read())
            for item in found:
                image = self._load_one(item, archive, members)
                self._engine.images.tell("load", image, "")
                loaded.append((image, list(item.tags)))
        return loaded

    def _load_one(
        self, item: ArchivedImage, archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo]
    ) -> Image:
        with contextlib.ExitStack() as undo:
            layers = []
            for path, wanted in zip(item.layers, item.diff_ids, strict=True):
                layer = self._take_layer(_file(archive, members, path), undo)
                if layer.digest != wanted:
                    raise Refusal(
                        f"the archive is damaged: {path} is not the layer {wanted} that the"
                        " image's config names"
                    )
                layers.append(layer)
            return self._add(item.config, list(item.tags), layers, undo)

    def save(self, chosen: Sequence[tuple[Image, list[str]]]) -> Saving:
        """The archive of images, in pieces. Equivalent to: `docker save`.

        Raises:
            Refusal: the machine's own tree is underneath one of them (501).
        """
        layers = self._engine.layers
        for image, _ in chosen:
            if image.of_the_machine:
                raise Refusal(
                    f"{(image.tags or [image.id])[0]} is made of this machine's own tree:"
                    " natlab does not save that",
                    501,
                )
        members = archive_members([_saved(image, tags) for image, tags in chosen])
        for image, _ in chosen:
            self._engine.images.tell("save", image, image.id)
        opened = {m.digest: layers.open_tar(m.digest) for m in members if m.digest}
        return Saving(members, opened)

    def _take_layer(self, source: IO[bytes], undo: contextlib.ExitStack) -> SavedLayer:
        """Unpack a layer, unless it is there already, and hold it; it is known by its digest."""
        layers = self._engine.layers
        with spooling.plain_copy(source) as copy:
            layers.unpack(copy.digest, copy.descriptor)
        undo.callback(layers.release, [layers.path(copy.digest)])
        return SavedLayer(copy.digest, copy.size)

    def _add(
        self,
        raw: bytes,
        tags: list[str],
        layers: Sequence[SavedLayer],
        undo: contextlib.ExitStack,
    ) -> Image:
        document = as_object(CONFIG, parse_json(CONFIG, raw))
        now = time.time_ns()
        image = Image(
            id=digest_of(raw),
            config=ImageConfig.from_json(document.get("config")),
            layers=tuple(self._engine.layers.path(layer.digest) for layer in reversed(layers)),
            tags=tags,
            created=moment(document.get("created")),
            tagged=now if tags else 0,
            size=sum(layer.size for layer in layers),
            comment=str(document.get("comment") or ""),
            diff_ids=tuple(layer.digest for layer in layers),
            sizes=tuple(layer.size for layer in layers),
            raw_config=raw,
        )
        undo.pop_all()
        return self._engine.images.add(image)


def _saved(image: Image, tags: list[str]) -> SavedImage:
    layers = map(SavedLayer, image.diff_ids, image.sizes)
    return SavedImage(tuple(tags), image.raw_config, tuple(layers))


def _written(member: Member, layer: IO[bytes] | None) -> Iterator[bytes]:
    info = tarfile.TarInfo(member.path.rstrip("/"))
    if member.path.endswith("/"):
        info.type, info.mode = tarfile.DIRTYPE, 0o755
    info.size = member.size
    yield info.tobuf()
    if member.data:
        yield member.data
    while layer is not None and (block := layer.read(_BLOCK)):
        yield block
    yield b"\0" * (-info.size % tarfile.BLOCKSIZE)


def _opened(spool: IO[bytes]) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=spool)
    except spooling.DAMAGED as error:
        raise Refusal(
            "this is not an archive of images: give one that `docker save` wrote"
        ) from error


def _members(archive: tarfile.TarFile) -> list[tarfile.TarInfo]:
    try:
        return archive.getmembers()
    except spooling.DAMAGED as error:
        raise Refusal(f"the archive is damaged: {error}") from error


def _file(archive: tarfile.TarFile, members: Mapping[str, tarfile.TarInfo], path: str) -> IO[bytes]:
    try:
        file = archive.extractfile(members[path])
    except KeyError:
        file = None
    if file is None:
        raise Refusal(f"the archive has no file {path}: save it again")
    return file
