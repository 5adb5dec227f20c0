"""Messages between a process and its agent arrive whole, with their descriptors."""

from __future__ import annotations

import os
import socket
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from natlab.kernel import wire
from natlab.kernel.wire import Fd


@pytest.fixture
def pair():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


values = st.recursive(
    st.none() | st.integers() | st.text() | st.binary() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
)


@given(values)
def test_any_value_arrives_as_it_was_sent(value):
    one, other = socket.socketpair()
    with one, other:
        wire.send(one, value)
        assert wire.receive(other) == (value, [])


def test_a_message_larger_than_the_sockets_buffer_arrives(pair):
    one, other = pair
    big = os.urandom(10 << 20)
    sender = threading.Thread(target=wire.send, args=(one, big))
    sender.start()
    received, _ = wire.receive(other)
    sender.join()
    assert received == big


def test_messages_sent_in_a_row_stay_apart(pair):
    one, other = pair
    for number in range(100):
        wire.send(one, number)
    assert [wire.receive(other)[0] for _ in range(100)] == list(range(100))


def test_descriptors_arrive_in_their_places_as_the_receivers_own(pair):
    one, other = pair
    reader, writer = os.pipe()
    sent = wire.send(one, {"in": [Fd(writer)], "text": "x"})
    assert sent == [writer]
    message, fds = wire.receive(other)
    (arrived,) = message["in"]
    assert fds == [arrived]
    number = arrived.detach()
    assert number != writer
    assert not os.get_inheritable(number)
    os.write(number, b"through")
    assert os.read(reader, 16) == b"through"
    for fd in (reader, writer, number):
        os.close(fd)
    arrived.close()  # it was taken out: nothing to close


def test_a_peer_that_is_gone_is_an_end_of_file(pair):
    one, other = pair
    one.close()
    with pytest.raises(EOFError):
        wire.receive(other)


def test_a_message_cut_off_leaves_no_descriptor(pair, descriptors):
    one, other = pair
    before = descriptors()
    socket.send_fds(one, [wire._HEADER.pack(1000, 1)], [0])
    one.close()
    with pytest.raises(EOFError):
        wire.receive(other)
    assert descriptors() == before - 1


def test_too_many_descriptors_are_refused_before_anything_is_sent(pair):
    one, other = pair
    with pytest.raises(ValueError, match="64 at most"):
        wire.send(one, [Fd(0) for _ in range(65)])
    other.setblocking(False)
    with pytest.raises(BlockingIOError):
        other.recv(1)
