"""What a check comes to: the revisions that it looks at, and which of its findings are new."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gitops.check import report, run
from gitops.check.report import Baseline
from gitops.check.run import CheckResult
from gitops.ground.checkout import Checkout
from gitops.ground.printable import counted
from gitops.ground.progress import Progress
from gitops.manifests.findings import Finding
from gitops.manifests.kustomize import Renderer
from gitops.repository import revision


@dataclass(frozen=True)
class CheckOutcome:
    """`new`: the findings that the baseline does not know; `units`, `known`, `excepted`: how many there are of each."""

    new: list[Finding]
    units: int
    known: int
    excepted: int

    @classmethod
    def of(cls, result: CheckResult, baseline: Baseline) -> CheckOutcome:
        """What is new of a result."""
        known = {entry.fingerprint for entry in baseline.findings}
        new = [finding for finding in result.findings if finding.fingerprint not in known]
        return cls(new, len(result.units), len(result.findings) - len(new), len(result.excepted))

    @property
    def errors(self) -> int:
        """How many of the new findings close the gate."""
        return sum(finding.severity == "error" for finding in self.new)

    @property
    def sentence(self) -> str:
        """All of it in one line."""
        errors, warnings = counted(self.errors, "error"), counted(len(self.new) - self.errors, "warning")
        parts = [f"{counted(self.units, 'folder')} checked: {errors}", warnings]
        parts += [f"{self.known} known (baseline)"] if self.known else []
        parts += [f"{self.excepted} excepted"] if self.excepted else []
        return ", ".join(parts)


def check(
    checkout: Checkout,
    progress: Progress,
    *,
    base: str | None = None,
    head: str | None = None,
    everything: bool = False,
    offline: bool,
    lab: str | None = None,
    renders: Renderer,
) -> tuple[CheckResult, Baseline]:
    """Check `head` (None: the working copy) against `base`, or all of it; with the baseline that head has.

    Raises as `run.run` does.
    """
    # The load balancer is merged from all overlays of head.
    for_all = ("",) if everything or head else run.FOR_ALL
    change = (
        revision.whole(checkout, head)
        if everything and not base
        else revision.compare(checkout, base, head, for_all=for_all, renders=True)
    )
    today = datetime.now(UTC).date()
    with change as sides:
        result = run.run(
            checkout, sides, progress, offline=offline, everything=everything, lab=lab, today=today, renders=renders
        )
        return result, report.read_baseline(sides.head, sides.head.root / report.BASELINE)
