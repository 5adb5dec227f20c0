"""up, down, status, shell, exec: a lab that stands between two commands."""

from __future__ import annotations

import os
import pty
import select
import signal
import sys
import time
from pathlib import Path


def _gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except FileNotFoundError:
        return True


def test_up_makes_three_hosts_with_nothing_on_them(lab):
    status = lab("status").stdout
    assert "ubuntu1  192.168.33.11   nothing yet" in status
    for host in ("outside", "ubuntu1", "ubuntu2"):
        assert lab("exec", host, "--", "ip", "netns").stdout == ""
        assert lab("exec", host, "--", "nft", "list", "ruleset").stdout == ""
        assert lab("exec", host, "--", "cat", "/proc/sys/net/ipv4/ip_forward").stdout == "0\n"
        assert lab("exec", host, "--", "hostname").stdout == f"{host}\n"
        routes = lab("exec", host, "--", "ip", "route").stdout.splitlines()
        assert [route.split()[0] for route in routes] == ["192.168.33.0/24"]


def test_up_twice_says_so_and_changes_nothing(lab):
    lab("exec", "ubuntu1", "--", "ip", "netns", "add", "web")
    keeper = lab.keeper()
    assert "up already" in lab("up").stdout
    assert lab.keeper() == keeper
    assert lab("exec", "ubuntu1", "--", "ip", "netns").stdout == "web\n"


def test_down_leaves_no_process_and_no_record(natlab):
    natlab("up")
    keeper = natlab.keeper()
    natlab("exec", "ubuntu1", "--", "sh", "-c", "sleep 1000 >/dev/null 2>&1 &")
    natlab("down")
    assert _gone(keeper)
    assert natlab.name not in natlab("status", code=1).stdout
    assert "no lab" in natlab.error("down", code=1)
    assert not Path(natlab.env["NATLAB_RUNTIME_DIR"]).exists()


def test_two_labs_stand_side_by_side(lab):
    other = f"{lab.name}b"
    lab("up", "--name", other)
    try:
        lab("exec", "ubuntu1", "--", "ip", "netns", "add", "web")
        assert lab("exec", "--name", other, "ubuntu1", "--", "ip", "netns").stdout == ""
        assert f"{other}: up" in lab("status").stdout
    finally:
        lab("down", "--name", other)


def test_exec_passes_output_and_exit_code_on(lab):
    done = lab("exec", "ubuntu1", "--", "sh", "-c", "echo out; echo err >&2; exit 7", code=7)
    assert (done.stdout, done.stderr) == ("out\n", "err\n")
    assert lab("exec", "ubuntu1", "--", "sh", "-c", "kill -TERM $$", code=143).stdout == ""
    assert "not found" in lab("exec", "ubuntu1", "--", "no-such-program", code=127).stdout


def test_exec_enters_containers_whoever_made_them(lab):
    lab("exec", "ubuntu1", "--", "ip", "netns", "add", "web")
    links = lab("exec", "web", "--", "ip", "-br", "link").stdout.split()
    assert links[0] == "lo"
    assert "eth0" not in links
    lab("exec", "ubuntu2", "--", "ip", "netns", "add", "web")
    assert "ubuntu1/web, ubuntu2/web" in lab.error("exec", "web", "--", "true", code=2)
    lab("exec", "ubuntu2/web", "--", "true")
    assert lab("exec", "web", "--", "true", code=2).stdout == ""


def test_an_unknown_node_gets_the_nearest_names(lab):
    assert 'did you mean "ubuntu1"' in lab.error("exec", "ubunto1", "--", "true", code=2)
    assert "no container" in lab.error("exec", "ubuntu1/x", "--", "true", code=2)
    assert "no host" in lab.error("exec", "nowhere/x", "--", "true", code=2)


