"""natlab's nftables table in the place where the caller stands: one table, one transaction.

Everything goes through libnftables. A batch is atomic: it is applied whole or not at all.
Nobody else's table is ever touched.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from natlab.errors import NatlabError
from natlab.kernel.place import nft
from natlab.model.firewall import FAMILY, TABLE, RuleSpec, canonical, skeleton


def run(commands: Sequence[dict[str, Any]]) -> None:
    """Apply libnftables commands in one transaction. Equivalent to: `nft -j -f -`.

    Raises:
        NatlabError: libnftables refused the batch; nothing of it was applied.
    """
    context = nft()
    context.set_json_output(True)
    code, _, error = context.cmd(json.dumps({"nftables": list(commands)}))
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


def exists() -> bool:
    """Tell whether our table stands here."""
    return f"table {FAMILY} {TABLE} " in f"{command('list tables')} ".replace("\n", " ")


def create(*, userland_proxy: bool = True) -> None:
    """Make our table, empty but for its jumps; one that stands already is left as it is."""
    if not exists():
        run(skeleton(userland_proxy=userland_proxy))


def add(specs: Sequence[RuleSpec]) -> None:
    """Add rules in one transaction. Equivalent to: `nft add rule …` or `nft insert rule …`."""
    run([spec.add_command() for spec in specs])


def ensure(specs: Sequence[RuleSpec], *, chains: Sequence[dict[str, Any]] = ()) -> None:
    """Add those rules that are not there yet, and the chains that they need.

    Rules that stand already keep their counters.
    """
    there = [(rule["chain"], canonical(rule["expr"])) for rule in _rules()]
    missing = [spec for spec in specs if (spec.chain, canonical(spec.exprs)) not in there]
    if missing:
        run([*chains, *(spec.add_command() for spec in missing)])


def remove(specs: Sequence[RuleSpec]) -> int:
    """Delete rules, each once, in one transaction; returns how many were there.

    A rule is found by what it says, in the kernel's own list, so that the rules of another
    process and those of this one are alike. Equivalent to: `nft delete rule … handle N`.
    """
    wanted = [(spec.chain, canonical(spec.exprs)) for spec in specs]
    doomed = []
    for rule in _rules():
        key = (rule["chain"], canonical(rule["expr"]))
        if key in wanted:
            wanted.remove(key)
            place = {key: rule[key] for key in ("family", "table", "chain", "handle")}
            doomed.append({"delete": {"rule": place}})
    if doomed:
        run(doomed)
    return len(doomed)


def _rules() -> list[dict[str, Any]]:
    if not exists():
        return []
    context = nft()
    context.set_json_output(True)
    context.set_handle_output(True)
    code, output, error = context.cmd(f"list table {FAMILY} {TABLE}")
    if code != 0:
        raise NatlabError(f"nft cannot list table {FAMILY} {TABLE}: {' '.join(error.split())}")
    return [item["rule"] for item in json.loads(output)["nftables"] if "rule" in item]


def destroy() -> None:
    """Delete our table; already gone is fine. Equivalent to: `nft delete table ip natlab`."""
    if exists():
        run([{"delete": {"table": {"family": FAMILY, "name": TABLE}}}])
