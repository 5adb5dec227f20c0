"""The README's promises: its dozen lines run, its commands exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
PYTHON = [block for block in BLOCKS if "def test_" not in block]
"""Those that are tests are run as such, by tests/plugin/test_docs.py."""
COMMANDS = sorted(set(re.findall(r"^natlab ([a-z]+)", README, re.MULTILINE)))
TARGETS = sorted(set(re.findall(r"^make ([a-z]+)", README, re.MULTILINE)))


@pytest.mark.parametrize("source", PYTHON)
def test_its_programs_are_short_and_run(source):
    lines = [line for line in source.splitlines() if line.strip()]
    assert len(lines) <= 12
    exec(compile(source, "README.md", "exec"), {})  # noqa: S102 - the README is ours


def test_there_are_lines_to_run():
    assert len(PYTHON) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_every_natlab_command_of_the_readme_exists(command):
    import typer

    from natlab.cli.app import app

    group = typer.main.get_command(app)
    assert command in group.commands


@pytest.mark.parametrize("target", TARGETS)
def test_every_make_target_of_the_readme_exists(target):
    assert re.search(rf"^{target}:.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
