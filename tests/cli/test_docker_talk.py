"""`natlab docker`: streams, signals and terminals."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios

import pytest


def read_until(stream, text):
    seen = b""
    while text not in seen:
        chunk = stream.read1()
        assert chunk, f"it ended before {text!r} came: {seen!r}"
        seen += chunk
    return seen


def typed_until(ours, text):
    seen = b""
    while text not in seen:
        assert select.select([ours], [], [], 20)[0], f"{text!r} did not come: {seen!r}"
        seen += os.read(ours, 65536)
    return seen


def at(terminal):
    return dict.fromkeys(("stdin", "stdout", "stderr"), terminal[1])


def test_much_input_and_output_goes_through_unharmed(run):
    data = b"".join(b"%07d\n" % number for number in range(1 << 17))
    assert run("run -i --rm busybox cat", stdin=data) == (0, data, b"")
    assert run("run -d --name idle busybox sleep 1000")[0] == 0
    assert run("exec -i idle cat", stdin=data) == (0, data, b"")


def test_input_that_nobody_reads_holds_nothing_up(run):
    data = b"x" * (4 << 20)
    assert run("run -i --rm busybox sh -c", "echo done", stdin=data) == (0, b"done\n", b"")


def test_output_and_complaints_stay_apart(run):
    script = "echo one; echo two >&2; exit 3"
    assert run("run --rm busybox sh -c", script) == (3, b"one\n", b"two\n")
    assert run("run -a stderr --rm busybox sh -c", script) == (3, b"", b"two\n")


def test_signals_go_to_the_program(client):
    for number, code in ((signal.SIGTERM, 7), (signal.SIGINT, 8), (signal.SIGUSR1, 9)):
        script = (
            "trap 'exit 7' TERM; trap 'exit 8' INT; trap 'exit 9' USR1; echo up; sleep 9 & wait"
        )
        with client("run --rm busybox sh -c", script) as process:
            read_until(process.stdout, b"up\n")
            process.send_signal(number)
            assert process.wait(20) == code


def test_signals_come_through_though_whoever_started_the_client_blocks_them(client):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        running = client("run --rm busybox sh -c", "trap 'exit 7' TERM; echo up; sleep 9 & wait")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with running as process:
        read_until(process.stdout, b"up\n")
        process.terminate()
        assert process.wait(20) == 7


def test_without_sig_proxy_a_signal_ends_the_client_only(client, engine):
    with client("run --sig-proxy=false --name web busybox sh -c", "echo up; sleep 1000") as process:
        read_until(process.stdout, b"up\n")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert engine.engine.containers.find("web").state.running


def test_a_shell_on_a_terminal_knows_its_size_and_its_new_one(client, terminal):
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    with client(
        "run -it --rm -h box -e", "PS1=ready> ", "busybox", "sh", **at(terminal)
    ) as process:
        typed_until(ours, b"ready> ")
        os.write(ours, b"tty; stty size; hostname\n")
        said = typed_until(ours, b"box\r\n")
        assert b"/dev/pts/0" in said
        assert b"33 111" in said
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 44, 99, 0, 0))
        process.send_signal(signal.SIGWINCH)
        os.write(ours, b"until test \"$(stty size)\" = '44 99'; do :; done; echo re''sized\n")
        typed_until(ours, b"resized")
        os.write(ours, b"exit 5\n")
        assert process.wait(20) == 5
    assert termios.tcgetattr(theirs) == before


def test_a_client_that_is_ended_leaves_the_terminal_as_it_was(client, terminal):
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    with client("run -it --name web -e", "PS1=ready> ", "busybox", "sh", **at(terminal)) as process:
        typed_until(ours, b"ready> ")
        assert termios.tcgetattr(theirs) != before
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
    assert termios.tcgetattr(theirs) == before


@pytest.mark.parametrize(
    ("option", "keys"), [("", b"\x10\x11"), ("--detach-keys=ctrl-a,x", b"\x01x")]
)
def test_keys_detach_and_attach_comes_back(client, terminal, engine, option, keys):
    ours = terminal[0]
    line = f"run -it --name web {option} -e"
    with client(line, "PS1=ready> ", "busybox", "sh", **at(terminal)) as process:
        typed_until(ours, b"ready> ")
        os.write(ours, keys)
        typed_until(ours, b"read escape sequence\r\n")
        assert process.wait(20) == 0
    assert engine.engine.containers.find("web").state.running
    with client("attach web", **at(terminal)) as process:
        os.write(ours, b"echo back a''gain; exit 3\n")
        typed_until(ours, b"back again")
        assert process.wait(20) == 3


def test_exec_on_a_terminal_gives_its_exit_code(client, run, terminal):
    assert run("run -d --name web busybox sleep 1000")[0] == 0
    with client("exec -it -e", "PS1=in> ", "web", "sh", **at(terminal)) as process:
        typed_until(terminal[0], b"in> ")
        os.write(terminal[0], b"stty size; exit 4\n")
        typed_until(terminal[0], b"33 111")
        assert process.wait(20) == 4


def test_attach_and_logs_follow_a_program(client, run):
    script = "read line; echo got $line; exit 6"
    assert run("run -d -i --name web busybox sh -c", script)[0] == 0
    with client("logs -f web") as logs, client("attach web") as process:
        process.stdin.write(b"it\n")
        process.stdin.flush()
        assert read_until(process.stdout, b"got it\n") == b"got it\n"
        assert process.wait(20) == 6
        assert read_until(logs.stdout, b"got it\n") == b"got it\n"
        assert logs.wait(20) == 0


def test_start_hands_input_on_to_its_end(run):
    assert run("create -i --name web busybox sh -c", "cat; exit 5")[0] == 0
    assert run("start -ai web", stdin=b"first\n") == (5, b"first\n", b"")
    assert run("start -ai web", stdin=b"again\n") == (5, b"again\n", b"")


def test_events_come_as_they_happen(client, asked):
    with client("events --since 1 --format", "{{.Action}} {{.Actor.Attributes.name}}") as events:
        assert asked("network create before")[0] == 0
        read_until(events.stdout, b"create before\n")
        assert asked("network create after")[0] == 0
        read_until(events.stdout, b"create after\n")
        events.send_signal(signal.SIGINT)
        assert events.wait(20) == 130


def test_a_closed_pipe_ends_quietly(client, run):
    assert run("run -d --name web busybox sh -c", "while :; do echo line; done")[0] == 0
    with client("logs -f web") as process:
        read_until(process.stdout, b"line\n")
        process.stdout.close()
        assert process.wait(20) == 1
        assert process.stderr.read() == b""
