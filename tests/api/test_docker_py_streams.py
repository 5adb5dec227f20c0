"""docker-py, unmodified: logs, attach, exec and events, which last."""

from __future__ import annotations

import threading
import time

import pytest
from docker import errors
from docker.utils.socket import STDOUT, frames_iter

pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
"""docker-py leaves the sockets of connections that were upgraded to the garbage collector."""

WAITS = ["sh", "-c", "read x"]
TALKS = ["sh", "-c", "for n in 1 2 3; do echo out $n; echo err $n >&2; done"]


@pytest.fixture
def talked(client):
    """A container that has printed six lines and ended."""
    container = client.containers.run("busybox", TALKS, detach=True)
    assert container.wait()["StatusCode"] == 0
    return container


def cat(client, **options):
    """A container that prints what it is told."""
    return client.containers.run("busybox", "cat", detach=True, stdin_open=True, **options)


def test_logs_are_told_by_stream_and_by_tail(talked):
    assert sorted(talked.logs().split(b"\n")) == [
        b"",
        *(b"err 1", b"err 2", b"err 3"),
        *(b"out 1", b"out 2", b"out 3"),
    ]
    assert talked.logs(stderr=False) == b"out 1\nout 2\nout 3\n"
    assert talked.logs(stdout=False) == b"err 1\nerr 2\nerr 3\n"
    assert talked.logs(tail=0) == b""
    assert talked.logs(tail=1).count(b"\n") == 1
    assert talked.logs(tail="all").count(b"\n") == 6
    assert talked.logs(tail=100).count(b"\n") == 6


def test_logs_carry_times_that_bound_them(talked):
    lines = talked.logs(timestamps=True, stderr=False).decode().splitlines()
    stamps = [line.split(" ")[0] for line in lines]
    assert stamps == sorted(stamps)
    assert all(stamp.endswith("Z") and len(stamp) == 30 for stamp in stamps)
    assert talked.logs(since=int(time.time()) + 60) == b""
    assert talked.logs(until=int(time.time()) - 60) == b""
    assert talked.logs(since=int(time.time()) - 60).count(b"\n") == 6


def test_logs_that_are_followed_come_as_they_are_printed(client, ended):
    container = client.containers.run(
        "busybox", ["sh", "-c", "echo one; read x; echo two"], detach=True, stdin_open=True
    )
    logs = container.logs(stream=True, follow=True)
    assert next(logs) == b"one\n"
    sock = container.attach_socket(params={"stdin": 1, "stream": 1})
    sock._sock.sendall(b"go\n")
    assert list(logs) == [b"two\n"]
    sock.close()
    ended(logs)


def test_a_follower_that_goes_away_harms_nobody(client, ended):
    container = cat(client)
    for _ in range(20):
        logs = container.logs(stream=True, follow=True)
        ended(logs)
    container.reload()
    assert container.status == "running"


def test_attach_gives_what_was_printed_and_what_comes(client, ended):
    container = client.containers.run(
        "busybox",
        ["sh", "-c", "echo one; read x; echo two; echo err >&2"],
        detach=True,
        stdin_open=True,
    )
    early = container.logs(stream=True)
    assert next(early) == b"one\n"
    ended(early)
    assert container.attach(logs=True, stream=False) == b"one\n"
    both = container.attach(logs=True, stream=True, demux=True)
    assert next(both) == (b"one\n", None)
    sock = container.attach_socket(params={"stdin": 1, "stream": 1})
    sock._sock.sendall(b"go\n")
    assert sorted(both, key=str) == [(None, b"err\n"), (b"two\n", None)]
    sock.close()
    ended(both)


