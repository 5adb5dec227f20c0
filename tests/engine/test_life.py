"""A lab's life in its caller: nothing of the caller changes, and nothing is left when it ends."""

from __future__ import annotations

import asyncio
import os
import resource
import select
import signal
import socket
import threading
from pathlib import Path

import pytest

from natlab import Lab, UsageError, tcp
from natlab.engine import lab as engine_lab


def caller():
    """What of a process a library could spoil."""
    kinds = ("net", "mnt", "user", "pid", "pid_for_children", "uts", "ipc", "cgroup")
    return {
        "ids": (os.getresuid(), os.getresgid(), os.getgroups()),
        "namespaces": {kind: Path(f"/proc/thread-self/ns/{kind}").readlink() for kind in kinds},
        "threads": threading.active_count(),
        "tasks": len(list(Path("/proc/self/task").iterdir())),
        "cwd": Path.cwd(),
        "mounts": Path("/proc/self/mounts").read_text(),
        "umask": Path("/proc/self/status").read_text().split("Umask:")[1].split()[0],
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGCHLD)],
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "files": resource.getrlimit(resource.RLIMIT_NOFILE),
        "environment": dict(os.environ),
    }


def full(lab):
    docker0 = lab.ubuntu1.add_docker0()
    web = lab.ubuntu1.add_container("web")
    docker0.attach(web)
    lab.ubuntu1.publish(web, "80", "53/udp")
    return web


def test_the_calling_process_is_untouched():
    before = caller()
    with Lab() as lab:
        web = full(lab)
        assert tcp(lab.outside, "192.168.33.11", 49153, server=web, server_port=80).arrived
        assert caller() == before
    assert caller() == before


def test_a_lab_inside_a_running_event_loop_and_its_sockets_in_asyncio():
    async def exchange():
        with Lab() as lab:
            web = full(lab)
            listener = web.listen(8080)
            server = await asyncio.start_server(answer, sock=listener)
            client = lab.ubuntu1.socket()
            client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(client, (str(web.ip), 8080))
            reader, writer = await asyncio.open_connection(sock=client)
            said = await reader.read()
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()
            return said

    async def answer(_, writer):
        writer.write(writer.get_extra_info("peername")[0].encode())
        await writer.drain()
        writer.close()

    assert asyncio.run(exchange()) == b"172.17.0.1"


