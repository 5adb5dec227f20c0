"""A natlab command line with a journal and a progress file of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src"


@dataclass
class CommandLine:
    """Runs `natlab` as a person would, with a lab name that nobody else uses."""

    env: dict[str, str]
    name: str

    def __call__(self, *words: str, code: int = 0, **kwargs) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "natlab", *words],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            stdin=subprocess.DEVNULL,
            **kwargs,
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr + done.stdout, done.stderr + done.stdout
        return done

    def error(self, *words: str, code: int, **kwargs) -> str:
        """The one line with which a command is refused."""
        return self.one_line(self(*words, code=code, **kwargs).stderr)

    @staticmethod
    def one_line(text: str) -> str:
        """The single line that an error may have."""
        lines = text.strip().splitlines()
        assert len(lines) == 1, text
        assert lines[0].startswith("natlab: ")
        return lines[0]

    def popen(self, *words: str, **kwargs) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "natlab", *words],
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            **kwargs,
        )

    def keeper(self) -> int:
        found = re.search(
            rf"^{self.name}: up, kept by process (\d+)", self("status").stdout, re.MULTILINE
        )
        assert found
        return int(found[1])


@pytest.fixture
def natlab(tmp_path):
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    env = {
        **os.environ,
        "PYTHONPATH": str(SRC),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "NATLAB_RUNTIME_DIR": str(runtime),
        "NATLAB_NAME": f"t{uuid.uuid4().hex[:10]}",
    }
    for name in ("NATLAB_INSIDE", "PYTHONUNBUFFERED"):
        env.pop(name, None)
    return CommandLine(env, env["NATLAB_NAME"])


@pytest.fixture
def lab(natlab):
    natlab("up")
    yield natlab
    natlab_down = subprocess.run(
        [sys.executable, "-m", "natlab", "down"], env=natlab.env, capture_output=True, check=False
    )
    assert natlab_down.returncode in (0, 1), natlab_down.stderr
