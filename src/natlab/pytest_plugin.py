"""natlab's pytest plugin: labs, a Docker host and a Docker engine as fixtures.

    def test_the_service_is_reached_through_its_published_port(docker_host):
        web = docker_host.run(serve, publish=8080)
        web.wait_for_port(8080)
        assert docker_host.http_get(f"http://127.0.0.1:{web.port(8080)}/").text == "hello"

Nothing is loaded or started until a test asks for one of the fixtures.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

import pytest

from natlab.errors import NatlabError, UnsupportedError

if TYPE_CHECKING:
    from natlab.engine.lab import Lab
    from natlab.testing.docker_host import DockerHost
    from natlab.testing.fake_docker import FakeDocker
    from natlab.testing.fixtures import Used
    from natlab.testing.settings import Settings

Scope = Literal["function", "class", "module", "package", "session"]

_SCOPES: Final[tuple[Scope, ...]] = ("function", "class", "module", "session")
_USED: pytest.StashKey[list[Used]] = pytest.StashKey()
_INI: Final = {
    "natlab_subnet": "docker0's network, like 172.17.0.0/16",
    "natlab_port_range": "where automatic published ports come from: FIRST-LAST, or kernel",
    "natlab_userland_proxy": "whether published ports get Docker's userland proxy: true or false",
    "natlab_mtu": "docker0's largest packet, in bytes",
    "natlab_lan_mtu": "the largest packet between the lab's hosts, in bytes",
    "natlab_icc": "whether docker0's containers reach each other: true or false",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add natlab's option and ini settings."""
    for name, about in _INI.items():
        parser.addini(name, about)
    parser.addini(
        "natlab_hosts", "natlab_lab's hosts, a line each: NAME = ADDRESS/LENGTH", "linelist"
    )
    parser.getgroup("natlab").addoption(
        "--natlab-keep",
        action="store_true",
        help="leave the lab of a failed test up, and print how to enter it",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        "natlab(subnet, port_range, userland_proxy, mtu, lan_mtu, icc, hosts, rules):"
        " what the labs of these tests are like",
    )


@pytest.fixture(scope="session")
def natlab_settings(pytestconfig: pytest.Config) -> Settings:
    """What labs are like, from the ini file; override it to say so in Python.

    The marker `natlab` changes it for some tests.
    """
    _check_platform()
    from natlab.testing import fixtures

    texts = {name: str(pytestconfig.getini(name)) for name in _INI}
    with _told("natlab's ini settings"):
        return fixtures.settings(texts, pytestconfig.getini("natlab_hosts"))


def _fixtures(scope: Scope) -> dict[str, Any]:
    """The fixtures of one scope: their names end with it, but for those of a single test."""
    end = "" if scope == "function" else f"_{scope}"

    @pytest.fixture(scope=scope, name=f"natlab_lab{end}")
    def natlab_lab(request: pytest.FixtureRequest, natlab_settings: Settings) -> Iterator[Lab]:
        """The classroom: outside, ubuntu1 and ubuntu2 on one LAN; docker0 where it is asked for.

        Equivalent to: `natlab up`, and `natlab down` at the end.
        """
        with _maker(request, natlab_settings, f"natlab_lab{end}") as make:
            yield make.lab()

    @pytest.fixture(scope=scope, name=f"make_natlab_lab{end}")
    def make_natlab_lab(
        request: pytest.FixtureRequest, natlab_settings: Settings
    ) -> Iterator[Callable[..., Lab]]:
        """Make labs of your own map: `make_natlab_lab({"a": "10.0.0.1/24"}, mtu=1400)`.

        The arguments are the hosts, and the settings by name.
        """
        with _maker(request, natlab_settings, f"make_natlab_lab{end}") as make:

            def made(hosts: Mapping[str, str] | None = None, **changes: Any) -> Lab:
                lab: Lab = make.lab(**({} if hosts is None else {"hosts": hosts}), **changes)
                return lab

            yield made

    @pytest.fixture(scope=scope, name=f"docker_host{end}")
    def docker_host(
        request: pytest.FixtureRequest, natlab_settings: Settings
    ) -> Iterator[DockerHost]:
        """One host with docker0, and `run` for programs and Python callables in containers."""
        with _maker(request, natlab_settings, f"docker_host{end}") as make:
            yield make.docker_host()

    @pytest.fixture(scope=scope, name=f"fake_docker{end}")
    def fake_docker(
        request: pytest.FixtureRequest, natlab_settings: Settings
    ) -> Iterator[FakeDocker]:
        """A Docker engine with a socket: `.url`, `.client()`, `.env`; no Docker is needed."""
        with _maker(request, natlab_settings, f"fake_docker{end}") as make:
            yield make.fake_docker()

    made = (natlab_lab, make_natlab_lab, docker_host, fake_docker)
    names = ("natlab_lab", "make_natlab_lab", "docker_host", "fake_docker")
    return {f"{name}{end}": each for name, each in zip(names, made, strict=True)}


for _scope in _SCOPES:
    globals().update(_fixtures(_scope))


def _check_platform() -> None:
    from natlab.testing import supported

    if reason := supported.missing():
        pytest.skip(reason)


@contextlib.contextmanager
def _told(fixture: str) -> Iterator[None]:
    """Say in one line what is wrong; skip what this machine cannot do."""
    reason = trouble = ""
    try:
        yield
    except UnsupportedError as error:
        reason = str(error)
    except NatlabError as error:
        trouble = f"{fixture}: {error}"
    if reason:
        raise pytest.skip.Exception(reason) from None
    if trouble:
        raise pytest.fail.Exception(trouble, pytrace=False) from None


@contextlib.contextmanager
def _maker(request: pytest.FixtureRequest, settings: Settings, fixture: str) -> Iterator[Any]:
    """What makes a fixture's labs, and takes them down."""
    _check_platform()
    from natlab.testing import fixtures

    marks = list(request.node.iter_markers("natlab"))
    with _told(fixture):
        settings = fixtures.marked(settings, [(m.args, m.kwargs) for m in reversed(marks)])
    used = request.node.stash.setdefault(_USED, [])
    keep = bool(request.config.getoption("natlab_keep"))
    maker = fixtures.Maker(fixture, settings, used, keep=keep, told=lambda: _told(fixture))
    try:
        yield maker
    finally:
        maker.close()


def _used_by(item: pytest.Item) -> list[Used]:
    """What a test has of natlab, its own and what it shares."""
    return [used for node in item.listchain() for used in node.stash.get(_USED, [])]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Skip a test that asks for what this machine cannot do, with the reason."""
    try:
        return (yield)
    except UnsupportedError as error:
        if not _used_by(item):
            raise
        reason = str(error)
    pytest.skip(reason)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Tell what the lab of a failed test looked like."""
    report: Any = yield
    if report.failed and call.when != "teardown" and (used := _used_by(item)):
        from natlab.testing import fixtures

        report.sections += fixtures.told(used)
    return report  # type: ignore[no-any-return]
