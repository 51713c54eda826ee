"""The one door to JSON that somebody else wrote."""

from __future__ import annotations

import json
from typing import Any


def parse(text: str | bytes) -> Any:  # noqa: ANN401 - whatever stands there
    """What a JSON text says. Raises ValueError where it is none, also where it is nested too deeply to be read."""
    try:
        return json.loads(text)  # noqa: TID251
    except RecursionError:
        raise ValueError("nested too deeply") from None
