"""A container's own init: `docker run --init`. It reaps what nobody waits for, and passes signals.

It is what Docker's `docker-init` (tini) is, and behaves like it: the program has a process group
of its own, in front of the terminal, and its end is the container's.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import Final, NoReturn

_NAME: Final = "docker-init"
_OF_THE_CHILD: Final = {signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU}


def split_off(theirs: socket.socket, *, tty: bool) -> None:
    """Go on in a child; this process stays behind as its init, and does not return."""
    child = os.fork()
    if child == 0:
        os.setpgid(0, 0)
        if tty:
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)
            os.tcsetpgrp(0, os.getpgrp())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        return
    theirs.close()
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    _watch(child)


def _watch(child: int) -> NoReturn:
    with contextlib.suppress(OSError):
        Path("/proc/self/comm").write_text(_NAME)
    wanted = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    while True:
        _reap(child)
        number = signal.sigwait(wanted)
        if number not in _OF_THE_CHILD:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, number)


def _reap(child: int) -> None:
    while True:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(128 - code if code < 0 else code)
        if pid == 0:
            return
