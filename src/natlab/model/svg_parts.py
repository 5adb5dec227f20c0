"""The little SVG that a picture needs: texts, boxes and lines, measured and escaped."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from natlab.model.draw_text import columns_of
from natlab.model.names import one_line
from natlab.model.picture import End

FONT_SIZE: Final = 13
CHARACTER: Final = 7.9
"""Width of a character in user units: a monospaced font's 0.602 em, and a little more."""

LINE: Final = 19
"""Height of a line of text in user units."""

INDENT: Final = 34.0
"""How far a bridge's containers stand to the right of the bridge."""

PAD: Final = 14.0

Span = tuple[str, str]
"""A text and how it is drawn: ink, faint, name, nat, bad."""

_LIGHT: Final = {
    "page": "#ffffff",
    "card": "#f6f8fa",
    "edge": "#8c959f",
    "ink": "#1f2328",
    "faint": "#57606a",
    "wire": "#0969da",
    "bridge": "#ddf4ff",
    "box": "#ffffff",
    "nat": "#6639ba",
    "bad": "#953800",
}
_DARK: Final = {
    "page": "#0d1117",
    "card": "#161b22",
    "edge": "#6e7681",
    "ink": "#e6edf3",
    "faint": "#9da7b3",
    "wire": "#58a6ff",
    "bridge": "#12314f",
    "box": "#0d1117",
    "nat": "#d2a8ff",
    "bad": "#ffa657",
}


def width_of(text: str) -> float:
    """How wide a text is drawn, in user units."""
    return columns_of(one_line(text)) * CHARACTER


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where one end of a veth pair stands in a block, and where the other end is."""

    end: End
    other: End | None
    line: int
    broken: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Some lines of text, in a box or not, and what hangs on them.

    Attributes:
        lines: The lines, each of spans.
        kind: "bridge", "box", or "" for text without a box.
        hangs: The line by which it hangs on the bridge above: "wire", "broken", or "" for none.
        anchors: The ends of veth pairs that are lines of it.
    """

    lines: tuple[tuple[Span, ...], ...]
    kind: str = "box"
    hangs: str = ""
    anchors: tuple[Anchor, ...] = ()

    @property
    def left(self) -> float:
        """How far it stands in."""
        return INDENT if self.hangs else 0.0

    @property
    def width(self) -> float:
        """The room that it needs, with how far it stands in, in user units."""
        widest = max(width_of("  ".join(text for text, _ in line)) for line in self.lines)
        return self.left + widest + 2 * PAD

    @property
    def height(self) -> float:
        """The room that it needs, in user units."""
        return len(self.lines) * LINE + PAD


def text(x: float, y: float, content: str, kind: str = "ink") -> str:
    """A line of text; y is its base line."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{escape(one_line(content))}</text>'


def box(x: float, y: float, width: float, height: float, kind: str) -> str:
    """A rectangle with round corners."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="6" class="{kind}"/>'
    )


def line(points: Iterable[tuple[float, float]], kind: str = "wire") -> str:
    """A line through points."""
    path = " ".join(f"{x:g},{y:g}" for x, y in points)
    return f'<polyline points="{path}" class="{kind}"/>'


def document(width: float, height: float, title: str, shapes: Iterable[str]) -> str:
    """A whole SVG document with its own background, light or dark as the reader's screen is."""
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    label = quoteattr(one_line(title))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label={label}>',
            f"<title>{escape(one_line(title))}</title>",
            f"<style>{_style()}</style>",
            f'<rect width="{width:g}" height="{height:g}" class="page"/>',
            *shapes,
            "</svg>\n",
        ]
    )


def _style() -> str:
    fonts = "ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
    fixed = (
        f"text {{ font: {FONT_SIZE}px {fonts}; white-space: pre }} .name {{ font-weight: bold }}"
        " polyline { fill: none; stroke-width: 2 } rect { stroke-width: 1.2 }"
        " .broken { stroke-dasharray: 5 4 }"
    )
    return f"{fixed} {_colours(_LIGHT)} @media (prefers-color-scheme: dark) {{ {_colours(_DARK)} }}"


def _colours(c: dict[str, str]) -> str:
    rules = [
        f"text.{name} {{ fill: {c[name]} }}" for name in ("ink", "faint", "nat", "bad", "wire")
    ]
    rules += [
        f"text.name {{ fill: {c['ink']} }}",
        f"rect.page {{ fill: {c['page']} }}",
        f"rect.card {{ fill: {c['card']}; stroke: {c['edge']} }}",
        f"rect.box {{ fill: {c['box']}; stroke: {c['edge']} }}",
        f"rect.bridge, rect.lan {{ fill: {c['bridge']}; stroke: {c['wire']} }}",
        f"polyline.wire {{ stroke: {c['wire']} }}",
        f"polyline.broken {{ stroke: {c['bad']} }}",
    ]
    return " ".join(rules)
