"""A project of its own installs the built wheel into a fresh environment, and its tests pass."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(*command: str | Path, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("PY")}, **env},
        capture_output=True,
        text=True,
        check=False,
    )


def site_packages(python: Path, cwd: Path) -> Path:
    said = run(
        python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=cwd
    ).stdout
    return Path(said.strip())


@pytest.fixture
def wheel(tmp_path):
    """natlab's wheel, built from a copy without leftovers."""
    tree = tmp_path / "natlab"
    tree.mkdir()
    leave_out = shutil.ignore_patterns("__pycache__", ".*")
    for name in ("src", "lab"):
        shutil.copytree(ROOT / name, tree / name, ignore=leave_out)
    for path in (*ROOT.glob("*.md"), ROOT / "LICENSE", ROOT / "pyproject.toml"):
        shutil.copy(path, tree)
    code = "import hatchling.build as b, sys; print(b.build_wheel(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=tree,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return next(tmp_path.glob("natlab-*.whl"))


def install(wheel: Path, folder: Path) -> Path:
    """A fresh environment with the wheel; what it depends on is taken from this one."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    packages = site_packages(python, folder)
    shutil.unpack_archive(wheel, packages, "zip")
    known = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    known.append(sysconfig.get_path("purelib"))
    (packages / "others.pth").write_text("\n".join(dict.fromkeys(known)) + "\n")
    return python


def outcome(python: Path, project: Path) -> str:
    done = run(
        python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:asyncio", cwd=project
    )
    return done.stdout + done.stderr


def test_a_project_with_the_wheel_in_a_fresh_environment(wheel, tmp_path):
    python = install(wheel, tmp_path / "venv")
    project = tmp_path / "project"
    shutil.copytree(ROOT / "tests" / "sample_project", project)
    where = run(python, "-c", "import natlab; print(natlab.__file__)", cwd=project).stdout
    assert where.startswith(str(tmp_path))
    assert "2 passed" in outcome(python, project)
