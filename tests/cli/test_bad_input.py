"""Bad input and bad machines: one clear line, the right exit code, nothing half-made."""

from __future__ import annotations

import ctypes.util
import subprocess
import sys
from pathlib import Path

import pytest


def _library_file() -> Path | None:
    """The file behind libnftables.so.1, as this process would load it."""
    if ctypes.util.find_library("nftables") is None:
        return None
    ctypes.CDLL("libnftables.so.1")
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "libnftables.so" in line:
            return Path(line.split()[-1])
    return None


def _in_a_user_namespace(natlab, script: str) -> subprocess.CompletedProcess[str]:
    """Run a script as root of a user namespace of its own, where it may break things."""
    return subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", script],
        env={**natlab.env, "NATLAB": f"{sys.executable} -m natlab"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def test_without_privilege_and_without_user_namespaces_the_remedy_is_printed(natlab):
    done = _in_a_user_namespace(
        natlab,
        "echo 0 > /proc/sys/user/max_user_namespaces;"
        " exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs $NATLAB up",
    )
    assert done.returncode == 1, done.stdout + done.stderr
    line = natlab.one_line(done.stderr)
    assert "no more namespaces" in line
    assert "sudo sysctl -w user.max_user_namespaces=" in line
    assert "no lab is up" in natlab("status", code=1).stdout


def test_without_libnftables_the_package_is_named(natlab):
    library = _library_file()
    if library is None:
        pytest.skip("libnftables.so.1 is not installed, so it cannot be taken away")
    done = _in_a_user_namespace(
        natlab, f"mount --bind /dev/null {library.resolve()}; exec $NATLAB do 7 --throwaway"
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "sudo apt-get install libnftables1" in natlab.one_line(done.stderr)


def test_a_port_out_of_range_is_refused(lab):
    assert "1 to 65535" in lab.error("journey", "outside", "ubuntu1:65536", code=2)
    assert "1 to 65535" in lab.error("journey", "outside", "ubuntu1:http", code=2)


def test_unknown_nodes_are_refused_by_every_command_that_takes_one(lab):
    for words in (
        ("journey", "outsid", "ubuntu1"),
        ("journey", "outside", "ubunto1:80"),
        ("iptables", "--host", "ubunto1", "-t", "nat", "-nvL"),
        ("shell", "outsid"),
    ):
        assert "did you mean" in lab.error(*words, code=2)


def test_iptables_lists_and_refuses_to_change(lab):
    assert "natlab lists rules" in lab.error("iptables", "-t", "nat", "-A", "POSTROUTING", code=2)
    assert "invalid choice" in lab.error("iptables", "-t", "nta", "-nvL", code=2)
    assert "no chain NOPE" in lab.error("iptables", "-t", "nat", "-nvL", "NOPE", code=1)


def test_a_picture_that_cannot_be_written_is_one_line(lab):
    assert "No such file or directory" in lab.error("map", "--svg", "/nowhere/lab.svg", code=1)


def test_wrong_usage_exits_2(natlab):
    for words in (("no-such-command",), ("show",), ("exec",), ("up", "--nope")):
        natlab(*words, code=2)


def test_a_reader_that_goes_away_is_no_error(natlab):
    shell = f"{sys.executable} -m natlab show 4 | head -n 1"
    done = subprocess.run(
        ["sh", "-c", shell], env=natlab.env, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("# 04")
    assert done.stderr == ""