def test_labs_in_threads_side_by_side():
    seen, lock = [], threading.Lock()

    def work():
        with Lab() as lab:
            web = full(lab)
            with web.listen(8080) as listener:
                sock = lab.ubuntu1.connect(str(web.ip), 8080)
                peer, address = listener.accept()
                peer.close()
                sock.close()
            with lock:
                seen.append(address[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == ["172.17.0.1"] * 4


def test_one_lab_from_many_threads(lab):
    full(lab)
    names = []

    def work(number):
        lab.ubuntu1.add_container(f"c{number}")
        names.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names) == list(range(16))
    assert len(lab.ubuntu1.container_names()) == 17


def in_a_forked_child(function):
    """Run a function in a child made with fork(2); returns what it returned, as text."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, str(function()).encode())
        except BaseException as error:  # noqa: BLE001 - told to the parent
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        told = answer.read().decode()
    os.waitpid(child, 0)
    return told


def test_a_forked_child_has_no_part_in_the_parents_lab_and_makes_its_own(lab):
    def use():
        lab.ubuntu1.links()

    def make():
        with Lab() as own:
            return full(own).ip

    assert in_a_forked_child(use).startswith("LabGoneError: this lab was closed (or belongs to")
    assert in_a_forked_child(make) == "172.17.0.2"
    assert lab.ubuntu1.link("eth0").up, "the parent's lab goes on"


def test_a_child_forked_in_the_middle_of_a_call_is_not_stuck(lab):
    lock = lab.agent._lock
    held, release = threading.Event(), threading.Event()

    def hold():
        with lock:
            held.set()
            release.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait()
    try:
        assert in_a_forked_child(lab.ubuntu1.links).startswith("LabGoneError")
    finally:
        release.set()
        holder.join()


@pytest.mark.parametrize("fork", ["os.fork()", "ctypes.PyDLL(None).fork()"])
def test_a_child_that_lives_on_does_not_keep_the_agent(script, descendants, fork):
    parent = script(
        "import ctypes, os, sys\n"
        "from natlab import Lab\n"
        "lab = Lab()\n"
        f"child = {fork}\n"  # the second one passes by whatever Python does at a fork
        "if child == 0:\n"
        "    os.close(1), os.close(2)\n"
        "    sys.stdin.read()\n"
        "    os._exit(0)\n"
        "print(child, flush=True)\n"
        "sys.stdin.read()\n",
    )
    child = int(parent.stdout.readline())
    agents = [pid for pid in descendants(parent.pid) if pid != child]
    assert len(agents) == 2
    parent.kill()
    parent.wait()
    for pid in agents:
        assert ended(pid), f"{pid} lives on"
    os.kill(child, 0)  # the child does live on: it waits for the end of its input


def ended(pid):
    """Wait for the end of a process that is not our child."""
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    try:
        return bool(poll.poll(10_000))
    finally:
        os.close(pidfd)


def test_a_lab_that_cannot_be_built_leaves_nothing(lab, monkeypatch, descriptors):
    before = descriptors(), places(lab)
    monkeypatch.setattr(engine_lab, "launchers", lambda: {"x/../../y/z": "not a file's name"})
    with pytest.raises(OSError, match="No such file"):
        Lab()
    monkeypatch.undo()
    with pytest.raises(UsageError):
        Lab({"a": "nonsense"})
    assert (descriptors(), places(lab)) == before


def places(lab):
    """How many descriptors the agent holds: each place has some."""
    return len(lab.agent.call(None, os.listdir, "/proc/self/fd"))


LIBC_KEEPS = 0b11 << 31
"""Signals 32 and 33, which glibc keeps for its threads and lets no program set (signal(7))."""


def test_a_clients_ignored_signals_and_umask_do_not_reach_the_lab(script):
    owner = script(
        "import os, signal\n"
        "from natlab import Lab\n"
        "for number in (signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):\n"
        "    signal.signal(number, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1})\n"
        "os.umask(0o077)\n"
        "with Lab() as lab:\n"
        "    done = lab.ubuntu1.run('grep -E \"Sig(Ign|Blk)|Umask\" /proc/self/status')\n"
        "    print(done.returncode, done.stdout)\n",
    )
    said, errors = owner.communicate(timeout=30)
    assert errors == ""
    *rest, ignored = said.split()
    assert rest == ["0", "Umask:", "0022", "SigBlk:", "0" * 16, "SigIgn:"]
    assert int(ignored, 16) & ~LIBC_KEEPS == 0


def test_descriptors_beyond_1024_are_no_trouble(lab):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 2048:
        pytest.skip("this user may not open 2048 files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (2048, hard))
    many = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        web = full(lab)
        assert tcp(lab.outside, "192.168.33.11", 49153, server=web, server_port=80).arrived
        with web.start("myapp 8080") as program:
            program.wait_for("listens")
        assert lab.ubuntu1.run("echo fine").stdout == "fine\n"
    finally:
        for fd in many:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_two_hundred_containers_on_one_host(lab):
    docker0 = lab.ubuntu1.add_docker0()
    for number in range(200):
        docker0.attach(lab.ubuntu1.add_container(f"c{number}"))
    last = lab.ubuntu1.container("c199")
    assert str(last.ip) == "172.17.0.201"
    assert tcp(last, "172.17.0.2", 80, server=lab.ubuntu1.container("c0")).outcome == "answered"


def test_a_nodes_socket_is_not_inherited_by_programs(lab):
    with lab.ubuntu1.socket(kind=socket.SOCK_DGRAM) as sock:
        sock.bind(("192.168.33.11", 0))
        assert not os.get_inheritable(sock.fileno())


def test_a_lab_has_no_ipv6_on_any_host(lab):
    lab.ubuntu1.add_docker0()
    for host in lab.hosts.values():
        assert host.run("ip -6 addr").stdout == ""


def test_a_containers_interfaces_have_no_ipv6_as_in_docker(lab):
    web = lab.ubuntu1.add_docker0().add_container("web")
    assert web.run("cat /proc/sys/net/ipv6/conf/*/disable_ipv6").stdout.split() == ["1"] * 4
    assert web.run("ip -6 addr").stdout == ""
    web.set_sysctl("net.ipv6.conf.lo.disable_ipv6", 0)
    assert "::1/128" in web.run("ip -6 addr").stdout
