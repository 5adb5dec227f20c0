"""The map as text: a tree that fits a terminal."""

from hypothesis import given
from hypothesis import strategies as st

from natlab.model import draw_text
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


def eth0(host: str, address: str) -> Interface:
    return Interface(name="eth0", addresses=(address,), other_end=End(LAN, host))


def guest(name: str, address: str, port: str, *, up: bool = True) -> ContainerPicture:
    inside = Interface(name="eth0", addresses=(address,), other_end=End("ubuntu1", port), up=up)
    default = RouteEntry("default", "eth0", "172.17.0.1")
    return ContainerPicture(name=name, interfaces=(inside,), routes=(default,))


def port(name: str, container: str) -> Interface:
    return Interface(name=name, master="docker0", other_end=End(f"ubuntu1/{container}", "eth0"))


DOCKER0 = Interface(name="docker0", kind="bridge", addresses=("172.17.0.1/16",))
OUTSIDE = HostPicture(name="outside", interfaces=(eth0("outside", "192.168.33.20/24"),))
UBUNTU1 = HostPicture(
    name="ubuntu1",
    forwards=True,
    interfaces=(
        eth0("ubuntu1", "192.168.33.11/24"),
        DOCKER0,
        port("veth634d217", "web"),
        port("veth2382639", "db"),
    ),
    containers=(
        guest("db", "172.17.0.3/16", "veth2382639"),
        guest("web", "172.17.0.2/16", "veth634d217"),
    ),
    masquerades=(Masquerade(source="172.17.0.0/16", out="!docker0"),),
    published=(PublishedPort(host_port="49153", to="172.17.0.2", to_port=8080),),
)

BY_HAND = HostPicture(
    name="ubuntu2",
    interfaces=(
        eth0("ubuntu2", "192.168.33.12/24"),
        Interface(name="bridge0", kind="bridge", up=False),
        DOCKER0,
        Interface(name="vethA", master="docker0", up=False, other_end=End("ubuntu2", "cethA")),
        Interface(name="cethA", up=False, other_end=End("ubuntu2", "vethA")),
        Interface(name="tun0", kind="tun"),
    ),
    containers=(
        ContainerPicture(name="empty"),
        ContainerPicture(
            name="a",
            interfaces=(
                Interface(name="A", addresses=("10.1.1.1/32",), other_end=End("ubuntu2/b", "B")),
            ),
            routes=(RouteEntry("10.1.1.2/32", "A", scope="link"),),
        ),
    ),
    published=(PublishedPort(host_port="80", to="172.17.0.5", to_port=80, hooks=()),),
    routes=(RouteEntry("172.18.0.0/16", "eth0", "192.168.33.11"),),
)


def test_docker0_rebuilt_is_a_tree() -> None:
    assert (
        draw_text.draw(Picture(hosts=(OUTSIDE, UBUNTU1)))
        == """\
lan 192.168.33.0/24
├─ outside  eth0 192.168.33.20
└─ ubuntu1  eth0 192.168.33.11   forwards
   └─ docker0 172.17.0.1/16   masquerade out of !docker0
      ├─ db   eth0 172.17.0.3  ⇄ veth2382639   default via 172.17.0.1
      └─ web  eth0 172.17.0.2  ⇄ veth634d217   default via 172.17.0.1   0.0.0.0:49153->8080/tcp
"""
    )


def test_what_is_half_done_by_hand_is_drawn_too() -> None:
    assert (
        draw_text.draw(Picture(hosts=(BY_HAND,)))
        == """\
lan 192.168.33.0/24
└─ ubuntu2  eth0 192.168.33.12   forwarding off
   ├─ bridge0 no address      DOWN   no ports
   ├─ docker0 172.17.0.1/16
   │  └─ port vethA  ⇄ cethA on the host   DOWN
   ├─ empty             only lo
   ├─ a  A 10.1.1.1/32  ⇄ B in b   no default route   route 10.1.1.2/32 dev A
   ├─ cethA no address  ⇄ vethA on the host   DOWN
   ├─ tun0 no address   tun
   ├─ 0.0.0.0:80->172.17.0.5:80/tcp (nothing leads to chain DOCKER), where no container is
   └─ route 172.18.0.0/16 via 192.168.33.11 dev eth0
"""
    )


def test_a_container_whose_end_is_down_says_so() -> None:
    down = guest("web", "172.17.0.2/16", "veth1", up=False)
    host = HostPicture(
        name="ubuntu1", interfaces=(DOCKER0, port("veth1", "web")), containers=(down,)
    )
    assert "web  eth0 172.17.0.2  ⇄ veth1   DOWN" in draw_text.draw(Picture(hosts=(host,)))


def test_a_host_without_a_way_to_the_lan_says_so() -> None:
    picture = Picture(hosts=(HostPicture(name="alone"),))
    assert draw_text.draw(picture) == "lan\n└─ alone     not on the LAN\n"


def test_a_port_that_leads_nowhere_in_the_lab_is_no_containers() -> None:
    stray = Interface(name="veth9", master="docker0", carrier=False)
    host = HostPicture(name="ubuntu1", interfaces=(DOCKER0, stray))
    text = draw_text.draw(Picture(hosts=(host,)))
    assert "port veth9  ⇄ other end not in this lab   no carrier" in text


def test_many_published_ports_go_on_below() -> None:
    many = tuple(
        PublishedPort(host_port=str(8000 + n), to="172.17.0.2", to_port=9000 + n) for n in range(9)
    )
    host = HostPicture(
        name="ubuntu1",
        interfaces=(DOCKER0, port("veth1", "web")),
        containers=(guest("web", "172.17.0.2/16", "veth1"),),
        published=many,
    )
    text = draw_text.draw(Picture(hosts=(host,)))
    assert all(one.says(known=True) in text for one in many)
    assert max(map(len, text.splitlines())) <= draw_text.WIDTH


names = st.text(min_size=1, max_size=150)


@given(names, st.lists(names, max_size=6))
def test_no_name_makes_a_line_too_wide_or_breaks_it(host: str, containers: list[str]) -> None:
    guests = tuple(guest(name, "172.17.0.2/16", f"veth{n}") for n, name in enumerate(containers))
    ports = tuple(port(f"veth{n}", name) for n, name in enumerate(containers))
    shown = HostPicture(name=host, interfaces=(DOCKER0, *ports), containers=guests)
    lines = draw_text.draw(Picture(hosts=(shown,))).splitlines()
    assert lines[0] == "lan"
    assert all(draw_text.columns_of(line) <= draw_text.WIDTH for line in lines)
    assert all(line.isprintable() for line in lines)


def test_wide_characters_take_two_columns() -> None:
    assert draw_text.columns_of("容器ab") == 6
    assert draw_text.columns_of("e\u0301") == 1
