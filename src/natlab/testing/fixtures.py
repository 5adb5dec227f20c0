"""What the plugin's fixtures do: make labs as they are wished, tell of them, take them down."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import Any, Final

from natlab.engine.lab import Lab
from natlab.errors import NatlabError, UsageError
from natlab.kernel.agent import Agent
from natlab.testing import keeping, report
from natlab.testing.docker_host import DockerHost, alone, made
from natlab.testing.fake_docker import FakeDocker
from natlab.testing.settings import Settings

_NUMBERS: Final = ("mtu", "lan_mtu")
_FLAGS: Final = {"true": True, "false": False}


class UnseenErrorWarning(UserWarning):
    """A callable in a container failed, and the test never asked how it went."""


@dataclass
class Used:
    """A lab that a fixture gave to tests.

    Attributes:
        lab: The lab.
        agent: Its own sandbox's, where it may have to stay.
        user: What stands on it, a `DockerHost` or a `FakeDocker`.
        kept: Its name once it is to stay.
    """

    lab: Lab
    agent: Agent | None
    user: DockerHost | FakeDocker | None = None
    kept: str = ""


def settings(texts: Mapping[str, str], hosts: Sequence[str]) -> Settings:
    """The settings that an ini file has; what is empty there is as usual.

    Raises:
        UsageError: one of them makes no sense; the message names it.
    """
    found: dict[str, Any] = {}
    for option, text in texts.items():
        if text:
            name = option.removeprefix("natlab_")
            found[name] = _value(option, name, text)
    if hosts:
        pairs = [line.partition("=") for line in hosts]
        found["hosts"] = {name.strip(): address.strip() for name, _, address in pairs}
    return Settings(**found)


def _value(option: str, name: str, text: str) -> Any:
    if name in _NUMBERS:
        if not text.isdecimal():
            raise UsageError(f"{option} is a number of bytes, not {text!r}")
        return int(text)
    if name in ("userland_proxy", "icc"):
        if text.lower() not in _FLAGS:
            raise UsageError(f"{option} is true or false, not {text!r}")
        return _FLAGS[text.lower()]
    return text


def marked(plain: Settings, marks: Sequence[tuple[Sequence[Any], Mapping[str, Any]]]) -> Settings:
    """The settings as markers change them, the nearest last.

    Raises:
        UsageError: a marker makes no sense.
    """
    for args, changes in marks:
        if args:
            raise UsageError(
                f"@pytest.mark.natlab takes settings by name, like subnet=…, not {args[0]!r}"
            )
        plain = plain.changed(**changes)
    return plain


class Maker:
    """Makes one fixture's labs."""

    def __init__(
        self,
        fixture: str,
        plain: Settings,
        used: list[Used],
        *,
        keep: bool,
        told: Callable[[], AbstractContextManager[None]],
    ) -> None:
        self._fixture = fixture
        self._plain = plain
        self._used = used
        self._keep = keep
        self._told = told
        self._mine: list[Used] = []

    def lab(self, **changes: Any) -> Lab:
        """A lab."""
        with self._told():
            return self._begin(self._plain.changed(**changes), made).lab

    def docker_host(self) -> DockerHost:
        """A lab of one host with docker0."""
        with self._told():
            used = self._begin(self._plain, alone)
            host = DockerHost(used.lab, fixture=self._fixture, own=True)
            used.user = host
            return host

    def fake_docker(self) -> FakeDocker:
        """A lab of one host with an engine."""
        with self._told():
            used = self._begin(self._plain, alone)
            engine = FakeDocker(used.lab, settings=self._plain)
            used.user = engine
            return engine

    def _begin(self, wanted: Settings, build: Callable[..., Lab]) -> Used:
        agent = keeping.sandbox() if self._keep else None
        try:
            used = Used(build(wanted, agent=agent), agent)
        except BaseException:
            if agent is not None:
                agent.close()
            raise
        self._used.append(used)
        self._mine.append(used)
        return used

    def close(self) -> None:
        """Take all of it down, the last first; what is to stay is left up."""
        with ExitStack() as stack:
            for used in self._mine:
                stack.callback(self._end, used)

    def _end(self, used: Used) -> None:
        self._used.remove(used)
        if used.kept:
            keeping.leave_up(used.lab, used.kept)
            return
        unseen = _unseen(used.user)
        with ExitStack() as stack:
            if used.agent is not None:
                stack.callback(used.agent.close)
            stack.callback(used.lab.close)
            if used.user is not None:
                stack.callback(used.user.close)
        for name, text in unseen:
            warnings.warn(
                f"the callable in {self._fixture}'s container {name} failed, and the test did not"
                f" wait for it:\n{text}",
                UnseenErrorWarning,
                stacklevel=2,
            )


def _unseen(user: DockerHost | FakeDocker | None) -> list[tuple[str, str]]:
    if not isinstance(user, DockerHost):
        return []
    return [
        (container.name, trouble)
        for container in user.containers
        if (trouble := container.program.failure)
    ]


def told(used: Sequence[Used]) -> list[tuple[str, str]]:
    """The report's sections on a failed test's labs; those that may stay do from now on."""
    found: list[tuple[str, str]] = []
    for each in used:
        try:
            found += report.sections([each.lab], [each.user] if each.user else [])
        except (NatlabError, OSError) as error:
            found.append(("natlab", f"the lab could not be looked at: {error}"))
        if each.agent is not None:
            each.kept = each.kept or keeping.name()
            found.append(("natlab: this lab stays", keeping.how_to_enter(each.lab, each.kept)))
    return found
