"""The columns of iptables' listing: their order, widths and numbers.

Widths and the rounding of numbers are those of iptables' xshared.c (`print_header`,
`print_rule_details`) and libxtables' `xtables_print_num`.
"""

from __future__ import annotations

from dataclasses import dataclass

from natlab.model.ruleset import Counter

ANY_ADDRESS = "0.0.0.0/0"
ANY_INTERFACE = "*"

_SHORT = 99_999  # up to here a number is printed as it is
_FOUR_DIGITS = 9_999


@dataclass(frozen=True, slots=True)
class Row:
    """One rule's columns, as text; a negated one begins with `!`, each extra with a space."""

    target: str = ""
    protocol: str = "all"
    options: str = "--"
    in_interface: str = ANY_INTERFACE
    out_interface: str = ANY_INTERFACE
    source: str = ANY_ADDRESS
    destination: str = ANY_ADDRESS
    extras: str = ""
    counter: Counter | None = None


@dataclass(frozen=True, slots=True)
class Style:
    """How to print: iptables' options `-n`, `-v`, `--line-numbers` and `-x`."""

    numeric: bool = True
    verbose: bool = True
    line_numbers: bool = False
    exact: bool = False

    def column_titles(self) -> str:
        """Name the columns, as the line below a chain's heading does."""
        text = f"{'num':<4} " if self.line_numbers else ""
        if self.verbose:
            text += f"{'pkts':>8} {'bytes':>10} " if self.exact else f"{'pkts':>5} {'bytes':>5} "
        text += f"{'target':<9}  prot opt"
        if self.verbose:
            text += f" {'in':<6} {'out':<6} "
        return f"{text} {'source':<19}  {'destination':<19} "

    def row(self, row: Row, number: int) -> str:
        """Print a rule as the `number`-th of its chain."""
        text = f"{number:<4} " if self.line_numbers else ""
        if self.verbose:
            packets, size = (row.counter.packets, row.counter.bytes) if row.counter else (None,) * 2
            text += f"{self._number(packets)} {self._number(size)} "
        protocol = _signed(row.protocol)
        text += f"{row.target:<9} {protocol:<6}{row.options} "
        if self.verbose:
            text += f" {self._interface(row.in_interface):<6} "
            text += f"{self._interface(row.out_interface):<6} "
        text += f"{_signed(self._address(row.source)):<20} "
        text += f"{_signed(self._address(row.destination)):<20} "
        return f"{text}{row.extras}"

    def policy_counts(self, counter: Counter) -> str:
        """Print what met a chain's policy: ` 3 packets, 432 bytes`; "" unless verbose."""
        if not self.verbose:
            return ""
        packets, size = self._number(counter.packets), self._number(counter.bytes)
        return f" {packets.strip()} packets, {size.strip()} bytes"

    def _number(self, number: int | None) -> str:
        if self.exact:
            return f"{'-' if number is None else number:>8}"
        return f"{'-' if number is None else _abbreviated(number):>5}"

    def _interface(self, name: str) -> str:
        return "any" if name == ANY_INTERFACE and not self.numeric else name

    def _address(self, address: str) -> str:
        return "anywhere" if address == ANY_ADDRESS and not self.numeric else address


def _signed(text: str) -> str:
    """Give a column its place for the `!`: a space where there is none."""
    return text if text.startswith("!") else f" {text}"


def _abbreviated(number: int) -> str:
    if number <= _SHORT:
        return str(number)
    for unit in "KMG":
        number = (number + 500) // 1000
        if number <= _FOUR_DIGITS:
            return f"{number}{unit}"
    return f"{(number + 500) // 1000}T"
