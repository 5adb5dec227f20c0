"""What a machine's facts mean for natlab: findings, each with what to do about it.

Facts come from `natlab.engine.doctor`; nothing here looks at the machine. What concerns the
machine's own network is in `natlab.model.diagnosis_network`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from natlab.errors import UsageError

Level = Literal["ok", "warning", "problem"]
LEVELS: Final[tuple[Level, ...]] = ("ok", "warning", "problem")

OLDEST_KERNEL: Final = (5, 3)
"""The first kernel with pidfd_open(2), by which natlab waits for what it started."""

OLDEST_NFT: Final = (1, 0)
"""The oldest nft whose JSON and listings natlab is made for."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's: how bad, about what, what was found, and what to do.

    Attributes:
        level: "ok"; "warning" (the lab runs, but not everything in it); "problem" (it does not).
        topic: What was looked at, in a word or two.
        says: What was found.
        remedy: What to do, in one line; a warning or a problem always has one.
    """

    level: Level
    topic: str
    says: str
    remedy: str = ""

    def __post_init__(self) -> None:
        if self.level not in LEVELS:
            raise UsageError(f"a finding's level is one of {', '.join(LEVELS)}, not {self.level!r}")
        if self.level != "ok" and not self.remedy:
            raise UsageError(f"finding on {self.topic}: a {self.level} must say what to do")


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level among findings; "ok" if there is none."""
    return max((f.level for f in findings), key=LEVELS.index, default="ok")


def kernel(system: str, release: str) -> Finding:
    """Whether this is Linux, and new enough. Compare: `uname -sr`."""
    if system != "Linux":
        return Finding(
            "problem",
            "kernel",
            f"this is {system}: network namespaces are Linux's",
            "run natlab in a Linux virtual machine: `vagrant up`, then `vagrant ssh ubuntu1`",
        )
    found = version(release)
    if found and found < OLDEST_KERNEL:
        return Finding(
            "problem",
            "kernel",
            f"Linux {release} is older than {'.'.join(map(str, OLDEST_KERNEL))}",
            "boot a newer kernel, or run natlab in a virtual machine: `vagrant up`",
        )
    return Finding("ok", "kernel", f"Linux {release}")


def version(text: str) -> tuple[int, ...]:
    """The first version number in a text: (1, 0, 6) of "nftables v1.0.6 (Lester Gooch #5)"."""
    found = re.search(r"\d+(?:\.\d+)+", text)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def privilege(euid: int, *, admin: bool) -> Finding:
    """Who runs natlab, and what that means."""
    if admin:
        return Finding("ok", "privilege", f"uid {euid} may make namespaces directly")
    return Finding(
        "ok", "privilege", f"uid {euid}, an ordinary user: the lab gets a user namespace of its own"
    )


def sandbox(error: str | None) -> Finding:
    """Whether a throwaway sandbox could be made."""
    if error is None:
        return Finding("ok", "sandbox", "one was made and is gone again")
    what, _, remedy = error.partition(": ")
    return Finding("problem", "sandbox", what, remedy or "run natlab as root")


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """Something of the kernel that was tried in a sandbox.

    Attributes:
        name: Its name.
        module: The kernel module that has it.
        use: What natlab needs it for.
        needed: Whether nothing works without it.
        error: Why it did not work; None if it did.
    """

    name: str
    module: str
    use: str
    needed: bool = True
    error: str | None = None


def feature(tried: Feature) -> Finding:
    """Whether a feature of the kernel works."""
    if tried.error is None:
        return Finding("ok", tried.name, f"works ({tried.use})")
    return Finding(
        "problem" if tried.needed else "warning",
        tried.name,
        f"does not work: {tried.error}; {tried.use} needs it",
        f"run `sudo modprobe {tried.module}`, or boot a kernel that has {tried.module}",
    )


def pyroute2(found: str | None) -> Finding:
    """Whether pyroute2 is there; `found` is its version."""
    if found is None:
        return Finding(
            "problem",
            "pyroute2",
            "the Python package is missing: bridge, veth and conntrack were not tried",
            "install it where natlab is: `pip install 'pyroute2>=0.9.5,<0.10'`",
        )
    return Finding("ok", "pyroute2", found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Libnftables:
    """What was found of libnftables.

    Attributes:
        binding: Whether the Python module `nftables` can be imported.
        library: The file of the library that it loaded; None if it loaded none.
        nft: What `nft --version` prints; None without that program.
    """

    binding: bool
    library: str | None = None
    nft: str | None = None


def libnftables(found: Libnftables) -> Finding:
    """Whether rules can be made at all, and with which version."""
    if not found.binding:
        return Finding(
            "problem",
            "libnftables",
            "the Python package oxl-libnftables is missing",
            "install it where natlab is: `pip install oxl-libnftables`",
        )
    if found.library is None:
        return Finding(
            "problem",
            "libnftables",
            "the library libnftables.so.1 cannot be loaded",
            "run `sudo apt-get install libnftables1`",
        )
    number = version(found.nft or "")
    says = f"{found.library}, version {'.'.join(map(str, number))}" if number else found.library
    if number and number < OLDEST_NFT:
        return Finding(
            "warning",
            "libnftables",
            f"{says}: older than what natlab is made for (1.0)",
            "use a newer system, such as Debian 12 or Ubuntu 22.04 (`vagrant up` brings one)",
        )
    return Finding("ok", "libnftables", says)


REQUIRED_TOOLS: Final[Mapping[str, str]] = {"ip": "iproute2", "nft": "nftables"}
"""The programs without which the course cannot be typed by hand, and their Debian packages."""

USEFUL_TOOLS: Final[Mapping[str, str]] = {
    "iptables": "iptables",
    "tcpdump": "tcpdump",
    "conntrack": "conntrack",
    "ping": "iputils-ping",
    "nc": "netcat-openbsd",
    "curl": "curl",
    "sysctl": "procps",
    "nsenter": "util-linux",
}
"""The programs that some of the course's lines use."""


def tools(found: Mapping[str, str | None]) -> list[Finding]:
    """Which programs are there: one line for those that are, one for those to install."""
    missing = {n: p for n, p in {**REQUIRED_TOOLS, **USEFUL_TOOLS}.items() if not found.get(n)}
    present = [name for name in (*REQUIRED_TOOLS, *USEFUL_TOOLS) if name not in missing]
    findings = [Finding("ok", "tools", ", ".join(present))] if present else []
    if missing:
        required = [name for name in missing if name in REQUIRED_TOOLS]
        says = f"not found: {', '.join(missing)}"
        if required:
            says += f" (the course's steps are typed with {' and '.join(required)})"
        packages = " ".join(sorted(set(missing.values())))
        level: Level = "problem" if required else "warning"
        findings.append(Finding(level, "tools", says, f"run `sudo apt-get install -y {packages}`"))
    return findings


def iptables(says: str | None) -> list[Finding]:
    """Which back end iptables has; `says` is what `iptables --version` prints."""
    if says is None:
        return []
    if "nf_tables" in says:
        return [Finding("ok", "iptables", says)]
    return [
        Finding(
            "warning",
            "iptables",
            f"{says} does not use nf_tables: rules typed with it are invisible to nft and natlab",
            "run `sudo update-alternatives --set iptables /usr/sbin/iptables-nft`",
        )
    ]
