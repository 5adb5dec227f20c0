r"""What `--format` of Docker's lists means: a table, JSON, or a template for each line.

table                         the list's own columns
table {{.ID}}\t{{.Names}}     columns of one's own, with their titles
json                          an object a line
{{.ID}}                       a line for each
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from natlab.errors import UsageError
from natlab.model.docker_tabs import align
from natlab.model.go_template_run import Heads, Row, Template
from natlab.model.go_tokens import TemplateError

TABLE: Final = "table"
JSON: Final = "{{json .}}"

_KEEP: Final[dict[str, Callable[..., Any]]] = {
    name: lambda value, *_: value
    for name in ("json", "title", "lower", "upper", "truncate", "split", "join", "pad")
}
"""In a title line these functions leave the title as it is."""


@dataclass(frozen=True)
class Listing:
    """One of Docker's lists.

    Attributes:
        columns: The template of its own table.
        heads: The titles, by field; a title may be a function, as the field is.
        quiet: The template for `-q`.
    """

    columns: str
    heads: Mapping[str, Any]
    quiet: str

    def text(self, rows: Sequence[Row], form: str = "", *, quiet: bool = False) -> str:
        """Print the rows; every line ends with a line break.

        Args:
            rows: What is listed.
            form: What `--format` says; nothing for the list's own table.
            quiet: What `-q` says.

        Raises:
            UsageError: `failed to parse template: …`, `failed to execute template: …`.
        """
        return self._lines(rows, form or TABLE, quiet=quiet)

    def _lines(self, rows: Sequence[Row], form: str, *, quiet: bool) -> str:
        if form == "json":
            form = JSON
        as_table = form.startswith(TABLE)
        template = form[len(TABLE) :].strip() if as_table else form
        if as_table and (quiet or not template):
            as_table, template = (False, self.quiet) if quiet else (True, self.columns)
        template = template.strip(" ").replace("\\t", "\t").replace("\\n", "\n")
        try:
            read = Template(template)
            titles = Template(template, functions=_KEEP)
        except TemplateError as error:
            raise UsageError(f"failed to parse template: {error}") from None
        try:
            lines = [f"{read(row)}\n" for row in rows]
        except TemplateError as error:
            raise UsageError(f"failed to execute template: {error}") from None
        if not as_table:
            return "".join(lines)
        return align("".join([f"{titles(Heads(self.heads))}\n", *lines]))
