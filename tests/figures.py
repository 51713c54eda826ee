"""What was measured: `docs/figures.json`, and README's section "Measured" (in both languages), rendered from it.

Each measurement (`make bench`, `make matrix`, `make catalogue` ...) calls `record` once, with all that it measured:

    figures.record("oauth", {"seal": {"ratio": 1.03, "bound": 1.2}})

and is named in the templates `docs/measured.template.md` and `docs/measured.ko.template.md` as
`{oauth[seal][ratio]:.2f}`. `record` adds the commit, the date and the number of cores, and renders README.
By hand: `python -m tests.figures` (after a change of a template).
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from string import Formatter
from typing import Any

from git import Repo

from tests.frozen import ROOT

FIGURES, TEMPLATE, README = "docs/figures.json", "docs/measured.template.md", "README.md"
# The same in Korean.
KOREAN_TEMPLATE, KOREAN_README = "docs/measured.ko.template.md", "README.ko.md"
# What is rendered into which document.
TEMPLATES = {
    README: TEMPLATE,
    KOREAN_README: KOREAN_TEMPLATE,
    "docs/architecture.md": "docs/structure.template.md",
    "docs/cost.md": "docs/cost.template.md",
}
BEGIN, END = "<!-- figures: written by python -m tests.figures -->\n", "<!-- figures: end -->\n"

# By measurement, then by name: a number, a text, or a mapping or list of these.
Figures = dict[str, dict[str, Any]]


class FiguresError(Exception):
    """The template asks for what nobody measured, or README has no place for it."""


def read(root: Path = ROOT) -> Figures:
    """All that was measured so far."""
    figures: Figures = json.loads((root / FIGURES).read_text())
    return figures


def record(measurement: str, values: Mapping[str, Any], root: Path = ROOT) -> None:
    """Replace one measurement's figures by new ones of this commit, and render README. Raises FiguresError."""
    figures = read(root)
    circumstances = {"commit": _commit(root), "date": f"{datetime.now(UTC):%Y-%m-%d}", "cores": os.cpu_count()}
    figures[measurement] = {**circumstances, **values}
    documents = rendered(root, figures)
    (root / FIGURES).write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    _write(root, documents)
    print(f"figures: {measurement} written to {', '.join([FIGURES, *documents])}", flush=True)


def _commit(root: Path) -> str:
    """The commit that was measured; `+` where files differ from it, other than what a measurement writes."""
    with Repo(root) as repo:
        written = [f":!{path}" for path in (FIGURES, *TEMPLATES)]
        changed = repo.git.status("--porcelain", "--", ".", *written)
        return repo.head.commit.hexsha[:12] + ("+" if changed else "")


def render(template: str, figures: Figures) -> str:
    """The template with every figure in its place. Raises FiguresError for one that is not there."""
    try:
        return template.format_map(figures)
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise FiguresError(f"{TEMPLATE}: {FIGURES} has no such figure, or none of that form: {error!r}") from None


def asked(template: str) -> list[str]:
    """The figures that a template names, as often as it does."""
    return [field for _, field, _, _ in Formatter().parse(template) if field]


def missing(measurement: str, values: Mapping[str, Any]) -> list[str]:
    """What the template asks of a measurement that it did not measure. A table's first row stands for its others."""
    fields = asked((ROOT / TEMPLATE).read_text())
    names = sorted({re.sub(r"\[\d+\]", "[0]", field) for field in fields if field.startswith(f"{measurement}[")})
    figures: Figures = {measurement: {"commit": "", "date": "", "cores": 0, **values}}
    return [name for name in names if not _has(figures, name)]


def _has(figures: Figures, name: str) -> bool:
    try:
        render(f"{{{name}}}", figures)
    except FiguresError:
        return False
    return True


def rendered(root: Path, figures: Figures) -> dict[str, str]:
    """Every document that has figures, with these. Raises FiguresError."""
    return {
        document: with_section((root / document).read_text(), render((root / template).read_text(), figures))
        for document, template in TEMPLATES.items()
        if (root / template).exists()
    }


def _write(root: Path, documents: Mapping[str, str]) -> None:
    for document, text in documents.items():
        (root / document).write_text(text)


def with_section(readme: str, section: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """A document with another section between its marks. Raises FiguresError where they are not there once each."""
    begin, end = marks
    if readme.count(begin) != 1 or readme.count(end) != 1:
        raise FiguresError(f"not one line each: {begin.strip()} and {end.strip()}")
    before, _, rest = readme.partition(begin)
    _, _, after = rest.partition(end)
    return f"{before}{begin}{section}{end}{after}"


def main() -> None:
    try:
        _write(ROOT, rendered(ROOT, read()))
    except FiguresError as error:
        sys.exit(f"figures: {error}")


if __name__ == "__main__":
    main()
