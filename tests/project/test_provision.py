"""tools/provision.sh: a real virtual environment and a real pip, without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tools" / "provision.sh"

PYPROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "tiny"
version = "1"
[project.optional-dependencies]
test = []
lint = []
"""

# The smallest build backend there is: an editable wheel with one .pth, and a line a build.
BACKEND = """\
import pathlib, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    with open("builds", "a") as builds:
        builds.write("built\\n")
    info = "tiny-1.dist-info"
    files = {
        f"{info}/METADATA": "Metadata-Version: 2.1\\nName: tiny\\nVersion: 1\\n"
        "Provides-Extra: test\\nProvides-Extra: lint\\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        "tiny.pth": str(pathlib.Path.cwd()),
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(pathlib.Path(folder, "tiny-1-py3-none-any.whl"), "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return "tiny-1-py3-none-any.whl"
"""

# Answers as the real one does, less the packages named in HIDDEN.
DPKG_QUERY = """\
#!/bin/bash
for package in "$@"; do
    [[ $package == -* ]] || [[ " $HIDDEN " == *" $package "* ]] || echo "installed $package"
done
"""


class Project:
    """A tiny project with the provisioning script in it, and a machine that has all packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.tools = folder / "bin"
        self.venv = self.folder / ".venv"
        (self.folder / "tools").mkdir(parents=True)
        self.tools.mkdir()
        shutil.copy(SCRIPT, self.folder / "tools" / SCRIPT.name)
        (self.folder / "pyproject.toml").write_text(PYPROJECT)
        (self.folder / "backend.py").write_text(BACKEND)
        self.program("dpkg-query", DPKG_QUERY)

    def program(self, name: str, text: str) -> None:
        path = self.tools / name
        path.write_text(text)
        path.chmod(0o755)

    def provision(
        self, *arguments: str, before: tuple[str, ...] = (), **variables: str
    ) -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if k != "NATLAB_VENV"}
        env |= {"PATH": f"{self.tools}:{os.environ['PATH']}", "PIP_NO_INDEX": "1", **variables}
        return subprocess.run(
            [*before, "bash", str(self.folder / "tools" / SCRIPT.name), *arguments],
            env=env, cwd="/", capture_output=True, text=True, check=False,
        )  # fmt: skip

    def builds(self) -> int:
        return len((self.folder / "builds").read_text().splitlines())


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


# An ordinary user for sure, root or not: nobody of the machine is mapped in this namespace.
AS_NOBODY = ("unshare", "--user")
NO_SUDO = "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n"


def test_a_bare_project_gets_an_environment_that_imports_it(project: Project) -> None:
    result = project.provision()
    assert result.returncode == 0, result.stderr
    where = subprocess.run(
        [str(project.venv / "bin" / "python"), "-c", "import backend; print(backend.__file__)"],
        cwd="/", capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert where.stdout.strip() == str(project.folder / "backend.py")


def test_a_second_run_does_nothing_and_says_nothing(project: Project) -> None:
    project.provision()
    result = project.provision()
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert project.builds() == 1


def test_new_extras_are_installed_and_old_ones_stay(project: Project) -> None:
    project.provision("--extras", "test")
    project.provision("--extras", "lint")
    assert project.builds() == 2
    project.provision("--extras", "test,lint")
    project.provision("--extras", "test")
    assert project.builds() == 2


def test_an_edited_pyproject_is_installed_anew(project: Project) -> None:
    project.provision()
    stamp = project.venv / ".natlab-stamp"
    later = stamp.stat().st_mtime + 1
    os.utime(project.folder / "pyproject.toml", (later, later))
    project.provision()
    assert project.builds() == 2


def test_a_project_that_moved_gets_a_new_environment(project: Project) -> None:
    project.provision()
    project.folder = project.folder.rename(project.folder.with_name("moved"))
    result = project.provision()
    assert "making" in result.stdout
    pip = (project.folder / ".venv" / "bin" / "pip").read_text().splitlines()[0]
    assert str(project.folder) in pip


def test_two_runs_at_once_install_once(project: Project) -> None:
    script = project.folder / "tools" / SCRIPT.name
    both = f"bash '{script}' & first=$!; bash '{script}' & wait $first && wait $!"
    env = {k: v for k, v in os.environ.items() if k != "NATLAB_VENV"}
    env |= {"PATH": f"{project.tools}:{os.environ['PATH']}", "PIP_NO_INDEX": "1"}
    result = subprocess.run(["bash", "-c", both], env=env, capture_output=True, check=False)
    assert (result.returncode, project.builds()) == (0, 1)


def test_a_directory_that_is_something_else_is_left_alone(project: Project) -> None:
    precious = project.folder / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    result = project.provision(NATLAB_VENV=str(precious))
    assert result.returncode == 1
    assert f"{precious} is not a virtual environment" in result.stderr
    assert [path.name for path in precious.iterdir()] == ["thesis.txt"]


def test_a_missing_package_names_the_exact_line_to_an_ordinary_user(project: Project) -> None:
    project.program("sudo", NO_SUDO)
    result = project.provision("--system-only", before=AS_NOBODY, HIDDEN="conntrack tcpdump")
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        "provision: packages are missing; as an administrator run: sudo apt-get update && "
        "sudo apt-get install -y --no-install-recommends tcpdump conntrack\n"
    )


def test_a_sudo_without_password_installs_what_is_missing(project: Project) -> None:
    project.program("sudo", '#!/bin/sh\nshift\nexec "$@"\n')
    project.program("apt-get", f'#!/bin/sh\necho "$*" >>"{project.folder}/apt"\n')
    (project.folder / "apt").touch()
    result = project.provision("--system-only", before=AS_NOBODY, HIDDEN="conntrack")
    assert result.returncode == 0, result.stderr
    update, install = (project.folder / "apt").read_text().splitlines()
    assert update.endswith(" update")
    assert install.endswith(" install -y --no-install-recommends conntrack")


def test_system_only_makes_no_environment(project: Project) -> None:
    result = project.provision("--system-only")
    assert (result.returncode, result.stdout, project.venv.exists()) == (0, "", False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--extra", "test"), "unknown option --extra: see tools/provision.sh --help"),
        (("--extras",), "--extras wants names such as test,lint"),
        (("--extras", "test lint"), "--extras wants names such as test,lint"),
    ],
)
def test_a_wrong_option_is_one_clear_line(
    project: Project, arguments: tuple[str, ...], message: str
) -> None:
    result = project.provision(*arguments)
    assert (result.returncode, result.stderr) == (1, f"provision: {message}\n")
