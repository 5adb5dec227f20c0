"""Two processes work in one lasting lab: neither ends the other, both see what the kernel has."""

from __future__ import annotations

import os
import signal

import pytest

from natlab import Lab, NatlabError, tcp
from natlab.kernel.agent import Agent


@pytest.fixture
def two_labs():
    """One lasting lab, seen by two agents as two commands of a person would."""
    keeper = Agent.keep()
    agents = []
    try:
        Lab.within(keeper)
        agents += [Agent.join(keeper.pid), Agent.join(keeper.pid)]
        yield tuple(Lab.within(agent) for agent in agents)
    finally:
        for agent in agents:
            agent.close()
        os.kill(keeper.pid, signal.SIGTERM)
        keeper.close()


def test_cleaning_and_removing_leave_the_other_process_alone(two_labs):
    one, other = two_labs
    web = one.ubuntu1.add_container("web")
    one.ubuntu1.add_docker0().attach(web)
    seen = other.node("web")
    assert str(seen.ip) == "172.17.0.2"  # the other one's agent stands in web now
    web.remove()
    assert other.ubuntu1.containers() == []  # and now on ubuntu1
    one.clean()
    assert other.ubuntu1.networks() == []


def test_ports_and_addresses_of_the_other_process_are_taken(two_labs):
    one, other = two_labs
    web = one.ubuntu1.add_container("web")
    one.ubuntu1.add_docker0().attach(web)
    one.ubuntu1.publish(web, "8080", "80:8080")
    db = other.ubuntu1.add_container("db")
    assert str(other.ubuntu1.network().attach(db)) == "172.17.0.3"
    assert other.ubuntu1.publish(db, "5432")[0].host_port == 49154
    with pytest.raises(NatlabError, match=r"^Bind for 0\.0\.0\.0:80 failed: port is already"):
        other.ubuntu1.publish(db, "80:5432")


def test_a_container_is_removed_with_the_proxies_that_the_other_process_started(two_labs):
    one, other = two_labs
    web = one.ubuntu1.add_container("web")
    one.ubuntu1.add_docker0().attach(web)
    one.ubuntu1.publish(web, "80:8080")
    other.ubuntu1.container("web").remove()
    assert other.ubuntu1.published() == ()
    again = other.ubuntu1.add_container("web")
    other.ubuntu1.network().attach(again)
    other.ubuntu1.publish(again, "80:8080")
    probe = tcp(other.outside, "192.168.33.11", 80, server=again, server_port=8080)
    assert (probe.outcome, probe.source_seen) == ("answered", "192.168.33.20")


def test_a_network_made_by_the_other_process_is_removed_with_its_rules(two_labs):
    one, other = two_labs
    one.ubuntu1.add_docker0(icc=False)
    other.ubuntu1.network().remove()
    assert '"docker0"' not in one.ubuntu1.nft("list ruleset")
    assert one.ubuntu1.find_link("docker0") is None
