"""Which steps a person has passed: a small file of their own, never asked about the network."""

from __future__ import annotations

import json
import os
from pathlib import Path


def path(lab: str) -> Path:
    """Where the progress in a lab is kept (XDG base directories: state)."""
    base = os.environ.get("XDG_STATE_HOME")
    root = Path(base) if base else Path.home() / ".local" / "state"
    return root / "natlab" / f"{lab}.json"


def passed(lab: str) -> set[str]:
    """The numbers of the steps that have passed; a file that cannot be read counts as none."""
    try:
        return set(json.loads(path(lab).read_text(encoding="utf-8"))["passed"])
    except (OSError, ValueError, KeyError, TypeError):
        return set()


def remember(lab: str, step: str) -> None:
    """Note that a step has passed. Where nothing can be written, nothing is noted."""
    done = passed(lab) | {step}
    try:
        path(lab).parent.mkdir(parents=True, exist_ok=True)
        path(lab).write_text(json.dumps({"passed": sorted(done)}), encoding="utf-8")
    except OSError:
        return
