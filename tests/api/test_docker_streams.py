"""What flows between the unmodified `docker` client and programs: output, input, ends."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios

import pytest

IDLE = "busybox sleep 1000"


def read_until(stream, text):
    """Read from a client's pipe until a text has come."""
    seen = b""
    while text.encode() not in seen:
        chunk = stream.read1()
        assert chunk, f"it ended before {text!r} came: {seen!r}"
        seen += chunk
    return seen.decode()


def typed_until(ours, text):
    """Read from a terminal until a text has come."""
    seen = b""
    while text.encode() not in seen:
        assert select.select([ours], [], [], 20)[0], f"{text!r} did not come: {seen!r}"
        seen += os.read(ours, 65536)
    return seen.decode()


def on_terminal(docker, terminal, line):
    return docker.start(line, **dict.fromkeys(("stdin", "stdout", "stderr"), terminal[1]))


def test_a_megabyte_goes_through_run_exec_and_logs_unharmed(docker):
    text = "".join(f"{number:07}\n" for number in range(1 << 17))
    assert docker.run("run -i --name web busybox cat", stdin=text).stdout == text
    assert docker.run("logs web").stdout == text
    assert docker.run("logs -n 1 web").stdout == text[-8:]
    docker(f"run -d --name idle {IDLE}")
    assert docker.run("exec -i idle cat", stdin=text).stdout == text


def test_output_and_complaints_stay_apart_and_in_order(docker):
    done = docker.run("run --rm busybox sh -c", "echo one; echo two >&2; echo three")
    assert (done.stdout, done.stderr) == ("one\nthree\n", "two\n")
    done = docker.run("run -t --rm busybox sh -c", "echo one; echo two >&2")
    assert (done.stdout, done.stderr) == ("one\ntwo\n", "")
    assert docker("run -a stderr --rm busybox sh -c", "echo one; echo two >&2") == ""


def test_a_shell_on_a_terminal(docker, terminal):
    with on_terminal(docker, terminal, "run -it --rm -h box -e PS1='ready> ' busybox sh") as client:
        ours = terminal[0]
        typed_until(ours, "ready> ")
        os.write(ours, b"tty; stty size; hostname\n")
        said = typed_until(ours, "box")
        assert "/dev/pts/0" in said
        assert "33 111" in said
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 99, 0, 0))
        client.send_signal(signal.SIGWINCH)
        os.write(ours, b"until test \"$(stty size)\" = '44 99'; do :; done; echo re''sized\n")
        typed_until(ours, "resized")
        os.write(ours, b"sh -c 'echo be\"\"gun; exec sleep 1000'\n")  # what is typed, is echoed
        typed_until(ours, "begun")
        os.write(ours, b"\x03")
        typed_until(ours, "ready> ")
        os.write(ours, b"exit 5\n")
        assert client.wait(20) == 5
    assert docker("ps -aq") == ""


def test_detach_keys_leave_a_container_running(docker, terminal):
    with on_terminal(docker, terminal, "run -it --name web -e PS1='ready> ' busybox sh") as client:
        ours = terminal[0]
        typed_until(ours, "ready> ")
        os.write(ours, b"\x10\x11")
        assert client.wait(20) == 0
    assert docker("inspect -f '{{.State.Status}}' web") == "running"
    with on_terminal(docker, terminal, "attach web") as client:
        os.write(ours, b"echo back a''gain; exit 3\n")
        typed_until(ours, "back again")
        assert client.wait(20) == 3


def test_a_shell_of_exec_on_a_terminal(docker, terminal):
    docker(f"run -d --name web {IDLE}")
    with on_terminal(docker, terminal, "exec -it -e PS1='in> ' web sh") as client:
        ours = terminal[0]
        typed_until(ours, "in> ")
        os.write(ours, b"stty size; exit 4\n")
        assert "33 111" in typed_until(ours, "33 111")
        assert client.wait(20) == 4


