"""The plugin in a run: what it adds, what it tells when a test fails, what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from natlab.engine import keep

FAILING = """
def test_it(docker_host):
    web = docker_host.run("echo serving; exec sleep 100", publish="8000:80", name="web")
    web.wait_for("serving")
    docker_host.outside.socket().close()
    assert docker_host.http_get(f"http://{docker_host.ip}:8000/")
"""


def test_a_run_without_natlabs_fixtures_loads_and_starts_nothing(suite):
    done = suite(
        "import os, sys, threading\n"
        "from pathlib import Path\n"
        "def test_nothing():\n"
        "    heavy = {'pyroute2', 'nftables', 'natlab.engine', 'natlab.testing', 'cloudpickle'}\n"
        "    assert not heavy & set(sys.modules)\n"
        "    assert Path(f'/proc/self/task/{os.getpid()}/children').read_text() == ''\n"
        "    assert threading.active_count() == 1\n"
    )
    done.assert_outcomes(passed=1)


def test_loading_the_plugin_takes_no_longer_than_ten_milliseconds(suite):
    code = (
        "import pytest, time, sys\n"
        "began = time.perf_counter()\n"
        "import natlab.pytest_plugin\n"
        "print(time.perf_counter() - began)\n"
    )
    del suite  # its environment is what is wanted
    times = []
    for _ in range(5):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        times.append(float(done.stdout))
    assert min(times) < 0.010


def test_the_fixtures_are_listed_with_what_they_are(suite):
    said = suite("", "--fixtures", "-v").stdout.str()
    for name in ("natlab_lab", "make_natlab_lab", "docker_host", "fake_docker", "natlab_settings"):
        assert name in said
    for name in ("docker_host_module", "natlab_lab_session", "fake_docker_class"):
        assert name in said
    assert "@pytest.mark.natlab(subnet" in suite("", "--markers").stdout.str()


def test_a_failure_shows_picture_rules_connections_and_logs(suite):
    done = suite(FAILING)
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [
            "*Connection refused*",
            "*- natlab: lab -*",
            "*docker0 172.17.0.1/16*masquerade out of !docker0",
            "*web  eth0 172.17.0.2*0.0.0.0:8000->80/tcp",
            "*- natlab: rules of ubuntu1 -*",
            "* 1 *DNAT*tcp dpt:8000 to:172.17.0.2:80",
            "*- natlab: log of web -*",
            "serving",
        ]
    )


def test_a_test_that_passes_shows_nothing(suite):
    done = suite("def test_it(docker_host):\n    docker_host.run('echo hello').wait()\n", "-rA")
    done.assert_outcomes(passed=1)
    assert "natlab:" not in done.stdout.str()


def test_a_callables_failure_is_shown_where_it_failed(suite):
    done = suite(
        "def serve(n):\n    values = [1, 2]\n    assert values == [n], 'in the container'\n"
        "def test_it(docker_host):\n    docker_host.run(serve, 3).wait()\n"
    )
    done.assert_outcomes(failed=1)
    done.stdout.fnmatch_lines(
        [">   *assert values == [[]n], 'in the container'", "E *AssertionError: in the container"]
    )
    done.stdout.fnmatch_lines(["*assert [[]1, 2[]] == [[]3[]]"])


def test_a_callable_that_failed_unseen_is_a_warning(suite):
    text = (
        "def boom():\n    raise ValueError('unseen')\n"
        "def test_it(docker_host):\n"
        "    made = docker_host.run(boom, name='boomer')\n"
        "    assert made.program.ends_within(10)\n"
    )
    done = suite(text)
    done.assert_outcomes(passed=1, warnings=1)
    done.stdout.fnmatch_lines(
        ["*UnseenErrorWarning: the callable in docker_host's container boomer*"]
    )
    done.stdout.fnmatch_lines(["*ValueError: unseen"])
    assert suite(text, "-W", "error").parseoutcomes()["errors"] == 1


def test_markers_ini_options_and_an_overridden_fixture_shape_the_lab(suite):
    done = suite(
        {
            "pytest.ini": "[pytest]\nnatlab_subnet = 10.1.0.0/24\nnatlab_port_range = 7000-7010\n"
            "natlab_hosts =\n    alpha = 10.2.0.1/24\n    beta = 10.2.0.2/24\n",
            "test_ini.py": "def test_it(docker_host, natlab_lab):\n"
            "    made = docker_host.run('sleep 9', publish=80)\n"
            "    assert (made.ip, made.port(80)) == ('10.1.0.2', 7000)\n"
            "    assert list(natlab_lab.hosts) == ['alpha', 'beta']\n",
            "test_mark.py": "import pytest\n"
            "pytestmark = pytest.mark.natlab(subnet='10.3.0.0/24')\n"
            "def test_module(docker_host_module):\n"
            "    assert docker_host_module.run('sleep 9').ip == '10.3.0.2'\n"
            "@pytest.mark.natlab(mtu=1300, rules='add table ip mine')\n"
            "def test_nearest(docker_host):\n"
            "    made = docker_host.run('sleep 9')\n"
            "    assert (made.ip, made.node.link('eth0').mtu) == ('10.3.0.2', 1300)\n"
            "    assert docker_host.node.ruleset().table('ip', 'mine')\n",
            "own/conftest.py": "import pytest\n"
            "@pytest.fixture(scope='session')\n"
            "def natlab_settings(natlab_settings):\n"
            "    return natlab_settings.changed(subnet='10.4.0.0/24')\n",
            "own/test_own.py": "def test_it(docker_host, make_natlab_lab):\n"
            "    assert docker_host.run('sleep 9').ip == '10.4.0.2'\n"
            "    lab = make_natlab_lab({'a': '10.5.0.1/24'}, lan_mtu=1280)\n"
            "    assert lab.a.link('eth0').mtu == 1280\n"
            "    assert str(lab.a.docker0.gateway) == '10.4.0.1'\n",
        }
    )
    done.assert_outcomes(passed=4)


@pytest.mark.parametrize(
    ("marker", "ini", "message"),
    [
        ("mtuu=1", "", "docker_host: natlab has no setting 'mtuu': did you mean mtu?"),
        ("mtu=1", "", "docker_host: natlab's mtu is 68 to 65535 bytes, not 1"),
        ("'10.0.0.0/8'", "", "docker_host: @pytest.mark.natlab takes settings by name*"),
        ("subnet='192.168.33.0/24'", "", "docker_host: subnet 192.168.33.0/24 overlaps the route*"),
        ("", "natlab_mtu = many", "natlab's ini settings: natlab_mtu is a number of bytes*"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_fixture(suite, marker, ini, message):
    done = suite(
        {
            "pytest.ini": f"[pytest]\n{ini}\n",
            "test_it.py": "import pytest\n"
            f"@pytest.mark.natlab({marker})\ndef test_it(docker_host): pass\n",
        }
    )
    done.assert_outcomes(errors=1)
    done.stdout.fnmatch_lines([message.replace("[", "[[]")])
    assert "Traceback" not in done.stdout.str()
    assert "During handling" not in done.stdout.str()


def test_wider_scopes_share_one_lab(suite):
    done = suite(
        "import pytest\n"
        "seen = []\n"
        "@pytest.mark.parametrize('n', [1, 2])\n"
        "def test_shared(docker_host_module, docker_host_session, n):\n"
        "    docker_host_module.run('sleep 100')\n"
        "    assert len(docker_host_module.containers) == n\n"
        "    assert docker_host_session is not docker_host_module\n"
        "def test_a_failure_shows_the_shared_one(docker_host_module):\n"
        "    assert not docker_host_module.containers\n"
    )
    done.assert_outcomes(passed=2, failed=1)
    done.stdout.fnmatch_lines(["*c2  eth0 172.17.0.3*"])


def test_what_the_machine_cannot_do_is_a_skip_with_its_reason(suite):
    done = suite(
        {
            "conftest.py": "import pytest\n"
            "from natlab import UnsupportedError\n"
            "@pytest.fixture\n"
            "def unable(monkeypatch):\n"
            "    from natlab.kernel.agent import Agent\n"
            "    from natlab.engine import lab\n"
            "    def refuse():\n"
            "        raise UnsupportedError('no namespaces here: run `sudo something`')\n"
            "    monkeypatch.setattr(lab, '_shared_agent', refuse)\n",
            "test_it.py": "from natlab import UnsupportedError\n"
            "def test_setup(unable, docker_host): pass\n"
            "def test_call(docker_host):\n"
            "    raise UnsupportedError('this kernel has no netem: boot another')\n"
            "def test_own():\n"
            "    raise UnsupportedError('not of natlab')\n",
        },
        "-rs",
    )
    done.assert_outcomes(skipped=2, failed=1)
    done.stdout.fnmatch_lines(["*no namespaces here: run `sudo something`", "*has no netem: boot*"])


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_elsewhere_the_plugin_loads_and_its_fixtures_skip(suite, system):
    done = suite(
        {
            "elsewhere.py": "import platform, sys\n"
            "class Absent:\n"
            "    def find_spec(self, name, path=None, target=None):\n"
            "        if name in ('fcntl', 'pyroute2', 'nftables', 'resource', 'termios'):\n"
            "            raise ImportError(f'no {name} here')\n"
            "sys.modules.pop('fcntl', None)\n"
            "sys.meta_path.insert(0, Absent())\n"
            f"platform.system = lambda: {system!r}\n",
            "test_it.py": "import pytest\n"
            "@pytest.mark.parametrize('name', "
            "['natlab_lab', 'docker_host', 'fake_docker', 'make_natlab_lab_session'])\n"
            "def test_it(request, name):\n    request.getfixturevalue(name)\n"
            "def test_other(): pass\n",
        },
        *("-p", "elsewhere", "-p", "no:cacheprovider", "-rs"),
    )
    done.assert_outcomes(skipped=4, passed=1)
    done.stdout.fnmatch_lines(
        [f"*this is {system}: network namespaces are Linux's: run natlab in*"]
    )


def test_a_kept_lab_stays_and_tells_how_to_enter_it(suite, monkeypatch, tmp_path):
    monkeypatch.setenv("NATLAB_RUNTIME_DIR", str(tmp_path / "journal"))
    done = suite({"test_it.py": FAILING + "def test_fine(natlab_lab): pass\n"}, "--natlab-keep")
    done.assert_outcomes(failed=1, passed=1)
    [record] = keep.records()
    try:
        done.stdout.fnmatch_lines(
            [
                "*- natlab: this lab stays -*",
                f"natlab shell --name {record.name} ubuntu1",
                f"natlab exec --name {record.name} ubuntu1/web -- bash",
                f"nsenter *-n -m -t {record.pid}*",
                f"natlab down --name {record.name}*",
            ]
        )
        with keep.opened(record.name) as lab:
            assert lab.host("ubuntu1").container_names() == ["web"]
            web = lab.host("ubuntu1").container("web")
            assert str(web.ip) == "172.17.0.2"
        line = next(line for line in done.outlines if line.startswith("nsenter")).split("#")[0]
        inside = subprocess.run(
            [*line.split(), "hostname"], capture_output=True, text=True, check=False
        )
        assert inside.returncode == 0, inside.stderr
        assert (
            "sleep 100"
            in subprocess.run(
                [
                    *(sys.executable, "-m", "natlab", "exec", "--name", record.name),
                    *("ubuntu1", "--", "ps", "-eo", "args"),
                ],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
    finally:
        assert keep.down(record.name)
    assert not keep.records()


def test_a_kept_engine_leaves_its_containers(suite, monkeypatch, tmp_path):
    monkeypatch.setenv("NATLAB_RUNTIME_DIR", str(tmp_path / "journal"))
    began = time.monotonic()
    done = suite(
        "def test_it(fake_docker):\n"
        "    fake_docker.client().containers.run('busybox', 'sleep 100', name='web', detach=True)\n"
        "    assert False\n",
        "--natlab-keep",
    )
    done.assert_outcomes(failed=1)
    [record] = keep.records()
    try:
        with keep.opened(record.name) as lab:
            assert lab.host("ubuntu1").container_names() == ["web"]
    finally:
        assert keep.down(record.name)
    assert time.monotonic() - began < 60


def test_a_fork_inside_a_test_is_told_so(suite):
    done = suite(
        "import os\n"
        "def test_it(docker_host):\n"
        "    reader, writer = os.pipe()\n"
        "    if os.fork() == 0:\n"
        "        try:\n            docker_host.run('true')\n"
        "        except Exception as error:\n            os.write(writer, str(error).encode())\n"
        "        os._exit(0)\n"
        "    os.wait()\n"
        "    os.close(writer)\n"
        "    said = os.read(reader, 4096).decode()\n"
        "    os.close(reader)\n"
        "    assert 'docker_host belongs to the process that made it' in said\n"
        "    assert docker_host.run('exit 3').wait() == 3\n"
    )
    done.assert_outcomes(passed=1)


def test_the_process_keeps_its_uid_network_and_files(suite):
    done = suite(
        "import os\n"
        "from pathlib import Path\n"
        "def look():\n"
        "    kinds = ('net', 'mnt', 'user', 'pid')\n"
        "    spaces = [os.readlink(f'/proc/thread-self/ns/{kind}') for kind in kinds]\n"
        "    ids = os.getresuid(), os.getresgid(), os.getgroups()\n"
        "    return ids, spaces, os.getcwd(), dict(os.environ)\n"
        "before = look()\n"
        "def test_it(docker_host, fake_docker, natlab_lab, tmp_path):\n"
        "    docker_host.run(print, 'x', publish=80).wait()\n"
        "    now = look()\n"
        "    now[-1].pop('PYTEST_CURRENT_TEST')\n"
        "    before[-1].pop('PYTEST_CURRENT_TEST', None)\n"
        "    now[-1].pop('PYTEST_VERSION', None), before[-1].pop('PYTEST_VERSION', None)\n"
        "    assert now == before\n"
        "    (tmp_path / 'x').touch()\n"
        "    assert (tmp_path / 'x').stat().st_uid == os.getuid()\n"
    )
    done.assert_outcomes(passed=1)
    assert os.geteuid() == os.getuid()