def test_the_real_tools_see_the_lab(lab):
    lab("do", "8")
    assert lab("exec", "ubuntu1", "--", "ip", "netns").stdout.split()[0] == "db"
    assert (
        "dnat to 172.17.0.2:8080" in lab("exec", "ubuntu1", "--", "nft", "list", "ruleset").stdout
    )
    lab("exec", "web", "--", "ping", "-c", "1", "-W", "2", "192.168.33.20")
    table = lab("exec", "ubuntu1", "--", "conntrack", "-L", "-p", "icmp").stdout
    assert "src=172.17.0.2 dst=192.168.33.20" in table
    capture = lab.popen("exec", "outside", "--", "tcpdump", "-ni", "eth0", "-c", "1", "icmp")
    assert capture.stderr is not None
    while "listening on eth0" not in capture.stderr.readline():
        assert capture.poll() is None
    lab("exec", "web", "--", "ping", "-c", "1", "-W", "2", "192.168.33.20")
    assert "192.168.33.11 > 192.168.33.20: ICMP echo request" in capture.communicate(timeout=20)[0]


def test_a_shell_is_interactive_and_names_its_node(lab):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "natlab", "shell", "ubuntu1"], lab.env)
    said = _read_until(terminal, b"ubuntu1:")
    assert b"root@ubuntu1:" in said
    os.write(terminal, b"ip netns add web; natlab exec web -- ip -br link | grep -o ^lo; exit 5\n")
    said = _read_until(terminal, b"exit\r\n")
    assert b"lo\r\nexit\r\n" in said
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 5


def _read_until(terminal: int, wanted: bytes, timeout: float = 20.0) -> bytes:
    said, deadline = b"", time.monotonic() + timeout
    while wanted not in said:
        assert select.select([terminal], [], [], deadline - time.monotonic())[0], said
        try:
            said += os.read(terminal, 4096)
        except OSError:
            break
    return said


def test_a_lab_whose_keeper_was_killed_is_named_and_can_be_started_again(natlab):
    natlab("up")
    keeper = natlab.keeper()
    pidfd = os.pidfd_open(keeper)
    os.kill(keeper, signal.SIGKILL)
    select.select([pidfd], [], [])
    os.close(pidfd)
    for words in (("exec", "ubuntu1", "--", "true"), ("check", "4"), ("map",)):
        said = natlab.error(*words, code=1)
        assert f"process {keeper}" in said
        assert "`natlab up`" in said
    assert "was killed" in natlab("status", code=1).stdout
    assert "is up:" in natlab("up").stdout
    natlab("down")


def test_down_after_the_keeper_was_killed_clears_the_record(natlab):
    natlab("up")
    keeper = natlab.keeper()
    pidfd = os.pidfd_open(keeper)
    os.kill(keeper, signal.SIGKILL)
    select.select([pidfd], [], [])
    os.close(pidfd)
    assert "had been killed" in natlab("down").stdout
    assert natlab.name not in natlab("status", code=1).stdout


def test_without_a_lab_every_command_says_how_to_start_one(natlab):
    for words in (
        ("exec", "ubuntu1", "--", "true"),
        ("shell", "ubuntu1"),
        ("check", "4"),
        ("hint", "4"),
        ("do", "4"),
        ("reset", "4"),
        ("map",),
        ("iptables", "-t", "nat", "-nvL"),
        ("journey", "outside", "ubuntu1:80"),
    ):
        assert "`natlab up`" in natlab.error(*words, code=1)


def test_a_bad_lab_name_is_refused(natlab):
    natlab.error("up", "--name", "../x", code=2)


def test_a_journal_that_others_can_write_to_is_refused(natlab):
    Path(natlab.env["NATLAB_RUNTIME_DIR"]).chmod(0o777)
    assert "not a directory of this user alone" in natlab.error("up", code=1)
    assert "not a directory of this user alone" in natlab.error(
        "exec", "ubuntu1", "--", "id", code=1
    )


def test_many_ups_and_downs_at_once_leave_one_answer(natlab):
    ups = [natlab.popen("up") for _ in range(4)]
    said = [process.communicate(timeout=60)[0] for process in ups]
    assert [process.returncode for process in ups] == [0, 0, 0, 0]
    assert sum("is up:" in text for text in said) == 1
    assert sum("up already" in text for text in said) == 3
    downs = [natlab.popen("down") for _ in range(3)]
    for process in downs:
        process.communicate(timeout=60)
    assert sorted(process.returncode for process in downs) == [0, 1, 1]
