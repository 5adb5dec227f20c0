"""The seed's form of a host's rules, whoever wrote them and with which tool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from natlab.model import iptables_view

if TYPE_CHECKING:
    from natlab.engine.node import Node


def iptables_listing(node: Node, table: iptables_view.TableName = "nat") -> str:
    """The rules and counters of a machine, as one of iptables' tables; exact numbers.

    Equivalent to: `iptables -t TABLE -nvxL`, for rules written with nft as well.
    """
    return iptables_view.listing(node.ruleset(), table, exact=True)
