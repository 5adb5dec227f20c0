"""A process that is an engine and nothing else: its limits, and when it is to end."""

from __future__ import annotations

import os
import resource
import signal

from natlab.kernel.agent import Agent
from natlab.kernel.waiting import readable


class Lifetime:
    """From here on this process is an engine: SIGTERM and SIGINT end it in good order.

    It may have as many descriptors as the machine allows: a running container takes up to six.
    """

    def __init__(self) -> None:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        self._asked, waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)

    def wait(self, agent: Agent) -> None:
        """Wait until it is told to end, or until its lab is gone."""
        readable([self._asked, agent.end_of_process()])
