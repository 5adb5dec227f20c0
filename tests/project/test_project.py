"""The project around the code: metadata, wheel, Makefile, scripts, Vagrantfile, and the text."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SHELL_SCRIPTS = [
    *sorted((ROOT / "tools").glob("*.sh")),
    *sorted((ROOT / "src").rglob("*.sh")),
    ROOT / ".ci" / "run",
]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
NOT_OURS = {
    ".git", ".venv", ".docker.io", ".vagrant", ".hypothesis", ".mypy_cache", ".ruff_cache",
    ".pytest_cache", "__pycache__", "build", "dist",
}  # fmt: skip


def run(*command: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command at the project's root; its output is captured, its end is not judged."""
    return subprocess.run(
        [str(word) for word in command],
        check=False, capture_output=True, text=True, **({"cwd": ROOT} | options),
    )  # fmt: skip


def project_files(below: Path = ROOT) -> Iterator[Path]:
    """The project's own files: no caches, no environment, nothing built."""
    for folder, folders, files in os.walk(below):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        yield from (Path(folder, name) for name in files if Path(folder, name).is_file())


# --- metadata ------------------------------------------------------------------------------


def test_the_metadata_says_what_this_is() -> None:
    assert PROJECT["name"] == "natlab"
    assert PROJECT["license"] == "GPL-2.0-or-later"
    assert PROJECT["requires-python"] == ">=3.11"
    assert PROJECT["scripts"] == {"natlab": "natlab.cli:main"}
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_the_files_that_the_metadata_names_are_there() -> None:
    for name in [PROJECT["readme"], *PROJECT["license-files"]]:
        assert (ROOT / name).stat().st_size > 0


def test_the_license_is_version_2_of_the_gpl_in_full() -> None:
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Version 2, June 1991" in text
    assert "END OF TERMS AND CONDITIONS" in text


def test_every_dependency_says_from_which_version() -> None:
    extras = [one for extra in PROJECT["optional-dependencies"].values() for one in extra]
    without = [one for one in PROJECT["dependencies"] + extras if ">=" not in one]
    assert without == []


def test_the_changelog_speaks_of_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert headings[0] == PROJECT["version"]


# --- the wheel -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """The wheel, built by the real backend; the source tree stays as it is."""
    folder = tmp_path_factory.mktemp("wheel")
    result = run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    assert result.returncode == 0, result.stderr
    (path,) = folder.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_the_wheel_carries_the_whole_course(wheel: zipfile.ZipFile) -> None:
    course = {
        f"natlab/_lab/{path.relative_to(ROOT / 'lab')}" for path in project_files(ROOT / "lab")
    }
    assert course, "lab/ is empty"
    assert course <= set(wheel.namelist())


def test_the_wheel_is_typed_and_carries_nothing_but_natlab(wheel: zipfile.ZipFile) -> None:
    names = wheel.namelist()
    assert "natlab/py.typed" in names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"natlab"}
    assert [name for name in names if "__pycache__" in name or "_cache/" in name] == []


def test_the_wheels_entry_points_lead_to_modules_in_it(wheel: zipfile.ZipFile) -> None:
    (path,) = [name for name in wheel.namelist() if name.endswith("/entry_points.txt")]
    points = configparser.ConfigParser(delimiters=("=",))
    points.read_string(wheel.read(path).decode())
    assert points["console_scripts"]["natlab"] == "natlab.cli:main"
    targets = [target for section in points.sections() for target in points[section].values()]
    for target in targets:
        module = target.partition(":")[0].replace(".", "/")
        assert {f"{module}.py", f"{module}/__init__.py"} & set(wheel.namelist()), target


