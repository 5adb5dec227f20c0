"""The server, spoken to through raw sockets: requests, errors, limits, and its end."""

from __future__ import annotations

import contextlib
import fcntl
import io
import json
import logging
import os
import re
import socket
import stat
import threading
from http.client import HTTPResponse
from pathlib import Path
from typing import Self

import pytest

from natlab.api.connection import MAX_HEAD
from natlab.api.http import ApiError, Body, Empty, Routes, Server, json_response, text_response
from natlab.errors import NatlabError, UsageError

HOST = b"Host: docker\r\n"


def table() -> Routes[dict]:  # noqa: C901 - one small handler after the other
    routes: Routes[dict] = Routes()

    @routes.get("/_ping")
    def ping(_context, _request):
        return text_response("OK")

    @routes.get("/big")
    def big(_context, _request):
        return Body(bytes(1 << 22), "application/octet-stream")

    @routes.post("/echo")
    def echo(_context, request):
        return json_response({"got": request.json(), "asked": request.query.text("asked")}, 201)

    @routes.put("/archive")
    def archive(context, request):
        pieces = [len(piece) for piece in request.chunks()]
        context["largest"] = max(pieces, default=0)
        return json_response(sum(pieces))

    @routes.post("/ignore")
    def ignore(_context, _request):
        return Empty()

    @routes.post("/empty/{status}")
    def empty(_context, request):
        return Empty(int(request.params["status"]))

    @routes.get("/headers")
    def headers(_context, request):
        return json_response(dict(request.headers), headers={"X-Extra": "1"})

    @routes.get("/fail/{how}")
    def fail(_context, request):
        raise {
            "api": ApiError(409, "Conflict. The name is taken"),
            "usage": UsageError("no such thing: x"),
            "natlab": NatlabError("it did not work: try again"),
            "bug": ValueError("two\nlines"),
            "system": ConnectionResetError("somebody else's connection"),
        }[request.params["how"]]

    @routes.get("/injected")
    def injected(_context, _request):
        return json_response({}, headers={"X": "a\r\nSet-Cookie: b"})

    @routes.get("/wait")
    def wait(context, request):
        context["waiting"].release()
        context["left"] = request.gone.wait()
        context["gone"].release()
        return Empty()

    return routes


@pytest.fixture
def context():
    return {"waiting": threading.Semaphore(0), "gone": threading.Semaphore(0)}


@pytest.fixture
def server(tmp_path, descriptors, context):
    before = descriptors(), threading.active_count()
    with Server(tmp_path / "s", table(), context) as server:
        yield server
    assert (descriptors(), threading.active_count()) == before


@contextlib.contextmanager
def client(server: Server):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(server.path))
        yield sock


def ended() -> None:
    """Wait until every client's thread has ended; whoever came last was answered already."""
    for thread in threading.enumerate():
        if thread.name == "natlab-api-client":
            thread.join()


class Reader:
    """Answers from one connection, one after the other."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.read, self.readline, self.readinto = file.read, file.readline, file.readinto

    def makefile(self, _mode: str) -> Self:
        return self

    def flush(self) -> None:
        """Do nothing: what http.client calls at an answer's end."""

    close = flush

    def answer(self, method: str = "GET") -> tuple[HTTPResponse, bytes]:
        response = HTTPResponse(self, method=method)
        response.begin()
        return response, response.read()


@contextlib.contextmanager
def reader(sock: socket.socket):
    with sock.makefile("rb") as file:
        yield Reader(file)


def ask(server: Server, data: bytes, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(data)
        return answers.answer(method)


def get(server: Server, path: str, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    return ask(server, f"{method} {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n", method)


def post(path: str, body: bytes, *lines: str) -> bytes:
    head = [f"POST {path} HTTP/1.1", "Host: docker", "Content-Type: application/json"]
    head += [f"Content-Length: {len(body)}", *lines, "", ""]
    return "\r\n".join(head).encode() + body


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b""))


# Answers


def test_an_answer_carries_dockers_headers(server) -> None:
    answer, body = get(server, "/_ping")
    assert (answer.status, answer.reason, body) == (200, "OK", b"OK")
    assert answer.headers["Api-Version"] == "1.51"
    assert answer.headers["Docker-Experimental"] == "false"
    assert answer.headers["Ostype"] == "linux"
    assert answer.headers["Server"].startswith("natlab/")
    assert answer.headers["Server"].endswith(" (linux)")
    assert answer.headers["Date"].endswith(" GMT")
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert answer.headers["Content-Length"] == "2"


