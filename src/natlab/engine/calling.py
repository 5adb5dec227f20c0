"""Python callables in a node's namespaces, seen from outside.

A callable is pickled with what it refers to, called in a process of its own that stands in the
node's namespaces, and what it returned or raised comes back. The test's own process stays where
it is. Functions of test modules travel by value, those of installed modules by name.
"""

from __future__ import annotations

import functools
import io
import os
import pickle
import sys
import threading
from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, ClassVar, Final

from natlab.engine.process import Process, environment
from natlab.errors import NatlabError, UsageError
from natlab.kernel.agent import Namespace
from natlab.kernel.calling import Surroundings, code_of, start_call
from natlab.kernel.wire import Fd

_PATIENCE: Final = 30.0
_register = threading.Lock()


class Call:
    """A callable that runs, or has run, in a node.

    Attributes:
        process: The process it runs in.
    """

    def __init__(self, process: Process, name: str, result: int) -> None:
        self.process = process
        self.name = name
        self._result = result
        self._told: tuple[Any, ...] | None = None
        self.asked = False

    def result(self, timeout: float = _PATIENCE) -> Any:
        """Wait for its end; returns what it returned.

        Raises:
            BaseException: what it raised, with its traceback.
            NatlabError: it still runs after `timeout` seconds, or was killed.
        """
        __tracebackhide__ = True
        code = self.process.wait(timeout)
        self.asked = True
        kind, *rest = self._answer()
        if kind == "value":
            return rest[0]
        if kind == "exit":
            return None
        if kind == "killed":
            raise NatlabError(f"{self.name} was ended before it was done (exit code {code})")
        raise self._raised(kind, *rest)

    @property
    def failure(self) -> str | None:
        """The traceback of what it raised, as text; None if it runs or ended well."""
        if self.process.running:
            return None
        kind, *rest = self._answer()
        return rest[1] if kind in ("error", "lost") else None

    def _answer(self) -> tuple[Any, ...]:
        if self._told is None:
            size = os.fstat(self._result).st_size
            data = os.pread(self._result, size, 0)
            self._told = pickle.loads(data) if data else ("killed",)  # noqa: S301 - our own child's
        return self._told

    def _raised(self, kind: str, whole: bytes | None, text: str) -> BaseException:
        last = text.strip().rpartition("\n")[2]
        if kind == "lost":
            error: BaseException = UsageError(
                f"{self.name} cannot be rebuilt in the container ({last}): what it refers to must"
                " be importable there, or be passed as plain values"
            )
        elif whole is None:
            error = NatlabError(f"{self.name} raised {last}")
        else:
            error = pickle.loads(whole)  # noqa: S301 - our own child's
            return _without_ours(error)
        error.add_note(f"in the container:\n{text}")
        return error

    def close(self) -> None:
        """End it if it still runs, and let go of it."""
        self.process.kill()
        if self._result >= 0:
            self._answer()
            os.close(self._result)
            self._result = -1


def _without_ours(error: BaseException) -> BaseException:
    """The exception less the frames that called the callable."""
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename.endswith("kernel/calling.py"):
        trace = trace.tb_next
    return error.with_traceback(trace or error.__traceback__)


def start(
    place: Namespace,
    function: Callable[..., Any],
    args: Sequence[Any] = (),
    *,
    env: Mapping[str, str] | None = None,
    output: Fd,
) -> Call:
    """Start a callable in a place and go on.

    Args:
        place: Where.
        function: What is called: a function, a lambda, a bound method, a partial.
        args: Its arguments.
        env: Its environment, besides PATH and the like.
        output: Where what it prints goes.

    Raises:
        UsageError: it cannot be sent; the message says why.
    """
    name = _name(function)
    payload = _pickled(name, function, args)
    given, result = _memory_file(payload), _memory_file(b"")
    null = Fd(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    around = Surroundings(
        [str(Path(entry).absolute()) for entry in sys.path], _cwd(), environment(env)
    )
    try:
        pid, pidfd = place.call(start_call, given, result, [null, output, output], around)
    except BaseException:
        result.close()
        raise
    finally:
        given.close()
        null.close()
    process = Process(place, (name,), pid, pidfd.detach(), -1)
    return Call(process, name, result.detach())


def _cwd() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:
        return "/"


def _memory_file(data: bytes) -> Fd:
    fd = os.memfd_create("natlab", os.MFD_CLOEXEC)
    with open(fd, "wb", closefd=False) as file:
        file.write(data)
    os.lseek(fd, 0, os.SEEK_SET)
    return Fd(fd)


def _name(function: Callable[..., Any]) -> str:
    inner = getattr(function, "func", function)
    return str(getattr(inner, "__qualname__", type(inner).__qualname__))


def _pickled(name: str, function: Callable[..., Any], args: Sequence[Any]) -> bytes:
    import cloudpickle

    with _register:
        modules = [m for m in _test_modules() if m.__name__ not in _by_value()]
        for module in modules:
            cloudpickle.register_pickle_by_value(module)
        try:
            return _dumps(functools.partial(function, *args))
        except Exception as error:
            raise UsageError(
                f"{name} cannot be sent into a container ({error}): pass plain values as"
                " arguments, and open sockets, locks and files inside it"
            ) from error
        finally:
            for module in modules:
                cloudpickle.unregister_pickle_by_value(module)


def _dumps(value: Any) -> bytes:
    file = io.BytesIO()
    _pickler()(file).dump(value)
    return file.getvalue()


@functools.cache
def _pickler() -> Any:
    """A pickler of code by value; unlike cloudpickle's own, code remembers the file it is from."""
    import cloudpickle

    plain = cloudpickle.Pickler.dispatch_table

    def named(code: CodeType) -> tuple[Any, ...]:
        return code_of, (*plain[CodeType](code)[:2], code.co_filename)

    class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
        dispatch_table: ClassVar[Any] = ChainMap({CodeType: named}, plain)

    return Pickler


def _by_value() -> set[str]:
    import cloudpickle

    return set(cloudpickle.list_registry_pickle_by_value())


def _test_modules() -> Iterator[ModuleType]:
    """Modules that pytest loaded: the process in the container cannot import them by name."""
    for module in list(sys.modules.values()):
        loader = type(getattr(module, "__loader__", None)).__module__ or ""
        if loader.startswith("_pytest.") and "site-packages" not in (
            getattr(module, "__file__", None) or ""
        ):
            yield module
