"""`-p` is read as Docker reads it, refused in its words, and shown as `docker ps` shows it."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from natlab.errors import UsageError
from natlab.model.ports import Binding, PortAllocator, PortRange
from natlab.model.publish import (
    Exposed,
    Published,
    PublishSpec,
    parse_expose,
    parse_publish,
    ports_column,
    publish_order,
)

ANY, ANY6, LO = ip_address("0.0.0.0"), ip_address("::"), ip_address("127.0.0.1")


def read(text):
    """Give what the option says and what stood against it; one of the two is empty."""
    try:
        return parse_publish(text), ""
    except UsageError as refusal:
        return (), str(refusal)


def spelled(text):
    return [str(spec) for spec in parse_publish(text)]


@pytest.mark.parametrize(
    ("text", "specs"),
    [
        ("80", ["80/tcp"]),
        ("80/", ["80/tcp"]),
        ("0080", ["80/tcp"]),
        ("53/udp", ["53/udp"]),
        ("53/UDP", ["53/udp"]),
        ("38412/sctp", ["38412/sctp"]),
        ("8080:80", ["8080:80/tcp"]),
        (":80", ["80/tcp"]),
        ("0:80", ["80/tcp"]),
        ("127.0.0.1:8080:80", ["127.0.0.1:8080:80/tcp"]),
        ("127.0.0.1::80", ["127.0.0.1::80/tcp"]),
        ("0.0.0.0::53/udp", ["0.0.0.0::53/udp"]),
        ("::80", ["80/tcp"]),
        ("[::1]:80:80", ["[::1]:80:80/tcp"]),
        ("[::1]::80", ["[::1]::80/tcp"]),
        ("::1:80:80", ["[::1]:80:80/tcp"]),
        ("2001:db8::1::80", ["[2001:db8::1]::80/tcp"]),
        ("[::]:8080:80/udp", ["[::]:8080:80/udp"]),
        ("[127.0.0.1]:80:80", ["127.0.0.1:80:80/tcp"]),
        ("[::ffff:127.0.0.1]:80:80", ["127.0.0.1:80:80/tcp"]),
        ("80-81", ["80/tcp", "81/tcp"]),
        ("8000-8002:80-82", ["8000:80/tcp", "8001:81/tcp", "8002:82/tcp"]),
        ("8000-8010:80", ["8000-8010:80/tcp"]),
        ("8000-8000:80-80", ["8000:80/tcp"]),
        ("[::1]:1-2:3-4/udp", ["[::1]:1:3/udp", "[::1]:2:4/udp"]),
    ],
)
def test_dockers_grammar(text, specs):
    assert spelled(text) == specs


def test_the_parts_land_where_they_belong():
    (spec,) = parse_publish("127.0.0.1:8080:80/tcp")
    assert spec == PublishSpec(80, "tcp", LO, PortRange(8080, 8080))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no port specified: <empty>"),
        ("8080:", "no port specified: 8080:<empty>"),
        ("127.0.0.1:80:", "no port specified: 127.0.0.1:80:<empty>"),
        ("/udp", "no port specified: /udp<empty>"),
        ("80/icmp", "invalid proto: icmp"),
        ("80/tcp/udp", "invalid proto: tcp/udp"),
        ("web", "invalid containerPort: web"),
        ("8080:65536", "invalid containerPort: 65536"),
        ("80:0", "invalid containerPort: 0"),
        ("82-80", "invalid containerPort: 82-80"),
        ("80-", "invalid containerPort: 80-"),
        ("1-2-3", "invalid containerPort: 1-2-3"),
        ("-80", "invalid containerPort: -80"),
        ("+80", "invalid containerPort: +80"),
        ("8_0", "invalid containerPort: 8_0"),
        ("٨٠", "invalid containerPort: ٨٠"),
        ("80 ", "invalid containerPort: 80 "),
        ("9" * 5000, "invalid containerPort: 999"),
        ("99999:80", "invalid hostPort: 99999"),
        ("0-5:80", "invalid hostPort: 0-5"),
        ("x:80", "invalid hostPort: x"),
        ("localhost:8080:80", "invalid IP address: localhost"),
        ("127.0.0.256:8080:80", "invalid IP address: 127.0.0.256"),
        ("1.2.3.4:5:6:7", "invalid IP address: 1.2.3.4:5"),
        ("[::1:80:80", "invalid IP address [::1: address [::1:: missing ']' in address"),
        ("[::1]:1:2:3", "invalid IP address [::1]:1: address [::1]:1:: too many colons in address"),
        ("[fe80::1%eth0]:80:80", "invalid IP address: fe80::1%eth0"),
        (
            "8000-8001:80-82",
            "invalid ranges specified for container and host Ports: 80-82 and 8000-8001",
        ),
        ("80:80-82", "invalid ranges specified for container and host Ports: 80-82 and 80"),
        ("0:80-82", "invalid ranges specified for container and host Ports: 80-82 and 0"),
    ],
)
def test_what_docker_refuses_is_refused_in_its_words(text, message):
    with pytest.raises(UsageError) as refusal:
        parse_publish(text)
    assert str(refusal.value).startswith(message)


@given(st.text(st.sampled_from("0123456789:-/[].%tcpudsx \n")) | st.text())
@example("[]:80:80")
@example("a\nb")
def test_any_text_is_either_read_or_refused_in_one_line(text):
    specs, refusal = read(text)
    assert bool(specs) != bool(refusal)
    assert len(refusal.splitlines()) <= 1
    assert [parse_publish(str(spec)) for spec in specs] == [(spec,) for spec in specs]


def ports():
    return st.integers(1, 65535)


def ranges():
    return st.lists(ports(), min_size=2, max_size=2).map(lambda ends: PortRange(*sorted(ends)))


def unscoped_addresses():
    """Give the addresses that Docker tells apart: an IPv4-mapped one is the IPv4 one."""
    return st.ip_addresses(v=4) | st.ip_addresses(v=6).filter(lambda a: a.ipv4_mapped is None)


def protos():
    return st.sampled_from(["tcp", "udp", "sctp"])


@given(
    st.builds(
        PublishSpec,
        ports(),
        protos(),
        st.none() | unscoped_addresses(),
        st.none() | ranges(),
    )
)
def test_a_spec_that_is_spelled_and_read_is_the_same(spec):
    assert parse_publish(str(spec)) == (spec,)


@given(ports(), ports(), st.integers(0, 20), protos())
def test_a_range_against_a_range_goes_pair_by_pair(host, container, extra, proto):
    extra = min(extra, 65535 - host, 65535 - container)
    text = f"{host}-{host + extra}:{container}-{container + extra}/{proto}"
    assert spelled(text) == [f"{host + n}:{container + n}/{proto}" for n in range(extra + 1)]


@pytest.mark.parametrize("broken", [0, 65536, -1])
def test_a_value_is_checked_when_it_is_made(broken):
    with pytest.raises(UsageError, match="invalid containerPort"):
        PublishSpec(broken)
    with pytest.raises(UsageError, match="invalid containerPort"):
        Exposed(broken)
    with pytest.raises(UsageError, match="invalid hostPort"):
        Published(ANY, broken, 80)
    with pytest.raises(UsageError, match="invalid proto"):
        PublishSpec(80, "icmp")


def test_exposed_ports_are_read_one_by_one_and_as_a_range():
    assert parse_expose("80/tcp") == (Exposed(80),)
    assert [str(port) for port in parse_expose("53-54/udp")] == ["53/udp", "54/udp"]


def test_a_host_port_is_nothing_to_expose():
    with pytest.raises(UsageError, match=r"^invalid port format for --expose: 80:80 .*use -p"):
        parse_expose("80:80")


@given(st.builds(Exposed, ports(), protos()))
def test_an_exposed_port_that_is_spelled_and_read_is_the_same(port):
    assert parse_expose(str(port)) == (port,)


def test_a_spec_without_an_address_asks_for_the_daemons_default():
    (spec,) = parse_publish("80/udp")
    request = spec.request()
    assert (request.addresses, request.proto, request.ports) == ((ANY,), "udp", None)
    assert spec.request([ANY, ANY6]).addresses == (ANY, ANY6)


def test_a_spec_with_an_address_asks_for_that_alone():
    (spec,) = parse_publish("127.0.0.1:8080:80")
    assert spec.request([ANY, ANY6]).addresses == (LO,)


def test_from_the_option_to_docker_port_and_back_to_the_seeds_listing():
    (spec,) = parse_publish("8080")
    (binding,) = PortAllocator().allocate([spec.request()])
    published = spec.published(binding)
    assert [str(port) for port in published] == ["8080/tcp -> 0.0.0.0:49153"]
    assert ports_column(published) == "0.0.0.0:49153->8080/tcp"


def test_both_families_are_published_under_one_number():
    spec = PublishSpec(80)
    published = spec.published(Binding((ANY, ANY6), "tcp", 8080))
    assert [str(port) for port in published] == [
        "80/tcp -> 0.0.0.0:8080",
        "80/tcp -> [::]:8080",
    ]
    assert ports_column(published) == "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"


def test_the_lowest_container_port_gets_the_first_automatic_port():
    specs = [PublishSpec(8080), PublishSpec(53, "udp"), PublishSpec(53), PublishSpec(80)]
    assert [str(s) for s in publish_order(specs)] == ["53/tcp", "53/udp", "80/tcp", "8080/tcp"]


def column(*published, exposed=()):
    """Build the column from (address, host port, container port, protocol)."""
    ports = [Published(ip_address(ip), *rest) for ip, *rest in published]
    return ports_column(ports, [Exposed(*port) for port in exposed])


@pytest.mark.parametrize(
    ("shown", "published", "exposed"),
    [
        ("", [], []),
        ("9988/tcp", [], [(9988, "tcp")]),
        ("80/tcp, 443/tcp", [], [(443, "tcp"), (80, "tcp")]),
        ("80-82/tcp", [], [(82, "tcp"), (80, "tcp"), (81, "tcp"), (80, "tcp")]),
        ("80/tcp, 80/udp", [], [(80, "udp"), (80, "tcp")]),
        ("4.3.2.1:8899->9988/tcp", [("4.3.2.1", 8899, 9988, "tcp")], []),
        ("4.3.2.1:9988->9988/tcp", [("4.3.2.1", 9988, 9988, "tcp")], [(9988, "tcp")]),
        (
            "0.0.0.0:8000-8002->8000-8002/tcp",
            [("0.0.0.0", port, port, "tcp") for port in (8001, 8000, 8002)],
            [],
        ),
        (
            "1.2.3.4:8887->9998/udp, 1.2.3.4:8888->9999/udp",
            [("1.2.3.4", 8888, 9999, "udp"), ("1.2.3.4", 8887, 9998, "udp")],
            [],
        ),
        (
            "1.2.3.4:80->80/tcp, 1.2.3.4:82->82/tcp, 1.2.3.4:99->81/tcp",
            [("1.2.3.4", port, to, "tcp") for port, to in ((80, 80), (99, 81), (82, 82))],
            [],
        ),
        (
            "0.0.0.0:80->80/tcp, [::]:80->80/tcp",
            [("::", 80, 80, "tcp"), ("0.0.0.0", 80, 80, "tcp")],
            [],
        ),
        (
            "10.0.0.1:80->80/tcp, 9.8.7.6:80->80/tcp",
            [("10.0.0.1", 80, 80, "tcp"), ("9.8.7.6", 80, 80, "tcp")],
            [],
        ),
        (
            "53/udp, 443/tcp, 0.0.0.0:8080->80/tcp",
            [("0.0.0.0", 8080, 80, "tcp")],
            [(80, "tcp"), (443, "tcp"), (53, "udp")],
        ),
        (
            "80/udp, 0.0.0.0:8080->80/tcp, 0.0.0.0:8081->80/tcp",
            [("0.0.0.0", 8081, 80, "tcp"), ("0.0.0.0", 8080, 80, "tcp")],
            [(80, "tcp"), (80, "udp")],
        ),
    ],
)
def test_the_ports_column_of_docker_ps(shown, published, exposed):
    assert column(*published, exposed=exposed) == shown


@given(
    st.lists(st.builds(Published, st.sampled_from([ANY, LO, ANY6]), ports(), ports(), protos())),
    st.lists(st.builds(Exposed, st.integers(1, 40), protos())),
)
def test_the_column_does_not_depend_on_the_order_and_shows_every_port(published, exposed):
    shown = ports_column(published, exposed)
    assert shown == ports_column(reversed(published), reversed(exposed))
    container_ports = set()
    for entry in filter(None, shown.split(", ")):
        target, _, proto = entry.rpartition("->")[2].partition("/")
        first, _, last = target.partition("-")
        container_ports |= {(n, proto) for n in range(int(first), int(last or first) + 1)}
    asked = {(p.container_port, p.proto) for p in published} | {(e.port, e.proto) for e in exposed}
    assert container_ports == asked
