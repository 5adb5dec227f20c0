"""A picture of a lab as an SVG file: the LAN as a bar, a card for each host, boxes for containers.

The file stands for itself: no script, no font, no link to anything else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from natlab.model import svg_parts as svg
from natlab.model.picture import LAN, ContainerPicture, End, HostPicture, Interface, Picture
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
from natlab.model.svg_parts import INDENT, PAD, Anchor, Block, Span

_MARGIN: Final = 24.0
_GAP: Final = 10.0

_TRUNK: Final = 16.0
"""Where, from the bridge's left side, the line to its containers goes down."""

_LANE: Final = 12.0
"""What each pair between two boxes takes at the right side of the card."""

_STEM: Final = 40.0


def draw(picture: Picture) -> str:
    """Draw a lab as an SVG document.

    Equivalent to: `natlab map --svg FILE`.
    """
    cards = [_Card(picture, host) for host in picture.hosts]
    top = _MARGIN + svg.LINE + PAD + _STEM
    shapes, x = [], _MARGIN
    for card in cards:
        stems = list(card.stems(x, top))
        inside = f'<g transform="translate({x:g} {top:g})">'
        shapes += [*stems, inside, *card.shapes(), "</g>"]
        x += card.width + _MARGIN
    width = max(x, 2 * _MARGIN + 320)
    bar = svg.box(_MARGIN, _MARGIN, width - 2 * _MARGIN, svg.LINE + PAD, "lan")
    label = " ".join([LAN, *picture.subnets])
    title = svg.text(_MARGIN + PAD, _MARGIN + svg.LINE + 1, label, "name")
    height = top + max((card.height for card in cards), default=0) + _MARGIN
    return svg.document(width, height, f"natlab: {label}", [bar, title, *shapes])


class _Card:
    """A host's card: its blocks below each other, pairs between them at its right side."""

    def __init__(self, picture: Picture, host: HostPicture) -> None:
        self._host = host
        self._head = list(_head(picture, host))
        self._blocks = list(_blocks(host))
        self._pairs = list(_pairs(self._blocks))
        inner = max(block.width for block in [Block(tuple(self._head)), *self._blocks])
        self._inner = max(inner, 180.0)
        self.width = self._inner + 2 * PAD + len(self._pairs) * _LANE
        self._first = PAD / 2 + len(self._head) * svg.LINE + _GAP
        self.height = self._first + sum(b.height + _GAP for b in self._blocks) + _GAP / 2

    def stems(self, x: float, top: float) -> Iterator[str]:
        """The lines from the LAN's bar down to the card."""
        for number, uplink in enumerate(self._host.uplinks):
            at = x + 2 * PAD + number * 3 * PAD
            points = [(at, top - _STEM), (at, top)]
            yield svg.line(points, "broken" if uplink.state else "wire")

    def shapes(self) -> Iterator[str]:
        """Everything on the card, seen from its upper left corner."""
        yield svg.box(0, 0, self.width, self.height, "card")
        yield from _texts(PAD, PAD / 2, self._head)
        y, bridge, anchors = self._first, 0.0, dict[End, tuple[float, float]]()
        for block in self._blocks:
            if block.hangs:
                yield self._trunk(bridge, y + block.height / 2, block.hangs)
            yield from self._drawn(block, y)
            for anchor in block.anchors:
                at = y + PAD / 2 + (anchor.line + 0.5) * svg.LINE
                anchors[anchor.end] = PAD + self._inner, at
            bridge = y + block.height if block.kind == "bridge" else bridge
            y += block.height + _GAP
        for lane, (one, other, kind) in enumerate(self._pairs, start=1):
            yield self._pair(anchors[one], anchors[other], lane, kind)

    def _trunk(self, top: float, bottom: float, kind: str) -> str:
        x = PAD + _TRUNK
        return svg.line([(x, top), (x, bottom), (PAD + INDENT, bottom)], kind)

    def _drawn(self, block: Block, y: float) -> Iterator[str]:
        x = PAD + block.left
        if block.kind:
            yield svg.box(x, y, self._inner - block.left, block.height, block.kind)
        yield from _texts(x + PAD if block.kind else x, y + PAD / 2, block.lines)

    def _pair(
        self, one: tuple[float, float], other: tuple[float, float], lane: int, kind: str
    ) -> str:
        x = one[0] + lane * _LANE
        return svg.line([one, (x, one[1]), (x, other[1]), other], kind)


def _texts(x: float, y: float, lines: Iterable[tuple[Span, ...]]) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        at = x
        for content, kind in line:
            yield svg.text(at, y + number * svg.LINE - 5, content, kind)
            at += svg.width_of(f"{content}  ")


