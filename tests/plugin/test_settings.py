"""Settings: values from ini files, markers and Python, checked before anything is made."""

from __future__ import annotations

import pytest

from natlab import UsageError
from natlab.model.ports import PortRange
from natlab.testing import fixtures
from natlab.testing.settings import Settings


def test_what_is_not_said_is_as_usual():
    usual = Settings()
    assert usual.docker0.address == "172.17.0.1/16"
    assert usual.ports == PortRange(49153, 65535)
    assert list(usual.hosts) == ["outside", "ubuntu1", "ubuntu2"]


@pytest.mark.parametrize(
    ("subnet", "address"),
    [("10.0.0.0/8", "10.0.0.1/8"), ("10.0.0.254/24", "10.0.0.254/24")],
)
def test_a_subnet_may_be_a_network_or_the_bridges_address(subnet, address):
    assert Settings(subnet=subnet).docker0.address == address


@pytest.mark.parametrize(
    ("port_range", "ports"),
    [("kernel", None), ("5000-5010", PortRange(5000, 5010)), ("5000", PortRange(5000, 5000))],
)
def test_a_port_range_has_two_ends_or_one_or_is_the_kernels(port_range, ports):
    assert Settings(port_range=port_range).ports == ports


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"subnet": "nonsense"}, "natlab's subnet is an IPv4 network .*, not 'nonsense'"),
        ({"subnet": "10.0.0.0/31"}, "natlab's subnet"),
        ({"subnet": "fd00::/64"}, "natlab's subnet"),
        ({"port_range": "a-b"}, "natlab's port_range is like 49153-65535"),
        ({"port_range": "10-5"}, "natlab's port_range: invalid port range: 10-5"),
        ({"port_range": "1-70000"}, "natlab's port_range: invalid port range"),
        ({"mtu": 3}, "natlab's mtu is 68 to 65535 bytes, not 3"),
        ({"lan_mtu": "1500"}, "natlab's lan_mtu is a number of bytes, not '1500'"),
        ({"icc": "yes"}, "natlab's icc is True or False, not 'yes'"),
        ({"userland_proxy": 1}, "natlab's userland_proxy is True or False"),
        ({"mtuu": 1500}, "natlab has no setting 'mtuu': did you mean mtu?"),
        ({"colour": 1}, "natlab has no setting 'colour': there is subnet, port_range"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(wrong, message):
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        Settings().changed(**wrong)


def test_an_ini_file_says_all_of_it_in_text():
    texts = {"natlab_subnet": "", "natlab_mtu": "1400", "natlab_icc": "False"}
    said = fixtures.settings(texts, ["a = 10.0.0.1/24", "b=10.0.0.2/24"])
    assert (said.mtu, said.icc) == (1400, False)
    assert said.hosts == {"a": "10.0.0.1/24", "b": "10.0.0.2/24"}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"natlab_mtu": "many"}, "natlab_mtu is a number of bytes, not 'many'"),
        ({"natlab_icc": "perhaps"}, "natlab_icc is true or false, not 'perhaps'"),
    ],
)
def test_an_ini_option_that_makes_no_sense_is_named(texts, message):
    with pytest.raises(UsageError, match=message):
        fixtures.settings(texts, [])


def test_the_nearest_marker_wins_and_takes_names_only():
    marks = [((), {"mtu": 1000, "icc": False}), ((), {"mtu": 1400})]
    assert fixtures.marked(Settings(), marks) == Settings(mtu=1400, icc=False)
    with pytest.raises(
        UsageError, match=r"takes settings by name, like subnet=…, not '10.0.0.0/8'"
    ):
        fixtures.marked(Settings(), [(("10.0.0.0/8",), {})])
