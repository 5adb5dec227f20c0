"""A pytest of its own for tests that look at the plugin from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
INSTALLED = "natlab" in {each.name for each in entry_points(group="pytest11")}
ALONE = [f"-pno:{name}" for name in ("asyncio", "anyio", "hypothesispytest", "pytest_cov")]
"""Other plugins stay away, but where a test is about them."""
LOADED = [] if INSTALLED else ["-p", "natlab.pytest_plugin"]


@pytest.fixture
def suite(pytester, monkeypatch):
    """A test suite in a directory of its own: `suite(files, *options)` runs it."""
    path = os.pathsep.join([str(SRC), *(entry for entry in sys.path if entry)])
    monkeypatch.setenv("PYTHONPATH", path)
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)

    def run(text: str | dict[str, str], *options: str, alone: bool = True):
        write(pytester.path, text)
        return pytester.runpytest_subprocess(*LOADED, *(ALONE if alone else ()), *options)

    return run


@pytest.fixture
def begun_suite(suite, pytester):
    """The same, started and left running: a process group of its own."""
    assert suite  # for its environment
    started = []

    def start(text: str | dict[str, str], *options: str) -> subprocess.Popen[str]:
        write(pytester.path, text)
        process = subprocess.Popen(
            [sys.executable, "-m", "pytest", *LOADED, *ALONE, *options],
            cwd=pytester.path,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def write(folder: Path, text: str | dict[str, str]) -> None:
    """Write a suite's files, with an empty pytest.ini: none above it is to count."""
    files = {"test_it.py": text} if isinstance(text, str) else text
    for name, content in {"pytest.ini": "[pytest]\n", **files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