# What stands on a card


def _head(picture: Picture, host: HostPicture) -> Iterator[tuple[Span, ...]]:
    uplinks = [(uplink_text(u, picture), "bad" if u.state else "ink") for u in host.uplinks]
    yield ((host.name, "name"), *uplinks)
    facts = host_facts(host)
    if facts:
        yield tuple((fact, "nat" if fact == "forwards" else "bad") for fact in facts)


def _blocks(host: HostPicture) -> Iterator[Block]:
    for bridge in host.bridges:
        yield _bridge(host, bridge)
        for container, ours, port in host.guests(bridge):
            yield _guest(host, bridge, container, ours, port)
        for port in host.bare_ports(bridge):
            yield _end_block(host, port, f"port {port.name}", "broken" if port.state else "wire")
    yield from (_unplugged(host, container) for container in host.unplugged)
    yield from (_end_block(host, loose, interface_text(loose), "") for loose in host.loose)
    notes = host_notes(host)
    if notes:
        yield Block(tuple(((note, _kind(note)),) for note in notes), "")


def _kind(fact: str) -> str:
    if any(bad in fact for bad in ("DOWN", "no carrier", "nothing leads", "no container")):
        return "bad"
    return "nat" if "->" in fact or fact.startswith(("masquerade", "snat")) else "faint"


def _bridge(host: HostPicture, bridge: Interface) -> Block:
    facts = [(fact, _kind(fact)) for fact in bridge_facts(host, bridge)]
    states = [fact for fact in facts if fact[1] != "nat"]
    title = ((bridge.name, "name"), (bridge.address_text(), "ink"), *states)
    return Block((title, *((fact,) for fact in facts if fact not in states)), "bridge")


def _guest(
    host: HostPicture,
    bridge: Interface,
    container: ContainerPicture,
    ours: Interface,
    port: Interface,
) -> Block:
    wrong = port_facts(ours, port)
    title = ((container.name, "name"), (interface_text(ours, *bridge.networks), "ink"))
    pair = ((f"⇄ {port.name}", "wire"), *((fact, "bad") for fact in wrong))
    others = [i for i in container.interfaces if i is not ours]
    lines, anchors = _with_interfaces(host, container, [title, pair], others)
    return Block(lines, "box", "broken" if wrong else "wire", anchors)


def _unplugged(host: HostPicture, container: ContainerPicture) -> Block:
    title: tuple[Span, ...] = ((container.name, "name"),)
    if not container.interfaces:
        title += (("only lo", "faint"),)
    lines, anchors = _with_interfaces(host, container, [title], container.interfaces)
    return Block(lines, "box", "", anchors)


def _with_interfaces(
    host: HostPicture,
    container: ContainerPicture,
    lines: list[tuple[Span, ...]],
    interfaces: Iterable[Interface],
) -> tuple[tuple[tuple[Span, ...], ...], tuple[Anchor, ...]]:
    """A container's lines, its further interfaces', then its facts; and where its ends are."""
    anchors = []
    for interface in interfaces:
        anchors.append(_anchor(f"{host.name}/{container.name}", interface, len(lines)))
        lines.append(_interface_spans(interface, interface_text(interface), host.name))
    lines += [((fact, _kind(fact)),) for fact in container_facts(host, container)]
    return tuple(lines), tuple(anchors)


def _anchor(node: str, interface: Interface, line: int) -> Anchor:
    return Anchor(End(node, interface.name), interface.other_end, line, bool(interface.state))


def _end_block(host: HostPicture, interface: Interface, title: str, hangs: str) -> Block:
    spans = _interface_spans(interface, title, host.name)
    return Block((spans,), "box", hangs, (_anchor(host.name, interface, 0),))


def _interface_spans(interface: Interface, title: str, host: str) -> tuple[Span, ...]:
    state: tuple[Span, ...] = ((interface.state, "bad"),) if interface.state else ()
    return ((title, "ink"), (pair_text(interface, host), "wire"), *state)


def _pairs(blocks: list[Block]) -> Iterator[tuple[End, End, str]]:
    """The pairs whose two ends both stand on the card as lines of their own, each once."""
    anchors = {anchor.end: anchor for block in blocks for anchor in block.anchors}
    done: set[End | None] = set()
    for end, anchor in anchors.items():
        other = anchors.get(anchor.other) if anchor.other else None
        if other is not None and other.end not in done:
            done.add(end)
            yield end, other.end, "broken" if anchor.broken or other.broken else "wire"
