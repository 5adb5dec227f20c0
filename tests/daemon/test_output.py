"""The output of programs: kept once, read by many, each at its own pace."""

from __future__ import annotations

import threading

import pytest

from natlab.daemon.output import STDERR, STDOUT, Chunk, Output, lines


@pytest.fixture
def output():
    made = Output()
    yield made
    made.close()


def say(output, text, stream=STDOUT, time=1):
    output.append(Chunk(stream, time, text))


def texts(reader):
    return [chunk.data for chunk in reader]


def test_a_reader_that_does_not_follow_ends_with_what_is_there(output):
    output.begin()
    say(output, b"one")
    say(output, b"two", STDERR)
    assert list(output.reader(follow=False)) == [Chunk(1, 1, b"one"), Chunk(2, 1, b"two")]


def test_a_reader_that_follows_gets_what_comes_and_ends_with_the_run(output):
    output.begin()
    reader, seen = output.reader(follow=True), []
    first = threading.Event()

    def read():
        for chunk in reader:
            seen.append(chunk.data)
            first.set()

    thread = threading.Thread(target=read)
    thread.start()
    say(output, b"one")
    assert first.wait(5)
    say(output, b"two")
    output.end()
    thread.join(5)
    assert seen == [b"one", b"two"]


def test_a_reader_before_the_run_waits_for_it_and_not_for_the_next_one(output):
    reader = output.reader(follow=True)
    output.begin()
    say(output, b"first run")
    output.end()
    assert texts(reader) == [b"first run"]
    later = output.reader(output.size, follow=True)
    output.begin()
    say(output, b"second run")
    output.end()
    assert texts(later) == [b"second run"]


def test_one_slow_reader_holds_up_nobody(output):
    output.begin()
    slow, quick = iter(output.reader(follow=True)), output.reader(follow=True)
    say(output, b"x" * 100_000)
    say(output, b"y")
    output.end()
    assert texts(quick) == [b"x" * 100_000, b"y"]
    assert next(slow).data == b"x" * 100_000
    assert next(slow).data == b"y"


@pytest.mark.parametrize("how", ["stop", "close"])
def test_a_waiting_reader_is_woken(output, how):
    output.begin()
    reader = output.reader(follow=True)
    thread = threading.Thread(target=lambda: list(reader))
    thread.start()
    reader.stop() if how == "stop" else output.close()
    thread.join(5)
    assert not thread.is_alive()


def test_lines_are_put_together_and_keep_the_time_at_which_they_began(output):
    for time, text in enumerate((b"a", b"b\nc", b"\n", b"rest"), start=1):
        say(output, text, time=time)
    say(output, b"error\n", STDERR, 9)
    found = list(lines(iter(output.reader(follow=False))))
    assert found == [
        Chunk(STDOUT, 1, b"ab\n"),
        Chunk(STDOUT, 2, b"c\n"),
        Chunk(STDERR, 9, b"error\n"),
        Chunk(STDOUT, 4, b"rest"),
    ]


def test_after_close_nothing_is_kept_and_nothing_fails(output):
    output.close()
    say(output, b"late")
    assert list(output.reader(follow=False)) == []
