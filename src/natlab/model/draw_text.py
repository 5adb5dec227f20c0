"""A picture of a lab as a tree of text, for a terminal of 100 columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from natlab.model.names import one_line
from natlab.model.picture import LAN, ContainerPicture, HostPicture, Interface, Picture
from natlab.model.picture_words import (
    bridge_facts,
    container_facts,
    host_facts,
    host_notes,
    interface_text,
    pair_text,
    port_facts,
    uplink_text,
)

WIDTH: Final = 100
"""Columns; a line that would be longer goes on below, under itself."""

_GAP: Final = "   "
_CELL_GAP: Final = "  "
_WIDEST_CELL: Final = 30
"""A cell that takes more columns than this does not push its neighbours' apart."""


@dataclass(frozen=True, slots=True)
class _Line:
    """One entry of the tree: cells that stand in columns with its neighbours', then facts."""

    cells: tuple[str, ...]
    facts: tuple[str, ...] = ()
    below: tuple[_Line, ...] = ()


def draw(picture: Picture) -> str:
    """Draw a lab as a tree: the LAN, its hosts, their bridges, the containers at those.

    `⇄` stands between the two ends of a veth pair. No line is wider than `WIDTH` columns.
    Equivalent to: `natlab map`.
    """
    top = " ".join([LAN, *picture.subnets])
    hosts = [_host_line(picture, host) for host in picture.hosts]
    return "\n".join([top, *_tree(hosts, "")]) + "\n"


# What stands in the tree


def _host_line(picture: Picture, host: HostPicture) -> _Line:
    uplinks = " ".join(uplink_text(uplink, picture) for uplink in host.uplinks)
    below = [
        *(_bridge_line(host, bridge) for bridge in host.bridges),
        *(_unplugged_line(host, container) for container in host.unplugged),
        *(_interface_line(host.name, interface) for interface in host.loose),
        *(_Line((), (note,)) for note in host_notes(host)),
    ]
    return _Line((host.name, uplinks), tuple(host_facts(host)), tuple(below))


def _bridge_line(host: HostPicture, bridge: Interface) -> _Line:
    guests = [
        _guest_line(host, bridge, container, ours, port)
        for container, ours, port in host.guests(bridge)
    ]
    ports = [
        _Line((f"port {port.name}", pair_text(port, host.name)), tuple(filter(None, [port.state])))
        for port in host.bare_ports(bridge)
    ]
    facts = bridge_facts(host, bridge)
    return _Line((interface_text(bridge),), tuple(facts), (*guests, *ports))


def _guest_line(
    host: HostPicture,
    bridge: Interface,
    container: ContainerPicture,
    ours: Interface,
    port: Interface,
) -> _Line:
    text = interface_text(ours, *bridge.networks)
    facts = [*port_facts(ours, port), *container_facts(host, container)]
    others = [i for i in container.interfaces if i is not ours and not _at_a_bridge(host, i)]
    below = tuple(_interface_line(host.name, interface) for interface in others)
    return _Line((container.name, text, f"⇄ {port.name}"), tuple(facts), below)


def _at_a_bridge(host: HostPicture, interface: Interface) -> bool:
    return any(interface == ours for b in host.bridges for _, ours, _ in host.guests(b))


def _unplugged_line(host: HostPicture, container: ContainerPicture) -> _Line:
    facts = container_facts(host, container)
    if not container.interfaces:
        return _Line((container.name, "only lo"), tuple(facts))
    if len(container.interfaces) > 1:
        inside = tuple(_interface_line(host.name, i) for i in container.interfaces)
        return _Line((container.name,), tuple(facts), inside)
    only = _interface_line(host.name, container.interfaces[0])
    return _Line((container.name, *only.cells), (*only.facts, *facts))


def _interface_line(host: str, interface: Interface) -> _Line:
    cells = (interface_text(interface), pair_text(interface, host))
    return _Line(cells, (interface.state,) if interface.state else ())


# How a tree is written


def _tree(lines: Sequence[_Line], indent: str) -> Iterator[str]:
    widths = _widths(lines)
    for number, line in enumerate(lines, start=1):
        last = number == len(lines)
        stem = indent + ("   " if last else "│  ")
        under = stem + ("│  " if line.below else "   ")
        yield from _written(line, widths, indent + ("└─ " if last else "├─ "), under)
        yield from _tree(line.below, stem)


def _widths(lines: Iterable[_Line]) -> dict[int, list[int]]:
    """How wide each column is, among neighbours with as many cells."""
    widths: dict[int, list[int]] = {}
    for line in lines:
        columns = widths.setdefault(len(line.cells), [0] * len(line.cells))
        for column, cell in enumerate(line.cells):
            wide = columns_of(one_line(cell))
            columns[column] = max(columns[column], wide if wide <= _WIDEST_CELL else 0)
    return widths


def _written(line: _Line, widths: dict[int, list[int]], start: str, under: str) -> Iterator[str]:
    """The line itself, and those below it that it needs for what does not fit."""
    text, fresh = start, True
    for gap, part in _parts(line, widths):
        if not fresh and columns_of(text + gap + part.rstrip()) > WIDTH:
            yield text.rstrip()
            text, fresh = f"{under}  ", True
        text += part if fresh else gap + part
        fresh = False
        while columns_of(text.rstrip()) > WIDTH:
            fits = _fitting(text, floor=columns_of(under) + 2)
            yield text[:fits].rstrip()
            text = f"{under}  {text[fits:].lstrip()}"
    yield text.rstrip()


def _parts(line: _Line, widths: dict[int, list[int]]) -> Iterator[tuple[str, str]]:
    """The cells, padded to their columns, and the facts: each after the gap before it."""
    for cell, width in zip(line.cells, widths[len(line.cells)], strict=True):
        text = one_line(cell)
        yield _CELL_GAP, text + " " * (width - columns_of(text))
    for fact in line.facts:
        yield _GAP, one_line(fact)


def _fitting(text: str, floor: int) -> int:
    """How many characters of a text fit: up to a space, if there is one beyond the floor."""
    end = next(n for n in range(len(text), 0, -1) if columns_of(text[:n]) <= WIDTH)
    space = text.rfind(" ", 0, end + 1)
    return space if space > floor else end


def columns_of(text: str) -> int:
    """How many columns of a terminal a text takes: ideographs take two, combining marks none."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
