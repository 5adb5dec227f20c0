"""A ruleset, printed as `iptables -nvL` prints it.

The kernel may hold rules written with `nft` in several tables; iptables knows four fixed ones.
A base chain is shown in the table whose place in the packet's way it takes, and with it every
chain that it leads to:

    nat     chains of type nat
    raw     priority -300 at prerouting and output
    mangle  priority -150, or of type route
    filter  the other filter chains at input, forward and output (priority 0, as a rule)

The form is that of iptables 1.8 (xshared.c and nft-ipv4.c), with the names of protocols that
it printed before 1.8.9 (`tcp`, not `6`). Some things differ, because the ruleset cannot tell or
because iptables has no word: a rule without a counter shows `-` where iptables claims 0; `-m state`
reads as `ctstate`; a condition that iptables cannot express, or that this module does not know,
stands there in nft's own words. What nft's listing leaves out of a rule that `iptables` wrote
(its comment, say) cannot be shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from natlab.errors import UsageError
from natlab.model.iptables_layout import Style
from natlab.model.iptables_row import row_of
from natlab.model.port_index import led, spread
from natlab.model.ruleset import Chain, Counter, Ruleset, Table

TableName = Literal["nat", "filter", "mangle", "raw"]

BUILT_IN: dict[str, tuple[str, ...]] = {
    "nat": ("PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"),
    "filter": ("INPUT", "FORWARD", "OUTPUT"),
    "mangle": ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"),
    "raw": ("PREROUTING", "OUTPUT"),
}
"""iptables' tables, and the chains that each of them always has, in the order of its listing."""

_RAW, _MANGLE, _SECURITY = -300, -150, 50


def listing(
    ruleset: Ruleset,
    table: TableName,
    *,
    numeric: bool = True,
    verbose: bool = True,
    line_numbers: bool = False,
    exact: bool = False,
) -> str:
    """Print one of iptables' tables, with a newline at the end.

    Equivalent to: `iptables -t TABLE -nvL [--line-numbers] [-x]`, whichever tool wrote the rules.
    Where several nft tables have chains for it, each part begins with a line `# table ip NAME`.

    Args:
        ruleset: What the kernel holds.
        table: "nat", "filter", "mangle" or "raw".
        numeric: False prints `any` and `anywhere`; hosts and ports stay numbers in any case,
            since their names would have to be looked up.
        verbose: Also packets, bytes and interfaces.
        line_numbers: Number the rules of each chain from 1.
        exact: Whole numbers instead of 12K, 3M.

    Raises:
        UsageError: iptables has no table of that name.
    """
    if table not in BUILT_IN:
        raise UsageError(
            f"iptables has no table {table!r}; choose one of {', '.join(sorted(BUILT_IN))}"
        )
    style = Style(numeric=numeric, verbose=verbose, line_numbers=line_numbers, exact=exact)
    holders = [t for t in ruleset.tables if t.family in ("ip", "inet") and _members(t, table)]
    if len(holders) > 1:
        parts = [f"# table {t.title}\n{_section(t, table, style)}" for t in holders]
    else:
        parts = [_section(holders[0] if holders else Table("ip", table), table, style)]
    return "\n".join(parts)


def place_of(chain: Chain) -> str | None:
    """Which of iptables' tables a base chain stands for; None for a regular chain and for others.

    A chain of type filter at prerouting with priority 0, say, has no counterpart in iptables.
    """
    if chain.hook is None:
        return None
    if chain.type == "filter" and chain.priority == _SECURITY:
        return None
    name = "filter"
    if chain.type == "nat":
        name = "nat"
    elif chain.type == "route" or chain.priority == _MANGLE:
        name = "mangle"
    elif chain.priority == _RAW:
        name = "raw"
    return name if chain.hook.upper() in BUILT_IN[name] else None


def _members(table: Table, name: str) -> list[Chain]:
    """The chains of an nft table that belong to iptables' table of that name."""
    places = {chain.name: place_of(chain) for chain in table.chains if chain.is_base}
    bases = [chain for chain in table.chains if places.get(chain.name) == name]
    reached = _reached(table, bases)
    from_anywhere = _reached(table, (chain for chain in table.chains if chain.is_base))
    orphans = [
        chain
        for chain in table.chains
        if chain.name not in from_anywhere and name in _places_of_orphan(table, chain)
    ]
    inline = {name for chain in table.chains for rule in chain.rules for name in led(table, rule)}
    return [
        chain
        for chain in table.chains
        if (chain.name in reached or chain in orphans) and chain.name not in inline
    ]


def _reached(table: Table, chains: Iterable[Chain]) -> set[str]:
    return {found.name for chain in chains for found in table.reachable(chain)}


def _places_of_orphan(table: Table, chain: Chain) -> set[str | None]:
    """Where a chain is shown that nothing leads to: by its table, or by what its rules do."""
    bases = [place_of(other) for other in table.chains if other.is_base]
    if table.managed_by_iptables or not bases:
        return {table.name}
    if any(rule.translation is not None for rule in chain.rules):
        return {"nat"}
    return set(bases)


def _section(table: Table, name: str, style: Style) -> str:
    chains = list(_in_order(_members(table, name), name))
    return "\n".join(_chain(table, chain, style) for chain in chains)


def _in_order(members: list[Chain], name: str) -> Iterator[Chain]:
    """Base chains by hook, an absent one as the empty built-in it stands for; then the rest."""
    for built_in in BUILT_IN[name]:
        hook = built_in.lower()
        here = [chain for chain in members if chain.hook == hook]
        absent = Chain(built_in, type="filter", hook=hook, policy="accept")
        yield from sorted(here, key=lambda c: (c.priority or 0, c.name)) or [absent]
    yield from sorted((c for c in members if not c.is_base), key=lambda c: c.name)


def _chain(table: Table, chain: Chain, style: Style) -> str:
    rules = spread(table, chain)
    rules = rules if chain.policy_counter is None else rules[:-1]
    rows = (style.row(row_of(rule), number) for number, rule in enumerate(rules, start=1))
    return "".join(
        f"{line}\n" for line in (_heading(table, chain, style), style.column_titles(), *rows)
    )


def _heading(table: Table, chain: Chain, style: Style) -> str:
    if chain.hook is None:
        targets = (name for c in table.chains for rule in c.rules for name in table.targets(rule))
        return f"Chain {chain.name} ({sum(name == chain.name for name in targets)} references)"
    hook = "" if chain.name == chain.hook.upper() else f"hook {chain.hook}, "
    policy = f"policy {(chain.policy or 'accept').upper()}"
    counted = style.policy_counts(chain.policy_counter or Counter())
    return f"Chain {chain.name} ({hook}{policy}{counted})"
