"""The course: steps in order, each with a build, checks and hints. This is what a step imports."""

from __future__ import annotations

from natlab.course.checks import Check, Fail, check
from natlab.course.client import docker, engine_runs, running, script, until_it_listens, with_engine
from natlab.course.facts import (
    answers,
    container,
    default_route,
    dropped,
    expect,
    forward_tally,
    forwarding,
    has_address,
    is_up,
    no_route,
    no_rules,
    plugged_in,
    silent,
)
from natlab.course.inside import Resident, own_namespaces, residents
from natlab.course.listing import iptables_listing
from natlab.course.mounts import (
    bind_by_hand,
    mounted_at,
    own_layer,
    place_on,
    shown_inside,
    union_root,
)
from natlab.course.writes import appended, arrives, reads, refused, shell, stays, written
from natlab.model.mountinfo import MountPoint

__all__ = [
    "Check",
    "Fail",
    "MountPoint",
    "Resident",
    "answers",
    "appended",
    "arrives",
    "bind_by_hand",
    "check",
    "container",
    "default_route",
    "docker",
    "dropped",
    "engine_runs",
    "expect",
    "forward_tally",
    "forwarding",
    "has_address",
    "iptables_listing",
    "is_up",
    "mounted_at",
    "no_route",
    "no_rules",
    "own_layer",
    "own_namespaces",
    "place_on",
    "plugged_in",
    "reads",
    "refused",
    "residents",
    "running",
    "script",
    "shell",
    "shown_inside",
    "silent",
    "stays",
    "union_root",
    "until_it_listens",
    "with_engine",
    "written",
]
