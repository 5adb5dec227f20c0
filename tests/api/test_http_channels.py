"""Answers that last: streams, hijacked connections, and clients that leave in the middle."""

from __future__ import annotations

import contextlib
import logging
import queue
import select
import socket
import threading
from http.client import HTTPResponse, IncompleteRead

import pytest

from natlab.api.http import Hijack, Routes, Server, Stream, text_response

LONG = 60
SIZE = 1_000_000  # more than a socket takes at once


class Context:
    """What the handlers of a test do, and what they saw."""

    def __init__(self) -> None:
        self.seen: queue.Queue = queue.Queue()
        self.items: queue.Queue = queue.Queue()
        self.talk = lambda _channel: None
        self.stream = lambda _request: Stream(())

    def saw(self):
        return self.seen.get(timeout=LONG)


def table() -> Routes[Context]:
    routes: Routes[Context] = Routes()
    routes.get("/_ping")(lambda _context, _request: text_response("OK"))
    routes.get("/stream")(lambda context, request: context.stream(request))
    routes.post("/stream")(lambda context, request: context.stream(request))

    @routes.post("/attach")
    def attach(context, request):
        if request.query.flag("json"):
            context.seen.put(request.json())
        return Hijack(context.talk, multiplexed=True)

    return routes


@pytest.fixture
def context():
    return Context()


@pytest.fixture
def server(tmp_path, descriptors, context):
    before = descriptors(), threading.active_count()
    with Server(tmp_path / "s", table(), context) as server:
        yield server
    assert (descriptors(), threading.active_count()) == before


@contextlib.contextmanager
def client(server: Server, data: bytes):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(server.path))
        sock.sendall(data)
        yield sock


def head(method: str, path: str, *lines: str) -> bytes:
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: docker", *lines, "", ""]).encode()


def received(sock: socket.socket, *, until: bytes | None = None) -> bytes:
    """What comes, up to some bytes or to the end."""
    data = b""
    while until is None or not data.endswith(until):
        piece = sock.recv(1 if until else 65536)
        if not piece:
            return data
        data += piece
    return data


def pinged(sock: socket.socket) -> bool:
    sock.sendall(head("GET", "/_ping"))
    return received(sock, until=b"\r\n\r\nOK").startswith(b"HTTP/1.1 200 OK\r\n")


STREAM = head("GET", "/stream")
ATTACH = head("POST", "/attach")
UPGRADE = head("POST", "/attach", "Connection: Upgrade", "Upgrade: tcp")
KINDS = pytest.mark.parametrize("request_head", [ATTACH, UPGRADE], ids=["plain", "upgrade"])


# Streams


def endless(context: Context):
    """A stream that waits for a test's items, and for its client to leave."""

    def answer(request) -> Stream:
        request.gone.call(lambda: context.items.put(None))

        def items():
            try:
                while (item := context.items.get()) is not None:
                    yield item
            finally:
                context.seen.put("items closed")

        return Stream(items(), "text/x-test", on_close=lambda: context.seen.put("on_close"))

    return answer


def test_the_head_leaves_before_the_first_item_and_each_item_at_once(server, context) -> None:
    context.stream = endless(context)
    with client(server, STREAM) as sock:
        top = received(sock, until=b"\r\n\r\n").lower()
        assert b"transfer-encoding: chunked\r\n" in top
        assert b"content-type: text/x-test\r\n" in top
        for item in (b"one", b"", b"three"):
            context.items.put(item)
            if item:
                assert received(sock, until=item + b"\r\n") == b"%x\r\n%b\r\n" % (len(item), item)
        context.items.put(None)
        assert received(sock, until=b"0\r\n\r\n") == b"0\r\n\r\n"
        assert [context.saw(), context.saw()] == ["items closed", "on_close"]
        assert pinged(sock)


def test_a_client_that_leaves_wakes_and_closes_a_stream_that_waits(server, context) -> None:
    context.stream = endless(context)
    with client(server, STREAM) as sock:
        received(sock, until=b"\r\n\r\n")
    assert [context.saw(), context.saw()] == ["items closed", "on_close"]


def test_a_client_that_sends_no_more_has_left_a_stream(server, context) -> None:
    context.stream = endless(context)
    with client(server, STREAM) as sock:
        sock.shutdown(socket.SHUT_WR)
        assert [context.saw(), context.saw()] == ["items closed", "on_close"]
        assert received(sock).endswith(b"0\r\n\r\n")