# --- Makefile ------------------------------------------------------------------------------

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = re.findall(r"^([a-z][\w-]*):(?!=)", MAKEFILE, re.MULTILINE)


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as from a shell: not as a part of the `make test` that may have started us."""
    inherited = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "PYTEST_ARGS"}
    env = {key: value for key, value in os.environ.items() if key not in inherited}
    return run("make", *arguments, env=env)


def test_make_has_the_targets_that_the_readme_and_ci_use() -> None:
    assert {"help", "lab", "test", "lint", "bench", "clean"} <= set(TARGETS)


def test_every_target_has_its_line_in_the_help() -> None:
    listed = re.findall(r"^  make (\S+) +\S", make("help").stdout, re.MULTILINE)
    assert listed == TARGETS


def test_make_alone_is_the_help() -> None:
    assert make().stdout == make("help").stdout


@pytest.mark.parametrize("target", TARGETS)
def test_no_target_is_taken_for_a_file_of_its_name(target: str) -> None:
    assert f"Nothing to be done for '{target}'" not in make("-n", target).stdout
    assert re.search(rf"^\.PHONY:.*\b{target}\b", MAKEFILE, re.MULTILINE)


def test_parallel_make_runs_one_target_after_the_other() -> None:
    # GNU make's own promise, when it has no prerequisites: all targets share one environment.
    assert re.search(r"^\.NOTPARALLEL:$", MAKEFILE, re.MULTILINE)


# --- scripts and the Vagrantfile -----------------------------------------------------------


@pytest.mark.parametrize("script", SHELL_SCRIPTS, ids=lambda path: path.name)
def test_a_shell_script_parses_and_stops_at_the_first_failure(script: Path) -> None:
    assert run("bash", "-n", script).stderr == ""
    assert "\nset -euo pipefail\n" in script.read_text(encoding="utf-8")
    assert os.access(script, os.X_OK)


def test_the_vagrantfile_is_valid(tmp_path: Path) -> None:
    if shutil.which("vagrant"):
        places = {"VAGRANT_HOME": str(tmp_path), "VAGRANT_DOTFILE_PATH": str(tmp_path / "dot")}
        result = run("vagrant", "validate", "--ignore-provider", env=os.environ | places)
    elif shutil.which("ruby"):
        result = run("ruby", "-c", "Vagrantfile")
    else:
        pytest.skip("neither vagrant nor ruby is installed")
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_vagrant_machines_are_those_of_the_labs_map() -> None:
    text = (ROOT / "Vagrantfile").read_text(encoding="utf-8")
    machines = dict(re.findall(r'"(ubuntu\d)" => "([\d.]+)"', text))
    assert machines == {"ubuntu1": "192.168.33.11", "ubuntu2": "192.168.33.12"}


# --- what no file says ---------------------------------------------------------------------

# Written so that this file does not find itself. A user's home in an example is one of those
# who appear in the documentation.
FORBIDDEN = {
    "a registry's host": r"pypi\.org|pythonhosted\.org|deb\.debian\.org|archive\.ubuntu\.com|"
    r"registry\.npmjs\.org|rubygems\.org",
    "a private package index": r"index-url[ =]|find-links[ =]",
    "root's home": r"(?<![\w.}])/root[/]",
    "somebody's home": r"(?<![\w.}])/home[/](?!student\b|vagrant\b|user\b)",
    "a shell's scratch folder": r"[/]tmp/bash",
}


def forbidden_in(text: str) -> list[str]:
    """What a text says that it must not, with the line's number."""
    return [
        f"line {number}: {what}"
        for number, line in enumerate(text.splitlines(), start=1)
        for what, pattern in FORBIDDEN.items()
        if re.search(pattern, line)
    ]


def test_no_file_names_a_registry_or_a_developers_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)} {problem}"
        for path in project_files()
        for problem in forbidden_in(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line",
    [
        "see https://" + "pypi" + ".org/simple",
        "python = " + "/root" + "/.pyenv/bin/python",
        "cd " + "/home" + "/alice/natlab",
        "cat /" + "tmp/bash_jobs.0/out",
        "pip install --extra-index" + "-url https://packages.example",
    ],
)
def test_a_line_that_does_is_found(line: str) -> None:
    assert forbidden_in(f"first\n{line}\n")[0].startswith("line 2: ")


@pytest.mark.parametrize(
    "line", ["su student; cd /home/student", "{upper}/root/etc", "root@ubuntu1:~#"]
)
def test_a_documented_example_may_stand(line: str) -> None:
    assert forbidden_in(line) == []
