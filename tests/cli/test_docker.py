"""`natlab docker` prints what the real client prints: the same commands, each to an engine of its
own, byte for byte but for ids, ages and times."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from natlab import DockerEngine, Lab

OURS = [sys.executable, "-m", "natlab", "docker"]
COMMANDS = """\
run -d -P --name web myapp:v0.0.1
ps
ps -a --no-trunc
ps -q
ps -f name=nobody
ps --format {{.Names}}:{{.Ports}}
ps --format json
port web
port web 8080
inspect -f {{.NetworkSettings.IPAddress}} web
inspect -f '{{json .Config.Env}}' web
inspect nosuch
logs web
exec web hostname
exec -e A=1 web env
exec web false
exec web nosuch
run --rm busybox echo hi
run --rm busybox sh -c "echo out; echo err >&2; exit 7"
run --rm nosuch
run --rm busybox nosuch
images
images -q
network create --subnet 10.9.0.0/24 mynet
network create mynet
network ls
network inspect mynet
network connect --alias app mynet web
run --rm --network mynet busybox getent hosts app
network disconnect mynet web
network rm mynet
network rm mynet
rename web app
stop -t 1 app
wait app
ps -a
start app
pause app
unpause app
kill app
rm app
rm app
run -d --name web busybox sleep 1000
rm web
rm -f web
create --name c busybox true
start -a c
container prune -f
volume ls
tag busybox box:1
rmi box:1
rmi nosuch
""".splitlines()


def plain(text):
    """A text without what differs from run to run."""
    text = re.sub(r"\b[0-9a-f]{12,64}\b", "ID", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = text.replace("exit status 1\n", "")  # the newer clients say so after a network's errors
    text = re.sub(r"\d{4}-\d\d-\d\d [\d:.]+ \+0000 UTC", "TIME", text)
    text = re.sub(
        r"(Less than a second|About a minute|\d+ (seconds?|minutes?|hours?|days?))", "AGE", text
    )
    text = re.sub(r'"(Pid|Created)": \d+', r'"\1": N', text)
    return re.sub(r"  +", "  ", text)


def transcript(client):
    """What each command answers, one after the other on one engine: code, output, errors."""
    answers = []
    with Lab() as lab, DockerEngine(lab.ubuntu1) as engine:
        for command in COMMANDS:
            done = subprocess.run(
                [*client, *shlex.split(command)],
                env={**os.environ, **engine.env},
                capture_output=True,
                text=True,
                stdin=subprocess.DEVNULL,
                timeout=60,
                check=False,
            )
            answers.append((done.returncode, plain(done.stdout), plain(done.stderr)))
    return dict(zip(COMMANDS, answers, strict=True))


@pytest.fixture(scope="module")
def answers():
    if shutil.which("docker") is None:
        pytest.skip("there is no docker client on this machine to compare with")
    return transcript(["docker"]), transcript(OURS)


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_it_answers_as_the_real_client_does(answers, command):
    real, ours = (each[command] for each in answers)
    for mine, wanted in zip(ours[1:], real[1:], strict=True):
        assert mine.splitlines() == wanted.splitlines()
    assert ours[0] == real[0]


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ("ps", 1, "no engine runs on ubuntu1"),
        ("nosuchcommand", 1, "unknown command"),
        ("ps --nosuchflag", 125, "unknown flag: --nosuchflag"),
        ("run", 1, "requires at least 1 argument"),
    ],
)
def test_bad_input_is_told_and_is_no_traceback(natlab, words, code, says):
    env = {key: value for key, value in natlab.env.items() if key != "DOCKER_HOST"}
    done = subprocess.run(
        [*OURS, *shlex.split(words)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr
