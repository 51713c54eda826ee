"""What the rules of the sources, addresses and availability let pass: legal states that look like a fault."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from gitops.check import run as runs
from gitops.ground.checkout import Checkout
from gitops.ground.progress import Progress
from gitops.manifests.findings import Finding
from gitops.repository import revision
from tests import generated
from tests.catalogue import Edit, edit

PROD = "overlays/mogle/prod/"
CALLER = "overlays/umbrella/prod/deployment.yaml"
URL = "http://web.mogle-prod.svc.cluster.local"
HEAD = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n"


def findings(checkout: Checkout, *, everything: bool = False) -> list[Finding]:
    """Of the working copy, without an API server."""
    with revision.compare(checkout, "HEAD", None, for_all=runs.FOR_ALL) as change:
        today = datetime.now(UTC).date()
        progress = Progress(quiet=True)
        return runs.run(checkout, change, progress, offline=True, everything=everything, lab=None, today=today).findings


def patched(content: str) -> list[Edit]:
    """A patch of mogle/prod."""
    listed = Edit(file=f"{PROD}kustomization.yaml", find="  - path: ingress.yaml\n")
    listed.put = f"{listed.find}  - path: more.yaml\n"
    return [listed, Edit(file=f"{PROD}more.yaml", content=content)]


def entry(before: str, text: str) -> list[Edit]:
    """More in mogle/prod's kustomization, above a line of it."""
    return [Edit(file=f"{PROD}kustomization.yaml", find=before, put=f"{text}{before}")]


def called(address: str) -> list[Edit]:
    """Another address that umbrella/prod calls."""
    return [Edit(file=CALLER, find=URL, put=address)]


PATCH = "    patch: |\n      - op: add\n        path: /spec/revisionHistoryLimit\n        value: 5\n"
LEGAL = {
    "a target by a pattern": entry("labels:\n", f"  - target: {{kind: Deployment, name: we.*}}\n{PATCH}"),
    "a target by kind alone": entry("labels:\n", f"  - target: {{kind: Deployment}}\n{PATCH}"),
    "a target by a label of a base": entry(
        "labels:\n", f"  - target: {{kind: Deployment, labelSelector: environment=prod}}\n{PATCH}"
    ),
    "a generator's own file": [
        *entry("images:\n", "configMapGenerator:\n  - name: settings\n    files: [app.properties]\n"),
        Edit(file=f"{PROD}app.properties", content="theme=dark\n"),
    ],
    "a generated map that is patched": entry(
        "labels:\n",
        "  - target: {kind: ConfigMap, name: settings}\n    patch: |\n      - op: add\n        path: /data/c\n"
        "        value: d\nconfigMapGenerator:\n  - name: settings\n    literals: [a=b]\n",
    ),
    "notes beside the objects": [Edit(file=f"{PROD}README.md", content="words\n=======\n")],
    "a whole name with its port": called(f"{URL}:80/v1"),
    "a name with its namespace": called("http://web.mogle-prod/v1"),
    "a name with svc": called("http://web.mogle-prod.svc:80"),
    "a host of the world": called("https://api.example.com:8443/v1"),
    "its own Service by name": called("http://web:80/"),
    "itself": called("http://localhost:9090/"),
    "a longer grace": patched(f"{HEAD}  template:\n    spec:\n      terminationGracePeriodSeconds: 120\n"),
    "a share of a budget": patched(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata:\n  name: web\nspec:\n  maxUnavailable: 34%\n"
    ),
    "an image with its digest": [
        Edit(file=f"{PROD}kustomization.yaml", find='newTag: "2.14.0"', put='newTag: "2.15.0"'),
        Edit(file=f"{PROD}kustomization.yaml", find="digest: sha256:", put=f"digest: sha256:{'a' * 64} # "),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", LEGAL)
def test_what_is_legal_passes(scratch: Checkout, name: str) -> None:
    edit(scratch.root, LEGAL[name])
    assert findings(scratch) == []


def test_overlays_of_many_shapes_pass(tmp_path: Path) -> None:
    """With a cache beside the service that no Ingress names, with generators, replacements, transformers."""
    assert findings(generated.repository(tmp_path / "repository", 20), everything=True) == []


def test_a_call_of_an_overlays_own_service_needs_no_change_there(scratch: Checkout) -> None:
    """The Services of an overlay that the change does not concern are looked up, and not guessed."""
    edit(scratch.root, [Edit(file="overlays/mogle/prod/service.yaml", content=SERVICE)])
    edit(scratch.root, entry("components:\n", "  - service.yaml\n"))
    with revision.open_repository(scratch) as repo:
        repo.git.add("--all")
        repo.git.commit("-q", "-m", "a second Service")
    edit(scratch.root, called("http://metrics.mogle-prod.svc.cluster.local:81"))
    assert findings(scratch) == []
    edit(scratch.root, [Edit(file=CALLER, find=":81", put=":80")])
    assert [finding.rule for finding in findings(scratch)] == ["internal-address"]


SERVICE = """apiVersion: v1
kind: Service
metadata:
  name: metrics
spec:
  selector:
    app.kubernetes.io/component: web
  ports:
    - name: http
      port: 81
      targetPort: http
"""