def test_one_connection_may_carry_stream_after_stream(server, context) -> None:
    context.stream = endless(context)
    with client(server, b"") as sock:
        for _ in range(3):
            sock.sendall(STREAM)
            received(sock, until=b"\r\n\r\n")
            context.items.put(None)
            assert received(sock, until=b"0\r\n\r\n")
            assert [context.saw(), context.saw()] == ["items closed", "on_close"]


def test_any_iterator_with_a_close_is_closed(server, context) -> None:
    class Items:
        def __init__(self) -> None:
            self.left = [b"two", b"one"]

        def __iter__(self):
            return self

        def __next__(self):
            if not self.left:
                raise StopIteration
            return self.left.pop()

        def close(self) -> None:
            context.seen.put("closed")

    items = Items()
    context.stream = lambda _request: Stream(items)
    with client(server, STREAM) as sock:
        assert received(sock, until=b"0\r\n\r\n").endswith(b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
    assert context.saw() == "closed"


def test_a_stream_that_never_began_is_closed_too(server, context) -> None:
    context.stream = lambda _request: Stream(
        iter([b"x"]), headers={"bad": "\n"}, on_close=lambda: context.seen.put("on_close")
    )
    with client(server, STREAM) as sock:
        assert received(sock, until=b"\r\n\r\n").startswith(b"HTTP/1.1 500 ")
    assert context.saw() == "on_close"


def test_a_stream_that_only_writes_ends_when_nobody_reads(server, context) -> None:
    def items():
        try:
            while True:
                yield bytes(65536)
        finally:
            context.seen.put("closed")

    context.stream = lambda _request: Stream(items())
    with client(server, STREAM) as sock:
        assert received(sock, until=b"\r\n\r\n")
    assert context.saw() == "closed"


def test_many_streams_are_woken_each_by_its_own_client(server, context) -> None:
    def answer(request) -> Stream:
        name = request.query.text("name")
        left = threading.Event()
        request.gone.call(left.set)

        def items():
            left.wait()
            context.seen.put(name)
            yield b""

        return Stream(items())

    context.stream = answer
    socks = []
    for number in range(50):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(server.path))
        sock.sendall(head("GET", f"/stream?name={number}"))
        received(sock, until=b"\r\n\r\n")
        socks.append(sock)
    for number in (*range(1, 50, 2), *range(0, 50, 2)):
        socks[number].close()
        assert context.saw() == str(number)


def test_a_head_request_starts_no_stream(server, context) -> None:
    context.stream = endless(context)
    with client(server, head("HEAD", "/stream")) as sock:
        assert received(sock, until=b"\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")
        assert context.saw() == "on_close"
        assert pinged(sock)


def test_a_stream_that_fails_is_cut_so_that_nobody_takes_it_for_whole(
    server, context, caplog
) -> None:
    def items():
        yield b"half"
        raise ValueError("no more")

    context.stream = lambda _request: Stream(items())
    with client(server, STREAM) as sock, contextlib.closing(HTTPResponse(sock)) as response:
        response.begin()
        with pytest.raises(IncompleteRead):
            response.read()
    assert "GET /stream was cut off half-way" in caplog.text
    assert "no more" in caplog.text


def test_http_1_0_gets_a_stream_as_it_is(server, context) -> None:
    context.stream = lambda _request: Stream([b"one", b"two"])
    with client(server, b"GET /stream HTTP/1.0\r\n\r\n") as sock:
        assert received(sock).endswith(b"\r\n\r\nonetwo")


