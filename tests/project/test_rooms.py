"""The arrows between the rooms of src/natlab: who may import whom."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"

# What each room may import of natlab, besides itself. The front door (natlab/__init__.py and
# __main__.py) may import any room: it only passes names on.
MAY_IMPORT = {
    "errors": set(),
    "release": set(),
    "model": {"errors"},
    "kernel": {"errors", "model"},
    "programs": set(),
    "engine": {"errors", "model", "kernel", "programs"},
    "course": {"errors", "model", "engine"},
    "daemon": {"errors", "model", "kernel", "programs", "engine"},
    "api": {"errors", "release", "model", "kernel", "engine", "daemon"},
    "cli": {
        "",
        "errors",
        "release",
        "model",
        "kernel",
        "programs",
        "engine",
        "course",
        "daemon",
        "api",
    },
    "testing": {"errors", "model", "kernel", "engine", "api"},
    "pytest_plugin": {"errors", "engine", "testing"},
}
FRONT_DOOR = {"", "__main__"}
KERNEL_ONLY = {"pyroute2", "nftables", "ctypes"}
NOT_FOR_VALUES = KERNEL_ONLY | {"subprocess", "socket", "asyncio", "multiprocessing", "threading"}

FORBIDDEN = {
    "kernel": set(),
    "model": NOT_FOR_VALUES,
    "programs": {"pyroute2", "nftables"},  # they run alone, inside a lab, and may need a libc call
}


def python_files(folder: Path) -> list[Path]:
    """Every module below, caches left out."""
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def module_name(path: Path) -> str:
    """`src/natlab/model/ports.py` is `natlab.model.ports`."""
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_module(dotted: str) -> bool:
    """Whether the dotted name is a module or package of src/, not a name inside one."""
    path = SRC.joinpath(*dotted.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def from_targets(node: ast.ImportFrom, package: str) -> Iterator[str]:
    """What `from X import a, b` imports: X.a where that is a module, else X."""
    base = node.module or ""
    if node.level:
        parents = package.split(".")
        base = ".".join([*parents[: len(parents) - node.level + 1], *filter(None, [node.module])])
    for alias in node.names:
        dotted = f"{base}.{alias.name}"
        yield dotted if base.split(".")[0] == "natlab" and is_module(dotted) else base


def imports(source: str, package: str = "") -> Iterator[tuple[int, str]]:
    """Every import of a module, late ones and `import_module("…")` too: (line, dotted name)."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node.lineno, target) for target in from_targets(node, package))
        elif isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            first = node.args[0]
            if name in {"import_module", "__import__"} and isinstance(first, ast.Constant):
                yield node.lineno, str(first.value)


def module_imports(path: Path) -> list[tuple[int, str]]:
    name = module_name(path)
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    return list(imports(path.read_text(encoding="utf-8"), package))


def room_of(dotted: str) -> str:
    """`natlab.model.ports` lives in `model`; the package itself is the front door, ``""``."""
    return (*dotted.split("."), "")[1]


MODULES = python_files(SRC / "natlab")
MODULE_IDS = [module_name(path) for path in MODULES]


@pytest.mark.parametrize("path", MODULES, ids=MODULE_IDS)
def test_a_module_lives_in_a_room_of_the_plan(path: Path) -> None:
    assert room_of(module_name(path)) in MAY_IMPORT.keys() | FRONT_DOOR


@pytest.mark.parametrize("path", MODULES, ids=MODULE_IDS)
def test_a_room_imports_only_the_rooms_below_it(path: Path) -> None:
    room = room_of(module_name(path))
    if room in FRONT_DOOR:
        return
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for line, target in module_imports(path)
        if target.split(".")[0] == "natlab" and room_of(target) not in MAY_IMPORT[room] | {room}
    ]
    assert wrong == []


@pytest.mark.parametrize("path", MODULES, ids=MODULE_IDS)
def test_only_the_kernel_room_imports_netlink_nftables_and_ctypes(path: Path) -> None:
    room = room_of(module_name(path))
    forbidden = FORBIDDEN.get(room, KERNEL_ONLY)
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {target}"
        for line, target in module_imports(path)
        if target.split(".")[0] in forbidden
    ]
    assert wrong == []


def course_problems(source: str) -> list[str]:
    """What a course file imports that is not the standard library's or natlab's public course."""
    problems = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            names = [(node.module or ".", alias.name) for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        else:
            continue
        problems += [
            f"line {node.lineno}: {module} {name}".rstrip()
            for module, name in names
            if not is_public(module, name)
        ]
    return problems


def is_public(module: str, name: str) -> bool:
    top = module.partition(".")[0]
    if top == "natlab":
        inner = name and is_module(f"{module}.{name}") and f"{module}.{name}" != "natlab.course"
        return module in {"natlab", "natlab.course"} and not inner and not name.startswith("_")
    return top in sys.stdlib_module_names and top not in KERNEL_ONLY


def test_the_course_uses_public_names_only() -> None:
    files = python_files(ROOT / "lab")
    problems = [
        f"{path.relative_to(ROOT)} {problem}"
        for path in files
        for problem in course_problems(path.read_text(encoding="utf-8"))
    ]
    assert files, "lab/ holds no step"
    assert problems == []


@pytest.mark.parametrize(
    ("source", "package", "target"),
    [
        ("from ..kernel import links", "natlab.model", "natlab.kernel"),
        ("from natlab import kernel", "natlab.model", "natlab.kernel"),
        ("def late():\n    import natlab.kernel.links", "natlab.model", "natlab.kernel.links"),
        ("import importlib\nimportlib.import_module('pyroute2')", "natlab.model", "pyroute2"),
        ("from natlab import Lab", "natlab.engine", "natlab"),
    ],
)
def test_no_way_of_importing_slips_through(source: str, package: str, target: str) -> None:
    found = {name for _, name in imports(source, package)}
    assert any(f"{name}.".startswith(f"{target}.") for name in found)


@pytest.mark.parametrize(
    "source",
    [
        "from natlab.kernel import links",
        "import natlab.engine",
        "from natlab import kernel",
        "from natlab.course import _runner",
        "import pyroute2",
        "import ctypes",
        "from . import other",
    ],
)
def test_a_step_that_reaches_behind_the_public_names_is_found(source: str) -> None:
    assert course_problems(source)


def test_a_step_may_use_the_course_the_front_door_and_the_standard_library() -> None:
    source = "import re\nfrom natlab import Lab\nfrom natlab.course import Step, check"
    assert course_problems(source) == []
