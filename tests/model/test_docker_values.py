"""Values of `docker run`'s options, frames of a stream, and keys that detach."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.errors import NatlabError, UsageError
from natlab.model.docker_body import creation
from natlab.model.docker_flags import Options
from natlab.model.docker_frames import Frames, Keys
from natlab.model.docker_mounts import mount, size
from natlab.model.docker_networks import creation as network_creation
from natlab.model.docker_values import READERS, duration


def refusal(reader, text):
    with pytest.raises(NatlabError) as refused:
        reader(text)
    return str(refused.value)


def body(**values):
    options = Options({key.replace("_", "-"): value for key, value in values.items()}, [])
    return creation(options, "busybox", [], {"HOME": "/root"}, lambda file: [f"FROM={file}", "X"])


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("10", 10), ("1k", 1024), ("1.5m", 1572864), ("2 GB", 2 << 30), ("1KiB", 1024)],
)
def test_sizes_are_read(text, number):
    assert size(text) == number


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("1s", 10**9), ("1m30s", 90 * 10**9), ("1.5h", 5400 * 10**9), ("3ms", 3 * 10**6)],
)
def test_durations_are_read(text, number):
    assert duration(text) == number


@pytest.mark.parametrize(
    ("option", "text", "message"),
    [
        ("memory", "x", "invalid size: 'x'"),
        ("memory", "-1", "invalid size: '-1'"),
        ("cpus", "x", "failed to parse x as a rational number"),
        ("cpus", "0.0000000001", "value is too precise"),
        ("env", "=x", "invalid environment variable: =x"),
        ("attach", "x", "valid streams are STDIN, STDOUT and STDERR"),
        ("link", "", "empty string specified for links"),
        ("add-host", "x", 'bad format for add-host: "x"'),
        ("add-host", "x:y", 'invalid IP address in add-host: "y"'),
        ("dns", "x", "IP address is not correctly formatted: x"),
        ("ulimit", "x", "invalid ulimit argument: x"),
        ("ulimit", "x=1", "invalid ulimit type: x"),
        ("ulimit", "core=a", "invalid ulimit argument: core=a"),
        ("ulimit", "core=2:1", "ulimit soft limit must be less than or equal to hard limit: 2 > 1"),
        ("sysctl", "a.b=1", "sysctl 'a.b=1' is not allowed"),
        ("label", "=x", "invalid label '=x': empty name"),
        ("health-interval", "3", 'time: invalid duration "3"'),
        ("mount", "x", "invalid field 'x' must be a key=value pair"),
        ("mount", "", "EOF"),
        (
            "mount",
            'type="bind",target=/x',
            'parse error on line 1, column 6: bare " in non-quoted-field',
        ),
        (
            "mount",
            '"a"b,target=/x',
            'parse error on line 1, column 3: extraneous or missing " in quoted-field',
        ),
        ("mount", "type=tmpfs", "target is required"),
        ("mount", "target=/x,foo=1", "unexpected key 'foo' in 'foo=1'"),
        ("mount", "target=/x,ro=maybe", "invalid value for ro: maybe"),
    ],
)
def test_a_wrong_value_is_refused_in_dockers_words(option, text, message):
    assert refusal(READERS[option], text) == message


def test_values_are_made_what_the_engine_takes():
    assert READERS["cpus"]("1.5") == 1_500_000_000
    assert READERS["memory-swap"]("-1") == -1
    assert READERS["ulimit"]("nofile=10:20") == {"Name": "nofile", "Soft": 10, "Hard": 20}
    assert READERS["add-host"]("x=[::1]") == "x:::1"
    assert mount("type=bind,src=/a,dst=/b,ro,bind-propagation=rslave") == {
        "Type": "bind",
        "Source": "/a",
        "Target": "/b",
        "ReadOnly": True,
        "BindOptions": {"Propagation": "rslave"},
    }
    assert mount('"src=a,b",target=/x,volume-nocopy')["Source"] == "a,b"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"publish": ["x"]}, "invalid containerPort: x"),
        ({"expose": ["1:2"]}, "invalid port format for --expose: 1:2"),
        ({"restart": "always", "rm": True}, "conflicting options: cannot specify both --restart"),
        ({"restart": "on-failure:x"}, "invalid restart policy format: maximum retry count must"),
        ({"mac_address": "x"}, "x is not a valid mac address"),
        ({"network_alias": ["a"]}, "network-scoped aliases are only supported for user-defined"),
        ({"network": ["a", "host"]}, "conflicting options: cannot attach both user-defined and "),
        ({"network": ["a", "a"]}, 'network "a" is specified multiple times'),
        ({"network": ["alias=b"]}, "network name/id is not specified"),
        ({"network": ["name=a,b=c"]}, "invalid field key b"),
        ({"network": ["name=a,gw-priority=x"]}, "invalid gw-priority (x): invalid syntax"),
        (
            {"network": ["name=a,alias=b"], "network_alias": ["c"]},
            "conflicting options: cannot specify both --network-alias and per-network alias",
        ),
        ({"no_healthcheck": True, "health_cmd": "x"}, "--no-healthcheck conflicts with --health-*"),
    ],
)
def test_options_that_do_not_go_together_are_refused_in_dockers_words(values, message):
    with pytest.raises(UsageError) as refused:
        body(**values)
    assert str(refused.value).startswith(message)


def test_variables_come_from_files_first_and_from_here():
    made = body(env_file=["f"], env=["HOME", "GONE", "A=1"])
    assert made["Env"] == ["FROM=f", "X", "HOME=/root", "GONE", "A=1"]
    assert body(label_file=["f"], label=["a=b=c"])["Labels"] == {"FROM": "f", "X": "", "a": "b=c"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gateway": ["10.0.0.1"]}, "every ip-range or gateway must have a corresponding subnet"),
        (
            {"subnet": ["10.0.0.0/24"], "gateway": ["10.1.0.1"]},
            "no matching subnet for gateway 10.1.0.1",
        ),
        (
            {"subnet": ["10.0.0.0/24"], "ip-range": ["10.1.0.0/25"]},
            "no matching subnet for range 10.1.0.0/25",
        ),
        (
            {"subnet": ["10.0.0.0/24"], "aux-address": ["a=10.1.0.1"]},
            "no matching subnet for aux-address 10.1.0.1",
        ),
        (
            {"subnet": ["10.0.0.0/24", "10.1.0.0/24"], "gateway": ["10.0.0.1", "10.0.0.2"]},
            "cannot configure multiple gateways on the same subnet",
        ),
    ],
)
def test_an_address_needs_its_subnet(values, message):
    with pytest.raises(UsageError) as refused:
        network_creation(Options(values, ["n"]))
    assert str(refused.value) == message


@given(st.lists(st.tuples(st.integers(1, 2), st.binary(max_size=40))), st.integers(1, 9))
def test_frames_come_apart_however_they_are_cut(frames, step):
    data = b"".join(struct.pack(">BxxxL", n, len(text)) + text for n, text in frames)
    reader = Frames()
    found = [frame for i in range(0, len(data), step) for frame in reader.feed(data[i : i + step])]
    assert found == frames


@given(st.binary(max_size=20), st.integers(1, 4))
def test_keys_that_detach_are_found_and_nothing_else_is_lost(data, step):
    keys, passed = Keys("ctrl-a,b"), b""
    for i in range(0, len(data), step):
        piece = keys.feed(data[i : i + step])
        if piece is None:
            assert b"\x01b" in data
            return
        passed += piece
    assert b"\x01b" not in data
    assert passed == data.removesuffix(b"\x01")


def test_keys_that_nobody_can_type_are_refused():
    assert refusal(Keys, "ctrl-ab") == "Unknown character: 'ctrl-ab'"
    assert Keys("ctrl-@,ctrl-_,x").keys == b"\x00\x1fx"
