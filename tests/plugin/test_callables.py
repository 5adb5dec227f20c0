"""Python callables in containers: what they see, what comes back, what cannot be sent."""

from __future__ import annotations

import functools
import os
import socket
import sys
import threading
import traceback
from pathlib import Path

import pytest

from natlab import NatlabError, UsageError

BASE = 40


class OwnError(Exception):
    """An exception of the test's own, with a constructor that is not the usual one."""

    def __init__(self, code: int, *, why: str) -> None:
        super().__init__(f"{why} ({code})")
        self.code = code


def helper(number: int) -> int:
    return BASE + number


def calls_a_helper() -> int:
    return helper(2)


def raises(code: int) -> None:
    raise OwnError(code, why="on purpose")


def test_a_callables_value_comes_back_and_it_finds_its_modules_helpers(docker_host):
    assert docker_host.run(calls_a_helper).wait() == 42
    assert docker_host.run(helper, 3).wait() == 43
    assert docker_host.run(functools.partial(helper, 4)).wait() == 44
    assert docker_host.run(lambda: {"a": [1, (2, 3)]}).wait() == {"a": [1, (2, 3)]}


def test_it_runs_in_the_containers_network_and_in_a_process_of_its_own(docker_host):
    def look():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.connect(("192.0.2.1", 9))
            return sock.getsockname()[0], os.getpid(), threading.active_count()

    made = docker_host.run(look)
    ip, pid, threads = made.wait()
    assert ip == made.ip
    assert pid != os.getpid()
    assert threads == 1


def test_it_has_the_tests_directory_and_import_path_and_its_own_environment(docker_host):
    def look():
        return Path.cwd(), sys.path, os.environ.get("COLOUR"), os.environ.get("PYTEST_VERSION")

    cwd, paths, colour, _ = docker_host.run(look, env={"COLOUR": "blue"}).wait()
    assert cwd == Path.cwd()
    assert paths[: len(sys.path)] == [str(Path(entry).absolute()) for entry in sys.path]
    assert colour == "blue"


def test_its_exception_reaches_the_test_with_its_traceback(docker_host):
    made = docker_host.run(raises, 7)
    with pytest.raises(OwnError, match=r"on purpose \(7\)") as caught:
        made.wait()
    assert caught.value.code == 7
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.filename, last.name) == (__file__, "raises")
    assert last.line == 'raise OwnError(code, why="on purpose")'


def test_the_cause_of_an_exception_comes_too(docker_host):
    def outer():
        try:
            raises(1)
        except OwnError as error:
            raise ValueError("outer") from error

    with pytest.raises(ValueError, match="outer") as caught:
        docker_host.run(outer).wait()
    assert isinstance(caught.value.__cause__, OwnError)


def test_an_exception_that_cannot_be_sent_comes_as_what_it_says(docker_host):
    def fail():
        error = ValueError("with a lock")
        error.lock = threading.Lock()
        raise error

    with pytest.raises(NatlabError, match="ValueError: with a lock") as caught:
        docker_host.run(fail).wait()
    assert "in fail" in caught.value.__notes__[0]


@pytest.mark.parametrize("value", ["lock", "socket", "fixture"])
def test_what_cannot_be_sent_is_one_clear_error(docker_host, value):
    with socket.socket() as sock:
        things = {"lock": threading.Lock(), "socket": sock, "fixture": docker_host}
        thing = things[value]
        with pytest.raises(UsageError, match=r"cannot be sent into a .*pass plain values"):
            docker_host.run(lambda: thing, publish=80)
    assert docker_host.node.container_names() == []


def test_a_value_that_cannot_be_sent_back_is_one_clear_error(docker_host):
    with pytest.raises(TypeError, match=r"what it returned, a lock, cannot be sent back"):
        docker_host.run(threading.Lock).wait()


def test_a_module_that_is_not_there_is_one_clear_error(docker_host, monkeypatch, tmp_path):
    (tmp_path / "only_here.py").write_text("def work():\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here

    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry != str(tmp_path)])
    with pytest.raises(UsageError, match=r"cannot be rebuilt in the container .*only_here"):
        docker_host.run(only_here.work).wait()


def test_what_it_prints_is_its_log_and_threads_are_waited_for(docker_host):
    def talk():
        print("one")
        print("two", file=sys.stderr)
        threading.Thread(target=lambda: print("three")).start()

    made = docker_host.run(talk)
    made.wait()
    assert sorted(made.logs().split()) == ["one", "three", "two"]


def test_it_exits_like_a_program(docker_host):
    assert docker_host.run(sys.exit, 0).wait() is None
    made = docker_host.run(sys.exit, "a reason")
    made.wait()
    assert made.logs() == "a reason\n"


def test_one_that_is_killed_says_so(docker_host):
    made = docker_host.run(lambda: os.kill(os.getpid(), 9))
    with pytest.raises(NatlabError, match=r"was ended before it was done \(exit code -9\)"):
        made.wait()


def test_exec_and_call_run_one_and_return_its_value(docker_host):
    web = docker_host.run("sleep 100")
    assert web.exec(helper, 5) == 45
    assert docker_host.node.call(helper, 6) == 46
    with pytest.raises(OwnError):
        web.exec(raises, 1)
    with pytest.raises(NatlabError, match="still runs after"):
        web.exec(lambda: threading.Event().wait(), timeout=0.05)
    with pytest.raises(UsageError, match="only a Python callable takes arguments"):
        web.exec("true", 1)


def test_a_serving_callable_is_ended_with_its_host(docker_host):
    def serve():
        with socket.create_server(("", 80)) as listener:
            while True:
                peer, _ = listener.accept()
                peer.sendall(b"hello")
                peer.close()

    web = docker_host.run(serve, publish=80)
    web.wait_for_port(80)
    for _ in range(3):
        with docker_host.connect("127.0.0.1", web.port(80)) as sock:
            assert sock.recv(5) == b"hello"


def test_nothing_of_it_is_left(docker_host, descriptors):
    first = docker_host.run(calls_a_helper)
    first.wait()
    first.remove()
    before = descriptors(), threading.active_count()
    for _ in range(5):
        made = docker_host.run(calls_a_helper)
        made.wait()
        made.remove()
    assert (descriptors(), threading.active_count()) == before
