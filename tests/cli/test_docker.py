"""`natlab docker`: what it tells, and which engine it asks."""

from __future__ import annotations

import shlex
import subprocess
import sys

import pytest

from natlab.cli import docker


def test_help_lists_commands_and_a_command_has_its_own(natlab):
    said = natlab("docker", "--help").stdout
    assert "Create and run a new container from an image" in said
    assert said == natlab("docker").stdout
    assert "docker" in natlab("--help").stdout
    said = natlab("docker", "run", "--help").stdout
    assert said.startswith(
        "Usage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nCreate and run"
    )
    assert "  -p, --publish list " in said
    assert (
        natlab("docker", "container", "ls", "--help").stdout == natlab("docker", "ps", "-h").stdout
    )
    assert "  connect " in natlab("docker", "network", "--help").stdout
    assert natlab("docker", "--version").stdout.startswith("natlab docker version ")


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("runn x", 1, "docker: unknown command: docker runn: did you mean `docker run`"),
        ("network lst", 1, "docker: unknown command: docker network lst: did you mean `docker n"),
        ("run --nmae x y", 125, "unknown flag: --nmae (did you mean --name?)\n"),
        (
            "ps -x",
            125,
            "unknown shorthand flag: 'x' in -x (there are -a, -f, -h, -l, -n, -q, -s)\n",
        ),
        ("rename a", 1, "docker: 'docker rename' requires 2 arguments: docker rename CONTAINER N"),
    ],
)
def test_what_is_mistyped_is_told_in_one_line_with_the_nearest_names(capfd, line, code, said):
    assert docker.main(shlex.split(line)) == code
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("build -t x .", "natlab does not build images"),
        ("commit web", "natlab does not commit containers"),
        ("stats --no-stream", "natlab measures no resources of containers"),
        ("push x", "natlab has no registry"),
        ("swarm init", "natlab has no swarm"),
        ("volume create -o size=1g ab", "natlab's volumes are directories and take no driver"),
    ],
)
def test_for_what_natlab_has_not_the_engine_says_why(asked, line, sentence):
    code, out, err = asked(line)
    assert (code, out) == (1, "")
    assert err.startswith(f"Error response from daemon: {sentence}")
    assert err.count("\n") == 1


def test_a_refused_prune_changes_nothing(run):
    assert run("create --name web busybox")[0] == 0
    code, out, err = run("container prune", stdin=b"n\n")
    assert (code, err) == (0, b"")
    assert out.endswith(b"Are you sure you want to continue? [y/N] ")
    code, out, _ = run("container prune", stdin=b"y\n")
    assert code == 0
    assert b"Deleted Containers:\n" in out


def test_version_and_info_tell_of_both_sides(asked):
    code, out, _ = asked("version")
    assert code == 0
    assert out.startswith("Client: natlab\n")
    assert "\nServer: natlab" in out
    assert asked("version --format {{.Server.APIVersion}}/{{.Client.Os}}")[1].endswith("/linux\n")
    assert "\n Name: ubuntu1\n" in asked("info")[1]
    assert asked("info -f {{.Driver}}")[1] == "overlay2\n"


def test_an_engine_that_is_not_there_is_told_in_dockers_words(capfd, tmp_path):
    url = f"unix://{tmp_path}/none.sock"
    said = f"Cannot connect to the Docker daemon at {url}. Is the docker daemon running?\n"
    assert docker.main(["-H", url, "ps"]) == 1
    assert capfd.readouterr() == ("", said)
    assert docker.main(["-H", url, "run", "busybox"]) == 125
    help_ = "\nRun 'docker run --help' for more information\n"
    assert capfd.readouterr() == ("", f"docker: {said}{help_}")
    assert docker.main(["-H", "ssh://somewhere", "ps"]) == 1
    assert capfd.readouterr()[1].startswith("no engine can be asked at ssh://somewhere: give unix:")


def test_without_docker_py_one_line_says_what_to_install(natlab, engine):
    program = (
        "import sys; sys.modules['docker'] = None; sys.argv[1:] = ['docker', 'ps'];"
        "from natlab.cli import main; main()"
    )
    env = {**natlab.env, "DOCKER_HOST": engine.url}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert natlab.one_line(done.stderr).endswith("install it with `pip install docker`")


def test_the_labs_own_engine_is_found_by_its_host(lab):
    lab.env.pop("DOCKER_HOST", None)
    said = lab.error("docker", "ps", code=1)
    assert said == (
        "natlab: no engine runs on ubuntu1: start it with `natlab engine start --host ubuntu1`"
    )
    lab("engine", "start", "--host", "ubuntu2")
    assert lab("docker", "--on", "ubuntu2", "run", "--rm", "busybox", "hostname", "-s").stdout
    assert lab("docker", "--on", "ubuntu2", "info", "-f", "{{.Name}}").stdout == "ubuntu2\n"
    assert "ubuntu1" in lab.error("docker", "ps", code=1)


def test_inside_a_lab_the_hosts_own_engine_is_asked(monkeypatch, capfd):
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("NATLAB_INSIDE", "1")
    assert docker.main(["ps"]) == 1
    assert "unix:///run/docker.sock" in capfd.readouterr()[1]
