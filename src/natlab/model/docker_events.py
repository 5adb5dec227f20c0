"""Events as `docker events` prints them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from natlab.model.go_quote import compact_json
from natlab.model.go_template_run import Texts

_SECOND: Final = 1_000_000_000
_NAMES: Final = {
    "status": "Status",
    "id": "ID",
    "from": "From",
    "scope": "Scope",
    "time": "Time",
    "timeNano": "TimeNano",
}


def event_line(event: Mapping[str, Any]) -> str:
    """Print an event: when, what kind, what happened, to whom, and what else is known of it."""
    seconds, rest = divmod(event["timeNano"], _SECOND)
    moment = datetime.fromtimestamp(seconds, UTC).astimezone()
    zone = moment.strftime("%z")
    shown = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    actor = event["Actor"]
    line = f"{moment:%Y-%m-%dT%H:%M:%S}.{rest:09}{shown} {event['Type']} {event['Action']} "
    known = actor.get("Attributes") or {}
    if not known:
        return f"{line}{actor['ID']}"
    attributes = ", ".join(f"{key}={known[key]}" for key in sorted(known))
    return f"{line}{actor['ID']} ({attributes})"


def event_json(event: Mapping[str, Any]) -> str:
    """Print an event as JSON, what is known of the actor in the order of its names."""
    actor = event["Actor"]
    known = actor.get("Attributes") or {}
    attributes = {key: known[key] for key in sorted(known)}
    return compact_json(
        {**event, "Actor": {"ID": actor["ID"], "Attributes": attributes}}, escape_html=True
    )


def event_view(event: Mapping[str, Any]) -> dict[str, Any]:
    """Give an event's fields the names by which templates know them: `{{.Status}}`."""
    actor = event["Actor"]
    known = {**actor, "Attributes": Texts(actor.get("Attributes") or {})}
    empty = {"Status": "", "ID": "", "From": ""}
    return {
        **empty,
        **event,
        "Actor": known,
        **{_NAMES[key]: event[key] for key in _NAMES if key in event},
    }
