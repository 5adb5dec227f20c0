"""Containers' programs: how they start, what they are, how they end, and what is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from natlab.errors import ExecError, NatlabError
from natlab.kernel import confine, links, machine_made, namespaces, processes, terminals
from natlab.kernel.agent import Agent, Namespace
from natlab.kernel.waiting import readable
from natlab.kernel.wire import Fd
from natlab.model.refusal import Refusal


def test_the_first_process_is_number_one_and_sees_only_its_own(box):
    assert box.sh("echo $$; echo /proc/[0-9]*").out == "1\n/proc/1\n"


def test_it_has_a_host_name_of_its_own(box):
    assert box.sh("hostname; domainname", hostname="web", domainname="lan").out == "web\nlan\n"
    assert box.sh("hostname").out == "lab\n", "the host's, if none is asked for"
    assert box.host.call(os.uname).nodename == "lab"


def test_it_is_in_the_network_that_it_was_given(box):
    box.net.call(links.add_bridge, "br7", [])
    assert "br7" in box.sh("ls /sys/class/net").out
    inside = box.sh("readlink /proc/self/ns/net", network=None).out.strip()
    assert inside == str(box.host.call(Path.readlink, Path("/proc/self/ns/net")))


def test_it_has_namespaces_of_its_own_but_for_the_network(box):
    kinds = ("mnt", "uts", "ipc", "pid", "net")
    inside = box.sh("for k in mnt uts ipc pid net; do readlink /proc/self/ns/$k; done").out.split()
    outside = [str(box.net.call(Path.readlink, Path(f"/proc/self/ns/{kind}"))) for kind in kinds]
    assert [one == other for one, other in zip(inside, outside, strict=True)] == [False] * 4 + [
        True
    ]


def test_its_exit_code_is_given_out(box):
    assert box.sh("exit 7").code == 7
    live = box.start("sleep", "1000")
    live.signal(signal.SIGKILL)
    assert live.wait().code == -signal.SIGKILL


def test_it_reads_and_writes_its_three_descriptors_and_has_no_others(box):
    live = box.start("sh", "-c", "read word; echo out $word; echo err >&2; ls /proc/$$/fd")
    live.say("hello\n")
    ran = live.wait()
    assert ran.out.split() == ["out", "hello", "0", "1", "2"]
    assert ran.err == "err\n"


def test_it_begins_with_no_signal_ignored_or_blocked_and_the_usual_umask(box):
    status = dict(
        line.split(":\t") for line in box.run("cat", "/proc/self/status").out.splitlines()
    )
    # Signals 32 and 33 are glibc's own; its posix_spawn, which make uses, leaves them ignored.
    masks = {
        key: int(status[key], 16) & ~(0b11 << 31)
        for key in ("SigBlk", "SigIgn", "SigCgt", "SigPnd")
    }
    assert masks == dict.fromkeys(masks, 0)
    assert status["Umask"] == "0022"
    assert status["NSsid"] == status["NSpid"] == "1", "it leads a session of its own"


def test_the_environment_is_the_one_given_and_home(box):
    ran = box.run("env", env={"X": "y"}, tree=box.tree(box.image))
    assert "HOME=/root" in ran.out.splitlines()
    assert "X=y" in ran.out
    assert len(ran.out.splitlines()) == 3
    assert "HOME=/srv" in box.run("env", env={"HOME": "/srv"}).out


def test_the_working_directory_is_made_if_missing(box):
    assert box.run("pwd", cwd="/srv/a/b", tree=box.tree(box.image)).out == "/srv/a/b\n"
    with pytest.raises(ExecError) as refused:
        box.run("pwd", cwd="/etc/motd/x", tree=box.tree(box.image))
    assert str(refused.value) == "Cannot mkdir: /etc/motd/x is not a directory"


@pytest.mark.parametrize(
    ("argv", "message", "code"),
    [
        ("foo", 'exec: "foo": executable file not found in $PATH', 127),
        ("", 'exec: "": executable file not found in $PATH', 127),
        ("/foo", 'exec: "/foo": stat /foo: no such file or directory', 127),
        ("/etc/motd/foo", 'exec: "/etc/motd/foo": stat /etc/motd/foo: not a directory', 127),
        ("/etc/motd", 'exec: "/etc/motd": permission denied', 126),
        ("/etc", 'exec: "/etc": is a directory', 126),
        ("/broken", "exec /broken: exec format error", 126),
        ("/orphan", "exec /orphan: no such file or directory", 127),
    ],
)
def test_a_program_that_cannot_be_run_is_said_in_dockers_words(box, tmp_path, argv, message, code):
    for name, text in (("broken", "nonsense"), ("orphan", "#!/no/such/interpreter\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    with pytest.raises(ExecError) as refused:
        box.run(argv, tree=box.tree(str(tmp_path), box.image))
    assert (refused.value.message, refused.value.code) == (message, code)
    assert box.children() == []


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ("foo", "unable to find user foo: no matching entries in passwd file"),
        ("root:foo", "unable to find group foo: no matching entries in group file"),
        ("4294967295", "uids and gids must be in range 0-2147483647"),
    ],
)
def test_a_user_that_is_not_there_is_said_in_dockers_words(box, user, message):
    with pytest.raises(ExecError) as refused:
        box.run("true", user=user, tree=box.tree(box.image))
    assert str(refused.value) == message


def test_it_runs_as_the_user_asked_for_where_there_are_others(box, as_root):
    if not as_root:
        with pytest.raises(ExecError, match=r"unable to run as user 33: .* natlab as root"):
            box.run("id", user="www", tree=box.tree(box.image))
        assert box.run("id", "-u", user="root", tree=box.tree(box.image)).out == "0\n"
        return
    tree = box.tree(box.image)
    ran = box.sh("id -u; id -g; id -G; echo $HOME; echo > /dev/stdout", user="www", tree=tree)
    assert ran.out == "33\n33\n33 44\n/srv/www\n\n"
    assert box.sh("id -u; id -g; id -G; pwd", user="7:8", tree=tree).out == "7\n8\n8\n/\n"
    refused = box.sh("echo > /etc/motd", user="www", tree=tree)
    assert "Permission denied" in refused.err


def test_it_has_the_limits_that_were_asked_for_and_so_has_what_enters(box):
    limits = {"nofile": (100, 200), "core": (0, 0)}
    assert box.sh("ulimit -Sn; ulimit -Hn; ulimit -c", limits=limits).out == "100\n200\n0\n"
    assert box.sh("ulimit -n").out != "100\n", "those of others are left alone"


@pytest.mark.parametrize("limits", [{"nofile": (2, 1)}, {"nofile": (1 << 40, 1 << 40)}])
def test_a_limit_that_cannot_be_had_is_said_in_one_line(box, limits):
    with pytest.raises(ExecError, match=r"^error setting rlimit nofile to \d+:\d+: .* only root"):
        box.run("true", limits=limits)
    assert box.children() == []


def _bounding(box, **options):
    status = box.run("cat", "/proc/self/status", **options).out
    values = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
    assert values["CapPrm"] == values["CapEff"] == values["CapBnd"]
    return int(values["CapBnd"], 16)


def test_it_has_dockers_capabilities_unless_told_otherwise(box):
    usual = 0x00000000A80425FB  # what every Docker container has
    assert _bounding(box) == usual
    assert _bounding(box, capabilities=(("NET_ADMIN",), ("cap_chown",))) == usual & ~1 | 1 << 12
    assert _bounding(box, capabilities=((), ("ALL",))) == 0
    assert _bounding(box, privileged=True) == _bounding(box, capabilities=(("ALL",), ()))
    with pytest.raises(Refusal, match='invalid CapAdd: unknown capability: "CAP_FLY"'):
        box.run("true", capabilities=(("FLY",), ()))


def test_what_must_not_be_seen_of_proc_is_hidden_but_not_from_the_privileged(box):
    write = "echo 1 > /proc/sys/net/ipv4/ip_forward"
    hidden = box.sh(f"cat /proc/keys; ls -A /sys/firmware; {write}")
    assert hidden.out == ""
    assert "Read-only file system" in hidden.err
    assert box.sh(f"cat /proc/keys; {write}", privileged=True).code == 0


def test_settings_are_written_before_it_starts(box):
    sysctls = {"net.ipv4.ip_forward": "1"}
    assert box.run("cat", "/proc/sys/net/ipv4/ip_forward", sysctls=sysctls).out == "1\n"
    with pytest.raises(ExecError) as refused:
        box.run("true", sysctls={"net.ipv4.nonsense": "1"})
    assert str(refused.value) == "open sys/net/ipv4/nonsense: no such file or directory"


def test_a_terminal_is_the_containers_own(box):
    live = box.start("sh", "-c", "tty; read x; stty size; echo $x!", tty=True)
    assert live.hear("\n") == "/dev/pts/0\r\n"
    terminals.resize(live.terminal.number, 30, 100)
    live.say("done\n")
    ran = live.wait()
    assert ran.code == 0
    assert ran.out.split() == ["done", "30", "100", "done!"]


def test_a_terminal_has_the_size_asked_for_and_is_the_console(box):
    ran = box.sh(
        "stty size; stat -c %F /dev/console; echo c > /dev/console", tty=True, window=(24, 80)
    )
    assert ran.out.split() == ["24", "80", "character", "special", "file", "c"]


def test_ctrl_c_at_the_terminal_reaches_the_program(box):
    live = box.start(
        "sh", "-c", "trap 'exit 3' INT; echo ready; while :; do sleep 0.1; done", tty=True
    )
    live.hear("ready")
    live.say("\x03")
    assert live.wait().code == 3


def test_a_second_program_joins_all_of_the_container(box):
    first = box.start("sh", "-c", "echo up; read x", hostname="web", tree=box.tree(box.image))
    first.hear("up")
    script = "cat /proc/sys/kernel/hostname; cat /proc/1/comm; ls -d /proc/[0-9]*; pwd; echo $HOME"
    ran = box.enter(first, "sh", "-c", script, cwd="/etc").wait()
    assert ran.out.split()[:3] == ["web", "sh", "/proc/1"]
    assert ran.out.split()[-2:] == ["/etc", "/root"]
    inside = box.enter(
        first,
        "sh",
        "-c",
        "for k in mnt uts ipc pid net; do ls -l /proc/self/ns/$k /proc/1/ns/$k; done",
    ).wait()
    targets = [line.rpartition("> ")[2] for line in inside.out.splitlines()]
    assert targets[::2] == targets[1::2]
    assert len(targets) == 10


def test_a_second_program_has_the_same_limits_and_its_own_terminal(box):
    first = box.start("sh", "-c", "echo up; read x")
    first.hear("up")
    status = box.enter(first, "cat", "/proc/self/status").wait().out
    assert "CapBnd:\t00000000a80425fb" in status
    ran = box.enter(first, "sh", "-c", "tty; stty size", tty=True, window=(5, 6)).wait()
    assert ran.out.split() == ["/dev/pts/0", "5", "6"]
    assert box.enter(first, "sh", "-c", "ls /proc/$$/fd; exit 4").wait().out.split() == [
        "0",
        "1",
        "2",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"argv": "foo"}, 'exec: "foo": executable file not found in $PATH'),
        (
            {"argv": "true", "cwd": "/nowhere"},
            'chdir to cwd ("/nowhere") set in config.json failed: no such file or directory',
        ),
        (
            {"argv": "true", "user": "foo"},
            "unable to find user foo: no matching entries in passwd file",
        ),
    ],
)
def test_a_second_program_that_cannot_be_run_harms_nobody(box, options, message):
    first = box.start("sh", "-c", "echo up; read x")
    first.hear("up")
    with pytest.raises(ExecError) as refused:
        box.enter(first, options.pop("argv"), **options)
    assert refused.value.message == message
    assert len(box.children()) == 1
    first.say("\n")
    assert first.wait().code == 0


def test_a_container_that_has_ended_cannot_be_entered(box):
    live = box.start("sh", "-c", "echo up")
    readable([live.pidfd.number])
    with pytest.raises(NatlabError, match=r"start it again|no process can be started there"):
        box.enter(live, "true")
    live.wait()
    with pytest.raises(NatlabError, match="the container has ended: start it again"):
        box.enter(live, "true")


def test_with_the_first_process_all_others_end(box):
    waiting = "until grep -q sleep /proc/$!/comm; do :; done"  # it is a shell for a moment
    first = box.start("sh", "-c", f"sleep 1000 & {waiting}; echo up; read x")
    first.hear("up")
    second = box.enter(first, "sleep", "1000")
    first.say("\n")
    assert first.wait().code == 0
    assert second.wait().code == -signal.SIGKILL
    assert box.children() == []


def test_all_processes_are_listed_and_signalled(box):
    waiting = "until grep -q sleep /proc/$!/comm; do :; done"  # it is a shell for a moment
    first = box.start("sh", "-c", f"sleep 1000 & {waiting}; echo up; read x")
    first.hear("up")
    second = box.enter(first, "sleep", "1001")
    listed = box.agent.call(None, confine.processes_of, first.pid)
    commands = [process.command for process in listed]
    assert commands[0].startswith("sh -c")
    assert sorted(commands[1:]) == ["sleep 1000", "sleep 1001"]
    assert listed[0].pid == first.pid
    assert {process.uid for process in listed} == {0}
    assert {process.terminal for process in listed} == {"?"}
    assert len({process.parent for process in listed}) == 2
    box.agent.call(None, confine.signal_all, first.pid, signal.SIGKILL)
    assert first.wait().code == second.wait().code == -signal.SIGKILL
    assert box.agent.call(None, confine.processes_of, first.pid) == []


def test_a_frozen_container_stands_still_until_it_is_thawed(box):
    first = box.start("sh", "-c", "sleep 1000 & echo up; while read x; do echo $x; done")
    first.hear("up")
    box.agent.call(None, confine.freeze, first.pid)
    listed = box.agent.call(None, confine.processes_of, first.pid)
    assert {process.state for process in listed} == {"T"}
    first.say("word\n")
    assert readable([first.out], 0.0) == set()
    box.agent.call(None, confine.thaw, first.pid)
    assert first.hear("word") == "word\n"


def test_an_init_reaps_passes_signals_on_and_gives_the_programs_code(box):
    script = (
        "trap 'exit 5' TERM; (sleep 0 & ) ; cat /proc/1/comm; echo $$; while :; do sleep 0.1; done"
    )
    live = box.start("sh", "-c", script, init=True)
    assert live.hear("\n2\n").split()[0] == "docker-init"
    live.signal(signal.SIGTERM)
    assert live.wait().code == 5
    assert box.sh("kill -9 $$", init=True).code == 128 + signal.SIGKILL
    assert box.sh("tty; stty size", init=True, tty=True, window=(3, 4)).out.split()[1:] == [
        "3",
        "4",
    ]
    with pytest.raises(ExecError, match="not found in"):
        box.run("foo", init=True)


def test_many_starts_leave_no_descriptor_process_or_mount(box):
    box.run("true")
    descriptors, mounts = (
        box.agent_descriptors(),
        box.host.call(Path.read_text, Path("/proc/mounts")),
    )
    for _ in range(20):
        box.run("true")
    with pytest.raises(ExecError):
        box.run("foo", tty=True)
    assert box.agent_descriptors() == descriptors
    assert box.host.call(Path.read_text, Path("/proc/mounts")) == mounts
    assert box.children() == []
    assert processes._exit_codes == {}
    assert box.agent.call(None, processes.running_in, box.host.number, "uts") == []


def test_the_agent_itself_stays_where_it_was(box):
    before = box.agent.call(None, os.listdir, "/proc/self/ns"), _spaces(box)
    box.run("true")
    box.sh("exit 1")
    assert (box.agent.call(None, os.listdir, "/proc/self/ns"), _spaces(box)) == before


def _spaces(box):
    kinds = ("pid", "pid_for_children", "mnt", "uts", "ipc", "net")
    return [box.host.call(os.readlink, f"/proc/self/ns/{kind}") for kind in kinds]


def test_an_agent_that_is_killed_takes_its_containers_with_it(box, family):
    first = box.start("sh", "-c", "sleep 1000 & echo up; read x")
    first.hear("up")
    box.enter(first, "sleep", "1000")
    with family(box.agent.pid) as members:
        assert len(members.pids) == 3
        os.kill(box.agent.pid, signal.SIGKILL)
        assert members.all_end()


class _Joined:
    """A lab that a keeper holds, and agents that joined it, each with one container."""

    def __init__(self, image):
        self.keeper, self.image = Agent.keep(), str(image)
        number = self.keeper.call(None, machine_made.create_machine, "lab", {}, "")
        self.keeper.call(None, namespaces.pin, number, "/run/natlab/hosts/lab")
        self.pidfds = []

    def agent(self, name, *argv, tree=None):
        agent = Agent.join(self.keeper.pid)
        place = Namespace(agent, agent.call(None, namespaces.open_pinned, "/run/natlab/hosts/lab"))
        tree = confine.Tree(tree or (self.image,), f"/run/{name}/up", f"/run/{name}/work")
        spec = confine.Confinement(argv, tree, {"PATH": "/usr/bin:/bin"})
        null = os.open(os.devnull, os.O_RDWR)
        self.pidfds.append(place.call(confine.start, spec, [Fd(null)] * 3).pidfd)
        os.close(null)
        return agent

    def end(self):
        os.kill(self.keeper.pid, signal.SIGTERM)
        self.keeper.close()
        for pidfd in self.pidfds:
            pidfd.close()


@pytest.fixture
def joined(image):
    joined = _Joined(image)
    yield joined
    joined.end()


def test_an_agent_that_only_joined_takes_its_own_containers_and_no_others(
    joined, family, descendants
):
    one = joined.agent("one", "sleep", "1000")
    other = joined.agent("other", "sleep", "1000")
    with family(one._process.pid) as ours, family(other._process.pid) as theirs:
        assert len(ours.pids) == len(theirs.pids) == 3, "agent, container, guard"
        os.kill(descendants(one._process.pid)[0], signal.SIGKILL)  # its pid as it is out here
        assert ours.all_end()
        assert readable([joined.pidfds[1].number], 0.0) == set()
        one.close()
        other.close()
        assert theirs.all_end()


def test_a_container_that_became_another_user_ends_with_its_agent_too(
    joined, family, descendants, as_root
):
    if not as_root:
        pytest.skip("an ordinary user's lab has one user only")
    script = "exec setpriv --reuid 33 --regid 33 --clear-groups sleep 1000"
    agent = joined.agent("one", "sh", "-c", script, tree=("/",))
    with family(agent._process.pid) as members:
        pid = members.pids[1]
        while Path(f"/proc/{pid}/comm").read_text() != "sleep\n":
            os.sched_yield()
        os.kill(descendants(agent._process.pid)[0], signal.SIGKILL)
        assert members.all_end()
    agent.close()
