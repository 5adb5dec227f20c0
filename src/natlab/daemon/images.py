"""The images of an engine: found, tagged, removed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from natlab.daemon import builtin
from natlab.daemon.image import Image
from natlab.kernel import files
from natlab.model.references import find_image, parse_reference
from natlab.model.refusal import Refusal

if TYPE_CHECKING:
    from natlab.daemon.engine import Engine


class Images:
    """Every image of an engine; layers are directories of its lab host."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_id: dict[str, Image] = {}
        self.directory = f"{engine.directory}/layers"
        texts: dict[str, str] = {}
        for item in builtin.builtins():
            image, paths = builtin.to_image(item, self.directory)
            texts |= paths
            self._by_id[image.id] = image
        engine.place.call(files.write_all, texts, mode=0o755)

    def __iter__(self) -> Iterator[Image]:
        return iter(list(self._by_id.values()))

    def find(self, reference: str) -> Image:
        """An image by name, id, or the beginning of its id.

        Raises:
            Refusal: `No such image: X:latest` (404), or a malformed name (400).
        """
        return self._by_id[find_image(reference, {image.id: image.tags for image in self})]

    def add(self, image: Image) -> Image:
        """Take an image in; names that another one has move to it, as with Docker.

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
            known.tags += [tag for tag in image.tags if tag not in known.tags]
            return known

    def tag(self, image: Image, repository: str, tag: str) -> None:
        """Give an image one more name. Equivalent to: `docker tag IMAGE REPOSITORY:TAG`.

        Raises:
            Refusal: the name is not valid (400).
        """
        name = str(parse_reference(f"{repository}:{tag or 'latest'}"))
        with self._engine.lock:
            self._untag(name)
            image.tags.append(name)
        self._tell("tag", image, name)

    def _untag(self, name: str) -> None:
        for image in self:
            if name in image.tags:
                image.tags.remove(name)

    def remove(self, reference: str, *, force: bool = False) -> list[dict[str, str]]:
        """Remove a name of an image, and the image with its last one.

        Equivalent to: `docker rmi REFERENCE`.

        Returns:
            What was done, as the Engine API tells it: `Untagged` and `Deleted`.

        Raises:
            Refusal: a container uses it (409), or it has several names and an id was given (409).
        """
        with self._engine.lock:
            image = self.find(reference)
            by_id = image.id.removeprefix("sha256:").startswith(reference.removeprefix("sha256:"))
            names = list(image.tags) if by_id else [str(parse_reference(reference).tagged)]
            if by_id and len(names) > 1 and not force:
                raise Refusal(
                    f"conflict: unable to delete {image.id[7:19]} (must be forced) - image is"
                    " referenced in multiple repositories",
                    409,
                )
            last = by_id or len(image.tags) <= 1
            if last:
                self._refuse_used(image, reference, force=force, by_id=by_id)
            done = [{"Untagged": name} for name in names]
            image.tags[:] = [tag for tag in image.tags if tag not in names]
            if last and not any(container.image is image for container in self._engine.containers):
                done.append({"Deleted": image.id})
                self._delete(image)
        for name in names:
            self._tell("untag", image, name)
        if len(done) > len(names):
            self._tell("delete", image, image.id)
        return done

    def _refuse_used(self, image: Image, reference: str, *, force: bool, by_id: bool) -> None:
        users = [container for container in self._engine.containers if container.image is image]
        if not users or (force and not any(user.state.running for user in users)):
            return
        user = next((user for user in users if user.state.running), users[0])
        how = "cannot be forced" if user.state.running else "must be forced"
        state = "running" if user.state.running else "stopped"
        if by_id:
            raise Refusal(
                f"conflict: unable to delete {image.id[7:19]} ({how}) - image is being used by"
                f" {state} container {user.id[:12]}",
                409,
            )
        raise Refusal(
            f'conflict: unable to remove repository reference "{reference}" ({how}) - container'
            f" {user.id[:12]} is using its referenced image {image.id[7:19]}",
            409,
        )

    def _delete(self, image: Image) -> None:
        del self._by_id[image.id]
        needed = {layer for other in self for layer in other.layers}
        gone = [layer for layer in image.layers if layer not in needed and layer != "/"]
        self._engine.place.call(files.remove_trees, *gone)

    def prune(self, *, all_unused: bool) -> list[dict[str, str]]:
        """Remove images without a name, or all that no container uses."""
        used = {container.image.id for container in self._engine.containers}
        done: list[dict[str, str]] = []
        for image in self:
            if image.id not in used and (all_unused or not image.tags):
                done += self.remove(image.id, force=True)
        return done

    def _tell(self, action: str, image: Image, name: str) -> None:
        self._engine.events.tell("image", action, image.id, {"name": name})
