"""The agent: one door to a sandbox, honest about errors, and gone with its client."""

from __future__ import annotations

import errno
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from natlab.errors import LabGoneError, NatlabError
from natlab.kernel import firewall, link_facts, links, namespaces, processes, sockets
from natlab.kernel.agent import Agent, Namespace
from natlab.kernel.wire import Fd


@pytest.fixture
def agent():
    agent = Agent.start()
    yield agent
    agent.close()


@pytest.fixture
def place(agent):
    return Namespace(agent, agent.call(None, namespaces.create_net))


def test_it_stands_in_namespaces_of_its_own(agent):
    for kind in ("net", "mnt", "pid", "uts", "ipc"):
        theirs = agent.call(None, Path.readlink, Path(f"/proc/self/ns/{kind}"))
        assert theirs != Path(f"/proc/self/ns/{kind}").readlink()
    assert agent.call(None, os.getpid) == 1


def test_its_pid_is_the_one_that_this_process_sees(agent):
    status = Path(f"/proc/{agent.pid}/status").read_text()
    assert status.split("NSpid:")[1].split()[:2] == [str(agent.pid), "1"]


def test_an_error_of_the_kernel_is_the_same_error_here(place):
    with pytest.raises(OSError, match="no interface nothing") as refused:
        place.call(links.index, "nothing")
    assert refused.value.errno == errno.ENODEV
    assert "links.py" in "".join(refused.value.__notes__), "and where it happened over there"


def test_an_error_of_netlink_is_an_os_error_too(place):
    place.call(links.add_bridge, "br0", [])
    with pytest.raises(FileExistsError):
        place.call(links.add_bridge, "br0", [])


def test_an_error_of_ours_keeps_its_kind_and_text(place):
    with pytest.raises(NatlabError, match="none was applied"):
        place.call(firewall.run, [{"add": {"table": {"family": "nonsense", "name": "x"}}}])


def test_it_goes_on_after_an_error(place):
    for _ in range(3):
        with pytest.raises(OSError, match="no interface"):
            place.call(links.index, "nothing")
    assert [link.name for link in place.call(link_facts.links)] == ["lo"]


def test_a_place_that_was_closed_says_so_and_closing_again_does_nothing(place):
    place.close()
    place.close()
    with pytest.raises(LabGoneError, match="or its lab closed"):
        place.call(link_facts.links)


def test_a_closed_agent_says_so_and_closing_again_does_nothing(agent):
    assert agent.alive
    agent.close()
    agent.close()
    assert not agent.usable
    assert not agent.alive
    with pytest.raises(LabGoneError, match="make a new one"):
        agent.call(None, os.getpid)


def test_a_thread_that_waits_for_an_answer_is_told_when_the_agent_is_killed(agent):
    asked, outcome = threading.Event(), []

    def ask():
        asked.set()
        try:
            agent.call(None, signal.sigwait, {signal.SIGUSR1})  # never answered
        except LabGoneError as error:
            outcome.append(str(error))

    thread = threading.Thread(target=ask)
    thread.start()
    asked.wait()
    os.kill(agent.pid, signal.SIGKILL)
    thread.join()
    assert outcome == ["the lab's process was killed, and the lab with it: make a new one"]


def test_calls_of_many_threads_do_not_mix(place):
    answers = {}

    def ask(number):
        answers[number] = [place.agent.call(None, abs, -number) for _ in range(50)]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {number: [number] * 50 for number in range(8)}


def test_ctrl_c_waits_for_the_answer_and_the_agent_stays_good(agent):
    main = threading.get_ident()
    interrupter = threading.Thread(target=signal.pthread_kill, args=(main, signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the interrupt comes when it comes
        interrupter.start()
        while True:
            agent.call(None, os.getpid)
    interrupter.join()
    assert agent.call(None, os.getpid) == 1


def test_an_answer_that_was_missed_is_never_taken_for_the_next_ones(agent, monkeypatch):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("natlab.kernel.wire.receive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        agent.call(None, os.getpid)
    monkeypatch.undo()
    with pytest.raises(LabGoneError):
        agent.call(None, os.getppid)


def test_a_socket_made_in_a_place_stays_there(place):
    place.call(links.configure, "lo", ["10.9.9.9/32"])
    sock = socket.socket(fileno=place.call(sockets.open_socket, 2, 1).detach())
    with sock:
        sock.bind(("10.9.9.9", 80))
        sock.listen()
        assert place.call(firewall.command, "list ruleset") == ""
    with pytest.raises(OSError, match=r"[Aa]ddress|assign"):
        socket.create_server(("10.9.9.9", 0))


def test_a_sandbox_that_cannot_be_made_says_what_to_do(script):
    owner = script(
        "import os, resource\n"
        "from natlab import Lab, UnsupportedError\n"
        "from natlab.kernel import sandbox\n"
        "try:\n"
        "    raise UnsupportedError(f'{sandbox.refusal(OSError(28, str()))}: {sandbox.remedy()}')\n"
        "except UnsupportedError as error:\n"
        "    print(error)\n",
    )
    said, errors = owner.communicate()
    assert errors == ""
    assert said.startswith("this machine allows no more namespaces")
    assert "run natlab as root" in said


def test_a_keeper_outlives_its_maker_holds_what_was_made_and_ends_with_sigterm(family):
    maker = Agent.keep()
    number = maker.call(None, namespaces.create_net)
    maker.call(None, namespaces.pin, number, "/run/natlab/hosts/one")
    keeper, outer = maker.pid, maker._process.pid
    with family(outer) as members:
        maker.leave()
        visitor = Agent.join(keeper)
        opened = visitor.call(None, namespaces.open_pinned, "/run/natlab/hosts/one")
        assert [link.name for link in Namespace(visitor, opened).call(link_facts.links)] == ["lo"]
        visitor.close()
        os.kill(keeper, signal.SIGTERM)
        assert members.all_end()
        os.waitpid(outer, 0)
    with pytest.raises(ProcessLookupError):
        Agent.join(keeper)


def test_a_keeper_ends_with_sigterm_while_it_still_serves(family):
    maker = Agent.keep()
    with family(maker._process.pid) as members:
        os.kill(maker.pid, signal.SIGTERM)
        assert members.all_end()
    maker.close()


def test_joined_agents_leave_the_programs_of_others_alone():
    keeper = Agent.keep()
    first, second = Agent.join(keeper.pid), Agent.join(keeper.pid)
    null = os.open(os.devnull, os.O_RDWR)
    pid, pidfd = first.call(
        None, processes.spawn, ["sleep", "1000"], {"PATH": os.environ["PATH"]}, "/", [Fd(null)] * 3
    )
    os.close(null)
    os.close(pidfd.detach())
    second.close()
    assert first.call(None, processes.exit_code, pid) is None
    first.call(None, processes.kill_group, pid)
    first.close()
    os.kill(keeper.pid, signal.SIGTERM)
    keeper.close()
