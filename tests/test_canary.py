"""A stage between staging and prod: a folder `canary` that a service adds, and how the gate and the cluster know it."""

from __future__ import annotations

from collections.abc import Iterator

import yaml

from gitops.ground.checkout import Checkout
from gitops.images import policy
from gitops.images.policy import Promote
from gitops.manifests import kustomize
from tests import rules
from tests.attacks.gate_world import refusal, write

CANARY = "overlays/umbrella/canary"
KUSTOMIZATION = """\
# yaml-language-server: $schema=https://json.schemastore.org/kustomization.json
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: umbrella-canary
resources:
  - ../../../base/web
components:
  - ../../../base/components/internal-client
  - ../../../base/components/canary
patches:
  - path: ingress.yaml
labels:
  - pairs:
      app.kubernetes.io/name: umbrella
    includeTemplates: true
  - pairs:
      team: umbrella
images:
  - name: app
    newName: 111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/umbrella
    newTag: "0.4.0"
    digest: sha256:00285783d5bf79f22d80b9f856b1197cb539c7abba529c2bb4c717761436b167
"""
POLICIES = """\
# yaml-language-server: $schema=../../docs/schemas/images.json
staging:
  semver: {}
  auto-merge: true
canary:
  promote: {from: staging, soak: 1d}
  auto-merge: true
prod:
  promote: {from: canary, soak: 3d}
"""


def add(checkout: Checkout) -> None:
    """A canary of umbrella, as docs/runbooks/services.md says."""
    # One host: no certificate covers one below `canary.`.
    ingress = (checkout.root / "overlays/umbrella/staging/ingress.yaml").read_text().partition("    - host: api")[0]
    files = {f"{CANARY}/kustomization.yaml": KUSTOMIZATION, "overlays/umbrella/images.yaml": POLICIES}
    write(checkout, {**files, f"{CANARY}/ingress.yaml": ingress.replace("staging.umbrella", "canary.umbrella")})


def test_a_service_may_have_a_canary_that_runs_as_prod_does(scratch: Checkout) -> None:
    add(scratch)
    assert refusal(scratch) is None
    policies = policy.read(scratch, scratch.overlays / "umbrella")
    stages = {name: own.promote for name, own in policies.items()}
    assert isinstance(stages["prod"], Promote)
    assert stages["prod"].from_ == "canary"
    objects = kustomize.build(scratch, scratch.root / CANARY)
    rules.assert_available(scratch, scratch.root / CANARY)
    for template in rules.pod_templates(objects):
        rules.assert_hardened(template)
        assert template["spec"]["priorityClassName"] == "prod"
        assert template["metadata"]["labels"]["environment"] == "canary"
    assert set(selected(objects)) == {"canary"}, "its neighbours are those of canary"


def selected(objects: list[rules.Object]) -> Iterator[str]:
    """The environments that its network policies name."""
    for item in rules.of_kind(objects, "NetworkPolicy"):
        for line in yaml.safe_dump(item["spec"]).splitlines():
            if line.strip().startswith("environment: "):
                yield line.split()[-1]
