"""What the cluster's quota controller and LimitRange would say, which the check's API server does not run."""

from __future__ import annotations

import pytest

from gitops.ground.checkout import Checkout
from tests.attacks.gate_world import findings, write

pytestmark = pytest.mark.bots

UNIT = "overlays/mogle/prod"
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: extra}\nspec:\n  ports: [{port: 80}]\n  type: "
CLAIM = """\
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: extra}
spec:
  accessModes: [ReadWriteOnce]
  resources: {requests: {storage: 1Gi}}
"""


def worker(cpu: str, memory: str, replicas: int) -> str:
    """Another Deployment beside web."""
    return f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: extra}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: extra}}}}
  template:
    metadata: {{labels: {{app: extra}}}}
    spec:
      containers:
        - name: app
          image: app
          resources:
            requests: {{cpu: {cpu}, memory: {memory}, ephemeral-storage: 64Mi}}
            limits: {{memory: {memory}}}
"""


REFUSED = {
    "a load balancer": (SERVICE + "LoadBalancer\n", "makes 1 services.loadbalancers; the quota gives 0"),
    "its node ports": (SERVICE + "LoadBalancer\n", "makes 1 services.nodeports; the quota gives 0"),
    "a node port": (SERVICE + "NodePort\n", "makes 1 services.nodeports; the quota gives 0"),
    "a volume": (CLAIM, "makes 1 persistentvolumeclaims; the quota gives 0"),
    "pods of its own": (worker("10m", "16Mi", 50), "needs 51 pods at its largest scale and a surge"),
    "what is left beside the others": (worker("3900m", "64Mi", 1), "beside the others'"),
    "more than a container may have": (
        worker("10m", "3Gi", 1),
        "limits.memory is 3Gi; the LimitRange gives a container at max 2Gi",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_the_cluster_would_refuse_is_said_before(scratch: Checkout, what: str) -> None:
    text, problem = REFUSED[what]
    said = quota_says(scratch, text)
    assert any(problem in line for line in said), said


@pytest.mark.parametrize("text", [SERVICE + "ClusterIP\n", worker("10m", "64Mi", 1)])
def test_what_has_room_is_let_through(scratch: Checkout, text: str) -> None:
    assert quota_says(scratch, text) == []


def quota_says(checkout: Checkout, text: str) -> list[str]:
    listing = (checkout.root / UNIT / "kustomization.yaml").read_text()
    entry = "  - oauth-42.yaml\n"
    files = {"kustomization.yaml": listing.replace(entry, f"{entry}  - extra.yaml\n"), "extra.yaml": text}
    write(checkout, {f"{UNIT}/{name}": content for name, content in files.items()})
    refusals = [finding for finding in findings(checkout) if finding.rule == "quota-room"]
    assert all(finding.place.file == f"{UNIT}/extra.yaml" for finding in refusals), refusals
    return [finding.problem for finding in refusals]
