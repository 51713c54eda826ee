"""Argo CD's Healthy is a delivery (ADR 16): asked of the real Argo CD, with the health that argocd-cm.yaml has it use.

Healthy is an overlay whose SealedSecret and Deployment both are. So each state of a delivery that is not over has to
make one of them something else.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.command import run
from gitops.manifests import kustomize
from gitops.oauth.change import _secret_references
from tests.frozen import ROOT, platform
from tests.oauth_world import OVERLAY

pytestmark = pytest.mark.bots


def sealed(**status: Any) -> dict[str, Any]:
    """A SealedSecret of the second generation of its spec, as its controller left it."""
    meta = {"name": "mogle-oauth-42-g3", "namespace": "x", "generation": 2}
    return {"apiVersion": "bitnami.com/v1alpha1", "kind": "SealedSecret", "metadata": meta, "spec": {}} | (
        {"status": status} if status else {}
    )


def opened(value: str, generation: int = 2) -> dict[str, Any]:
    condition = {"type": "Synced", "status": value, "message": "no key could decrypt secret (client-secret)"}
    return sealed(observedGeneration=generation, conditions=[condition])


def deployment(generation: int = 5, *, conditions: list[Any] | None = None, **pods: int) -> dict[str, Any]:
    """A Deployment of three pods; `pods` are counts of its status."""
    spec = {"replicas": 3, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}}}
    counts = {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "availableReplicas": 3} | pods
    status = {"observedGeneration": generation, **counts, "conditions": conditions or []}
    meta = {"name": "web", "namespace": "x", "generation": 5}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec, "status": status}


LATE = [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "late"}]
STATES: dict[str, tuple[dict[str, Any], str]] = {
    "the controller has not seen the seal": (sealed(), "Progressing"),
    "the controller has not seen its newest form": (opened("True", generation=1), "Progressing"),
    "the seal cannot be opened": (opened("False"), "Degraded"),
    "the seal is opened": (opened("True"), "Healthy"),
    "the new name was not seen yet": (deployment(generation=4), "Progressing"),
    "a new pod is missing": (deployment(updatedReplicas=2), "Progressing"),
    "an old pod is still there": (deployment(replicas=4), "Progressing"),
    "a new pod is not ready": (deployment(readyReplicas=2, availableReplicas=2), "Progressing"),
    "new pods do not come": (deployment(updatedReplicas=1, conditions=LATE), "Degraded"),
    "every pod is new and ready": (deployment(), "Healthy"),
}


@pytest.mark.parametrize("state", STATES)
def test_only_what_has_arrived_is_healthy(state: str, tmp_path: Path) -> None:
    document, health = STATES[state]
    file = tmp_path / "object.yaml"
    file.write_text(yaml.safe_dump(document))
    words: list[str | Path] = ["admin", "settings", "resource-overrides", "health", file]
    config = ROOT / "apps/argocd/argocd-cm.yaml"
    said = run([Checkout(ROOT).tool("argocd"), *words, "--argocd-cm-path", config], timeout=60).decode()
    assert re.findall(r"^STATUS: (\w+)", said, re.MULTILINE) == [health]


def test_no_pod_starts_without_the_secret_that_it_names() -> None:
    """Kubernetes starts no container whose `secretKeyRef` is missing, unless it is optional."""
    base = platform()
    rendered = kustomize.build(base, base.root / OVERLAY)
    assert len(_secret_references(rendered)) == 1
    assert "optional" not in str([item for item in rendered if item["kind"] == "Deployment"])
