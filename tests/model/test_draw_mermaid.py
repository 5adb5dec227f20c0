"""The map as a Mermaid flowchart: safe ids, escaped labels, every container and pair."""

import re

from hypothesis import given
from hypothesis import strategies as st

from natlab.model import draw_mermaid
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
from natlab.model.state import RouteEntry

_ID = r"(?:lan|h\d+(?:_(?:host|[bci]\d+(?:p\d+)?))?)"
_LABEL = r'"[^"\n]*"'
_LINE = re.compile(
    r"flowchart LR"
    rf"|lan\(\[{_LABEL}\]\)"
    rf"|subgraph {_ID}\[{_LABEL}\]"
    r"|end"
    rf"|{_ID}(?:\[\[{_LABEL}\]\]|\[{_LABEL}\]|\({_LABEL}\))"
    rf"|{_ID} ---(?:\|{_LABEL}\|)? {_ID}(?:\({_LABEL}\))?"
    rf"|{_ID} -\.->\|{_LABEL}\| {_ID}"
)


def lab(container: str = "web") -> Picture:
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
                name="veth1", master="docker0", other_end=End(f"ubuntu1/{container}", "eth0")
            ),
            Interface(name="vethA", master="docker0", up=False, other_end=End("ubuntu1", "cethA")),
            Interface(name="cethA", up=False, other_end=End("ubuntu1", "vethA")),
        ),
        containers=(
            ContainerPicture(name=container, interfaces=(inside,)),
            ContainerPicture(name="a", interfaces=(a,)),
            ContainerPicture(name="b", interfaces=(b,)),
            ContainerPicture(name="empty"),
        ),
        masquerades=(Masquerade(source="172.17.0.0/16", out="!docker0"),),
        published=(PublishedPort(host_port="49153", to="172.17.0.2", to_port=8080),),
        routes=(RouteEntry("172.18.0.0/16", "eth0", "192.168.33.12"),),
    )
    return Picture(hosts=(host,))


def test_docker0_rebuilt_is_a_flowchart() -> None:
    assert (
        draw_mermaid.draw(lab())
        == """\
flowchart LR
  lan(["lan<br/>192.168.33.0/24"])
  subgraph h1["ubuntu1"]
    h1_host["eth0 192.168.33.11<br/>forwards<br/>route 172.18.0.0/16 via 192.168.33.12 dev eth0"]
    h1_c1["web<br/>eth0 172.17.0.2<br/>no default route"]
    h1_c2["a<br/>A 10.1.1.1/32<br/>no default route"]
    h1_c3["b<br/>B 10.1.1.2/32<br/>no default route"]
    h1_c4["empty<br/>only lo"]
    h1_b1[["docker0<br/>172.17.0.1/16"]]
    h1_b1 -.->|"masquerade out of !docker0"| h1_host
    h1_b1 ---|"veth1"| h1_c1
    h1_b1 --- h1_b1p1("port vethA<br/>DOWN")
    h1_i1("cethA no address<br/>DOWN")
    h1_host -.->|"0.0.0.0:49153-#62;8080/tcp"| h1_c1
  end
  lan --- h1_host
  h1_b1p1 ---|"vethA ⇄ cethA"| h1_i1
  h1_c2 ---|"A ⇄ B"| h1_c3
"""
    )


def test_a_host_that_lost_its_interface_hangs_on_nothing() -> None:
    text = draw_mermaid.draw(Picture(hosts=(HostPicture(name="alone"),)))
    assert 'h1_host["not on the LAN"]' in text
    assert "lan ---" not in text


@given(st.text(min_size=1, max_size=40))
def test_no_name_breaks_the_flowchart(name: str) -> None:
    for line in draw_mermaid.draw(lab(name)).removesuffix("\n").split("\n"):
        assert _LINE.fullmatch(line.strip()), line


def test_what_mermaid_would_read_as_its_own_is_spelt_in_numbers() -> None:
    text = draw_mermaid.draw(lab('`"<b>&#;'))
    assert "#96;#34;#60;b#62;#38;#35;#59;" in text
