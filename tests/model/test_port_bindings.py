"""Ports of the Engine API become wishes for the allocator, and its answers become JSON."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.port_bindings import exposed_ports, port_specs, ports_list, ports_map
from natlab.model.ports import PortRange
from natlab.model.publish import Exposed, Published
from natlab.model.refusal import Refusal

ANY, ANY6 = ip_address("0.0.0.0"), ip_address("::")


def refused(call, *args, **kwargs):
    with pytest.raises(Refusal) as refusal:
        call(*args, **kwargs)
    return refusal.value.status, str(refusal.value)


def outcome(call, *args):
    """Give what came out, the refusal if it was refused."""
    try:
        return call(*args)
    except Refusal as refusal:
        return refusal


def specs(bindings, *exposed, everything=False):
    config = {"PortBindings": bindings, "PublishAllPorts": everything}
    return [str(spec) for spec in port_specs(exposed, config)]


def test_exposed_ports_are_read_once_each():
    ports = exposed_ports(["80/tcp", "53/udp", "80", "8000-8001"])
    assert ports == (Exposed(80), Exposed(53, "udp"), Exposed(8000), Exposed(8001))
    assert refused(exposed_ports, ["x/tcp"])[1].startswith("invalid containerPort: x")
    assert refused(exposed_ports, ["80/icmp"])[1].startswith("invalid proto: icmp")


@pytest.mark.parametrize(
    ("key", "binding", "spec"),
    [
        ("80/tcp", {"HostPort": "8080"}, "8080:80/tcp"),
        ("80/tcp", {"HostIp": "", "HostPort": ""}, "80/tcp"),
        ("80/tcp", {"HostIp": None, "HostPort": None}, "80/tcp"),
        ("80/tcp", {}, "80/tcp"),
        ("80/tcp", None, "80/tcp"),
        ("80/tcp", {"HostPort": "0"}, "80/tcp"),
        ("80", {"HostPort": "8080"}, "8080:80/tcp"),
        ("80/", {"HostPort": "8080"}, "8080:80/tcp"),
        ("53/UDP", {"HostPort": "53"}, "53:53/udp"),
        ("80/tcp", {"HostIp": "127.0.0.1", "HostPort": "8080"}, "127.0.0.1:8080:80/tcp"),
        ("80/tcp", {"HostIp": "::1", "HostPort": ""}, "[::1]::80/tcp"),
        ("80/tcp", {"HostIp": "::ffff:10.0.0.1", "HostPort": "1"}, "10.0.0.1:1:80/tcp"),
        ("80/tcp", {"HostPort": "8000-8010"}, "8000-8010:80/tcp"),
        ("80/tcp", {"HostPort": "8080/tcp"}, "8080:80/tcp"),
    ],
)
def test_a_binding_is_a_wish_for_a_host_port(key, binding, spec):
    assert specs({key: [binding]}) == [spec]


def test_wishes_stand_in_the_order_of_their_ports():
    bindings = {
        "443/tcp": [{"HostPort": "443"}],
        "53/udp": [{"HostPort": "53"}],
        "53/tcp": [{"HostPort": "53"}, {"HostIp": "127.0.0.1", "HostPort": "54"}],
    }
    assert specs(bindings) == ["53:53/tcp", "127.0.0.1:54:53/tcp", "53:53/udp", "443:443/tcp"]


def test_publish_all_takes_the_exposed_ports_that_are_not_bound():
    bindings = {"80/tcp": [{"HostPort": "8080"}], "81/tcp": []}
    exposed = ["443/tcp", "80/tcp", "81/tcp"]
    assert specs(bindings, *exposed, everything=True) == ["8080:80/tcp", "81/tcp", "443/tcp"]
    assert specs(bindings, *exposed) == ["8080:80/tcp"]


@pytest.mark.parametrize("bindings", [None, {}, {"80/tcp": None}, {"80/tcp": []}])
def test_without_bindings_nothing_is_published(bindings):
    assert specs(bindings, "80/tcp") == []


def test_a_config_without_ports_publishes_nothing():
    assert port_specs(["80/tcp"], {}) == ()


@pytest.mark.parametrize(
    ("bindings", "message"),
    [
        ({"x/tcp": []}, 'invalid port specification: "x"'),
        ({"": []}, 'invalid port specification: ""'),
        ({"0/tcp": []}, 'invalid port specification: "0"'),
        ({"65536/tcp": []}, 'invalid port specification: "65536"'),
        ({"80-81/tcp": []}, 'invalid port specification: "80-81"'),
        ({"80/tcp": [{"HostPort": "x"}]}, 'invalid port specification: "x"'),
        ({"80/tcp": [{"HostPort": "70000"}]}, 'invalid port specification: "70000"'),
        ({"80/tcp": [{"HostPort": "9-8"}]}, 'invalid port specification: "9-8"'),
        ({"80/tcp": [{"HostPort": "0-8"}]}, 'invalid port specification: "0-8"'),
        ({"80/tcp": [{"HostPort": "-8"}]}, 'invalid port specification: "-8"'),
        ({"80/tcp": [{"HostIp": "host"}]}, "invalid IP address: host"),
        ({"80/tcp": {"HostPort": "80"}}, "invalid JSON: PortBindings[80/tcp] must be a list"),
        ({"80/tcp": ["80"]}, "invalid JSON: PortBindings[80/tcp] must be an object"),
        ({"80/tcp": [{"HostPort": 80}]}, "invalid JSON: HostPort must be a string"),
        ([], "invalid JSON: PortBindings must be an object"),
    ],
)
def test_a_malformed_binding_is_refused(bindings, message):
    assert refused(specs, bindings) == (400, message)


def test_inspect_shows_published_ports_and_null_for_the_rest():
    published = [Published(ANY, 49153, 8080), Published(ANY6, 49153, 8080)]
    assert ports_map(published, ["8080/tcp", "81/tcp"]) == {
        "8080/tcp": [
            {"HostIp": "0.0.0.0", "HostPort": "49153"},
            {"HostIp": "::", "HostPort": "49153"},
        ],
        "81/tcp": None,
    }
    assert ports_map([]) == {}


def test_the_list_shows_what_is_published_and_what_is_only_exposed():
    published = [Published(ANY6, 49153, 8080), Published(ANY, 49153, 8080)]
    assert ports_list(published, ["8080/tcp", "81/udp"]) == [
        {"PrivatePort": 81, "Type": "udp"},
        {"IP": "0.0.0.0", "PrivatePort": 8080, "PublicPort": 49153, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 8080, "PublicPort": 49153, "Type": "tcp"},
    ]


port = st.integers(1, 65535)


@given(st.lists(st.tuples(st.ip_addresses(), port, port), max_size=4, unique=True))
def test_what_inspect_shows_asks_for_the_same_ports_again(rows):
    published = [Published(ip, host, container) for ip, host, container in rows]
    again = port_specs([], {"PortBindings": ports_map(published)})
    found = {(s.host_ip, s.host_port, s.container_port) for s in again}
    assert found == {
        (
            getattr(p.host_ip, "ipv4_mapped", None) or p.host_ip,
            PortRange(p.host_port, p.host_port),
            p.container_port,
        )
        for p in published
    }


@given(st.text(max_size=12), st.text(max_size=12), st.text(max_size=12))
def test_any_texts_are_ports_or_refused(key, ip, host):
    config = {"PortBindings": {key: [{"HostIp": ip, "HostPort": host}]}}
    result = outcome(port_specs, [], config)
    assert isinstance(result, tuple) or result.status == 400
