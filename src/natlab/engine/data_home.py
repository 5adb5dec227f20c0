"""Where natlab keeps what is to outlive its labs: the volumes that a person asked to be kept."""

from __future__ import annotations

import os
from pathlib import Path


def data_home() -> Path:
    """This user's directory for that; it need not be there.

    `$NATLAB_DATA_DIR`, or root's `/var/lib/natlab`, or an ordinary user's
    `$XDG_DATA_HOME/natlab` (XDG Base Directory Specification).
    """
    if chosen := os.environ.get("NATLAB_DATA_DIR"):
        return Path(chosen)
    if os.geteuid() == 0:
        return Path("/var/lib/natlab")
    base = os.environ.get("XDG_DATA_HOME", "")
    return Path(base if base.startswith("/") else Path.home() / ".local/share", "natlab")


def kept_volumes(lab: str, host: str) -> Path:
    """Where a lab host's volumes are that outlive the lab."""
    return data_home() / "volumes" / lab / host
