"""The doctor, for real: as root and as an ordinary user, on machines made up in namespaces."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from natlab.engine.doctor import examine, worst

FEATURES = ("bridge", "veth", "nf_tables", "conntrack", "br_netfilter", "overlay")
SCRIPT = """
import dataclasses, json
from natlab.engine.doctor import examine
print(json.dumps([dataclasses.asdict(finding) for finding in examine()]))
"""
NOBODY = 65534
Findings = list[dict[str, str]]


def doctor(*wrapper: str, python: str = sys.executable, before: str = "", **env: str) -> Findings:
    """What the doctor finds, run by a process of its own inside the wrapper (`unshare -rn`)."""
    paths = os.pathsep.join([*env.pop("first", "").split(), *filter(None, sys.path)])
    command = f"{before}\nexec {shlex.quote(python)} -c {shlex.quote(SCRIPT)}"
    done = subprocess.run(
        [*wrapper, "sh", "-ec", command],
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **env},
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def about(findings: Findings, topic: str) -> list[tuple[str, str]]:
    return [(f["level"], f["says"]) for f in findings if f["topic"] == topic]


def levels(findings: Findings, *topics: str) -> set[str]:
    return {level for topic in topics for level, _ in about(findings, topic)}


# On this machine


def test_this_machine_runs_the_lab() -> None:
    findings = examine()
    assert worst(findings) != "problem", findings
    topics = [finding.topic for finding in findings]
    assert topics[:2] == ["kernel", "privilege"]
    assert {*FEATURES, "sandbox", "user namespaces", "subnets", "labs"} <= set(topics)


def test_it_leaves_no_descriptor_and_no_process_behind() -> None:
    examine()
    before = descriptors(), children()
    examine()
    assert (descriptors(), children()) == before


def descriptors() -> list[str]:
    return sorted(entry.name for entry in Path("/proc/self/fd").iterdir())


def children() -> str:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text()


def test_it_changes_nothing_on_the_machine() -> None:
    if os.geteuid():
        pytest.skip("an ordinary user cannot list the machine's rules, nor change anything")
    before = machine()
    examine()
    assert machine() == before


def machine() -> list[str]:
    commands = ("ip -o link", "ip route show table all", "nft -s list ruleset", "ip netns list")
    return [
        subprocess.run(c.split(), capture_output=True, text=True, check=True).stdout
        for c in commands
    ]


def readable_python() -> str:
    """An interpreter that any user may start, with natlab's libraries in reach."""
    for python in (sys.executable, "/usr/bin/python3"):
        # through a shell, because setpriv itself still has root's way into every directory:
        command = (
            f"exec {shlex.quote(python)} -c 'import sys; sys.exit(sys.version_info < (3, 11))'"
        )
        tried = [*as_nobody(), "sh", "-c", command]
        if subprocess.run(tried, capture_output=True, check=False, cwd="/").returncode == 0:
            return python
    pytest.skip("no Python 3.11 that an ordinary user may start: install python3")


def as_nobody() -> list[str]:
    if os.geteuid():
        return []
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]


def test_an_ordinary_user_needs_no_privilege() -> None:
    python = readable_python()
    with tempfile.TemporaryDirectory() as runtime:
        if os.geteuid() == 0:
            os.chown(runtime, NOBODY, NOBODY)
        findings = doctor(*as_nobody(), python=python, XDG_RUNTIME_DIR=runtime, HOME="/")
    assert levels(findings, *FEATURES, "sandbox", "user namespaces") == {"ok"}
    ((_, says),) = about(findings, "privilege")
    assert "ordinary user" in says


# On machines made up in namespaces


def made_up(before: str, **env: str) -> Findings:
    """A machine without other programs, its network empty but for what `before` puts into it."""
    private_run = "mount -t tmpfs none /run\n"
    own = ("-rnmp", "--fork", "--mount-proc")
    return doctor("unshare", *own, before=private_run + before, **env)


def test_an_empty_machine_has_nobody_in_the_way() -> None:
    findings = made_up("")
    assert levels(findings, "docker", "firewall", "subnets", "labs") == {"ok"}


def test_a_docker0_is_a_real_docker_in_the_way() -> None:
    ((level, says),) = about(made_up("ip link add docker0 type bridge"), "docker")
    assert level == "warning"
    assert "interface docker0" in says
    assert "does not disturb the sandbox" in says


def test_in_a_labs_own_shell_its_docker0_is_nobodys_way() -> None:
    findings = made_up("ip link add docker0 type bridge", NATLAB_INSIDE="1")
    assert levels(findings, "docker", "firewall", "subnets", "labs") == set()
    assert levels(findings, "machine") == {"ok"}


def test_a_route_in_a_policy_routing_table_is_a_collision() -> None:
    findings = made_up(
        "ip link add tun0 type bridge; ip link set tun0 up\n"
        "ip route add 172.16.0.0/12 dev tun0 table 1000"
    )
    ((level, says),) = about(findings, "subnets")
    assert level == "warning"
    assert "172.17.0.0/16 overlaps the machine's route 172.16.0.0/12 dev tun0 table 1000" in says


