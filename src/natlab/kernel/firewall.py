"""natlab's nftables table in the place where the caller stands: one table, one transaction.

Everything goes through libnftables. A batch is atomic: it is applied whole or not at all.
Nobody else's table is ever touched.
"""

from __future__ import annotations

import functools
import json
import struct
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from natlab.errors import NatlabError, StaleError
from natlab.kernel.place import nft, standing
from natlab.model.firewall import loopback_guard, skeleton
from natlab.model.port_index import INDEXES, clearing, groundwork
from natlab.model.rule_spec import FAMILIES, TABLE, Entry, Family, RuleSpec, key, written

_GETGEN: Final = 10 << 8 | 16  # subsystem nftables, NFT_MSG_GETGEN
_GENERATION_AT: Final = 16 + 4 + 4  # behind nlmsghdr, nfgenmsg and the head of NFTA_GEN_ID


UNTOUCHED: Final = 1
"""The generation of a ruleset to which nobody has ever added anything."""


def run(commands: Sequence[dict[str, Any]]) -> None:
    """Apply libnftables commands in one transaction. Equivalent to: `nft -j -f -`.

    Raises:
        NatlabError: libnftables refused the batch; nothing of it was applied.
    """
    _apply(map(written, commands))


def _apply(commands: Iterable[str]) -> None:
    context = nft()
    context.set_json_output(True)
    code, _, error = context.cmd(f'{{"nftables":[{",".join(commands)}]}}')
    if code != 0:
        raise NatlabError(f"nft refused the rules, and none was applied: {' '.join(error.split())}")


def command(text: str) -> str:
    """Run a command in nft's own language and return what it prints. Equivalent to: `nft TEXT`.

    Raises:
        NatlabError: libnftables refused it; nothing of it was applied.
    """
    return _run(text)[1]


def _run(text: str) -> tuple[str, str]:
    """Run a command; returns what it said beside its output, and the output."""
    context = nft()
    context.set_json_output(False)
    context.set_handle_output(True)
    code, output, error = context.cmd(text)
    if code != 0:
        raise NatlabError(f"nft refused `{text}`: {' '.join(error.split())}")
    return str(error), str(output)


def list_ruleset() -> str:
    """Every table here, ours or not, as text with handles. Equivalent to: `nft -a list ruleset`.

    nft says beside the listing which tables iptables-nft manages; that stands above it here.
    """
    warnings, listing = _run("list ruleset")
    return f"{warnings}{listing}"


def exists(family: Family = "ip") -> bool:
    """Tell whether our table of that family stands here."""
    return family in _families()


def _families() -> list[Family]:
    """The families of which our table stands here."""
    standing = {line.partition(" # handle")[0] for line in command("list tables").splitlines()}
    return [family for family in FAMILIES if f"table {family} {TABLE}" in standing]


def create(family: Family = "ip", *, userland_proxy: bool = True) -> None:
    """Make our table, empty but for its jumps; one that stands already is left as it is."""
    if not exists(family):
        run(skeleton(family, userland_proxy=userland_proxy))


def begin(specs: Sequence[RuleSpec], *, userland_proxy: bool = True) -> int:
    """Add rules, and our table if it is not there yet, in one transaction.

    Returns:
        The generation of the ruleset afterwards.
    """
    there = generation() != UNTOUCHED and exists()
    chains = () if there else _skeleton(userland_proxy)
    _apply([*chains, *(spec.add_command for spec in specs)])
    return generation()


@functools.cache
def _skeleton(userland_proxy: bool) -> tuple[str, ...]:
    return tuple(map(written, skeleton(userland_proxy=userland_proxy)))


