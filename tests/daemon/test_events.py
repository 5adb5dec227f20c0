"""Events: the past ones that are kept, and those that come."""

from __future__ import annotations

import threading
import time

import pytest

from natlab.daemon.events import Events


@pytest.fixture
def events():
    made = Events()
    yield made
    made.close()


def actions(listener):
    return [event.action for event in listener]


def test_a_listener_hears_what_comes_after_it_began_to_listen(events):
    events.tell("container", "create", "1", {})
    listener = events.listen()
    events.tell("container", "start", "1", {})
    events.tell("container", "die", "1", {})
    events.close()
    assert actions(listener) == ["start", "die"]


def test_the_past_is_told_from_a_moment_on_and_until_another(events):
    events.tell("network", "create", "1", {})
    between = time.time_ns()
    events.tell("network", "connect", "1", {})
    now = time.time_ns()
    assert actions(events.listen(since=between, until=now)) == ["connect"]
    assert actions(events.listen(since=0, until=now)) == ["create", "connect"]


def test_the_last_256_are_kept(events):
    for number in range(300):
        events.tell("image", str(number), "1", {})
    told = actions(events.listen(since=0, until=time.time_ns()))
    assert told == [str(number) for number in range(44, 300)]


def test_until_a_moment_to_come_the_listener_waits_and_then_ends(events):
    listener = events.listen(until=time.time_ns() + 50_000_000)
    events.tell("container", "start", "1", {})
    assert actions(listener) == ["start"]


@pytest.mark.parametrize("how", ["stop", "close"])
def test_a_waiting_listener_is_woken(events, how):
    listener = events.listen()
    thread = threading.Thread(target=lambda: list(listener))
    thread.start()
    listener.stop() if how == "stop" else events.close()
    thread.join(5)
    assert not thread.is_alive()


def test_an_event_has_the_old_fields_beside_the_new_for_containers_only(events):
    listener = events.listen(since=0)
    events.tell("container", "start", "abc", {"image": "busybox", "name": "web"})
    events.tell("network", "create", "def", {"name": "mynet"})
    events.close()
    container, network = (event.to_json() for event in listener)
    assert (container["status"], container["id"], container["from"]) == ("start", "abc", "busybox")
    assert container["Actor"] == {"ID": "abc", "Attributes": {"image": "busybox", "name": "web"}}
    assert container["time"] == container["timeNano"] // 1_000_000_000
    assert "status" not in network
    assert (network["Type"], network["Action"], network["scope"]) == ("network", "create", "local")