def test_a_head_has_the_headers_only(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(b"HEAD /_ping HTTP/1.1\r\n%b\r\nGET /_ping HTTP/1.1\r\n%b\r\n" % (HOST, HOST))
        answer, body = answers.answer("HEAD")
        assert (answer.status, answer.headers["Content-Length"], body) == (200, "2", b"")
        assert answers.answer()[1] == b"OK"


@pytest.mark.parametrize(("status", "length"), [(204, None), (304, None), (200, "0"), (201, "0")])
def test_an_empty_answer_has_no_body(server, status, length) -> None:
    with client(server) as sock, reader(sock) as answers:
        for _ in range(2):
            sock.sendall(post(f"/empty/{status}", b""))
            answer, body = answers.answer("POST")
            assert (answer.status, answer.headers["Content-Length"], body) == (status, length, b"")


def test_a_handler_reads_headers_and_adds_its_own(server) -> None:
    line = b"X-Registry-Auth: a\r\nx-registry-auth: \xe9\r\n"
    answer, body = ask(server, b"GET /headers HTTP/1.1\r\n" + HOST + line + b"\r\n")
    assert json.loads(body) == {"host": "docker", "x-registry-auth": "a, é"}
    assert answer.headers["X-Extra"] == "1"


def test_a_header_cannot_be_smuggled_into_an_answer(server, caplog) -> None:
    answer, body = get(server, "/injected")
    assert (answer.status, answer.headers["Set-Cookie"]) == (500, None)
    assert json.loads(body)["message"].startswith("natlab: internal error: ")
    assert "Traceback" in caplog.text


def test_a_large_answer_arrives_whole(server) -> None:
    assert len(get(server, "/big")[1]) == 1 << 22


def test_http_1_0_is_answered_and_closed(server) -> None:
    with client(server) as sock, sock.makefile("rb") as file:
        sock.sendall(b"GET /v1.41/_ping HTTP/1.0\r\n\r\n")
        assert file.read().endswith(b"\r\n\r\nOK")


# Errors


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/fail/api", 409, "Conflict. The name is taken"),
        ("/fail/usage", 400, "no such thing: x"),
        ("/fail/natlab", 500, "it did not work: try again"),
        ("/nothing", 404, "page not found"),
        (
            "/v1.99/_ping",
            400,
            "client version 1.99 is too new. Maximum supported API version is 1.51",
        ),
        ("/a%00", 400, "invalid path '/a%00': it has a broken escape or a NUL"),
    ],
)
def test_an_error_is_a_message_and_the_connection_goes_on(server, path, status, message) -> None:
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(f"GET {path} HTTP/1.1\r\n".encode() + HOST + b"\r\n")
        answer, body = answers.answer()
        assert (answer.status, body) == (status, f'{{"message":"{message}"}}\n'.encode())
        assert answer.headers["Content-Type"] == "application/json"
        sock.sendall(b"GET /_ping HTTP/1.1\r\n" + HOST + b"\r\n")
        assert answers.answer()[1] == b"OK"


@pytest.mark.parametrize(
    ("how", "message"), [("bug", "two lines"), ("system", "somebody else's connection")]
)
def test_a_bug_is_told_in_a_line_and_logged_with_its_traceback(server, caplog, how, message):
    answer, body = get(server, f"/fail/{how}")
    assert answer.status == 500
    assert json.loads(body) == {"message": f"natlab: internal error: {message}"}
    assert [record.name for record in caplog.records] == ["natlab.api"]
    assert "Traceback" in caplog.text


def test_a_wrong_method_says_which_are_right(server) -> None:
    answer, body = get(server, "/v1.51/_ping", "PATCH")
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD")
    assert json.loads(body) == {"message": "method not allowed: PATCH /_ping"}


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\n" + HOST + b"a b: c\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
        b"GET /_ping HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        post("/echo", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked") + b"zz\r\n",
    ],
)
def test_what_is_no_http_is_a_bad_request_and_the_end(server, data) -> None:
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(data)
        answer, body = answers.answer()
        assert (answer.status, answer.headers["Connection"]) == (400, "close")
        assert json.loads(body)["message"].startswith("bad request: ")
        assert answers.read() == b""


@pytest.mark.parametrize("end", [b"", b"\r\n\r\n"])
def test_too_many_headers_are_refused(server, end) -> None:
    lines = b"".join(b"X-%d: %b\r\n" % (number, b"x" * 1000) for number in range(80))
    data = b"GET /_ping HTTP/1.1\r\n" + HOST + lines[: MAX_HEAD + 4096] + end
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(data)
        answer, body = answers.answer()
        assert (answer.status, answer.headers["Connection"]) == (431, "close")
        assert "message" in json.loads(body)
        assert answers.read() == b""


