"""Whether this machine can run a lab at all, and if not, why not."""

from __future__ import annotations

import functools
import platform
import sys


@functools.cache
def missing() -> str | None:
    """Why no lab can run here, with what to do about it; None if nothing is known against it.

    Looks at the platform and at what can be imported; what the kernel refuses is found when a
    lab is made, and says so itself. Compare: `natlab doctor`.
    """
    from natlab.model.diagnosis import kernel

    finding = kernel(platform.system(), platform.release())
    if finding.level == "problem":
        return f"{finding.says}: {finding.remedy}"
    try:
        import natlab.engine.lab  # noqa: F401
    except ImportError as error:
        return f"natlab cannot be loaded by {sys.executable}: {error}"
    return None
