"""The unmodified `docker` command: what a person types, and what Docker 28 answers.

The transcripts are read like a terminal: after `$ ` a line for the shell, then what it prints, with
`! ` before what it complains of, and in brackets its exit code where that is not 0. Between angle
brackets stands what differs each time.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "transcripts"
ANY = {
    "<id>": "[0-9a-f]{64}",
    "<id12>": "[0-9a-f]{12}",
    "<any>": ".*",
    "<number>": "[0-9]+",
    "<port>": "49[0-9]{3}",
    "<mac>": "02:42(:[0-9a-f]{2}){4}",
    "<tab>": "\t",
}
HELP = re.compile(r"\n\nRun 'docker [^\n]* --help' for more information\n")
_PLACEHOLDER = re.compile("(<[a-z0-9]+>)")


def pattern(text: str) -> str:
    return "".join(ANY.get(part) or re.escape(part) for part in _PLACEHOLDER.split(text))


def steps(text: str):
    """Each line that is typed, with what is expected: standard output, error, exit code."""
    _, *blocks = re.split(r"^\$ ", text, flags=re.MULTILINE)
    for block in blocks:
        command, *lines = block.removesuffix("\n").split("\n")
        code = 0
        if lines and (found := re.fullmatch(r"\[(\d+)\]", lines[-1])):
            code = int(found[1])
            lines.pop()
        out = "".join(f"{line}\n" for line in lines if not line.startswith("! "))
        err = "".join(f"{line[2:]}\n" for line in lines if line.startswith("! "))
        yield command, out, err, code


def problems(docker, tmp_path, text: str) -> list[str]:
    """Type all of it; what was not as expected, with what came instead."""
    path = f"{Path(docker.binary).parent}:{os.environ['PATH']}"
    found = []
    for command, out, err, code in steps(text):
        done = subprocess.run(
            ["bash", "-c", command],
            env={**docker.env, "PATH": path},
            cwd=tmp_path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        output = done.stdout.replace("\r\n", "\n")
        if output and not output.endswith("\n"):
            output += "\n"
        complaint = HELP.sub("\n", done.stderr.replace("\r\n", "\n"))
        if not (
            re.fullmatch(
                pattern(out),
                output,
            )
            and re.fullmatch(pattern(err), complaint)
            and done.returncode == code
        ):
            found.append(f"$ {command}\n{output}{complaint}[{done.returncode}]")
    return found


@pytest.mark.parametrize("name", sorted(path.stem for path in HERE.glob("*.txt")))
def test_the_client_prints_what_docker_28_prints(docker, tmp_path, name):
    if name.endswith(".user" if os.geteuid() == 0 else ".root"):
        pytest.skip("written for another user")
    found = problems(docker, tmp_path, (HERE / f"{name}.txt").read_text())
    assert not found, "\n".join(found)