# Requests


def test_requests_follow_each_other_on_one_connection(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        for number in range(50):
            sock.sendall(post(f"/v1.41/echo?asked={number}", b'{"n": %d}' % number))
            answer, body = answers.answer()
            assert answer.status == 201
            assert json.loads(body) == {"got": {"n": number}, "asked": str(number)}


def test_pipelined_requests_are_answered_in_order(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(b"".join(post(f"/echo?asked={number}", b"{}") for number in range(50)))
        for number in range(50):
            assert json.loads(answers.answer()[1])["asked"] == str(number)


def test_a_request_may_come_byte_by_byte(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        for byte in post("/echo", b'{"a": 1}') * 2:
            sock.send(bytes([byte]))
        for _ in range(2):
            assert json.loads(answers.answer()[1])["got"] == {"a": 1}


def test_a_client_that_asks_for_a_close_gets_it(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(b"GET /_ping HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n")
        assert answers.answer()[0].headers["Connection"] == "close"
        assert answers.read() == b""


def test_a_client_that_sends_no_more_is_still_answered(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(post("/echo", b"{}"))
        sock.shutdown(socket.SHUT_WR)
        assert answers.answer()[0].status == 201
        assert answers.read() == b""


def test_a_chunked_body_of_any_size_comes_in_pieces(server, context) -> None:
    head = b"PUT /archive HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    piece = bytes(1 << 20)
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(head)
        for _ in range(64):
            sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        sock.sendall(b"0\r\n\r\n")
        assert json.loads(answers.answer()[1]) == 64 << 20
        assert context["largest"] <= 1 << 18
        sock.sendall(head + chunked(b"a", b"bc"))
        assert json.loads(answers.answer()[1]) == 3


def test_a_client_that_waits_is_told_to_continue_when_the_body_is_wanted(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        head, body = post("/echo", b'{"a": 1}', "Expect: 100-continue").split(b"\r\n\r\n")
        sock.sendall(head + b"\r\n\r\n")
        assert answers.readline() == b"HTTP/1.1 100 Continue\r\n"
        assert answers.readline() == b"\r\n"
        sock.sendall(body)
        assert answers.answer()[0].status == 201


def test_a_client_that_waits_is_not_told_so_when_nobody_wants_its_body(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(post("/ignore", b"{}", "Expect: 100-continue") + post("/echo", b"{}"))
        assert answers.answer()[0].status == 204
        assert answers.answer()[0].status == 201


def test_a_client_that_waits_is_refused_before_it_sends(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        head = post("/nothing", bytes(1 << 20), "Expect: 100-continue").partition(b"\0")[0]
        sock.sendall(head)
        answer, _ = answers.answer()
        assert (answer.status, answer.headers["Connection"]) == (404, "close")
        assert answers.read() == b""


def test_a_small_body_that_nobody_reads_does_no_harm(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(post("/ignore", b"x" * 100) + post("/echo", b"{}"))
        assert answers.answer()[0].status == 204
        assert answers.answer()[0].status == 201


def test_a_large_body_that_nobody_reads_is_the_end(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(post("/ignore", bytes(32 << 20)))
        answer, _ = answers.answer()
        assert (answer.status, answer.headers["Connection"]) == (204, "close")
        assert answers.read() == b""


def test_json_that_is_too_large_is_refused(server) -> None:
    with client(server) as sock, reader(sock) as answers:
        sock.sendall(post("/echo", b" " * (9 << 20)))
        assert answers.answer()[0].status == 413
        assert answers.read() == b""


# Clients that leave


REQUESTS = {
    "json": post("/echo", b'{"a": 1}'),
    "chunked": b"PUT /archive HTTP/1.1\r\n"
    + HOST
    + b"Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    + chunked(b"abc", b"de"),
    "large answer": b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n",
}


@pytest.mark.parametrize("name", REQUESTS)
def test_a_client_that_leaves_at_any_byte_harms_nobody(server, name, caplog) -> None:
    data = REQUESTS[name]
    for length in range(len(data) + 1):
        with client(server) as sock:
            sock.sendall(data[:length])
    assert get(server, "/_ping")[1] == b"OK"
    ended()
    assert caplog.records == []


def test_a_handler_learns_that_its_client_left(server, context) -> None:
    with client(server) as sock:
        sock.sendall(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n")
        assert context["waiting"].acquire(timeout=60)
    assert context["gone"].acquire(timeout=60)
    assert context["left"] is True


# Many clients, and the end


def test_a_hundred_clients_are_served_at_once(server, context) -> None:
    with contextlib.ExitStack() as stack:
        waiting = [stack.enter_context(client(server)) for _ in range(100)]
        for sock in waiting:
            sock.sendall(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n")
        for _ in waiting:
            assert context["waiting"].acquire(timeout=60)
        assert get(server, "/_ping")[1] == b"OK"
    for _ in range(100):
        assert context["gone"].acquire(timeout=60)
    ended()


def test_close_ends_every_client_whatever_it_does(server, context) -> None:
    with contextlib.ExitStack() as stack:
        idle, waiting, half, unread = (stack.enter_context(client(server)) for _ in range(4))
        waiting.sendall(b"GET /wait HTTP/1.1\r\n" + HOST + b"\r\n")
        half.sendall(b"GET /_pi")
        unread.sendall(b"GET /big HTTP/1.1\r\n" + HOST + b"\r\n")
        assert unread.recv(1)
        assert context["waiting"].acquire(timeout=60)
        server.close()
        assert [sock.recv(1) for sock in (idle, waiting, half)] == [b""] * 3
        assert not server.path.exists()
        server.close()


def test_a_socket_is_its_owners_only(server) -> None:
    mode = server.path.lstat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


@pytest.mark.parametrize("mask", [0o000, 0o777])
def test_the_umask_does_not_matter(tmp_path, mask) -> None:
    old = os.umask(mask)
    try:
        with Server(tmp_path / "s", table(), {}) as server:
            assert stat.S_IMODE(server.path.lstat().st_mode) == 0o600
    finally:
        os.umask(old)


def test_the_socket_file_is_born_private(tmp_path, monkeypatch) -> None:
    born = []
    chmod = Path.chmod

    def look_first(path: Path, mode: int) -> None:
        born.append(stat.S_IMODE(path.lstat().st_mode))
        chmod(path, mode)

    monkeypatch.setattr(Path, "chmod", look_first)
    old = os.umask(0)
    try:
        Server(tmp_path / "s", table(), {}).close()
    finally:
        os.umask(old)
    assert born == [0o600]


def test_a_dead_servers_socket_is_replaced(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))
    with Server(tmp_path / "s", table(), {}) as server:
        assert get(server, "/_ping")[1] == b"OK"
    assert list(tmp_path.iterdir()) == []


def test_a_living_server_is_left_alone(server, descriptors) -> None:
    before = descriptors()
    with pytest.raises(NatlabError, match="another server listens on"):
        Server(server.path, table(), {})
    assert get(server, "/_ping")[1] == b"OK"
    ended()
    assert descriptors() == before


def test_servers_take_their_turn_in_looking_for_a_free_path(tmp_path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    made: list[Server] = []
    other = threading.Thread(target=lambda: made.append(Server(tmp_path / "s", table(), {})))
    other.start()
    waits = re.compile(rf"-> FLOCK .*:{tmp_path.stat().st_ino} ")
    while other.is_alive() and not waits.search(Path("/proc/locks").read_text()):
        pass
    assert list(tmp_path.iterdir()) == []
    os.close(folder)
    other.join()
    made[0].close()


def test_a_file_that_is_no_socket_is_left_alone(tmp_path) -> None:
    (tmp_path / "s").write_text("mine")
    with pytest.raises(NatlabError, match="no socket is there"):
        Server(tmp_path / "s", table(), {})
    assert (tmp_path / "s").read_text() == "mine"


def test_another_servers_file_outlives_our_end(tmp_path) -> None:
    server = Server(tmp_path / "s", table(), {})
    server.path.unlink()
    with Server(tmp_path / "s", table(), {}) as other:
        server.close()
        assert get(other, "/_ping")[1] == b"OK"


@pytest.mark.parametrize(
    ("path", "kind", "message"),
    [
        ("missing/s", NatlabError, "No such file or directory; choose another path"),
        ("x" * 200, UsageError, "too long: 107 bytes at most"),
    ],
)
def test_a_path_that_will_not_do_is_refused_in_a_line(
    tmp_path, descriptors, path, kind, message
) -> None:
    before = descriptors(), threading.active_count()
    with pytest.raises(kind, match=message):
        Server(tmp_path / path, table(), {})
    assert (descriptors(), threading.active_count()) == before


def test_every_request_is_a_line_of_the_debug_log(server, caplog) -> None:
    with caplog.at_level(logging.DEBUG, "natlab.api"):
        get(server, "/v1.41/_ping?x=1")
        ended()
    assert caplog.messages[0].startswith("GET /v1.41/_ping?x=1 200 ")
    assert caplog.messages[0].endswith(" ms")
