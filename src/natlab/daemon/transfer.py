"""Images in and out without a registry: `docker import`, `docker load`, `docker save`."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import shutil
import tarfile
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from natlab.daemon.image import Image
from natlab.kernel import archives, files
from natlab.kernel.wire import Fd
from natlab.model.container_status import format_time
from natlab.model.image_archive import SavedImage, SavedLayer, archive_members, read_archive
from natlab.model.image_config import ImageConfig, apply_changes
from natlab.model.references import parse_reference
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine

_BLOCK: Final = 1 << 20
_OPENERS: Final[dict[bytes, Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZ": bz2.open,
    b"\xfd7": lzma.open,
}


class Transfer:
    """Takes images in, and gives them out. The layers' tar files are kept for `save`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._directory = tempfile.TemporaryDirectory(prefix="natlab-images-")
        self._tars = Path(self._directory.name)

    def close(self) -> None:
        """Forget the files."""
        self._directory.cleanup()

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
        layer = self._take_layer(_spooled(chunks))
        document = {
            "architecture": "amd64",
            "os": "linux",
            "created": format_time(time.time_ns()),
            "config": config.to_json(),
            "rootfs": {"type": "layers", "diff_ids": [layer.digest]},
            "history": [{"comment": message or "Imported from -"}],
        }
        raw = json.dumps(document).encode()
        return self._add(raw, tags, [layer], message or "Imported from -")

    def load(self, chunks: Iterable[bytes]) -> list[tuple[Image, list[str]]]:
        """The images of a `docker save` or OCI archive, with the names that came with them.

        Equivalent to: `docker load`.

        Raises:
            Refusal: the archive is damaged, or not of that kind (400); nothing is left of it.
        """
        loaded = []
        with _spooled(chunks) as spool, _opened(spool) as archive:
            members = {member.name.removeprefix("./"): member for member in archive.getmembers()}

            def read(path: str) -> bytes:
                found = archive.extractfile(members[path]) if path in members else None
                if found is None:
                    raise Refusal(f"the archive has no file {path}: save it again")
                return found.read()

            for item in read_archive(members, read):
                layers = []
                for path in item.layers:
                    member = archive.extractfile(members[path])
                    assert member is not None  # noqa: S101 - read_archive names files only
                    layers.append(self._take_layer(_copied(member)))
                document = json.loads(item.config)
                _check_layers(document, layers)
                image = self._add(item.config, list(item.tags), layers, document.get("comment", ""))
                loaded.append((image, list(item.tags)))
        return loaded

    def save(self, images: Sequence[tuple[Image, list[str]]]) -> Iterator[bytes]:
        """The archive of images, in pieces. Equivalent to: `docker save`.

        Raises:
            Refusal: the machine's own tree is underneath one of them (501).
        """
        saved = []
        for image, tags in images:
            if image.of_the_machine:
                raise Refusal(
                    f"{(image.tags or [image.id])[0]} is made of this machine's own tree:"
                    " natlab does not save that",
                    501,
                )
            layers = tuple(
                SavedLayer(digest, self._tar(digest).stat().st_size) for digest in image.diff_ids
            )
            saved.append(SavedImage(tuple(tags), image.raw_config, layers))
        return self._archive(saved)

    def _archive(self, saved: Sequence[SavedImage]) -> Iterator[bytes]:
        for member in archive_members(saved):
            info = tarfile.TarInfo(member.path.rstrip("/"))
            if member.path.endswith("/"):
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                yield info.tobuf()
                continue
            info.size = len(member.data) if member.data is not None else member.size
            yield info.tobuf()
            if member.data is not None:
                yield member.data
            else:
                with self._tar(member.digest).open("rb") as tar:
                    while block := tar.read(_BLOCK):
                        yield block
            yield b"\0" * (-info.size % tarfile.BLOCKSIZE)
        yield b"\0" * 2 * tarfile.BLOCKSIZE

    def _tar(self, digest: str) -> Path:
        return self._tars / digest.removeprefix("sha256:")

    def _take_layer(self, spool: IO[bytes]) -> SavedLayer:
        """Unpack a layer, unless it is there already; it is known by its digest."""
        with spool, tempfile.NamedTemporaryFile(dir=self._tars, delete=False) as plain:
            digest, size = hashlib.sha256(), 0
            with _plain(spool) as source:
                try:
                    while block := source.read(_BLOCK):
                        digest.update(block)
                        size += len(block)
                        plain.write(block)
                except (OSError, EOFError, lzma.LZMAError) as error:
                    Path(plain.name).unlink()
                    raise Refusal(f"the archive is damaged: {error}") from error
            plain.flush()
            layer = SavedLayer(f"sha256:{digest.hexdigest()}", size)
            if self._tar(layer.digest).exists():
                Path(plain.name).unlink()
                return layer
            try:
                self._unpack(plain.fileno(), layer.digest)
            except BaseException:
                Path(plain.name).unlink()
                raise
            Path(plain.name).rename(self._tar(layer.digest))
            return layer

    def _unpack(self, tar: int, digest: str) -> None:
        directory, place = self._layer(digest), self._engine.place
        place.call(files.make_directories, directory)
        try:
            archives.finish(place.call(archives.unpack_layer, Fd(tar), directory))
        except BaseException:
            place.call(files.remove_trees, directory)
            raise

    def _layer(self, digest: str) -> str:
        return f"{self._engine.images.directory}/{digest.removeprefix('sha256:')}"

    def _add(
        self, raw: bytes, tags: list[str], layers: Sequence[SavedLayer], comment: str
    ) -> Image:
        document = json.loads(raw)
        image = Image(
            id=f"sha256:{hashlib.sha256(raw).hexdigest()}",
            config=ImageConfig.from_json(document.get("config")),
            layers=tuple(self._layer(layer.digest) for layer in reversed(layers)),
            tags=tags,
            size=sum(layer.size for layer in layers),
            comment=comment,
            diff_ids=tuple(layer.digest for layer in layers),
            raw_config=raw,
        )
        return self._engine.images.add(image)


def _spooled(chunks: Iterable[bytes]) -> IO[bytes]:
    spool = tempfile.TemporaryFile(prefix="natlab-upload-")  # noqa: SIM115 - the caller closes it
    try:
        for chunk in chunks:
            spool.write(chunk)
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    return spool


def _copied(member: IO[bytes]) -> IO[bytes]:
    spool = tempfile.TemporaryFile(prefix="natlab-layer-")  # noqa: SIM115 - the caller closes it
    shutil.copyfileobj(member, spool, _BLOCK)
    spool.seek(0)
    return spool


def _plain(spool: IO[bytes]) -> IO[Any]:
    """The same without its compression."""
    start = spool.read(2)
    spool.seek(0)
    opener = _OPENERS.get(start)
    return opener(spool) if opener is not None else io.BufferedReader(_Unclosed(spool))


class _Unclosed(io.RawIOBase):
    """A file seen through a wrapper that leaves it open."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def _opened(spool: IO[bytes]) -> tarfile.TarFile:
    try:
        return tarfile.open(fileobj=spool)
    except tarfile.TarError as error:
        raise Refusal(f"this is not an archive of images: {error}") from error


def _check_layers(document: dict[str, Any], layers: Sequence[SavedLayer]) -> None:
    wanted = list((document.get("rootfs") or {}).get("diff_ids") or ())
    if wanted and wanted != [layer.digest for layer in layers]:
        raise Refusal("the archive is damaged: a layer is not the one that its config names")
