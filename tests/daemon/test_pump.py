"""The pump: output and ends of many programs in one thread, and nothing left of it."""

from __future__ import annotations

import os
import subprocess
import threading

import pytest

from natlab.daemon.pump import Pump


@pytest.fixture
def pump(descriptors):
    threads, before = threading.active_count(), descriptors()
    made = Pump()
    yield made
    made.close()
    assert (threading.active_count(), descriptors()) == (threads, before)


def test_what_is_written_arrives_and_the_end_is_told_once(pump):
    reader, writer = os.pipe()
    seen, ended = [], threading.Event()
    pump.read(reader, seen.append, ended.set)
    os.write(writer, b"hello")
    os.close(writer)
    assert ended.wait(5)
    assert b"".join(seen) == b"hello"


def test_the_end_of_a_process_is_told(pump):
    with subprocess.Popen(["true"]) as process:
        ended = threading.Event()
        pump.end_of(os.pidfd_open(process.pid), ended.set)
        assert ended.wait(5)


def test_work_is_done_in_order_and_an_error_stops_nobody(pump, caplog):
    done, over = [], threading.Event()
    pump.later(lambda: done.append(1))
    pump.later(lambda: 1 / 0)
    pump.later(lambda: done.append(2))
    pump.later(over.set)
    assert over.wait(5)
    assert done == [1, 2]
    assert "division by zero" in caplog.text


def test_close_does_what_waits_and_closes_what_was_watched(pump):
    reader, writer = os.pipe()
    pump.read(reader, lambda _: None, lambda: None)
    done = []
    pump.later(lambda: done.append(1))
    pump.close()
    assert done == [1]
    with pytest.raises(BrokenPipeError):
        os.write(writer, b"nobody reads")
    os.close(writer)
