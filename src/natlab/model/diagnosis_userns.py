"""User namespaces: whether an ordinary user may make them, and what to do where not."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from natlab.model.diagnosis import Finding

SETTINGS: Final[Mapping[str, str]] = {
    "kernel.unprivileged_userns_clone": "0",
    "user.max_user_namespaces": "0",
    "kernel.apparmor_restrict_unprivileged_userns": "1",
}
"""The kernel settings that forbid user namespaces, each with the value that does so.

The first is Debian's own, the second every kernel's (namespaces(7)), the third Ubuntu's since
23.10, on in 24.04.
"""

_WANTED: Final = {
    "kernel.unprivileged_userns_clone": "1",
    "user.max_user_namespaces": "15000",
    "kernel.apparmor_restrict_unprivileged_userns": "0",
}
_APPARMOR: Final = "kernel.apparmor_restrict_unprivileged_userns"


@dataclass(frozen=True, slots=True, kw_only=True)
class UserNamespaces:
    """What was found about user namespaces.

    Attributes:
        allowed: Whether one could be made as an ordinary user; None if that was not tried.
        settings: The kernel's settings by name, those of `SETTINGS` that this kernel has.
        root: Whether natlab runs as root, which needs none.
        python: The interpreter that would make them, with all symbolic links followed.
        container: Whether this is itself inside a container.
    """

    allowed: bool | None
    settings: Mapping[str, str] = field(default_factory=dict)
    root: bool = False
    python: str = "/usr/bin/python3"
    container: bool = False

    @property
    def forbidding(self) -> tuple[str, ...]:
        """The settings that stand in the way."""
        return tuple(name for name, bad in SETTINGS.items() if self.settings.get(name) == bad)


def user_namespaces(found: UserNamespaces) -> Finding:
    """Whether an ordinary user can have a lab here. Equivalent to: `unshare -Urn true`."""
    if found.allowed:
        return Finding("ok", "user namespaces", "an ordinary user may make them")
    if found.allowed is None and not found.forbidding:
        return Finding(
            "ok",
            "user namespaces",
            "not tried (this root cannot become another user), none forbidden",
        )
    reason = ", ".join(f"{name} = {SETTINGS[name]}" for name in found.forbidding)
    says = f"an ordinary user may not make them ({reason or 'the kernel refuses'})"
    if found.root:
        return Finding("warning", "user namespaces", f"{says}; as root the lab runs", remedy(found))
    return Finding("problem", "user namespaces", says, remedy(found))


def remedy(found: UserNamespaces) -> str:
    """What allows them, in one line; where AppArmor forbids them, both ways."""
    if not found.forbidding:
        if found.container:
            return (
                "this is a container: start it with `--privileged`, or with"
                " `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`"
            )
        return "run natlab as root: `sudo natlab up`"
    settings = " ".join(f"{name}={_WANTED[name]}" for name in found.forbidding)
    lasting = f"to keep it after a restart, put it into /etc/sysctl.d/60-natlab.conf: {settings}"
    ways = f"run `sudo sysctl -w {settings}` ({lasting})"
    if found.forbidding == (_APPARMOR,):
        ways += f"; or allow it to natlab's Python alone: `{apparmor_profile(found.python)}`"
    return ways


def apparmor_profile(python: str) -> str:
    """The shell line that gives one interpreter an AppArmor profile with the right `userns`.

    Source: Ubuntu's release notes for 24.04, "Unprivileged user namespace restrictions".
    """
    lines = [
        "abi <abi/4.0>,",
        "include <tunables/global>",
        f'profile natlab "{python}" flags=(unconfined) {{',
        "  userns,",
        "}",
    ]
    words = " ".join(shlex.quote(line) for line in lines)
    file = "/etc/apparmor.d/natlab"
    return f"printf '%s\\n' {words} | sudo tee {file} && sudo apparmor_parser -r {file}"
