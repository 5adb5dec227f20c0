"""`natlab docker` beside the real `docker` client, on one engine: what they print is the same."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from natlab import DockerEngine, Lab
from natlab.cli import docker

NORMAL = (
    (re.compile(r"\b[0-9a-f]{64}\b"), "<id>"),
    (re.compile(r"\b[0-9a-f]{12}\b"), "<id12>"),
    (re.compile(r"(Less than a|About an?|\d+) (second|minute|hour)s?( ago)?"), "<age>"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:]+(\.\d+)?"), "<time>"),
    (re.compile(r'"time(Nano)?":\d+'), '"time":0'),
)
HELP = re.compile(r"\n\n(Usage: |See 'docker |Run 'docker )[^\0]*")
FAULT = "exit status 1\n"
"""What docker 28.2 prints besides when `network rm` fails."""


def normal(text: str) -> str:
    lines = []
    for line in text.splitlines(keepends=True):
        for pattern, instead in NORMAL:
            line = pattern.sub(instead, line)  # noqa: PLW2901 - one after another
        lines.append(re.sub(r" {2,}", "  ", line) if "<age>" in line or "CREATED" in line else line)
    return "".join(lines)


class Both:
    """The two clients, asked the same."""

    def __init__(self, url: str, capfd) -> None:
        self.binary = shutil.which("docker") or ""
        self.env = {**os.environ, "DOCKER_HOST": url, "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        self.capfd = capfd

    def real(self, words):
        if not self.binary:
            pytest.skip("there is no docker client on this machine")
        done = subprocess.run(
            [self.binary, *words],
            env=self.env,
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode().removesuffix(FAULT)

    def ours(self, words):
        self.capfd.readouterr()
        code = docker.main(["-H", self.env["DOCKER_HOST"], *words])
        out, err = self.capfd.readouterr()
        return code, out, err

    def same(self, line: str, *more: str) -> str:
        """Ask both; what they printed."""
        words = [*shlex.split(line), *more]
        (code, out, err), ours = self.real(words), self.ours(words)
        assert (ours[0], normal(ours[1]), normal(ours[2])) == (code, normal(out), normal(err))
        return ours[1]

    def alike(self, line: str, *more: str) -> tuple[str, str]:
        """Ask each for a thing of its own: {} stands for its name."""
        answers = []
        for client, name in ((self.real, "theirs"), (self.ours, "mine")):
            code, *texts = client([w.replace("{}", name) for w in [*shlex.split(line), *more]])
            answers.append((code, *(normal(text.replace(name, "{}")) for text in texts)))
        assert answers[1] == answers[0]
        return answers[1][1:]


@pytest.fixture(scope="module")
def url():
    """An engine with something of everything."""
    with Lab() as lab, DockerEngine(lab.ubuntu1) as engine:
        for line in (
            "network create --subnet 10.5.0.0/24 --label tier=front --internal net1",
            "network create -o com.docker.network.bridge.name=br-ten net10",
            "network create net2",
            "run -d --name web -P --expose 53/udp -p 8000-8002:8000-8002 -l a=b myapp:v0.0.1",
            "run -d --name db --network net1 --network-alias data busybox sh -c 'sleep 99 #\"\"'",
            "run --name over busybox sh -c 'echo out; echo err >&2; exit 3'",
            "create --name fresh -e A=1 -it busybox",
            "tag busybox local/thing:1.0",
            "volume create --label tier=back vol1",
            "create --name vols -v vol1:/data:ro -v /anonymous -v /etc:/host busybox",
        ):
            assert docker.main(["-H", engine.url, *shlex.split(line)]) in (0, 3)
        yield engine.url


@pytest.fixture
def both(url, capfd):
    return Both(url, capfd)


READING = Path(__file__).with_name("docker_reading.txt").read_text(encoding="utf-8")
"""Commands that change nothing, or are refused."""


@pytest.mark.parametrize("line", READING.splitlines())
def test_both_clients_print_the_same(both, line):
    both.same(line)


@pytest.mark.parametrize("line", ["images", "system df -v", "images --digests"])
def test_images_are_listed_alike_whatever_the_order_of_their_names(both, line):
    words = line.split()
    theirs, ours = both.real(words), both.ours(words)
    assert sorted(normal(ours[1]).splitlines()) == sorted(normal(theirs[1]).splitlines())


USAGE = """
ps --foo
ps -Z
ps -n x
ps --format
ps -f foo
ps extra
run
run --name
run --detach=x busybox
run -e "" busybox
run --link "" busybox
run -m x busybox
run --cpus x busybox
run --ulimit x busybox
run --add-host x busybox
run --dns x busybox
run --mount x busybox
run --mount "" busybox
run --mount type=bind busybox
run --mount type= busybox
run --mount type=bind,src=/a busybox
run --mount type=bind,src=/a,dst= busybox
run --mount dst busybox
run --mount dst=/x,what=ever busybox
run --mount dst=/x,ro=perhaps busybox
run --mount dst=/x,readonly= busybox
run --mount dst=/x,volume-nocopy=perhaps busybox
run --mount type=bind,src=/a,dst=/x,volume-nocopy busybox
run --mount type=tmpfs,dst=/x,volume-label=a busybox
run --mount type=volume,dst=/x,bind-propagation=shared busybox
run --mount type=volume,dst=/x,tmpfs-size=1m busybox
run --mount type=tmpfs,dst=/x,tmpfs-size=much busybox
run --mount type=tmpfs,dst=/x,tmpfs-mode=999 busybox
run --mount type=bind,src=/a,dst=/x,bind-recursive=perhaps busybox
run --mount type=bind,src=/a,dst=/x,bind-recursive=writable busybox
run --mount type=bind,src=/a,dst=/x,bind-recursive=readonly busybox
run --mount type=bind,src=/a,dst=/x,bind-recursive=readonly,ro busybox
run --mount type=bind,src=/a,dst=/x,bind-nonrecursive=perhaps busybox
run --mount type=bind,src=/a,dst=/x,image-subpath=a busybox
run --mount '"type=bind,dst=/x' busybox
run --mount 'type=bi"nd,dst=/x' busybox
volume foo
volume create a b
volume rm
volume inspect
volume ls extra
volume prune extra
volume create --what
run -a foo busybox
run --sysctl a.b=1 busybox
run --health-interval x busybox
run --network-alias
exec web
rename a
inspect
stop
logs
port
foo
network foo
network create a b
network rm
--foo
"""


@pytest.mark.parametrize("line", [line for line in USAGE.splitlines() if line])
def test_a_wrong_command_line_is_refused_in_one_line_with_dockers_words_and_code(both, line):
    words = shlex.split(line)
    (code, _, err), ours = both.real(words), both.ours(words)
    theirs = err.splitlines()[0]
    assert (ours[0], ours[1]) == (code, "")
    assert ours[2].startswith(theirs)
    assert ours[2].count("\n") == 1


DOING = """
run -d --name {} -p 127.0.0.1::80 busybox sleep 1000
ps -a --filter name={} --format {{.Names}}={{.State}}
pause {}
pause {}
unpause {}
rename {} {}-new
rename {}-new {}
network create {}-net
network connect --alias other --ip 10.9.0.5 {}-net {}
network connect {}-net {}
network rm {}-net
network disconnect {}-net {}
network rm {}-net
exec -d {} touch /tmp/made
exec {} mkdir /tmp/more
diff {}
kill -s STOP {}
kill -s CONT {}
stop -t 0 {}
stop {}
start {}
restart -t 0 {}
rm {}
rm -f {}
rm {}
create --name {} -it busybox sh
start {}
rm -fv {}
tag busybox {}:1
rmi {}:1
rmi {}:1
run --name {} --rm busybox sh -c "exit 5"
volume create {}-v
volume create {}-v
run --name {} -v {}-v:/data busybox sh -c "echo text > /data/file"
run --rm --volumes-from {} busybox cat /data/file
run --rm --mount type=volume,src={}-v,dst=/x,readonly busybox touch /x/y
run --rm --mount type=tmpfs,dst=/x,tmpfs-size=1m busybox df --output=size /x
run --rm --tmpfs /x:size=2m busybox df --output=size /x
volume rm {}-v
volume ls -f name={}
inspect --format "{{range .Mounts}}{{.Name}} {{.Mode}} {{.RW}}{{end}}" {}
rm -v {}
volume rm {}-v
volume rm {}-v
volume rm -f {}-v
volume prune -f
run -d --name {} --restart on-failure:2 busybox sh -c "exit 5"
wait {}
container rm -f {}
create --name {} --rm busybox nosuch
start -a {}
create --name {} busybox sh -c "echo out; exit 6"
start -a {}
start -ai {}
logs {}
container prune -f --filter label=none
network prune -f --filter label=none
image prune -f
rm {}
"""


def test_both_clients_do_the_same(both):
    for line in DOING.splitlines():
        if line:
            both.alike(line)