def test_a_stream_may_read_the_body_while_it_answers(server, context) -> None:
    context.stream = lambda request: Stream(piece.upper() for piece in request.chunks())
    lines = ("Transfer-Encoding: chunked", "Expect: 100-continue")
    with client(server, head("POST", "/stream", *lines)) as sock:
        assert received(sock, until=b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        received(sock, until=b"\r\n\r\n")
        for piece in (b"ab", b"cd"):
            sock.sendall(b"2\r\n%b\r\n" % piece)
            assert received(sock, until=b"2\r\n%b\r\n" % piece.upper())
        sock.sendall(b"0\r\n\r\n")
        assert received(sock, until=b"0\r\n\r\n")
        assert pinged(sock)


def test_close_wakes_a_stream_that_waits(server, context) -> None:
    context.stream = endless(context)
    with client(server, STREAM) as sock:
        received(sock, until=b"\r\n\r\n")
        server.close()
        assert [context.saw(), context.saw()] == ["items closed", "on_close"]
        received(sock)


def test_a_descriptor_tells_that_the_client_left(server, context) -> None:
    def answer(request) -> Stream:
        def items():
            context.seen.put(select.select([request.gone], [], [], 0)[0])
            poll = select.poll()
            poll.register(request.gone, select.POLLIN)
            context.seen.put("polling")
            poll.poll()
            context.seen.put(request.gone.is_set())
            yield b""

        return Stream(items())

    context.stream = answer
    with client(server, STREAM):
        assert [context.saw(), context.saw()] == [[], "polling"]
    assert context.saw() is True


def test_a_callback_that_fails_does_not_stop_the_others(server, context, caplog) -> None:
    def answer(request) -> Stream:
        request.gone.call(lambda: 1 / 0)
        return endless(context)(request)

    context.stream = answer
    with client(server, STREAM) as sock:
        received(sock, until=b"\r\n\r\n")
    assert [context.saw(), context.saw()] == ["items closed", "on_close"]
    assert "ZeroDivisionError" in caplog.text
    test_a_client_that_leaves_wakes_and_closes_a_stream_that_waits(server, context)


def test_a_callback_for_a_client_that_left_is_called_at_once(server, context) -> None:
    def answer(request) -> Stream:
        request.gone.wait()
        request.gone.call(lambda: context.seen.put(threading.current_thread().name))
        return Stream(())

    context.stream = answer
    with client(server, STREAM):
        pass
    assert context.saw() == "natlab-api-client"


# Hijacked connections


def echo(channel) -> None:
    """Send back what comes, and at the end of it a last word."""
    while data := channel.receive():
        channel.send(data)
    channel.send(b"bye")


def test_an_upgrade_is_answered_as_docker_does(server, context) -> None:
    context.talk = lambda channel: channel.send(b"raw")
    with client(server, UPGRADE) as sock:
        top = received(sock, until=b"\r\n\r\n")
        assert top.startswith(b"HTTP/1.1 101 UPGRADED\r\n")
        assert b"\r\nContent-Type: application/vnd.docker.multiplexed-stream\r\n" in top
        assert b"\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n" in top
        assert b"\r\nApi-Version: 1.51\r\n" in top
        assert received(sock) == b"raw"


def test_without_an_upgrade_the_body_lasts_as_long_as_the_connection(server, context) -> None:
    context.talk = lambda channel: channel.send(b"raw")
    with client(server, ATTACH) as sock:
        top = received(sock, until=b"\r\n\r\n")
        assert top.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"\r\nContent-Type: application/vnd.docker.raw-stream\r\n" in top
        assert b"length" not in top.lower()
        assert b"chunked" not in top.lower()
        assert received(sock) == b"raw"


def test_an_old_client_is_not_told_of_the_multiplexed_type(server) -> None:
    with client(server, UPGRADE.replace(b"/attach", b"/v1.41/attach")) as sock:
        assert b"application/vnd.docker.raw-stream" in received(sock)


@KINDS
def test_a_half_closed_client_still_gets_the_rest(server, context, request_head) -> None:
    context.talk = echo
    with client(server, request_head) as sock:
        received(sock, until=b"\r\n\r\n")
        sock.sendall(b"hello")
        assert received(sock, until=b"hello") == b"hello"
        sock.shutdown(socket.SHUT_WR)
        assert received(sock) == b"bye"


@KINDS
def test_what_came_with_the_request_is_received_first(server, context, request_head) -> None:
    def talk(channel) -> None:
        context.seen.put((channel.early, channel.receive(2), channel.early))
        echo(channel)

    context.talk = talk
    with client(server, request_head + b"early") as sock:
        assert received(sock, until=b"rly").endswith(b"\r\n\r\nrly")
        assert context.saw() == (True, b"ea", True)
        sock.sendall(b" and late")
        assert received(sock, until=b" and late") == b" and late"
        sock.shutdown(socket.SHUT_WR)
        assert received(sock) == b"bye"


@pytest.mark.parametrize("path", ["/attach?json=1", "/attach"])
def test_a_body_before_the_hijack_is_no_part_of_the_channel(server, context, path) -> None:
    context.talk = echo
    lines = ("Content-Type: application/json", "Content-Length: 8", "Upgrade: tcp")
    request = head("POST", path, "Connection: Upgrade", *lines)
    with client(server, request + b'{"a": 1}' + b"stdin") as sock:
        assert received(sock, until=b"stdin").endswith(b"\r\n\r\nstdin")
        if "json" in path:
            assert context.saw() == {"a": 1}


def test_the_server_half_closes_and_still_receives(server, context) -> None:
    def talk(channel) -> None:
        channel.send(b"last")
        channel.half_close()
        context.seen.put(channel.receive())
        with pytest.raises(OSError, match="pipe"):
            channel.send(b"more")

    context.talk = talk
    with client(server, UPGRADE) as sock:
        assert received(sock).endswith(b"last")
        sock.sendall(b"answer")
        assert context.saw() == b"answer"


def test_gone_is_not_set_by_half_a_close_but_by_the_whole(server, context) -> None:
    def talk(channel) -> None:
        left = threading.Event()
        channel.gone.call(left.set)
        context.seen.put(channel.receive())
        context.seen.put(channel.gone.is_set())
        left.wait()
        context.seen.put("left")

    context.talk = talk
    with client(server, UPGRADE) as sock:
        received(sock, until=b"\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert context.saw() == b""
        assert context.saw() is False
    assert context.saw() == "left"


def test_the_end_of_a_channel_wakes_its_helpers(server, context) -> None:
    def talk(channel) -> None:
        channel.gone.call(lambda: context.seen.put("gone"))

    context.talk = talk
    with client(server, UPGRADE):
        assert context.saw() == "gone"


def test_the_end_reaches_a_client_that_has_sent_what_nobody_read(server, context) -> None:
    context.talk = lambda channel: channel.send(b"done")
    with client(server, UPGRADE + b"x" * 100_000) as sock:
        assert received(sock).endswith(b"\r\n\r\ndone")


def test_close_wakes_whoever_receives_or_sends(server, context) -> None:
    def receive(channel) -> None:
        context.seen.put("talking")
        context.seen.put(channel.receive())

    def send(channel) -> None:
        context.seen.put("talking")
        try:
            while True:
                channel.send(bytes(65536))
        finally:
            context.seen.put(b"")

    with contextlib.ExitStack() as stack:
        for talk in (receive, send):
            context.talk = talk
            stack.enter_context(client(server, UPGRADE))
            assert context.saw() == "talking"
        server.close()
    assert [context.saw(), context.saw()] == [b"", b""]


def test_a_channel_closes_itself_while_a_helper_receives(server, context) -> None:
    def talk(channel) -> None:
        helper = threading.Thread(target=lambda: context.seen.put(channel.receive()))
        helper.start()
        channel.close()
        helper.join()

    context.talk = talk
    with client(server, UPGRADE) as sock:
        assert context.saw() == b""
        received(sock)


def test_pieces_sent_by_several_threads_stay_together(server, context) -> None:
    def talk(channel) -> None:
        threads = [
            threading.Thread(
                target=lambda letter=letter: [channel.send(letter * SIZE) for _ in range(10)]
            )
            for letter in (b"a", b"b")
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    context.talk = talk
    with client(server, UPGRADE) as sock:
        received(sock, until=b"\r\n\r\n")
        data = received(sock)
    pieces = {data[at : at + SIZE] for at in range(0, len(data), SIZE)}
    assert (len(data), pieces) == (20 * SIZE, {b"a" * SIZE, b"b" * SIZE})


@KINDS
def test_a_client_that_leaves_at_any_byte_of_a_hijack_harms_nobody(
    server, context, request_head, caplog
) -> None:
    context.talk = echo
    data = request_head + b"stdin"
    for length in range(len(data) + 1):
        with client(server, data[:length]):
            pass
    with client(server, head("GET", "/_ping")) as sock:
        assert received(sock, until=b"OK")
    assert [record for record in caplog.records if record.levelno > logging.DEBUG] == []


def test_a_talk_that_fails_is_logged_and_ends(server, context, caplog) -> None:
    def talk(_channel) -> None:
        raise ValueError("a bug")

    context.talk = talk
    with client(server, UPGRADE) as sock:
        assert received(sock).startswith(b"HTTP/1.1 101 ")
    assert "a bug" in caplog.text


def test_an_upgrade_that_is_refused_leaves_http_as_it_was(server) -> None:
    request = head("GET", "/nothing", "Connection: Upgrade", "Upgrade: tcp")
    with client(server, request) as sock:
        assert received(sock, until=b'found"}\n').startswith(b"HTTP/1.1 404 ")
        assert pinged(sock)
