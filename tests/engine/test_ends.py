"""However a lab or its owner ends, everything in it ends, and whoever asks is told."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from natlab import Lab, LabGoneError
from natlab.engine import keep


def full(lab):
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    lab.ubuntu1.publish(web, "80", "53/udp")
    return web


def test_a_killed_agent_is_told_and_leaves_nothing(family):
    lab = Lab()
    web = full(lab)
    program = web.start("myapp 8080")
    program.wait_for("listens")
    sock = web.socket()
    with family(lab.agent._process.pid) as members:
        os.kill(lab.agent.pid, signal.SIGKILL)
        assert members.all_end()
    for ask in (lab.ubuntu1.links, web.links, lambda: lab.ubuntu1.run("true")):
        with pytest.raises(LabGoneError):
            ask()
    assert program.wait() == -9
    program.kill()
    sock.close()
    lab.close()
    with Lab() as again:
        assert again.ubuntu1.link("eth0").up


def test_a_new_lab_after_an_agent_that_was_killed_in_silence(family):
    with Lab() as lab:
        pid, outer = lab.agent.pid, lab.agent._process.pid
    with family(outer) as members:
        os.kill(pid, signal.SIGKILL)
        assert members.all_end()
    with Lab() as again:
        assert again.agent.pid != pid


def test_killing_the_outer_process_ends_the_sandbox_as_well(family):
    lab = Lab()
    with family(lab.agent._process.pid) as members:
        lab.agent._process.kill()
        assert members.all_end()
    with pytest.raises(LabGoneError):
        lab.ubuntu1.links()
    lab.close()


BUSY = """
import sys
from natlab import Lab
with Lab() as lab:
    web = lab.ubuntu1.add_container("web")
    lab.ubuntu1.add_docker0().attach(web)
    lab.ubuntu1.publish(web, "80", "53/udp")
    program = web.start("myapp 8080")
    program.wait_for("listens")
    orphans = web.start("setsid sleep 1000 & setsid setsid sleep 1000 & echo started; wait")
    orphans.wait_for("started")
    print("ready", flush=True)
    while True:
        lab.ubuntu1.links()
        lab.ubuntu1.run("true")
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_however_its_owner_ends_everything_in_the_lab_ends(script, family, how):
    owner = script(BUSY)
    assert owner.stdout.readline() == "ready\n", owner.stderr.read()
    with family(owner.pid) as members:
        assert len(members.pids) >= 8
        owner.send_signal(how)
        assert members.all_end()
    _, errors = owner.communicate()
    assert owner.returncode == -how
    if how == signal.SIGINT:
        assert errors.rstrip().endswith("KeyboardInterrupt")
        assert "ResourceWarning" not in errors


def test_ctrl_c_in_every_phase_leaves_nothing(script, family):
    text = (
        "from natlab import Lab\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    with Lab() as lab:\n"
        "        web = lab.ubuntu1.add_container('web')\n"
        "        lab.ubuntu1.add_docker0().attach(web)\n"
        "        lab.ubuntu1.publish(web, '80')\n"
    )
    for number in range(8):
        owner = script(text)
        assert owner.stdout.readline() == "ready\n", owner.stderr.read()
        threading.Event().wait(0.2 + 0.013 * number)  # another phase each time
        with family(owner.pid) as members:
            owner.send_signal(signal.SIGINT)
            assert members.all_end()
        _, errors = owner.communicate()
        assert owner.returncode == -signal.SIGINT
        assert errors.rstrip().endswith("KeyboardInterrupt"), errors


HALF_UP = """
import signal
import sys
from natlab.engine import keep
from natlab.kernel.agent import Agent

def pause(*_):
    print("half", flush=True)
    signal.pause()

setattr(keep if sys.argv[1] == "write_record" else Agent, sys.argv[1], pause)
keep.up("half")
"""


@pytest.mark.parametrize("before", ["write_record", "leave"])
def test_up_that_is_killed_half_way_leaves_no_keeper(script, family, monkeypatch, tmp_path, before):
    monkeypatch.setenv("NATLAB_RUNTIME_DIR", str(tmp_path / "journal"))
    starting = script(HALF_UP, before)
    assert starting.stdout.readline() == "half\n", starting.stderr.read()
    with family(starting.pid) as members:
        assert members.pids
        starting.kill()
        assert members.all_end()
    assert not any(record.alive for record in keep.records())
    assert keep.up("half")
    assert keep.keeper("half")
    assert keep.down("half")
    assert not keep.journal().exists()
