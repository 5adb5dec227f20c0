"""Everything of the kernel and engine rooms holds for an ordinary user as well.

Run by root, the tests of both rooms are run again by a user without any privilege.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
AGAIN = "NATLAB_TESTS_AS_ORDINARY_USER"
NOBODY = "65534"
NEEDED = "pytest, pytest_timeout, hypothesis, pyroute2, nftables"

pytestmark = [
    pytest.mark.skipif(AGAIN in os.environ, reason="these tests run as an ordinary user already"),
    pytest.mark.skipif(os.geteuid() != 0, reason="all tests run as an ordinary user already"),
]


def as_nobody(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    setpriv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return subprocess.run(
        [*setpriv, "env", *map(str, command)],  # setpriv itself still starts what root may start
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), **env},
        capture_output=True,
        text=True,
        check=False,
    )


def pythons() -> Iterator[str]:
    """This interpreter, and those of the same version in the usual places."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    yield sys.executable
    for name in (version, "python3"):
        for folder in ("/usr/local/bin", "/usr/bin"):
            if Path(folder, name).exists():
                yield f"{folder}/{name}"


@pytest.fixture
def tree() -> Iterator[Path]:
    """The project's files where that user can read them.

    Not in `tmp_path`: pytest keeps the folder above it for root alone.
    """
    with tempfile.TemporaryDirectory(prefix="natlab-tests-") as folder:
        tree = Path(folder)
        leave_out = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
        for name in ("src", "tests", "lab"):
            shutil.copytree(ROOT / name, tree / name, ignore=leave_out)
        shutil.copy(ROOT / "pyproject.toml", tree)
        for path in (tree, *tree.rglob("*")):
            os.chown(path, int(NOBODY), int(NOBODY))
        yield tree


@pytest.fixture
def python(tree: Path) -> tuple[str, str]:
    """An interpreter that this user can run with all that is needed, and its PYTHONPATH."""
    packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    path = os.pathsep.join([str(tree / "src"), *packages])
    refused = ""
    for candidate in pythons():
        tried = as_nobody(
            *(candidate, "-c", f"import sys, {NEEDED}; print(sys.version_info[:2])"),
            cwd=tree,
            PYTHONPATH=path,
        )
        if tried.stdout.strip() == str(sys.version_info[:2]):
            return candidate, path
        refused += f"; {candidate}: {(tried.stderr.strip() or tried.stdout).splitlines()[-1:]}"
    pytest.skip(f"no Python that an ordinary user can run with {NEEDED}{refused}")


@pytest.mark.timeout(900)
def test_the_tests_of_both_rooms_pass_for_an_ordinary_user(tree, python):
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed: sudo apt-get install util-linux")
    interpreter, path = python
    allowed = as_nobody("unshare", "--user", "--map-root-user", "true", cwd=tree)
    if allowed.returncode:
        pytest.skip(f"ordinary users may not make namespaces here: {allowed.stderr.strip()}")
    done = as_nobody(
        *(interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/kernel"),
        "tests/engine",
        cwd=tree,
        PYTHONPATH=path,
        **{AGAIN: "1"},
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    assert " passed" in done.stdout
