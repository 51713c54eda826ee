"""What an overlay keeps: that AWS has made it, and that a disk has one pod at a time."""

from __future__ import annotations

from collections.abc import Iterator

from gitops.check.references import workloads
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object, name, spec_of
from gitops.manifests.pods import Template
from gitops.repository import state

# The ConfigMaps that say which database or bucket an overlay has.
_DECLARED = (state.DATABASE, state.BUCKET)


def check(unit: Unit) -> Iterator[Finding]:
    """What waits for AWS, and disks that two pods would reach for."""
    for item in unit.kind("ConfigMap"):
        if name(item) in _DECLARED:
            yield from _pending(unit, item)
    for pods in workloads(unit):
        if any("persistentVolumeClaim" in volume for volume in pods.spec.get("volumes") or []):
            yield from _alone(unit, pods)


def _pending(unit: Unit, item: Object) -> Iterator[Finding]:
    for key, value in (item.get("data") or {}).items():
        if value == state.PENDING:
            what = f"data.{key}: AWS has not made it yet"
            yield unit.finding(
                "state-pending",
                item,
                ("data", key),
                what,
                "ask the platform team to run `gitops cluster up --aws-only` on this branch, and commit what it writes",
            )


def _alone(unit: Unit, pods: Template) -> Iterator[Finding]:
    """A disk is in one zone and on one node: a second pod elsewhere would wait for it for ever."""
    spec = spec_of(pods.item)
    fix = "keep data in base/components/database or bucket; a disk is for a bot (base/bot: Recreate, one pod)"
    problems: list[tuple[FieldPath, str]] = []
    if pods.item.get("kind") != "Deployment" or (spec.get("strategy") or {}).get("type") != "Recreate":
        what = "has a disk, and starts a new pod beside the old one, which holds it"
        problems.append((("spec", "strategy") if "strategy" in spec else ("kind",), what))
    if int(spec.get("replicas", 1)) > 1:
        problems.append((("spec", "replicas"), "has a disk, and more pods than the one that it can be given to"))
    for path, what in problems:
        yield unit.finding("volume", pods.item, path, what, fix)
    for scaler in unit.kind("HorizontalPodAutoscaler"):
        target = spec_of(scaler).get("scaleTargetRef") or {}
        if (target.get("kind"), target.get("name")) == (pods.item.get("kind"), name(pods.item)):
            what = f"scales {name(pods.item)}, whose disk can be given to one pod alone"
            yield unit.finding("volume", scaler, ("spec", "scaleTargetRef"), what, fix)
