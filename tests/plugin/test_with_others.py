"""The plugin beside others: xdist, pytest-asyncio, anyio, coverage, isolation by fork."""

from __future__ import annotations

PUBLISHED = """
import pytest

@pytest.mark.parametrize("n", range(4))
def test_it(docker_host, n):
    web = docker_host.run(["myapp", "8080"], publish="8080:8080")
    web.wait_for_port(8080)
    assert web.ip == "172.17.0.2"
    assert docker_host.outside.http_get(f"http://{docker_host.ip}:8080/").status == 200
"""


def test_xdist_workers_have_the_same_subnet_and_ports_side_by_side(suite):
    suite(PUBLISHED, "-n", "2").assert_outcomes(passed=4)


def test_without_the_cache_provider(suite):
    suite(PUBLISHED, "-p", "no:cacheprovider").assert_outcomes(passed=4)


FORKING = """
import os
import pytest
from _pytest.runner import runtestprotocol  # what plugins that fork use

@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    child = os.fork()
    if child == 0:
        reports = runtestprotocol(item, log=False, nextitem=nextitem)
        os._exit(0 if all(report.passed for report in reports) else 1)
    _, status = os.waitpid(child, 0)
    report = pytest.TestReport(item.nodeid, item.location, {}, "passed", None, "call")
    report.outcome = "failed" if status else "passed"
    item.ihook.pytest_runtest_logreport(report=report)
    return True
"""


def test_each_test_in_a_fork_of_its_own(suite, pytester):
    shared = "def test_shared(docker_host_session):\n    docker_host_session.run('sleep 100')\n"
    done = suite({"conftest.py": FORKING, "test_it.py": PUBLISHED, "test_shared.py": shared})
    done.assert_outcomes(passed=5)
    assert pytester.path.exists()


def test_under_coverage_with_the_callables_lines_left_out(suite):
    done = suite(PUBLISHED, "--cov=.", "--cov-report=term", "-W", "ignore", alone=False)
    done.assert_outcomes(passed=4)
    done.stdout.fnmatch_lines(["test_it.py * 100%"])


ASYNC = """
import asyncio
import pytest

{mark}
async def test_streams_from_a_container(docker_host):
    web = docker_host.run("sleep 100", publish=80)

    async def answer(_, writer):
        writer.write(writer.get_extra_info("peername")[0].encode())
        writer.close()

    server = await asyncio.start_server(answer, sock=web.listen(80))
    async with server:
        client = docker_host.outside.socket()
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, (docker_host.ip, web.port(80)))
        reader, writer = await asyncio.open_connection(sock=client)
        assert await reader.read() == b"192.168.33.20"
        writer.close()
        await writer.wait_closed()

{mark}
async def test_a_block_inside(docker_host):
    web = docker_host.run(["myapp", "8080"])
    await asyncio.to_thread(web.wait_for_port, 8080)
    with docker_host.inside():
        reader, writer = await asyncio.open_connection(web.ip, 8080)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    assert (await reader.readline()).startswith(b"HTTP/1.0 200")
    writer.close()
    await writer.wait_closed()
"""


def test_pytest_asyncio(suite):
    ini = "[pytest]\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    files = {"pytest.ini": ini, "test_it.py": ASYNC.format(mark="@pytest.mark.asyncio")}
    suite(files, alone=False).assert_outcomes(passed=2)


def test_anyios_plugin(suite):
    files = {
        "conftest.py": "import pytest\n"
        "@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n",
        "pytest.ini": "[pytest]\nfilterwarnings = error\n",
        "test_it.py": ASYNC.format(mark="@pytest.mark.anyio"),
    }
    suite(files, "-pno:asyncio", alone=False).assert_outcomes(passed=2)


def test_unittest_without_a_plugin(suite):
    done = suite(
        "import unittest\n"
        "from natlab import Lab\n"
        "class Case(unittest.TestCase):\n"
        "    def setUp(self):\n"
        "        self.lab = self.enterContext(Lab())\n"
        "    def test_it(self):\n"
        "        web = self.lab.ubuntu1.docker0.add_container('web', '80')\n"
        "        self.assertEqual(str(web.ip), '172.17.0.2')\n"
    )
    done.assert_outcomes(passed=1)
