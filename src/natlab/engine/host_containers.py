"""The containers of a host by their names: read from the kernel, and held by descriptor."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from natlab.engine.container import Container
from natlab.errors import NatlabError, UsageError
from natlab.kernel import namespaces
from natlab.kernel.agent import Namespace
from natlab.model.names import check_container_name, unknown

if TYPE_CHECKING:
    from natlab.engine.host import Host

_LONGEST: Final = 255


class HostContainers:
    """What this process has opened of a host's containers; which there are, the kernel says."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._opened: dict[str, Container] = {}

    def add(self, name: str) -> Container:
        """Make one; see `Host.add_container`."""
        name = self.checked(name)
        with self.free(name):
            return self.adopt(name, self._host.place.call(namespaces.add_named, name))

    @staticmethod
    def checked(name: str) -> str:
        """The name for a container, if it is a valid one.

        Raises:
            UsageError: it is not.
        """
        name = check_container_name(name)
        if len(name) > _LONGEST:
            raise UsageError(
                f"the container name has {len(name)} characters: it is the name of a file in"
                f" /run/netns, so give it at most {_LONGEST}"
            )
        return name

    @contextlib.contextmanager
    def free(self, name: str) -> Iterator[None]:
        """Say in words that a name is taken."""
        try:
            yield
        except FileExistsError as error:
            raise NatlabError(
                f'Conflict. The container name "/{name}" is already in use on {self._host.name}:'
                " remove that container first, or choose another name"
            ) from error

    def adopt(self, name: str, number: int) -> Container:
        """Take a namespace that was made just now for a container."""
        container = Container(self._host, name, Namespace(self._host.place.agent, number))
        self._opened[name] = container
        return container

    def names(self) -> list[str]:
        """The names of every container, whoever made it."""
        return self._host.place.call(namespaces.list_named)

    def all(self) -> list[Container]:
        """Every container, by name."""
        names = self.names()
        for gone in set(self._opened) - set(names):
            self._opened.pop(gone).place.close()
        return [self._open(name) for name in names]

    def one(self, name: str) -> Container:
        """One by name; see `Host.container`."""
        known = self.names()
        if name not in known:
            raise unknown("container", name, known, place=f"on {self._host.name}")
        return self._open(name)

    def find(self, name: str) -> Container | None:
        """One by name, or None."""
        return self._open(name) if name in self.names() else None

    def _open(self, name: str) -> Container:
        agent = self._host.place.agent
        number = self._host.place.call(namespaces.open_named, name)
        place = Namespace(agent, number)
        known = self._opened.get(name)
        if known and agent.call(None, namespaces.same_net, number, known.place.number):
            place.close()
            return known
        if known:
            known.place.close()
        self._opened[name] = Container(self._host, name, place)
        return self._opened[name]

    def renamed(self, container: Container, before: str) -> None:
        """Remember one by its new name."""
        self._opened[container.name] = self._opened.pop(before, container)

    def forget(self, name: str) -> None:
        """Drop one that was removed."""
        self._opened.pop(name, None)

    def let_go(self) -> list[int]:
        """Forget all; returns the places that are to be closed."""
        numbers = [container.place.number for container in self._opened.values()]
        self._opened.clear()
        return numbers
