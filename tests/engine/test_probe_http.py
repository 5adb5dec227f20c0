"""The HTTP probe, with a server of its own and with somebody else's."""

from __future__ import annotations

import pytest

from natlab import UsageError, http


@pytest.fixture
def web(lab_without_proxy):
    return lab_without_proxy.ubuntu1.add_docker0().add_container("web", "8080")


def test_it_answers_itself_where_nobody_serves(lab_without_proxy, web):
    outside = lab_without_proxy.outside
    probe = http(outside, "http://192.168.33.11:49153/", server=web, server_port=8080)
    assert (probe.outcome, probe.status, probe.body) == ("answered", 200, "natlab\n")
    assert probe.source_seen == "192.168.33.20"


def test_it_gets_what_a_persons_server_says(lab_without_proxy, web):
    outside = lab_without_proxy.outside
    with web.start(["myapp", "--name", "web"]) as server:
        server.wait_for("listens")
        probe = http(outside, "http://192.168.33.11:49153/x?y", server=web, server_port=8080)
    assert probe.status == 200
    assert probe.body.startswith("web saw 192.168.33.20:")
    assert probe.body.endswith("ask 172.17.0.2:8080/tcp\n")


def test_refused_and_lost_are_told_apart(lab_without_proxy, web):
    outside = lab_without_proxy.outside
    refused = http(outside, "http://192.168.33.12:80/", server=web)
    assert (refused.outcome, refused.status, refused.source_seen) == ("refused", None, None)
    lab_without_proxy.ubuntu1.forwarding = False
    url = "http://192.168.33.11:49153/"
    lost = http(outside, url, server=web, server_port=8080, timeout=0.3)
    assert (lost.outcome, lost.status) == ("no answer", None)


def test_a_server_that_speaks_something_else_is_no_answer(lab_without_proxy, web):
    with web.start("printf nonsense | nc -l -N 8080 & echo up; wait") as other:
        other.wait_for("up")
        while web.run("grep -q ':1F90 .* 0A ' /proc/net/tcp").returncode:
            pass
        url = "http://172.17.0.2:8080/"
        probe = http(lab_without_proxy.ubuntu1, url, server=web, timeout=0.5)
    assert (probe.outcome, probe.status) == ("no answer", None)


@pytest.mark.parametrize("url", ["ftp://10.0.0.1/", "192.168.33.11:80", "http://", "http://a:b/"])
def test_what_is_no_http_url_is_refused(lab_without_proxy, url):
    with pytest.raises(UsageError, match="is not a URL"):
        http(lab_without_proxy.outside, url, server=lab_without_proxy.ubuntu1)


def test_the_kernels_own_port_range_can_be_chosen():
    from natlab import Lab

    with Lab(port_range=None, userland_proxy=False) as lab:
        lab.ubuntu1.add_docker0().add_container("web", "8080")
        [(published, _)] = lab.ubuntu1.published()
        assert published.host_port == 32768
