"""Which two revisions a run of GitHub Actions compares, by the event that started it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops.ground.errors import InputError


@dataclass(frozen=True)
class Comparison:
    """Two revisions as git understands them. `base` None: the event brought no change (a schedule, a click)."""

    base: str | None
    head: str


def comparison(environment: Mapping[str, str]) -> Comparison | None:
    """What the run compares; None outside of Actions. Raises InputError where the event cannot be read."""
    name = environment.get("GITHUB_EVENT_NAME")
    if not name:
        return None
    file = environment.get("GITHUB_EVENT_PATH", "")
    try:
        payload: dict[str, Any] = json.loads(Path(file).read_text())
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
        raise InputError(f"{file or 'GITHUB_EVENT_PATH'}: not the payload of a {name} event: {error!r}") from None
    return Comparison(None, "HEAD")