def test_chains_of_docker_and_firewalls_that_drop_are_found_in_the_rules() -> None:
    findings = made_up(
        "iptables -t nat -N DOCKER\n"
        "nft add table inet firewalld\n"
        "nft add chain inet firewalld filter_FORWARD"
        " '{ type filter hook forward priority 10; policy drop; }'"
    )
    ((_, docker),) = about(findings, "docker")
    ((level, firewall),) = about(findings, "firewall")
    assert "chain DOCKER in ip nat" in docker
    assert level == "warning"
    assert "filter_FORWARD of table inet firewalld (firewalld's)" in firewall


def test_a_process_called_dockerd_is_found_by_name(tmp_path: Path) -> None:
    daemon = tmp_path / "dockerd"
    shutil.copy(shutil.which("sleep") or "/bin/sleep", daemon)
    findings = doctor(
        *("unshare", "-rnmpf", "--kill-child", "--mount-proc"),
        before=f"mount -t tmpfs none /run; {shlex.quote(str(daemon))} 1000 >/dev/null 2>&1 &",
    )
    ((_, says),) = about(findings, "docker")
    assert "process dockerd" in says


def test_dockers_socket_is_found() -> None:
    make = "import socket; socket.socket(socket.AF_UNIX).bind('/run/docker.sock')"
    findings = made_up(f"{shlex.quote(sys.executable)} -c {shlex.quote(make)}")
    ((_, says),) = about(findings, "docker")
    assert "socket /run/docker.sock" in says


def test_a_lab_whose_keeper_is_gone_is_a_leftover() -> None:
    record = json.dumps({"name": "lost", "pid": 2**22 - 1, "began": 1})
    findings = made_up(
        f"mkdir -m 700 /run/natlab-labs; echo '{record}' > /run/natlab-labs/lost.json"
    )
    assert about(findings, "labs")[0][0] == "warning"
    assert "lab lost" in about(findings, "labs")[0][1]


def test_where_no_more_user_namespaces_are_allowed_it_says_what_to_do() -> None:
    """Root of a user namespace that forbids further ones, then without its capabilities."""
    findings = doctor(
        *("unshare", "-Ur", "sh", "-ec"),
        'echo 0 > /proc/sys/user/max_user_namespaces; exec setpriv --bounding-set=-all "$@"',
        "sh",
    )
    assert levels(findings, "sandbox", "user namespaces") == {"problem"}
    remedies = {f["remedy"] for f in findings if f["topic"] in ("sandbox", "user namespaces")}
    assert all("sudo sysctl -w user.max_user_namespaces=15000" in remedy for remedy in remedies)


# Without natlab's own libraries


def without(tmp_path: Path, *modules: str) -> Findings:
    for module in modules:
        (tmp_path / f"{module}.py").write_text("raise ImportError('not installed')\n")
    return doctor("unshare", "-rnm", first=str(tmp_path))


def test_without_pyroute2_it_says_how_to_install_it_and_goes_on(tmp_path: Path) -> None:
    findings = without(tmp_path, "pyroute2")
    assert levels(findings, "pyroute2") == {"problem"}
    assert levels(findings, "bridge", "veth", "conntrack", "subnets") == set()
    assert levels(findings, "sandbox", "nf_tables") == {"ok"}


def test_without_the_nftables_module_it_says_how_to_install_it(tmp_path: Path) -> None:
    findings = without(tmp_path, "nftables")
    (finding,) = (f for f in findings if f["topic"] == "libnftables")
    assert finding["level"] == "problem"
    assert "pip install oxl-libnftables" in finding["remedy"]
    assert levels(findings, "nf_tables") == set()
    assert levels(findings, "bridge") == {"ok"}


def test_without_the_library_it_says_which_package_has_it(tmp_path: Path) -> None:
    broken = "class Nftables:\n    def __init__(self):\n        raise OSError('libnftables.so.1')\n"
    (tmp_path / "nftables.py").write_text(broken)
    findings = doctor("unshare", "-rnm", first=str(tmp_path))
    (finding,) = (f for f in findings if f["topic"] == "libnftables")
    assert finding["remedy"] == "run `sudo apt-get install libnftables1`"


def test_a_tool_that_is_missing_is_to_be_installed() -> None:
    """An empty directory over /usr/sbin: `ip`, `nft` and their like are gone."""
    if not Path("/sbin").is_symlink() or not (Path("/usr/sbin") / "nft").exists():
        pytest.skip("nft is not in /usr/sbin here: one mount does not hide it")
    findings = made_up("mount -t tmpfs none /usr/sbin")
    (missing,) = (f for f in findings if f["topic"] == "tools" and f["level"] != "ok")
    assert missing["level"] == "problem"
    assert "nftables" in missing["remedy"].split()
    assert about(findings, "iptables") == []
