"""The tests that touch the kernel, run again by a user without any privilege.

They run beside the other tests, in a process of their own (most of a test's time is waiting):

    python ordinary_user.py FOLDER

copies the project into the folder, finds a Python for that user, and leaves a file of results for
each group of tests. While a group is not done, its lock is held.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AGAIN = "NATLAB_TESTS_AS_ORDINARY_USER"
NOBODY = 65534
NEEDED = (
    "pytest, pytest_timeout, hypothesis, xdist, hatchling, pyroute2, nftables, h11, dnslib, docker,"
    " cloudpickle, tblib"
)
GROUPS = {
    "library": ("tests/kernel", "tests/engine"),
    "Docker engine": ("tests/daemon", "tests/api"),
    "course": ("tests/course",),
    "command line": ("tests/cli", "--ignore=tests/cli/test_docker_bodies.py"),
    "pytest plugin": ("tests/plugin",),
}


class Run:
    """Such a run, from the side of the tests that wait for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        command = [sys.executable, __file__, str(folder)]
        reader, writer = os.pipe()
        # A child of nobody here: tests count this process's children.
        subprocess.run(
            ["setsid", "--fork", *command], stdout=writer, stderr=subprocess.DEVNULL, check=True
        )
        os.close(writer)
        with os.fdopen(reader) as said:
            self.pid = int(said.readline())

    def result(self, group: str) -> dict[str, str | int]:
        """Wait for a group's end: `skip` with a reason, or the exit `code` and what it `said`."""
        with (self.folder / f"{group}.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
        path = self.folder / f"{group}.json"
        assert path.exists(), "the run beside this one was killed"
        return json.loads(path.read_text())

    def end(self) -> None:
        """End it, if it still runs, and remove its files."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGTERM)
        for group in GROUPS:  # its end, or the end of whoever it started
            with (self.folder / f"{group}.lock").open() as lock:
                fcntl.flock(lock, fcntl.LOCK_SH)
        shutil.rmtree(self.folder)


def as_nobody(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    setpriv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return subprocess.run(
        [*setpriv, "env", *map(str, command)],  # setpriv itself still starts what root may start
        cwd=cwd,
        env={"PATH": os.environ["PATH"], "HOME": str(cwd), "TMPDIR": str(cwd / "tmp"), **env},
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


def copied(tree: Path) -> None:
    """Put the project's files where that user can read them."""
    leave_out = shutil.ignore_patterns("__pycache__", ".*_cache", ".hypothesis")
    for name in ("src", "tests", "lab", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=leave_out)
    for path in (ROOT / "pyproject.toml", ROOT / "LICENSE", *ROOT.glob("*.md")):
        shutil.copy(path, tree)
    (tree / "tmp").mkdir()
    for path in (tree, *tree.rglob("*")):
        os.chown(path, NOBODY, NOBODY)


def _readable(packages: Path, copy: Path) -> Path:
    """The installed packages, or a copy where that user may not look at them."""
    if as_nobody("ls", packages / "pyroute2", cwd=Path("/")).returncode == 0:
        return packages
    leave_out = shutil.ignore_patterns("__pycache__", "ruff*", "mypy*", "pip*", "*.so.debug")
    shutil.copytree(packages, copy, ignore=leave_out)
    return copy


def python_for_nobody(tree: Path) -> tuple[str, str]:
    """An interpreter that this user can run with all that is needed, and its PYTHONPATH.

    Raises:
        LookupError: there is none; the message says why.
    """
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
    raise LookupError(f"no Python that an ordinary user can run with {NEEDED}{refused}")


def run_group(tree: Path, python: tuple[str, str], tests: tuple[str, ...]) -> dict[str, str | int]:
    interpreter, path = python
    done = as_nobody(
        *(interpreter, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
        *(f"--basetemp={tree / 'b'}", *tests),  # short: a socket's path has 107 bytes at most
        cwd=tree,
        PYTHONPATH=path,
        **{AGAIN: "1"},
    )
    said = f"{done.stdout[-6000:]}\n{done.stderr[-2000:]}"
    return {"code": done.returncode, "said": said}


def main(folder: Path) -> None:
    """Run the groups in order."""
    locks = {group: (folder / f"{group}.lock").open("w") for group in GROUPS}
    for lock in locks.values():
        fcntl.flock(lock, fcntl.LOCK_EX)
    os.write(1, f"{os.getpid()}\n".encode())
    tree = folder / "tree"
    tree.mkdir()
    folder.chmod(0o755)
    python, skip = ("", ""), ""
    try:
        copied(tree)
        python = python_for_nobody(tree)
        allowed = as_nobody("unshare", "--user", "--map-root-user", "true", cwd=tree)
        if allowed.returncode:
            skip = f"ordinary users may not make namespaces here: {allowed.stderr.strip()}"
    except LookupError as error:
        skip = str(error)
    for group, tests in GROUPS.items():
        result = {"skip": skip} if skip else run_group(tree, python, tests)
        draft = folder / f"{group}.new"
        draft.write_text(json.dumps(result))
        draft.rename(folder / f"{group}.json")
        locks[group].close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
