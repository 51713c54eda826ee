"""Looking for a year's secrets in a year's texts: tests/leaks.py's forms, found by the hash of their beginning.

`leaks.search` asks a text for each form; of some hundred secrets in a hundred megabytes that takes hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from tests import leaks

_SIZE = leaks.WINDOW
# Wherever a form can stand: texts without any such run are passed over.
_RUNS = re.compile(rb"[A-Za-z0-9+/=_%-]{16,}")


class Needles:
    """The forms of some values. What has spaces or other signs in it is looked for as it is."""

    def __init__(self, values: Iterable[str]) -> None:
        known = sorted(set(filter(None, values)))
        self._plain = [value.encode() for value in known if not _RUNS.fullmatch(value.encode())]
        self._forms: dict[bytes, list[tuple[bytes, str]]] = {}
        for pattern, form in leaks.patterns(known).forms.items():
            if len(pattern) >= _SIZE:
                self._forms.setdefault(pattern[:_SIZE], []).append((pattern, form))

    def search(self, where: str, content: bytes) -> list[str]:
        """Which forms stand in a text, once each: never a value."""
        hits = {f"{where}: as it is" for value in self._plain if value in content}
        forms = self._forms
        for match in _RUNS.finditer(content):
            run = match[0]
            for start in range(len(run) - _SIZE + 1):
                if run[start : start + _SIZE] in forms:
                    hits |= self._confirmed(where, run[start:])
        return sorted(hits)

    def _confirmed(self, where: str, rest: bytes) -> set[str]:
        return {f"{where}: {form}" for pattern, form in self._forms[rest[:_SIZE]] if rest.startswith(pattern)}
