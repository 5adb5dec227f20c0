"""What touches the kernel holds for an ordinary user as well: library, course and command line.

Run by root, those tests are run again by a user without any privilege.
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


def _readable(packages: Path, copy: Path) -> Path:
    """The installed packages, or a copy where that user may not look at them."""
    if as_nobody("ls", packages / "pyroute2", cwd=Path("/")).returncode == 0:
        return packages
    leave_out = shutil.ignore_patterns("__pycache__", "ruff*", "mypy*", "pip*", "*.so.debug")
    shutil.copytree(packages, copy, ignore=leave_out)
    return copy


@pytest.fixture
def python(tree: Path) -> tuple[str, str]:
    """An interpreter that this user can run with all that is needed, and its PYTHONPATH."""
    packages = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    readable = [
        _readable(Path(package), tree / f"packages{n}") for n, package in enumerate(packages)
    ]
    path = os.pathsep.join(map(str, [tree / "src", *readable]))
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
@pytest.mark.parametrize(
    "tests",
    [("tests/kernel", "tests/engine"), ("tests/course",), ("tests/cli",)],
    ids=["library", "course", "command line"],
)
def test_the_same_tests_pass_for_an_ordinary_user(tree, python, tests):
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed: sudo apt-get install util-linux")
    interpreter, path = python
    allowed = as_nobody("unshare", "--user", "--map-root-user", "true", cwd=tree)
    if allowed.returncode:
        pytest.skip(f"ordinary users may not make namespaces here: {allowed.stderr.strip()}")
    done = as_nobody(
        *(interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests),
        cwd=tree,
        PYTHONPATH=path,
        **{AGAIN: "1"},
    )
    assert done.returncode == 0, f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    assert " passed" in done.stdout
