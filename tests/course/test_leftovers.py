"""Working through the whole course leaves the machine, byte for byte, as it was."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from natlab import Lab
from natlab.course import blocks, manifest, runner

COURSE = manifest.load()
BY_HAND = [
    pytest.param(step, id=step.number)
    for step in COURSE.steps
    if "hand" in blocks.spellings(blocks.parse(step.readme))
]
LOOK = """
find /srv /var/lib/docker ! -path /srv ! -path /var/lib/docker
ip netns list
ps -eo stat=,args= | awk '!/^Z/ && /[s]leep|[d]ockerd|[u]nshare/'
cut -d ' ' -f 4,5 /proc/self/mountinfo | sort
"""
"""What a step made by hand may leave on its host."""

SRC = Path(__file__).parents[2] / "src"


def run_the_course(family) -> str:
    """Run it to its end; every process that it started has ended then, and its namespaces too."""
    paths = os.pathsep.join([str(SRC), *filter(None, sys.path)])
    running = subprocess.Popen(
        [sys.executable, "-m", "natlab", "do", "--all", "--check", "--throwaway"],
        env={**os.environ, "PYTHONPATH": paths},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    said = ""
    while "\n10 " not in said and (line := running.stdout.readline()):
        said += line
    with family(running.pid) as members:
        rest, error = running.communicate()
        assert running.returncode == 0, said + rest + error
        assert members.pids
        assert members.all_end()
    return said + rest


def test_the_whole_course_passes_and_leaves_nothing(family, machine):
    run_the_course(family)  # what the kernel loads on first use is loaded now
    before = machine()
    said = run_the_course(family)
    assert re.fullmatch(r"\d+ steps, \d+ checks: \d+ passed", said.splitlines()[-1])
    assert machine() == before


@pytest.fixture(scope="module")
def lab():
    with Lab() as lab:
        yield lab


@pytest.mark.parametrize("step", BY_HAND)
def test_what_was_made_by_hand_is_gone_when_the_host_is_clean_again(lab, step):
    lab.clean()
    before = lab.ubuntu1.run(LOOK).stdout
    runner.reset(COURSE, step, lab)
    for block in blocks.chosen(blocks.parse(step.readme), "hand"):
        blocks.type_block(lab, block)
    assert "/srv/" in lab.ubuntu1.run(LOOK).stdout
    lab.clean()
    assert lab.ubuntu1.run(LOOK).stdout == before
