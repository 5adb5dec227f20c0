"""A Python callable in a place: the agent forks, and the child calls what it was sent.

The child is a process of its own, in the namespaces in which the agent stands. What it is to call
comes pickled in a file, what came of it goes into another; both have no name, so that neither
side ever waits for the other to read. It ends with the agent.
"""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import signal
import site
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any, Final, NoReturn

from natlab.kernel import processes, syscalls
from natlab.kernel.wire import Fd

_NAME: Final = "natlab-call"
_STDIO: Final = 3
_PACKAGES: Final = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class Surroundings:
    """What a callable finds around it: the caller's import path, a directory, an environment."""

    paths: Sequence[str]
    cwd: str
    env: dict[str, str]


def start_call(payload: Fd, result: Fd, stdio: list[Fd], around: Surroundings) -> tuple[int, Fd]:
    """Call what is pickled in a file, in a process of its own; returns its pid and a pidfd.

    Args:
        payload: A pickle of a callable without arguments.
        result: Where a pickle of what came of it goes; see `natlab.engine.calling`.
        stdio: Its standard input, output and error.
        around: What it finds around it.
    """
    agent = os.getpid()
    child = os.fork()
    if child == 0:
        _be(agent, payload, result, stdio, around)
    processes.adopt(child)
    return child, Fd(os.pidfd_open(child))


def _be(agent: int, payload: Fd, result: Fd, stdio: list[Fd], around: Surroundings) -> NoReturn:
    code = 1
    try:
        task, answer = _begin_anew(agent, payload, result, stdio, around)
        code = _work(task, answer)
    except BaseException:  # noqa: BLE001 - there is nobody to raise it to
        with contextlib.suppress(BaseException):
            os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(code)


def _begin_anew(
    agent: int, payload: Fd, result: Fd, stdio: list[Fd], around: Surroundings
) -> tuple[int, int]:
    """Have nothing of the agent's; returns where the two files are now."""
    syscalls.die_with_parent(signal.SIGKILL)
    if os.getppid() != agent:
        os._exit(1)
    os.setsid()
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN if number == signal.SIGPIPE else signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    wanted = [os.dup(fd.number) for fd in (*stdio, payload, result)]  # out of their way
    for target, fd in enumerate(wanted):
        os.dup2(fd, target, inheritable=target < _STDIO)
    os.closerange(len(wanted), _highest() + 1)
    Path("/proc/self/comm").write_text(_NAME)
    _open_stdio()
    os.environ.clear()
    os.environ.update(around.env)
    with contextlib.suppress(OSError):
        os.chdir(around.cwd)
    sys.argv = [_NAME]
    sys.path[:] = around.paths
    for path in around.paths:
        if path.endswith(_PACKAGES):
            site.addsitedir(path)  # what is installed editable is found by a hook of its .pth
    return _STDIO, _STDIO + 1


def _highest() -> int:
    return max(int(name) for name in os.listdir("/proc/self/fd"))  # noqa: PTH208 - no paths needed


def _open_stdio() -> None:
    sys.stdin = io.TextIOWrapper(io.FileIO(0, closefd=False), encoding="utf-8")
    for number, name in ((1, "stdout"), (2, "stderr")):
        raw = io.FileIO(number, "w", closefd=False)
        text = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
        )
        setattr(sys, name, text)


def _work(task: int, answer: int) -> int:
    """Call it, and write down what came of it; returns the exit code."""
    called = False
    try:
        with open(task, "rb", closefd=False) as file:
            function = pickle.load(file)  # noqa: S301 - it comes from this process's own client
        called = True
        told, code = _value(function()), 0
    except SystemExit as error:
        told, code = pickle.dumps(("exit", None)), _exit_code(error)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the caller raises it
        told, code = _error(error, called=called), 1
    with open(answer, "wb", closefd=False) as file:
        file.write(told)
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    return code


def code_of(make: Callable[..., CodeType], args: tuple[Any, ...], filename: str) -> CodeType:
    """A function's code as its pickle tells it, with the name of the file it was written in."""
    return make(*args).replace(co_filename=filename)


def _exit_code(error: SystemExit) -> int:
    if error.code is None:
        return 0
    if isinstance(error.code, int):
        return error.code & 0xFF
    print(error.code, file=sys.stderr)  # noqa: T201 - as Python itself does
    return 1


def _value(value: Any) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(("value", value)))
    except Exception as error:
        kind = type(value).__name__
        raise TypeError(f"what it returned, a {kind}, cannot be sent back: {error}") from error


def _error(error: BaseException, *, called: bool) -> bytes:
    """The exception as it is, with its traceback; if it cannot be sent, what it says."""
    trace = error.__traceback__
    inner = trace.tb_next if trace else None  # less the frame that called it
    text = "".join(traceback.format_exception(type(error), error, inner))
    kind = "error" if called else "lost"
    with contextlib.suppress(Exception):
        import cloudpickle
        from tblib import pickling_support

        pickling_support.install(error)
        whole = bytes(cloudpickle.dumps(error))
        pickle.loads(whole)  # noqa: S301 - one that cannot be read again is of no use
        return pickle.dumps((kind, whole, text))
    return pickle.dumps((kind, None, text))
