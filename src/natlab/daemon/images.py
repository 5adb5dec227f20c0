"""The images of an engine: found, tagged, removed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from natlab.daemon import builtin
from natlab.daemon.container import Container
from natlab.daemon.image import Image
from natlab.kernel import files
from natlab.model.references import find_image, parse_reference
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine

Records = list[dict[str, str]]
"""What a removal did, as the Engine API tells it: `Untagged` and `Deleted`."""


class Images:
    """Every image of an engine."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_id: dict[str, Image] = {}
        for item in builtin.builtins():
            self._put_up(item, list(item.tags))

    def __iter__(self) -> Iterator[Image]:
        return iter(list(self._by_id.values()))

    def find(self, reference: str) -> Image:
        """An image by name, id, or the beginning of its id.

        Raises:
            Refusal: `No such image: X:latest` (404), or a malformed name (400).
        """
        return self._by_id[find_image(reference, {image.id: image.tags for image in self})]

    def named(self, name: str) -> list[tuple[Image, list[str]]]:
        """The images that `docker save NAME` means, each with the names that go with it.

        A repository without a tag means all of its tags, an id none of the image's names.

        Raises:
            Refusal: no such image (404), or a malformed name (400).
        """
        known = self._by_id.get(f"sha256:{name.removeprefix('sha256:')}")
        if known is not None:
            return [(known, [])]
        reference = parse_reference(name)
        whole = str(reference) if reference.tag or reference.digest else None

        def meant(tag: str) -> bool:
            return tag == whole if whole else tag.rpartition(":")[0] == reference.name

        found = [(image, list(filter(meant, image.tags))) for image in self]
        if any(tags for _, tags in found):
            return [(image, tags) for image, tags in found if tags]
        return [(self.find(name), [])]

    # New ones

    def _put_up(self, item: builtin.Builtin, tags: list[str]) -> Image:
        engine = self._engine
        image, texts = builtin.to_image(item, engine.layers.directory, tags)
        for layer in {path for path in image.layers if texts and path != "/"}:
            engine.layers.make(layer, lambda: engine.place.call(files.write_all, texts, mode=0o755))
        return self.add(image)

    def pull(self, name: str) -> bool:
        """Have an image that natlab makes itself, if it is not there any more.

        Equivalent to: `docker pull NAME`, where natlab itself is the only registry.

        Returns:
            Whether it was not there.

        Raises:
            Refusal: natlab makes none of that name (404).
        """
        reference = parse_reference(name).tagged
        tag = str(reference)
        with self._engine.lock:
            known = next((image for image in self if tag in image.tags), None)
            item = next((item for item in builtin.builtins() if tag in item.tags), None)
            if known is None and item is None:
                raise Refusal(
                    f"pull access denied for {reference.name}, repository does not exist or may"
                    " require 'docker login': natlab has no registry; docker images lists what is"
                    " there, docker import and docker load bring more",
                    404,
                )
            image = known or self._put_up(item, [tag]) if item else known
        assert image is not None  # noqa: S101 - one of them is
        self.tell("pull", image, tag, ident=tag)
        return known is None

    def add(self, image: Image) -> Image:
        """Take in an image whose layers are held; names that another one has move to it.

        Returns:
            The image; the one that was there before, if it is the same.
        """
        with self._engine.lock:
            for tag in image.tags:
                self._untag(tag)
            known = self._by_id.get(image.id)
            if known is None:
                self._by_id[image.id] = image
                return image
            self._engine.layers.release(image.layers)
            known.tags += image.tags
            known.tagged = image.tagged or known.tagged
            return known

    def tag(self, image: Image, repository: str, tag: str) -> None:
        """Give an image one more name. Equivalent to: `docker tag IMAGE REPOSITORY:TAG`.

        Raises:
            Refusal: the name is not valid (400).
        """
        name = str(parse_reference(f"{repository}:{tag or 'latest'}"))
        if name.startswith("sha256:"):
            raise Refusal("refusing to create an ambiguous tag using digest algorithm as name")
        with self._engine.lock:
            self._untag(name)
            image.tags.append(name)
            image.tagged = time.time_ns()
        self.tell("tag", image, name)

    def _untag(self, name: str) -> None:
        for image in self:
            if name in image.tags:
                image.tags.remove(name)

    # Their removal: the rules of moby daemon/images/image_delete.go

    def remove(self, reference: str, *, force: bool = False) -> Records:
        """Remove a name of an image, and the image with its last one.

        A container that is left without its image goes on: it holds the layers itself.

        Equivalent to: `docker rmi REFERENCE`.

        Raises:
            Refusal: a container uses it (409), or it has several names and an id was given (409).
        """
        with self._engine.lock:
            image = self.find(reference)
            done: Records = []
            quiet = not image.id.removeprefix("sha256:").startswith(
                reference.removeprefix("sha256:")
            )
            if quiet:
                name = str(parse_reference(reference).tagged)
                if not force and len(image.tags) == 1:
                    self._refuse_used(image, reference)
                done += self._untagged(image, [name])
                if image.tags:
                    return done
            conflict = self._conflict(image, force=force)
            if conflict is None:
                done += self._untagged(image, list(image.tags))
                self._delete(image)
                return [*done, {"Deleted": image.id}]
        if quiet:
            return done
        raise Refusal(f"conflict: unable to delete {image.id[7:19]} {conflict}", 409)

    def _refuse_used(self, image: Image, name: str) -> None:
        for user in self._users(image):
            raise Refusal(
                f'conflict: unable to remove repository reference "{name}" (must force) -'
                f" container {user.id[:12]} is using its referenced image {image.id[7:19]}",
                409,
            )

    def _conflict(self, image: Image, *, force: bool) -> str | None:
        """Why an image cannot be deleted; None if it can."""
        users = self._users(image)
        for user in users:
            if user.state.running:
                return (
                    f"(cannot be forced) - image is being used by running container {user.id[:12]}"
                )
        if force:
            return None
        if len(image.tags) > 1:
            return "(must be forced) - image is referenced in multiple repositories"
        for user in users:
            return f"(must be forced) - image is being used by stopped container {user.id[:12]}"
        return None

    def _users(self, image: Image) -> list[Container]:
        return [container for container in self._engine.containers if container.image is image]

    def _untagged(self, image: Image, names: list[str]) -> Records:
        for name in names:
            image.tags.remove(name)
            self.tell("untag", image, image.id)
        return [{"Untagged": name} for name in names]

    def _delete(self, image: Image) -> None:
        del self._by_id[image.id]
        self._engine.layers.release(image.layers)
        self.tell("delete", image, image.id)

    def prune(self, wanted: Callable[[Image], bool], *, all_unused: bool) -> tuple[Records, int]:
        """Remove images without a name, or all that no container uses.

        Returns:
            What was done, and how many bytes the images had.
        """
        done: Records = []
        freed = 0
        with self._engine.lock:
            for image in self:
                if wanted(image) and (all_unused or not image.tags) and not self._users(image):
                    done += self.remove(image.id, force=True)
                    freed += image.size
        self._engine.events.tell("image", "prune", "", {"reclaimed": str(freed)})
        return done, freed

    def tell(self, action: str, image: Image, name: str, *, ident: str = "") -> None:
        """Tell whoever listens to events what was done with an image."""
        attributes = {**image.config.labels, **({"name": name} if name else {})}
        self._engine.events.tell("image", action, ident or image.id, attributes)
