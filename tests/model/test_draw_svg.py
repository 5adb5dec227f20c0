"""The map as SVG: a file that stands for itself and holds every name safely."""

from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model import draw_svg
from natlab.model.picture import (
    LAN,
    ContainerPicture,
    End,
    HostPicture,
    Interface,
    Masquerade,
    Picture,
    PublishedPort,
)

SVG = "{http://www.w3.org/2000/svg}"


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own


def lab(container: str = "web", *, up: bool = True) -> Picture:
    inside = Interface(name="eth0", addresses=("172.17.0.2/16",), other_end=End("ubuntu1", "veth1"))
    a = Interface(name="A", addresses=("10.1.1.1/32",), other_end=End("ubuntu1/b", "B"))
    b = Interface(name="B", addresses=("10.1.1.2/32",), other_end=End("ubuntu1/a", "A"))
    host = HostPicture(
        name="ubuntu1",
        forwards=True,
        interfaces=(
            Interface(name="eth0", addresses=("192.168.33.11/24",), other_end=End(LAN, "ubuntu1")),
            Interface(name="docker0", kind="bridge", addresses=("172.17.0.1/16",)),
            Interface(
                name="veth1", master="docker0", up=up, other_end=End(f"ubuntu1/{container}", "eth0")
            ),
        ),
        containers=(
            ContainerPicture(name=container, interfaces=(inside,)),
            ContainerPicture(name="a", interfaces=(a,)),
            ContainerPicture(name="b", interfaces=(b,)),
        ),
        masquerades=(Masquerade(source="172.17.0.0/16", out="!docker0"),),
        published=(PublishedPort(host_port="49153", to="172.17.0.2", to_port=8080),),
    )
    outside = Interface(name="eth0", addresses=("192.168.33.20/24",), other_end=End(LAN, "outside"))
    return Picture(hosts=(HostPicture(name="outside", interfaces=(outside,)), host))


def test_it_says_what_stands_in_the_lab() -> None:
    said = texts(draw_svg.draw(lab()))
    for text in (
        "lan 192.168.33.0/24",
        "eth0 192.168.33.20",
        "forwards",
        "docker0",
        "masquerade out of !docker0",
        "web",
        "eth0 172.17.0.2",
        "⇄ veth1",
        "0.0.0.0:49153->8080/tcp",
        "A 10.1.1.1/32",
    ):
        assert text in said


def test_it_holds_no_script_and_leads_nowhere() -> None:
    root = ET.fromstring(draw_svg.draw(lab()))  # noqa: S314 - our own
    tags = {element.tag.removeprefix(SVG) for element in root.iter()}
    assert tags == {"svg", "title", "style", "rect", "text", "polyline", "g"}
    keys = {key for element in root.iter() for key in element.attrib}
    assert not [key for key in keys if "href" in key or key.startswith("on")]
    style = root.find(f"{SVG}style")
    assert style is not None
    assert "url(" not in (style.text or "")
    assert "@import" not in (style.text or "")


def test_it_has_colours_for_a_light_and_for_a_dark_screen() -> None:
    style = ET.fromstring(draw_svg.draw(lab())).find(f"{SVG}style")  # noqa: S314 - our own
    assert style is not None
    light, _, dark = (style.text or "").partition("@media (prefers-color-scheme: dark)")
    for selector in ("text.ink", "rect.page", "rect.card", "polyline.wire"):
        assert selector in light
        assert selector in dark


def channels(colour: str) -> list[float]:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]


def contrast(one: str, other: str) -> float:
    """WCAG's contrast ratio."""
    light, dark = sorted(
        (
            sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), channels(x), strict=True))
            for x in (one, other)
        ),
        reverse=True,
    )
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("ink", ["ink", "faint", "nat", "bad", "wire"])
@pytest.mark.parametrize("ground", ["page", "card", "box", "bridge"])
@pytest.mark.parametrize("palette", ["_LIGHT", "_DARK"])
def test_every_text_can_be_read_on_every_ground(palette: str, ground: str, ink: str) -> None:
    from natlab.model import svg_parts

    colours = getattr(svg_parts, palette)
    assert contrast(colours[ink], colours[ground]) >= 4.5


def rectangles(svg: str) -> list[tuple[float, float]]:
    """How far to the right and down each rectangle of the outermost level reaches."""
    root = ET.fromstring(svg)  # noqa: S314 - our own
    found = [(e, 0.0, 0.0) for e in root.findall(f"{SVG}rect")]
    for group in root.findall(f"{SVG}g"):
        x, y = map(float, group.attrib["transform"].removeprefix("translate(")[:-1].split())
        found += [(e, x, y) for e in group.findall(f"{SVG}rect")]
    return [
        (
            x + float(e.get("x", "0")) + float(e.attrib["width"]),
            y + float(e.get("y", "0")) + float(e.attrib["height"]),
        )
        for e, x, y in found
    ]


def test_everything_lies_within_the_page() -> None:
    svg = draw_svg.draw(lab("a-container-with-quite-a-long-name-for-a-box"))
    root = ET.fromstring(svg)  # noqa: S314 - our own
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    assert all(x <= width and y <= height for x, y in rectangles(svg))


def lines(svg: str, kind: str) -> int:
    found = ET.fromstring(svg).iter(f"{SVG}polyline")  # noqa: S314 - our own
    return sum(element.get("class") == kind for element in found)


def test_a_pair_with_an_end_down_is_a_broken_line() -> None:
    assert (lines(draw_svg.draw(lab()), "wire"), lines(draw_svg.draw(lab()), "broken")) == (4, 0)
    down = draw_svg.draw(lab(up=False))
    assert (lines(down, "wire"), lines(down, "broken")) == (3, 1)
    assert "veth1 DOWN" in texts(down)


def test_an_empty_lab_is_a_picture_too() -> None:
    assert texts(draw_svg.draw(Picture())) == ["lan"]


@given(st.text(min_size=1, max_size=40))
def test_no_name_breaks_the_file(name: str) -> None:
    said = texts(draw_svg.draw(lab(name)))
    if name.isprintable():
        assert name in said
