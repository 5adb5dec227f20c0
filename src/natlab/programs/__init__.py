"""Small programs that run inside a lab, each a script of the standard library alone.

A lab host has them on its PATH under the names below, with natlab's own command line and its
Docker engine (`natlab`, `dockerd`) beside them: `myapp` is the seed's demo application,
`docker-proxy` is Docker's userland proxy, `tcpdump` runs the real one where dropping privileges
is impossible, and `box` is a container made by hand, in a few lines of shell.
"""

from __future__ import annotations

import functools
import os
import shlex
import sys
from pathlib import Path
from typing import Final

BIN: Final = "/run/natlab/bin"
_MODULES: Final = {"natlab": "natlab", "dockerd": "natlab.api.dockerd"}
_SCRIPTS: Final = {"myapp": "myapp.py", "docker-proxy": "docker_proxy.py", "tcpdump": "tcpdump.py"}


def launchers() -> dict[str, str]:
    """The shell scripts that a lab host gets in `/run/natlab/bin`, by name."""
    return dict(_launchers(sys.executable, tuple(sys.path)))


@functools.lru_cache(maxsize=4)
def _launchers(executable: str, path: tuple[str, ...]) -> dict[str, str]:
    here = Path(__file__).resolve().parent
    python = shlex.quote(executable)
    scripts = {
        name: f'#!/bin/sh\nexec {python} -I -S {shlex.quote(str(here / file))} "$@"\n'
        for name, file in _SCRIPTS.items()
    }
    paths = shlex.quote(os.pathsep.join(str(Path(p).absolute()) for p in path if p))
    for name, module in _MODULES.items():
        scripts[name] = f'#!/bin/sh\nPYTHONPATH={paths} exec {python} -m {module} "$@"\n'
    scripts["box"] = (here / "box.sh").read_text()
    return scripts


def myapp_source() -> str:
    """The text of the seed's demo application, for the image of it."""
    return (Path(__file__).resolve().parent / _SCRIPTS["myapp"]).read_text()


def path_inside() -> str:
    """The PATH of whatever is started in a lab: our programs, then root's usual places."""
    usual = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return f"{BIN}:{Path(sys.executable).parent}:{usual}"
