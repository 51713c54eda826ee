"""The issue that tells of a page that cannot be read: what differs from the known layout, and who waits for it."""

from __future__ import annotations

from collections.abc import Sequence

from gitops.clients.github import Hub, issues
from gitops.ground.printable import fence, table
from gitops.oauth.rotate import RotationReport
from gitops.oauth.state import Obstacle

LABEL = "oauth-layout"
TITLE = "42's page of applications cannot be read in one way alone"


def keep(hub: Hub, reports: Sequence[RotationReport]) -> None:
    """Open the issue, bring it up to date, or close it once every application was read. Raises ExternalError.

    `reports`: of all applications.
    """
    refused = [report for report in reports if _blocked(report) is Obstacle.LAYOUT]
    if refused:
        issues.keep(hub, LABEL, TITLE, body(refused))
    elif reports and all(_was_read(report) for report in reports):
        issues.close(hub, LABEL)


def body(refused: Sequence[RotationReport]) -> str:
    """The same for the same pages; no value of them is in it."""
    rows = []
    differences: dict[tuple[str, ...], list[str]] = {}
    for report in refused:
        if report.observation:
            rows.append((str(report.overlay), report.observation.application.id, report.observation.why.split("; ")[0]))
            differences.setdefault(report.observation.difference, []).append(str(report.overlay))
    lines = [
        "No secret of these applications is rotated until their page can be read, so what they run ends at its date:",
        "",
        *table(("overlay", "application", "why"), rows),
    ]
    for difference, overlays in differences.items():
        lines += ["", f"What differs from the known layout ({', '.join(overlays)}), without any value:", ""]
        lines += fence(difference or ("nothing: the same elements, with other values in them",), "diff")
    lines += [
        "",
        "What to do: docs/runbooks/oauth.md, section `BLOCKED (layout)`. The bot keeps this up to date, and closes it "
        "when every page is read again.",
    ]
    return "\n".join(lines)


def _blocked(report: RotationReport) -> Obstacle | None:
    return report.observation.facts.blocked if report.observation else None


def _was_read(report: RotationReport) -> bool:
    return report.observation is not None and report.observation.reading is not None
