"""What each overlay runs, what is newer, and what that waits for: told from a run's reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gitops.images import wording
from gitops.images.reasons import UNFIT, NoChange, NoneFits, NoneNewer, NotHealthyLong, NotSoaked, OnHold
from gitops.images.report import BumpReport
from gitops.images.target import ImagePlan
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay

# Newer images that are named; of a hundred that were declined nobody reads more.
_MOST = 5


@dataclass(frozen=True)
class Waiting:
    """A newer image and why it does not run yet. `tag`: nothing where no certain one is meant."""

    tag: str
    why: str


@dataclass(frozen=True)
class OverlayStatus:
    """What one image of an overlay is at. `label`: what a person calls it. `since`: when main got what runs.

    `pull`: the open pull request. `trouble`: what a person must see to.
    """

    overlay: Overlay
    label: str
    runs: Image | None
    since: datetime | None
    waiting: tuple[Waiting, ...]
    pull: int | None
    trouble: str

    def as_dict(self) -> dict[str, Any]:
        """For a program."""
        return {
            "service": self.overlay.service,
            "environment": self.overlay.environment,
            "label": self.label,
            "runs": str(self.runs) if self.runs else None,
            "since": self.since.isoformat() if self.since else None,
            "waiting": [{"tag": waiting.tag, "why": waiting.why} for waiting in self.waiting],
            "pull_request": self.pull,
            "trouble": self.trouble,
        }


def of(report: BumpReport) -> OverlayStatus:
    """The status that a report tells of. Its times are moments: the same as long as nothing changes."""
    plan, target = report.plan, report.plan.target
    failed = str(report.error).splitlines()[0] if report.error else ""
    unknown = [wording.edited(marker) for marker in plan.edited if not marker.tag]
    return OverlayStatus(
        report.overlay,
        plan.label,
        target.pin.image if target else None,
        plan.since,
        () if report.error else tuple(_waiting(report)),
        report.pull,
        "; ".join(filter(None, [failed, wording.alert(plan.alert), *unknown])),
    )


def when(moment: datetime) -> str:
    """A moment as a person reads it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _waiting(report: BumpReport) -> list[Waiting]:
    waiting = list(_decided(report))
    told = {own.tag for own in waiting}
    return [*waiting, *(own for own in _rejected(report.plan) if own.tag not in told)]


def _decided(report: BumpReport) -> Iterator[Waiting]:
    plan = report.plan
    if plan.winner:
        yield Waiting(plan.winner.tag, _proposed(report))
    for reason in (plan.no_change, plan.waits):
        if isinstance(reason, OnHold):
            yield Waiting(plan.held.tag if plan.held else "", _sentence(reason))
        elif reason and not isinstance(reason, NoneNewer | NoneFits):
            yield from _not_yet(reason)


def _proposed(report: BumpReport) -> str:
    outcome = report.outcome
    told = report.frozen or (outcome.why if outcome else "")
    if report.pull is None:
        return told or "will be proposed by the next run"
    who = "its checks" if _merges_itself(report.plan) else "a person"
    return told or f"proposed, waits for {who}"


def _merges_itself(plan: ImagePlan) -> bool:
    return bool(plan.target and plan.winner and plan.target.merges_itself(plan.winner))


def _not_yet(reason: NoChange) -> Iterator[Waiting]:
    """Why a promotion waits. What was promoted last already is no image that waits, but the one behind it is."""
    behind = getattr(reason, "waits", reason)
    if behind:
        yield Waiting(str(getattr(behind, "tag", None) or ""), _sentence(behind))


def _sentence(reason: NoChange) -> str:
    """The reason with the moment at which it ends, rather than with what is left until then."""
    match reason:
        case NotSoaked(environment, _, str(), datetime() as until):
            return f"soaks in {environment} until {when(until)}"
        case NotHealthyLong(overlay, _, _, _, datetime() as until):
            return f"soaks in {overlay.environment} until {when(until)}, if it stays Healthy"
    return wording.no_change(reason)


def _rejected(plan: ImagePlan) -> Iterator[Waiting]:
    """Images of the registry that have a place above what runs, and are not taken: those pushed last."""
    newer = [own for own in plan.assessments if own.rejection and own.rejection.reason not in UNFIT]
    # A registry that tells no times leaves them out.
    newer.sort(key=lambda own: own.image.pushed or datetime.min.replace(tzinfo=UTC), reverse=True)
    for own in newer[:_MOST]:
        yield Waiting(own.image.tag, wording.rejection(own.rejection))