def test_an_attached_socket_carries_input_and_framed_output(client):
    container = cat(client)
    sock = container.attach_socket(params={"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
    sock._sock.sendall(b"hello\n")
    frames = frames_iter(sock, tty=False)
    assert next(frames) == (STDOUT, b"hello\n")
    sock.close()
    container.reload()
    assert container.status == "running"


def test_a_terminal_is_raw(client):
    container = cat(client, tty=True)
    sock = container.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
    sock._sock.sendall(b"hello\n")
    received = b""
    while received.count(b"hello\r\n") < 2:  # the terminal's echo, and cat's answer
        received += sock._sock.recv(100)
    sock.close()
    assert received == b"hello\r\nhello\r\n"


def half_closed(client, made):
    """Tell a program something, and that there is no more."""
    sock = client.api.attach_socket(made, params={"stdin": 1, "stdout": 1, "stream": 1})
    client.api.start(made)
    sock._sock.sendall(b"hello\n")
    sock._sock.shutdown(1)
    return sock


def test_input_that_ends_ends_a_program_that_was_to_be_attached_once(client):
    made = client.api.create_container("busybox", "cat", stdin_open=True)
    sock = half_closed(client, made)
    assert list(frames_iter(sock, tty=False)) == [(STDOUT, b"hello\n")]
    sock.close()
    assert client.api.wait(made)["StatusCode"] == 0


def test_input_that_ends_does_not_end_a_program_that_others_may_attach_to(client):
    made = client.api.create_container("busybox", "cat", stdin_open=True, detach=True)
    first = half_closed(client, made)
    frames = frames_iter(first, tty=False)
    assert next(frames) == (STDOUT, b"hello\n")
    second = half_closed(client, made)
    assert next(frames) == (STDOUT, b"hello\n")
    for sock in (first, second):
        sock.close()
    assert client.api.inspect_container(made)["State"]["Running"] is True


@pytest.fixture
def running(client):
    """A container in which programs are run."""
    return client.containers.run("busybox", WAITS, detach=True, stdin_open=True, hostname="web")


def test_exec_gives_exit_code_and_output(running):
    assert running.exec_run("echo hi") == (0, b"hi\n")
    assert running.exec_run(["sh", "-c", "echo err >&2; exit 7"]) == (7, b"err\n")
    both = ["sh", "-c", "echo out; echo err >&2"]
    assert running.exec_run(both, demux=True).output == (b"out\n", b"err\n")
    assert running.exec_run(both, stderr=False).output == b"out\n"
    assert running.exec_run("true") == (0, b"")


@pytest.mark.parametrize(
    ("options", "command", "expected"),
    [
        ({"environment": {"A": "1"}}, "echo $A", b"1\n"),
        ({"environment": ["A=x y"]}, "echo $A", b"x y\n"),
        ({"workdir": "/usr/lib"}, "pwd", b"/usr/lib\n"),
        ({"user": "root"}, "id -un", b"root\n"),
        ({"user": "0:0"}, "id -g", b"0\n"),
        ({"tty": True}, "test -t 1 && echo yes", b"yes\r\n"),
        ({}, "hostname", b"web\n"),
        ({"privileged": True}, "echo hi", b"hi\n"),
    ],
    ids=str,
)
def test_an_exec_option_does_what_it_says(running, options, command, expected):
    assert running.exec_run(["sh", "-c", command], **options) == (0, expected)


def test_an_exec_can_be_streamed_detached_and_spoken_to(running, client):
    result = running.exec_run(["sh", "-c", "echo one; echo two"], stream=True)
    assert result.exit_code is None
    assert b"".join(result.output) == b"one\ntwo\n"
    assert not running.exec_run(["touch", "/srv/done"], detach=True).output
    assert running.exec_run(["sh", "-c", "until test -e /srv/done; do :; done"]).exit_code == 0
    made = client.api.exec_create(running.id, "cat", stdin=True)
    sock = client.api.exec_start(made, socket=True)
    sock._sock.sendall(b"hello\n")
    frames = frames_iter(sock, tty=False)
    assert next(frames) == (STDOUT, b"hello\n")
    assert client.api.exec_inspect(made)["Running"] is True
    sock._sock.shutdown(1)
    assert list(frames) == []
    sock.close()
    told = client.api.exec_inspect(made)
    assert (told["ExitCode"], told["Running"], told["ContainerID"]) == (0, False, running.id)


def test_what_cannot_be_run_is_told_as_docker_does(running, client):
    result = running.exec_run("nonesuch")
    assert result.exit_code == 127
    assert result.output == (
        b"OCI runtime exec failed: exec failed: unable to start container process: exec:"
        b' "nonesuch": executable file not found in $PATH: unknown\r\n'
    )
    with pytest.raises(errors.NotFound, match="No such exec instance: feed"):
        client.api.exec_inspect("feed")
    made = client.api.exec_create(running.id, "true")
    client.api.exec_start(made)
    assert b"already" in client.api.exec_start(made)
    running.pause()
    with pytest.raises(errors.APIError, match="is paused, unpause the container before exec"):
        running.exec_run("true")
    running.unpause()
    running.kill()
    with pytest.raises(errors.APIError, match=f"container {running.id} is not running"):
        running.exec_run("true")


def test_events_are_told_as_they_happen_and_can_be_filtered(client, ended):
    everything = client.events(decode=True)
    only = client.events(decode=True, filters={"type": "container", "event": ["die", "destroy"]})
    told: list[str] = []

    def listen() -> None:
        for event in only:
            told.append(event["Action"])
            if event["Action"] == "destroy":
                return

    listener = threading.Thread(target=listen)
    listener.start()
    client.containers.run("busybox", "true", remove=True, name="web", labels={"a": "1"})
    listener.join(timeout=30)
    assert told == ["die", "destroy"]
    actions = []
    while "destroy" not in actions:
        event = next(everything)
        if event["Type"] == "container":
            assert event["Actor"]["Attributes"]["name"] == "web"
            assert event["Actor"]["Attributes"]["image"] == "busybox"
            assert event["Actor"]["Attributes"]["a"] == "1"
            assert event["timeNano"] // 10**9 == event["time"]
        actions.append(event["Action"])
    assert [a for a in actions if a not in ("connect", "disconnect", "attach")] == [
        *("create", "start", "die", "destroy"),
    ]
    ended(everything)
    ended(only)


def test_past_events_are_told_between_two_moments(client, ended):
    before = time.time()
    client.containers.run("busybox", "true", remove=True)
    events = client.events(
        decode=True, since=int(before), until=int(time.time()) + 1, filters={"event": "start"}
    )
    assert [event["Action"] for event in events] == ["start"]
    ended(events)