def test_attach_shows_what_comes_and_hands_signals_on(docker):
    docker(
        "run -d --name web busybox sh -c",
        "trap 'echo asked; exit 6' INT; while :; do echo on; sleep 0.05; done",
    )
    with docker.start("attach web") as client:
        read_until(client.stdout, "on")
        client.send_signal(signal.SIGINT)
        read_until(client.stdout, "asked")
        assert client.wait(20) == 6


def test_run_hands_signals_on(docker):
    with docker.start(
        "run --rm busybox sh -c", "trap 'exit 8' TERM; echo up; while :; do :; done"
    ) as client:
        read_until(client.stdout, "up")
        client.send_signal(signal.SIGTERM)
        assert client.wait(20) == 8


def test_input_of_a_container_ends_with_its_one_client(docker):
    docker("create -i --name once busybox sh -c", "cat; echo end")
    assert docker("start -ai once", stdin="words\n") == "words\nend"


def test_followed_logs_end_with_the_program(docker):
    docker("run -d -i --name web busybox sh -c", "echo first; cat; echo last")
    with docker.start("logs -f web") as client:
        read_until(client.stdout, "first")
        with docker.start("attach web") as feeder:
            feeder.stdin.write(b"between\n")
            feeder.stdin.flush()
            read_until(client.stdout, "between")
            feeder.stdin.close()
            docker("kill -s TERM web")
            docker("kill web")
            assert client.wait(20) == 0


def test_followed_logs_begin_where_asked(docker):
    docker("run -d -i --name web busybox sh -c", "seq 100; cat")
    with docker.start("logs -f -n 2 web") as client:
        assert read_until(client.stdout, "100").split() == ["99", "100"]
        client.kill()


def test_wait_ends_when_the_program_does(docker):
    docker(f"run -d --name web {IDLE}")
    with docker.start("wait web") as client:
        docker("stop -t 0 web")
        assert client.communicate(timeout=20)[0] == b"137\n"


def test_events_come_as_things_happen(docker):
    with docker.start(
        "events --format '{{.Type}} {{.Action}} {{.Actor.Attributes.name}}'"
    ) as client:
        docker("network create mynet")
        read_until(client.stdout, "network create mynet\n")
        docker("run --rm --name web --network mynet busybox true")
        seen = read_until(client.stdout, "container destroy web\n").splitlines()
        assert [line for line in seen if "exec" not in line] == [
            "container create web",
            "container attach web",
            "network connect mynet",
            "container start web",
            "network disconnect mynet",
            "container die web",
            "container destroy web",
        ]
        client.send_signal(signal.SIGINT)
        client.wait(20)


@pytest.mark.parametrize(
    "line",
    [
        "run -i --name victim busybox cat",
        "attach idle",
        "exec -i idle cat",
        "logs -f idle",
        "wait idle",
        "events",
        "stop -t 30 stubborn",
    ],
)
def test_a_client_that_is_killed_harms_nobody(docker, line):
    docker("run -d -i --name idle busybox sh -c", "echo up; cat")
    docker(
        "run -d --name stubborn busybox sh -c", "trap '' TERM; echo up; while :; do sleep 1; done"
    )
    with docker.start("logs -f stubborn") as logs:
        read_until(logs.stdout, "up")
        logs.kill()
    with docker.start("events --format '{{.Action}}'") as events:
        docker("network create marker")
        read_until(events.stdout, "create")
        with docker.start(line) as client:
            awaited = {"run": "start", "exec": "exec_start", "attach": "attach", "stop": "kill"}
            if line.split()[0] in awaited:
                read_until(events.stdout, awaited[line.split()[0]])
            client.kill()
        events.kill()
    assert docker("inspect -f '{{.State.Running}}' idle") == "true"
    assert docker("exec idle echo well") == "well"
    assert docker("run --rm busybox echo well") == "well"
    docker("rm -f idle stubborn")
