"""What one bench prints and keeps: its lines for a person, its figures for docs/figures.json."""

from __future__ import annotations

from typing import Any


class Report:
    """The figures of one bench, by name."""

    def __init__(self) -> None:
        self.figures: dict[str, Any] = {}

    def ratio(self, name: str, value: float, against: float, bound: float, what: str) -> None:
        """What was measured, against what, the bound of their ratio, and in words what both are."""
        ratio = value / against
        print(f"bench: {name} ratio={ratio:.2f} bound={bound:g} ({what}; {value:.4g} / {against:.4g})", flush=True)
        self.figures[name] = {
            "value": _short(value),
            "against": _short(against),
            "ratio": _short(ratio),
            "bound": bound,
        }

    def row(self, table: str, **columns: float) -> None:
        """One more row of a table."""
        words = " ".join(f"{name}={value:.4g}" for name, value in columns.items())
        print(f"bench: {table} {words}", flush=True)
        self.figures.setdefault(table, []).append({name: _short(value) for name, value in columns.items()})

    def keep(self, **figures: float) -> None:
        """Figures that no line is printed of: sizes, limits."""
        self.figures |= {name: _short(value) for name, value in figures.items()}


def _short(value: float) -> float:
    """Four digits: more were not measured."""
    return value if isinstance(value, int) else float(f"{value:.4g}")
