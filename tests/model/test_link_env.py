"""Links are read as Docker reads them, and give the variables that Docker gives."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from natlab.model.link_env import Link, link_env, parse_link
from natlab.model.publish import Exposed
from natlab.model.refusal import Refusal

DB = ip_address("172.17.0.2")


@pytest.mark.parametrize(
    ("text", "target", "alias"),
    [
        ("db", "db", "db"),
        ("db:database", "db", "database"),
        ("/db:/web/database", "db", "database"),
        ("db:", "db", ""),
    ],
)
def test_a_link_names_a_target_and_an_alias(text, target, alias):
    assert parse_link(text) == Link(target, alias)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty string specified for links"),
        ("a:b:c", "bad format for links: a:b:c"),
        ("::", "bad format for links: ::"),
    ],
)
def test_a_malformed_link_is_refused_in_dockers_words(text, message):
    with pytest.raises(Refusal) as refusal:
        parse_link(text)
    assert (refusal.value.status, str(refusal.value)) == (400, message)


def test_a_link_gives_the_ports_the_name_and_the_environment():
    env = ["POSTGRES_USER=app", "EMPTY=", "UNSET", "A=b=c", "HOME=/root", "PATH=/bin"]
    assert link_env("web", "my-db", DB, [Exposed(5432)], env) == (
        "MY_DB_PORT=tcp://172.17.0.2:5432",
        "MY_DB_PORT_5432_TCP=tcp://172.17.0.2:5432",
        "MY_DB_PORT_5432_TCP_ADDR=172.17.0.2",
        "MY_DB_PORT_5432_TCP_PORT=5432",
        "MY_DB_PORT_5432_TCP_PROTO=tcp",
        "MY_DB_NAME=/web/my-db",
        "MY_DB_ENV_POSTGRES_USER=app",
        "MY_DB_ENV_EMPTY=",
        "MY_DB_ENV_A=b=c",
    )


def test_a_target_without_ports_gives_its_name_only():
    assert link_env("/web", "db", DB, []) == ("DB_NAME=/web/db",)


def test_the_first_port_is_the_lowest_of_tcp():
    ports = [Exposed(53, "udp"), Exposed(8080), Exposed(443)]
    assert link_env("web", "db", DB, ports)[0] == "DB_PORT=tcp://172.17.0.2:443"
    assert link_env("web", "db", DB, ports[:1])[0] == "DB_PORT=udp://172.17.0.2:53"
    ports = [Exposed(22, "sctp"), Exposed(8080)]
    assert link_env("web", "db", DB, ports)[0] == "DB_PORT=tcp://172.17.0.2:8080"


def test_two_ports_in_a_row_are_no_run():
    env = link_env("web", "db", DB, [Exposed(80), Exposed(81)])
    assert not [variable for variable in env if "_START" in variable]


def test_a_run_of_ports_gives_its_ends_behind_its_last_port():
    ports = [Exposed(81), Exposed(80), Exposed(82), Exposed(90), Exposed(83, "udp")]
    env = link_env("web", "db", DB, ports)
    ends = (
        "DB_PORT_80_TCP_START=tcp://172.17.0.2:80",
        "DB_PORT_80_TCP_PORT_START=80",
        "DB_PORT_80_TCP_END=tcp://172.17.0.2:82",
        "DB_PORT_80_TCP_PORT_END=82",
    )
    at = env.index(ends[0])
    assert env[at : at + 4] == ends
    assert env[at - 1] == "DB_PORT_82_TCP_PROTO=tcp"
    assert env[at + 4] == "DB_PORT_90_TCP=tcp://172.17.0.2:90"
    assert not [variable for variable in env if "83_UDP_START" in variable]
    assert len([variable for variable in env if "_PROTO=" in variable]) == 5
