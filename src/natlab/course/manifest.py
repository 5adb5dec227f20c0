"""The manifest: which steps there are, in which order, and what each begins from.

`course.toml` in the course's folder is the one place that knows. A step's folder holds
`README.md` (what to read and type), `step.py` (build, checks) and `near_misses.toml` (states
that are almost right, which its checks must refuse).
"""

from __future__ import annotations

import importlib.util
import os
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from natlab.errors import NatlabError, UsageError
from natlab.model.names import unknown

if TYPE_CHECKING:
    from natlab.course.checks import Check
    from natlab.engine.lab import Lab


@dataclass(frozen=True)
class NearMiss:
    """A state that is almost right, and the check that must refuse it."""

    name: str
    fails: str
    says: str
    typed: tuple[tuple[str, str], ...]
    """What makes it, out of the solved step: (machine, shell commands)."""


@dataclass(frozen=True)
class Step:
    """One step of the course."""

    number: str
    slug: str
    title: str
    topic: str
    after: str | None
    """The number of the step whose end is this one's beginning; None: the untouched lab."""
    root: Path

    @property
    def folder(self) -> Path:
        """Where its files are."""
        return self.root / f"{self.number}-{self.slug}"

    @property
    def readme(self) -> str:
        """What the student reads."""
        return (self.folder / "README.md").read_text(encoding="utf-8")

    @cached_property
    def _module(self) -> ModuleType:
        path = self.folder / "step.py"
        spec = importlib.util.spec_from_file_location(f"natlab_step_{self.number}", path)
        if spec is None or spec.loader is None:
            raise NatlabError(f"step {self.number} has no {path}")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @property
    def build(self) -> Callable[[Lab], None]:
        """Makes the end state out of the beginning, with the library."""
        return self._module.build  # type: ignore[no-any-return]

    @property
    def checks(self) -> Sequence[Check]:
        """What is proved of the end state, in order."""
        return self._module.CHECKS  # type: ignore[no-any-return]

    @property
    def near_misses(self) -> list[NearMiss]:
        """The states that are almost right."""
        data = tomllib.loads((self.folder / "near_misses.toml").read_text(encoding="utf-8"))
        return [
            NearMiss(
                name=miss["name"],
                fails=miss["fails"],
                says=miss["says"],
                typed=tuple((line["on"], line["type"]) for line in miss["typed"]),
            )
            for miss in data["near_miss"]
        ]


@dataclass(frozen=True)
class Course:
    """The steps in order."""

    steps: tuple[Step, ...]

    def step(self, word: str) -> Step:
        """A step by number (`4` or `04`) or by name.

        Raises:
            UsageError: there is none; the message has the nearest ones.
        """
        number = word.zfill(2) if word.isdigit() else word
        for step in self.steps:
            if number in (step.number, step.slug, f"{step.number}-{step.slug}"):
                return step
        if word.isdigit():
            last = self.steps[-1].number
            raise UsageError(
                f"no step {word}: the steps are {self.steps[0].number} to {last} (`natlab steps`)"
            )
        raise unknown("step", word, [step.slug for step in self.steps])

    def way_to(self, step: Step) -> list[Step]:
        """The steps whose builds lead to the beginning of a step, in order."""
        way: list[Step] = []
        while step.after is not None:
            step = self.step(step.after)
            way.insert(0, step)
        return way


def course_folder() -> Path:
    """Where the course's files are: in the installed package, or beside `src` in a checkout."""
    override = os.environ.get("NATLAB_COURSE")
    if override:
        return Path(override)
    package = Path(__file__).resolve().parent.parent
    for candidate in (package / "_lab", package.parent.parent / "lab"):
        if (candidate / "course.toml").is_file():
            return candidate
    raise NatlabError(
        "the course's files are not there: reinstall natlab, or set NATLAB_COURSE to their folder"
    )


def load(folder: Path | None = None) -> Course:
    """Read the manifest.

    Raises:
        NatlabError: it is missing, or a step begins from one that does not come before it.
    """
    root = folder or course_folder()
    data = tomllib.loads((root / "course.toml").read_text(encoding="utf-8"))
    steps: list[Step] = []
    for entry in data["step"]:
        after = entry.get("after")
        if after is not None and after not in [step.number for step in steps]:
            raise NatlabError(
                f"course.toml: step {entry['number']} begins after {after}, which is not before it"
            )
        steps.append(
            Step(entry["number"], entry["slug"], entry["title"], entry["topic"], after, root)
        )
    return Course(tuple(steps))
