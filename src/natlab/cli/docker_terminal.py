"""The person's terminal while a program in a container uses it; and the signals that arrive."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterable, Iterator
from typing import Final

RESIZED: Final = (signal.SIGWINCH,)
"""The terminal has another size."""

FORWARDED: Final = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGTERM,
    signal.SIGCONT,
    signal.SIGALRM,
)
"""What is handed on to a program without a terminal."""

_ENDING: Final = (signal.SIGHUP, signal.SIGTERM)
_KILLED: Final = 128

STDIN: Final = 0
STDOUT: Final = 1


@contextlib.contextmanager
def raw(*, wanted: bool) -> Iterator[None]:
    """Give every key to the program, unread by the terminal; as it was before, afterwards."""
    if not wanted or not os.isatty(STDIN):
        yield
        return
    before = termios.tcgetattr(STDIN)
    with _handled(_ENDING, lambda number, _: sys.exit(_KILLED + number)):
        tty.setraw(STDIN, termios.TCSANOW)  # what was typed already is kept
        try:
            yield
        finally:
            termios.tcsetattr(STDIN, termios.TCSADRAIN, before)


@contextlib.contextmanager
def signals(numbers: Iterable[signal.Signals]) -> Iterator[int]:
    """Give a descriptor from which the numbers of those signals are read as they arrive."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    woken = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        with _handled(numbers, lambda *_: None):
            yield reader
    finally:
        signal.set_wakeup_fd(woken)
        os.close(reader)
        os.close(writer)


@contextlib.contextmanager
def _handled(
    numbers: Iterable[signal.Signals], handler: Callable[[int, object], object]
) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, before)  # whoever started us may block them
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, old in before.items():
            signal.signal(number, old)


def size() -> tuple[int, int]:
    """Rows and columns of the terminal that is written to; zeros if there is none."""
    try:
        columns, rows = os.get_terminal_size(STDOUT)
    except OSError:
        return 0, 0
    return rows, columns


def is_terminal() -> bool:
    """Whether keys come from a terminal."""
    return os.isatty(STDIN)


def write(stream: int, data: bytes) -> None:
    """Write to standard output (1) or standard error (2) at once."""
    sys.stdout.flush()
    view = memoryview(data)
    while view:
        view = view[os.write(stream, view) :]
