"""The steps with an engine look at the kernel: what a person made without one counts alike."""

from __future__ import annotations

import pytest

from natlab import Lab
from natlab.course import blocks, docker, engine_runs, manifest, residents, runner, with_engine
from natlab.course.checks import Status

COURSE = manifest.load()
NEW_PROCESS_1 = ["unshare", "--pid", "--mount", "--uts", "--ipc", "--fork"]


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        yield lab


@pytest.fixture
def ubuntu1(lab):
    lab.clean()
    return lab.ubuntu1


def told(results) -> str:
    return "\n".join(f"{r.status.value}: {r.title}: {r.actual} | {r.hint}" for r in results)


def test_a_container_made_by_hand_passes_step_16(lab, ubuntu1):
    docker0 = ubuntu1.add_docker0()
    web = ubuntu1.add_container("made-by-hand")
    docker0.attach(web)
    ubuntu1.publish(web, "8080")
    with web.start([*NEW_PROCESS_1, "myapp", "8080"]) as program:
        program.wait_for("listens")
        results = runner.check(COURSE.step("16"), lab)
    assert {result.status for result in results} == {Status.PASS}, told(results)
    assert not engine_runs(ubuntu1)


def test_a_container_made_by_hand_stands_in_anothers_network(lab, ubuntu1):
    docker0 = ubuntu1.add_docker0()
    pod = ubuntu1.add_container("any-name")
    docker0.attach(pod)
    ubuntu1.publish(pod, "80:8080")
    idle = [*NEW_PROCESS_1, "sh", "-c", "echo ready; exec sleep infinity"]
    with pod.start(idle) as owner, pod.start([*NEW_PROCESS_1, "myapp", "8080"]) as app:
        owner.wait_for("ready")
        app.wait_for("listens")
        results = runner.check(COURSE.step("18"), lab)
    assert [result.status for result in results[:4]] == [Status.PASS] * 4, told(results)


def test_without_an_engine_the_hint_is_to_start_one(ubuntu1):
    assert not engine_runs(ubuntu1)
    assert "start dockerd on ubuntu1" in with_engine(ubuntu1, "docker run")
    ubuntu1.start_dockerd()
    assert engine_runs(ubuntu1)
    assert with_engine(ubuntu1, "docker run") == "docker run"


def test_a_bare_host_and_a_bare_namespace_have_no_residents(ubuntu1):
    guest = ubuntu1.add_container("web")
    with guest.start(["myapp", "8080"]) as program:
        program.wait_for("listens")
        assert residents(ubuntu1) == residents(guest) == []


def test_a_resident_is_found_in_its_own_network_only(lab, ubuntu1):
    for host in (ubuntu1, lab.ubuntu2):
        host.start_dockerd()
        docker(host, "run -d --name web --network host busybox sleep infinity")
    [here], [there] = residents(ubuntu1), residents(lab.ubuntu2)
    assert here.pid != there.pid
    assert here.run("hostname").stdout == "ubuntu1\n"


def test_a_resident_tells_its_environment_files_mounts_and_names(ubuntu1):
    ubuntu1.start_dockerd()
    run = "run -d --name web -e COLOUR=blue --add-host friend:10.0.0.9 busybox sleep infinity"
    docker(ubuntu1, run)
    [inside] = residents(ubuntu1.container("web"))
    assert inside.environment()["COLOUR"] == "blue"
    assert "10.0.0.9\tfriend" in inside.read("/etc/hosts")
    assert inside.read("/no/such/file") == ""
    assert "/etc/hosts" in inside.mounted()
    assert inside.finds("friend") == "10.0.0.9"
    assert not inside.listens(8080)


def test_a_resident_that_listens_is_told_from_a_probe_in_its_network(ubuntu1):
    ubuntu1.start_dockerd()
    docker(ubuntu1, "run -d --name web busybox sleep infinity")
    web = ubuntu1.container("web")
    [inside] = residents(web)
    with web.listen(8080):
        assert not inside.listens(8080)


def test_without_a_docker_client_docker_is_natlabs_own(ubuntu1):
    only_ours = blocks.CLIENT.replace("type -P", "PATH=/run/natlab/bin type -P")
    assert ubuntu1.run(f"{only_ours} type -t docker").stdout == "function\n"


@pytest.mark.parametrize("number", ["16", "17", "18", "19", "20", "21", "22", "23", "24"])
def test_a_step_is_solved_by_hand_without_a_docker_client(number):
    step = COURSE.step(number)
    with Lab() as bare:
        bare.ubuntu1.run("if client=$(type -P docker); then mount --bind /dev/null $client; fi")
        runner.reset(COURSE, step, bare)
        for block in blocks.chosen(blocks.parse(step.readme), "docker"):
            blocks.type_block(bare, block)
        results = runner.check(step, bare)
    assert {result.status for result in results} == {Status.PASS}, told(results)
