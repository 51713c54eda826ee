"""Which two revisions a run of GitHub Actions compares, by the event that started it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops.ground import jsontext
from gitops.ground.errors import InputError


@dataclass(frozen=True)
class Comparison:
    """Two revisions as git understands them. `base` None: the event brought no change (a schedule, a click)."""

    base: str | None
    head: str


def comparison(name: str | None, file: Path | None) -> Comparison | None:
    """What the event `name` with the payload in `file` compares; None outside of Actions, where there is no event.

    Raises InputError where the payload cannot be read.
    """
    if not name:
        return None
    try:
        payload: dict[str, Any] = jsontext.parse(file.read_text() if file else "")
        match name:
            case "pull_request":
                pull = payload["pull_request"]
                # Not the base's commit that the payload names: what is checked out was merged with a newer one, maybe.
                return Comparison(f"origin/{pull['base']['ref']}", pull["head"]["sha"])
            case "merge_group":
                return Comparison(payload["merge_group"]["base_sha"], payload["merge_group"]["head_sha"])
            case "push":
                # Zeros: main itself is new.
                return Comparison(payload["before"] if payload["before"].strip("0") else None, payload["after"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        path = str(file or "GITHUB_EVENT_PATH")
        raise InputError(f"not the payload of a {name} event: {error!r}", path=path) from None
    return Comparison(None, "HEAD")
