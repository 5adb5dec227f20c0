"""`make parity`: run everything on both sides, write the page, say how much is equal."""

from __future__ import annotations

import re
import signal
import sys
import time
from pathlib import Path

from parity import engine_files, flows
from parity.page import page
from parity.results import cases, run_all
from parity.sides import side

PAGE = Path(__file__).parents[3] / "docs" / "parity.md"


def version() -> str:
    """The real engine's."""
    with side("docker") as made:
        return made.docker("version -f 'Docker {{.Server.Version}} (API {{.Server.APIVersion}})'")


def main() -> int:
    """Run what the first argument matches, or everything; only then the page is written."""
    if reason := engine_files.missing():
        print(f"there is no engine to compare with: {reason}")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # engines are ended on the way out
    began = time.monotonic()
    pattern = sys.argv[1] if len(sys.argv) > 1 else ""
    wanted = [case for case in cases() if re.search(pattern, case.name)]
    results = run_all(wanted, lambda text: print(text, flush=True))
    if not pattern:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(results, version(), flows.SILENCE))
        print(f"written: {PAGE.relative_to(PAGE.parents[1])}")
    print(f"{results.summary} ({time.monotonic() - began:.0f} s)")
    return 1 if results.different else 0


if __name__ == "__main__":
    sys.exit(main())