def add(
    specs: Sequence[RuleSpec],
    *,
    chains: Sequence[dict[str, Any]] = (),
    expected: int | None = None,
) -> int:
    """Add rules in one transaction. Equivalent to: `nft add rule …` or `nft insert rule …`.

    Args:
        specs: The rules, in this order.
        chains: Commands that make chains first; a chain that is there already stays as it is.
        expected: Do it only if the ruleset still has this generation.

    Returns:
        The generation of the ruleset afterwards.

    Raises:
        StaleError: the ruleset has another generation than the expected one.
    """
    if expected is not None and generation() != expected:
        raise StaleError
    first = map(written, [*chains, *groundwork(specs)])
    _apply([*first, *(spec.add_command for spec in specs)])
    return generation()


def keys() -> set[str]:
    """The rules of our table, each as `model.rule_spec.key` writes it."""
    return {key(rule["chain"], rule["expr"], rule["family"]) for rule in _rules()}


def generation() -> int:
    """Tell how often the rules of this namespace have changed: each transaction counts one up.

    Whoever knows the rules of a generation knows them as long as it is the same. Equivalent to:
    the number that `nft monitor` prints as `new generation N`.
    """
    request = struct.pack("=IHHIIBBH", 20, _GETGEN, 1, 0, 0, 0, 0, 0)
    netlink = standing.place.netfilter
    netlink.send(request)
    answer = netlink.recv(4096)
    return int(struct.unpack_from("!I", answer, _GENERATION_AT)[0])


def remove(specs: Sequence[RuleSpec]) -> int:
    """Delete rules, each once, in one transaction; returns how many were there.

    A rule is found by what it says, in the kernel's own list, so that the rules of another
    process and those of this one are alike; one that an index leads to is found there, and an
    entry of an index goes with its last rule. Equivalent to: `nft delete rule … handle N`.
    """
    wanted: dict[str, list[int]] = {}
    for number, spec in enumerate(specs):
        for text in dict.fromkeys((spec.key, spec.indexed.key)):
            wanted.setdefault(text, []).append(number)
    left, done = Counter[tuple[Family, str]](), set[int]()
    doomed, entries = [], dict[tuple[Family, str], Entry]()
    for rule in _rules():
        family, chain = rule["family"], rule["chain"]
        left[family, chain] += 1
        known = wanted.get(key(chain, rule["expr"], family), ())
        waiting = [number for number in known if number not in done]
        if not waiting:
            continue
        done.add(waiting[0])
        left[family, chain] -= 1
        found = {name: rule[name] for name in ("family", "table", "chain", "handle")}
        doomed.append({"delete": {"rule": found}})
        entry = specs[waiting[0]].entry
        if entry is not None and entry.chain == chain:
            entries[family, chain] = entry
    for place, entry in entries.items():
        doomed += clearing(place[0], entry) if not left[place] else ()
    if doomed:
        run(doomed)
    return len(done)


def _rules() -> list[dict[str, Any]]:
    context = nft()
    context.set_handle_output(True)
    found: list[dict[str, Any]] = []
    for family in _families():
        context.set_json_output(True)
        code, output, error = context.cmd(f"list table {family} {TABLE}")
        if code != 0:
            raise NatlabError(f"nft cannot list table {family} {TABLE}: {' '.join(error.split())}")
        found += (item["rule"] for item in json.loads(output)["nftables"] if "rule" in item)
    return found


def destroy() -> None:
    """Delete our table; already gone is fine. Equivalent to: `nft delete table ip natlab`."""
    doomed = [{"delete": {"table": {"family": family, "name": TABLE}}} for family in _families()]
    if doomed:
        run(doomed)


def destroy_bare() -> None:
    """Delete our table if it holds no rules but those with which it begins."""
    _, guard = loopback_guard()
    for family in _families():
        begun = (command["add"] for command in skeleton(family))
        own = Counter(what["rule"]["chain"] for what in begun if "rule" in what)
        own.update([guard.chain, *(index.chain for index in INDEXES.values())])
        if Counter(r["chain"] for r in _rules() if r["family"] == family) <= own:
            run([{"delete": {"table": {"family": family, "name": TABLE}}}])
