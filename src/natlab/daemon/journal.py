"""What an engine makes on its host, noted before it is made: a killed engine leaves it there.

The notes are files in the engine's own directory on the lab host. The next engine on that host
reads them and takes away what they name, and nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from natlab.engine.host import Host
from natlab.errors import NatlabError
from natlab.kernel import files, firewall

_log = logging.getLogger("natlab.daemon")


class Journal:
    """The notes of a lab host's engine."""

    def __init__(self, host: Host, directory: str) -> None:
        self._host = host
        self._directory = directory
        self._bridges = f"{directory}/bridges"
        self._names = f"{directory}/names"
        self._forwarding = f"{directory}/forwarding"

    def note_bridges(self, names: Iterable[str]) -> None:
        """These bridges are the engine's."""
        self._host.place.call(files.write_all, {self._bridges: "\n".join(names)})

    def note_forwarding(self) -> None:
        """The engine has turned the host's forwarding on, so it ends with the engine."""
        self._host.place.call(files.write_all, {self._forwarding: "1"})

    def note_container(self, ident: str, name: str) -> None:
        """A container's network namespace has that name."""
        self._host.place.call(files.write_all, {f"{self._names}/{ident}": name})

    def forget_container(self, ident: str) -> None:
        """Its network namespace is gone."""
        self._host.place.call(files.remove_trees, f"{self._names}/{ident}")

    def sweep(self) -> None:
        """Take away what an engine that was killed has left on this host, and say so."""
        call = self._host.place.call
        notes = [f"{self._names}/{ident}" for ident in call(files.list_directory, self._names)]
        names = sorted(call(files.read_all, *notes).values())
        bridges = call(files.read_all, self._bridges).get(self._bridges, "").split()
        for name in names:
            sandbox = self._host.find_container(name)
            if sandbox is not None:
                sandbox.remove()
        for network in self._host.networks():
            if network.bridge in bridges:
                try:
                    network.remove()
                except NatlabError as error:  # a person's own container is in it
                    _log.warning("%s of an engine that was killed stays: %s", network.bridge, error)
        if call(files.read_all, self._forwarding):
            self._host.forwarding = False
            self._host.drop_unless_accepted(False)
        call(files.remove_trees, self._directory)
        if names or bridges:
            call(firewall.destroy_bare)
            _log.warning(
                "an engine was killed here: took away its containers (%s) and bridges (%s)",
                ", ".join(names) or "none",
                ", ".join(bridges) or "none",
            )
