"""The words of an nft rule, and a reader that walks over them."""

from __future__ import annotations

import re
from dataclasses import dataclass

STATEMENT_WORDS = frozenset(
    {
        *("accept", "drop", "return", "continue", "jump", "goto", "reject", "queue"),
        *("dnat", "snat", "masquerade", "redirect", "notrack", "tproxy", "synproxy", "xt"),
        *("counter", "comment", "log", "limit", "quota", "dup", "fwd"),
        *("flow", "add", "update", "delete"),
    }
)
"""Words that begin a statement wherever they stand outside quotes and braces."""

_WORD = re.compile(
    r"""\{(?:"[^"]*"|[^}"])*\}      # a set, whole
      | \((?:"[^"]*"|[^)"])*\)      # a bracketed expression, whole
      | (?:"[^"]*"|[^\s"])+         # a word, quoted parts included
      | "                           # a quote that nothing closes
    """,
    re.VERBOSE,
)


@dataclass(slots=True)
class Words:
    """The words of one rule, and how far they have been read."""

    all: tuple[str, ...]
    at: int = 0

    @classmethod
    def of(cls, text: str) -> Words:
        """Split a rule's text; a quoted string, a `{ set }` and a `(group)` are one word each."""
        return cls(tuple(_WORD.findall(text)))

    @property
    def left(self) -> int:
        """How many words have not been read."""
        return len(self.all) - self.at

    def peek(self, ahead: int = 0) -> str:
        """The next word, or one further on, without taking it; "" past the end."""
        index = self.at + ahead
        return self.all[index] if index < len(self.all) else ""

    def take(self, count: int) -> list[str]:
        """The next words, fewer at the end."""
        taken = list(self.all[self.at : self.at + count])
        self.at += len(taken)
        return taken

    def take_until_statement(self) -> list[str]:
        """The words up to the next one that begins a statement."""
        taken: list[str] = []
        while self.left and self.peek() not in STATEMENT_WORDS:
            taken += self.take(1)
        return taken


def unquoted(word: str) -> str:
    """A word without its quotes; unchanged if it is not one quoted string."""
    inner = word[1:-1]
    is_quoted = len(word) > 1 and word[0] == word[-1] == '"' and '"' not in inner
    return inner if is_quoted else word
