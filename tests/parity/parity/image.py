"""The one image of all scenarios: a shell and a few programs of this machine."""

from __future__ import annotations

import functools
import io
import shutil
import subprocess
import tarfile
from pathlib import Path

PROGRAMS = ("sh", "sleep", "cat", "env", "true", "false", "ls", "hostname", "stat")


@functools.cache
def tree(programs: tuple[str, ...] = PROGRAMS, files: tuple[Path, ...] = ()) -> bytes:
    """A tar with those programs, the libraries that they need, and files of the machine."""
    wanted = {f"/bin/{name}": Path(path) for name in programs if (path := shutil.which(name))}
    for program in list(wanted.values()):
        said = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout
        libraries = (word for line in said.splitlines() for word in line.split() if word[0] == "/")
        wanted |= {name: Path(name) for name in libraries}
    wanted |= {str(path): path for path in files}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, path in sorted(wanted.items()):
            data = path.resolve().read_bytes()
            info = tarfile.TarInfo(name.lstrip("/"))
            info.size, info.mode = len(data), 0o755
            archive.addfile(info, io.BytesIO(data))
        for name, text in (("etc/passwd", "root:x:0:0:root:/:/bin/sh\n"), ("data/file", "data\n")):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(text), 0o644
            archive.addfile(info, io.BytesIO(text.encode()))
    return out.getvalue()


CHANGES = (
    "EXPOSE 8080",
    "EXPOSE 53/udp",
    "ENV COLOUR=blue",
    """CMD ["sh", "-c", "trap 'exit 0' TERM; sleep 1000 & wait"]""",
    "ENV PATH=/bin",
)
"""What `docker import -c` is given. The program ends when it is told to."""
