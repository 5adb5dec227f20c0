"""Resource limits of a container's program: `docker run --ulimit`."""

from __future__ import annotations

import resource
from collections.abc import Mapping
from typing import TypeAlias

from natlab.errors import ExecError

Limits: TypeAlias = Mapping[str, tuple[int, int]]
"""By name (`nofile`), the soft and the hard limit; -1 is none."""


def apply(limits: Limits) -> None:
    """Set limits for this process and those that it starts. Equivalent to: `prlimit --NAME=S:H`.

    Raises:
        ExecError: the kernel refuses: only root may raise a hard limit (setrlimit(2)).
    """
    for name, values in limits.items():
        kind = getattr(resource, f"RLIMIT_{name.upper()}", None)
        if kind is None:
            raise ExecError(f"invalid ulimit type: {name}")
        try:
            resource.setrlimit(kind, values)
        except (OSError, ValueError) as error:
            soft, hard = resource.getrlimit(kind)
            raise ExecError(
                f"error setting rlimit {name} to {values[0]}:{values[1]}: {error};"
                f" it is {soft}:{hard} here, and only root may raise the second"
            ) from error
