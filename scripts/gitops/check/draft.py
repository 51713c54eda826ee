"""The check of a change that is not yet written: what the verbs that edit overlays ask before they write anything."""

from __future__ import annotations

from datetime import UTC, datetime

from gitops.check import report, run
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault
from gitops.ground.progress import Progress
from gitops.manifests.findings import Finding
from gitops.repository.revision import Change
from gitops.tools.build import ensure

TOOLS = ["kustomize", "gitleaks", "kubernetes", "argocd", "sealed-secrets"]


def errors(checkout: Checkout, change: Change) -> list[Fault]:
    """What closes the gate for a draft, as `gitops check --offline` would say it, and did not before.

    Raises as `run.run` does.
    """
    ensure(checkout, Progress(), TOOLS)
    known = {
        entry.fingerprint for entry in report.read_baseline(change.head, change.head.root / report.BASELINE).findings
    }
    new = [finding for finding in _errors(checkout, change) if finding.fingerprint not in known]
    if new and change.base:
        whole = Change(None, change.base, "nothing", change.base_name, frozenset(), None)
        known = {finding.fingerprint for finding in _errors(checkout, whole)}
    return [_fault(finding) for finding in new if finding.fingerprint not in known]


def _errors(checkout: Checkout, change: Change) -> list[Finding]:
    today = datetime.now(UTC).date()
    progress = Progress(quiet=True)
    result = run.run(checkout, change, progress, offline=True, everything=False, lab=None, today=today)
    return [finding for finding in result.findings if finding.severity == "error"]


def _fault(finding: Finding) -> Fault:
    place = finding.place
    return Fault(f"{finding.rule}: {finding.what}", path=place.file, line=place.line, fix=finding.fix)
