"""/etc/hostname, /etc/hosts and /etc/resolv.conf are those that Docker writes."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.model.etc_files import HostsLine, hostname_file, hosts_file, resolv_conf
from natlab.model.refusal import Refusal

WEB, WEB6, DB = ip_address("172.17.0.3"), ip_address("fd00::3"), ip_address("172.17.0.2")
GATEWAY = ip_address("172.17.0.1")

EVERYWHERE = (
    "127.0.0.1\tlocalhost\n"
    "::1\tlocalhost ip6-localhost ip6-loopback\n"
    "fe00::\tip6-localnet\n"
    "ff00::\tip6-mcastprefix\n"
    "ff02::1\tip6-allnodes\n"
    "ff02::2\tip6-allrouters\n"
)
HOST = """\
# made by somebody
; a comment too
domain old.example
search example.com lan
nameserver 127.0.0.53
nameserver 10.0.0.53
nameserver nonsense
nameserver fd00::53
nameserver
options edns0
options trust-ad
sortlist 10.0.0.0
"""


def refused(call, *args, **kwargs):
    with pytest.raises(Refusal) as refusal:
        call(*args, **kwargs)
    return refusal.value.status, str(refusal.value)


def upstreams(resolv):
    return [str(server) for server in resolv.upstreams]


def test_the_hostname_file_holds_the_name_and_a_line_break():
    assert hostname_file("web") == "web\n"


def test_a_container_without_a_network_knows_localhost_only():
    assert hosts_file("web") == EVERYWHERE


def test_a_container_stands_behind_what_is_everywhere_at_each_of_its_addresses():
    assert hosts_file("web", [WEB, WEB6]) == (f"{EVERYWHERE}172.17.0.3\tweb\nfd00::3\tweb\n")


@pytest.mark.parametrize(
    ("hostname", "domainname", "names"),
    [
        ("web", "example.com", "web.example.com web"),
        ("web.example.com", "", "web.example.com web"),
        ("web.a", "b", "web.a.b web"),
    ],
)
def test_a_domain_gives_the_full_name_and_its_first_part(hostname, domainname, names):
    text = hosts_file(hostname, [WEB], domainname=domainname)
    assert text == f"{EVERYWHERE}172.17.0.3\t{names}\n"


def test_extra_hosts_and_links_stand_before_the_container_itself():
    text = hosts_file(
        "web",
        [WEB],
        extra=["api:10.0.0.1", "six:fd00::1", "host.docker.internal:host-gateway"],
        links=[HostsLine(DB, ("database", "0123456789ab", "db"))],
        gateway=GATEWAY,
    )
    assert text.removeprefix(EVERYWHERE) == (
        "10.0.0.1\tapi\n"
        "fd00::1\tsix\n"
        "172.17.0.1\thost.docker.internal\n"
        "172.17.0.2\tdatabase 0123456789ab db\n"
        "172.17.0.3\tweb\n"
    )


def test_a_link_names_its_target_once_when_the_alias_is_the_name():
    assert HostsLine.of_link(DB, "db", "0123", "db").names == ("db", "0123")
    assert HostsLine.of_link(DB, "base", "0123", "db").names == ("base", "0123", "db")


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("api", 'bad format for add-host: "api"'),
        (":10.0.0.1", 'bad format for add-host: ":10.0.0.1"'),
        ("api:", 'invalid IP address in add-host: ""'),
        ("api:10.0.0", 'invalid IP address in add-host: "10.0.0"'),
        ("api:host-gateway", "unable to derive the IP value for host-gateway"),
    ],
)
def test_a_malformed_extra_host_is_refused_in_dockers_words(extra, message):
    assert refused(hosts_file, "web", extra=[extra]) == (400, message)


def test_the_default_network_leaves_out_loopback_and_ipv6_servers():
    resolv = resolv_conf(HOST)
    assert resolv.text == (
        "nameserver 10.0.0.53\nsearch example.com lan\noptions edns0 trust-ad\nsortlist 10.0.0.0\n"
    )
    assert upstreams(resolv) == ["10.0.0.53"]


@pytest.mark.parametrize("host", ["", "nameserver 127.0.0.53\n", "nameserver ::1\n", "options\n"])
def test_the_default_network_asks_google_when_no_server_is_left(host):
    resolv = resolv_conf(host)
    assert resolv.text == "nameserver 8.8.8.8\nnameserver 8.8.4.4\n"
    assert upstreams(resolv) == ["8.8.8.8", "8.8.4.4"]


def test_what_the_run_asks_for_replaces_the_hosts_settings():
    resolv = resolv_conf(
        HOST, servers=["127.0.0.1", "fd00::1"], search=["a.example"], options=["ndots:2"]
    )
    assert resolv.text == (
        "nameserver 127.0.0.1\n"
        "nameserver fd00::1\n"
        "search a.example\n"
        "options ndots:2\n"
        "sortlist 10.0.0.0\n"
    )


def test_a_dot_clears_the_search_domains():
    assert "search" not in resolv_conf(HOST, search=["."]).text


def test_a_user_defined_network_asks_the_engine_which_asks_the_hosts_servers():
    resolv = resolv_conf(HOST, embedded=True)
    assert resolv.text == (
        "nameserver 127.0.0.11\n"
        "search example.com lan\n"
        "options edns0 trust-ad ndots:0\n"
        "sortlist 10.0.0.0\n"
    )
    assert upstreams(resolv) == ["127.0.0.53", "10.0.0.53", "fd00::53"]


def test_in_a_user_defined_network_the_engine_asks_the_servers_of_the_run():
    resolv = resolv_conf(HOST, embedded=True, servers=["9.9.9.9"])
    assert resolv.text.startswith("nameserver 127.0.0.11\nsearch")
    assert upstreams(resolv) == ["9.9.9.9"]


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["ndots:5"], "options ndots:5"),
        (["ndots:x", "rotate"], "options rotate ndots:0"),
        (["ndots"], "options ndots:0"),
        (["ndots:-1"], "options ndots:0"),
    ],
)
def test_ndots_of_the_run_is_kept_if_it_is_a_number(options, line):
    text = resolv_conf("", embedded=True, options=options).text
    assert text == f"nameserver 127.0.0.11\n{line}\n"


def test_a_server_that_is_no_address_is_refused_in_dockers_words():
    assert refused(resolv_conf, HOST, servers=["dns.example"]) == (
        400,
        'bad nameserver address dns.example: ParseAddr("dns.example"): unable to parse IP',
    )


@given(st.text(max_size=80), st.booleans())
def test_any_file_of_the_host_gives_one_that_reads_the_same_again(host, embedded):
    once = resolv_conf(host, embedded=embedded)
    assert once.text.startswith("nameserver ")
    again = resolv_conf(once.text, embedded=embedded, servers=[str(s) for s in once.upstreams])
    assert again.text == once.text


servers = st.lists(st.ip_addresses(v=4).filter(lambda a: not a.is_loopback), min_size=1, max_size=4)


@given(servers)
def test_servers_that_others_can_reach_are_kept_in_their_order(addresses):
    host = "".join(f"nameserver {address}\n" for address in addresses)
    assert resolv_conf(host).text == host
