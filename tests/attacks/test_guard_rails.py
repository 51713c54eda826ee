"""A member's overlay without what every service's namespace must have, or with it opened."""

from __future__ import annotations

import pytest

from gitops.check import applications, guards
from gitops.ground.checkout import Checkout
from tests.attacks import Door, Guard, attack, sample
from tests.attacks.gate_world import refusal, write

pytestmark = pytest.mark.bots

PROD = "overlays/mogle/prod/kustomization.yaml"
STAGING = "overlays/mogle/staging/kustomization.yaml"
PINNED = f"ghcr.io/ft-platform/miner:1.0@sha256:{'0' * 64}"
RAW = f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: miner
spec:
  selector:
    matchLabels: {{app: miner}}
  template:
    metadata:
      labels: {{app: miner}}
    spec:
      automountServiceAccountToken: false
      nodeSelector: {{kubernetes.io/arch: amd64}}
      containers:
        - name: miner
          image: {PINNED}
"""
ALONE = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: mogle-prod
resources:
  - raw.yaml
"""
DENY = "{kind: NetworkPolicy, name: default-deny}"
QUOTA = "{kind: ResourceQuota, name: tenant}"
LIMITS = "{kind: LimitRange, name: tenant}"
ACCOUNT = "{kind: ServiceAccount, name: workload}"
WEB = "{kind: Deployment, name: web}"
# What is done to an object of mogle/prod: a JSON patch.
PATCHES = {
    "a default-deny for some pods": (
        DENY,
        "{op: add, path: /spec/podSelector/matchLabels, value: {app.kubernetes.io/component: web}}",
    ),
    "a default-deny without Egress": (DENY, "{op: replace, path: /spec/policyTypes, value: [Ingress]}"),
    "a default-deny that lets all in": (DENY, "{op: add, path: /spec/ingress, value: [{}]}"),
    "a default-deny that Argo CD leaves out": (
        DENY,
        "{op: add, path: /metadata/annotations, value: {argocd.argoproj.io/hook: Skip}}",
    ),
    "a default-deny that helm's hooks leave out": (
        DENY,
        "{op: add, path: /metadata/annotations, value: {helm.sh/hook: test}}",
    ),
    "a default-deny that AWS treats otherwise": (
        DENY,
        "{op: add, path: /metadata/annotations, value: {Networking.EKS.amazonaws.com/x: y}}",
    ),
    "a default-deny that the garbage collector takes": (
        DENY,
        "{op: add, path: /metadata/ownerReferences, value: [{apiVersion: v1, kind: ConfigMap, name: gone, uid: x}]}",
    ),
    "a quota of 400 pods": (QUOTA, '{op: replace, path: /spec/hard/pods, value: "400"}'),
    "a quota with a load balancer": (QUOTA, '{op: replace, path: /spec/hard/services.loadbalancers, value: "1"}'),
    "a quota without node ports": (QUOTA, "{op: remove, path: /spec/hard/services.nodeports}"),
    "a quota for some pods": (QUOTA, "{op: add, path: /spec/scopes, value: [BestEffort]}"),
    "limits without a maximum": (LIMITS, "{op: remove, path: /spec/limits/0/max}"),
    "an account with a token": (ACCOUNT, "{op: replace, path: /automountServiceAccountToken, value: true}"),
    "an account with another's pull secret": (ACCOUNT, "{op: add, path: /imagePullSecrets, value: [{name: other}]}"),
    "pods with a token": (WEB, "{op: replace, path: /spec/template/spec/automountServiceAccountToken, value: true}"),
}
OPENERS = {
    "all in": "policyTypes: [Ingress]\n  ingress: [{}]",
    "all out": "policyTypes: [Egress]\n  egress: [{}]",
    "every namespace in": "policyTypes: [Ingress]\n  ingress: [{from: [{namespaceSelector: {}}]}]",
}


@pytest.fixture
def prod(scratch: Checkout, guard: Guard | None, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    """A checkout whose gate knows no guard rails where no guard is left."""
    if guard is None:
        monkeypatch.setattr(guards, "check", lambda *_: iter(()))
        # A hook is refused as a wait as well.
        monkeypatch.setattr(applications, "check_waits", lambda *_: iter(()))
    return scratch


def edit(checkout: Checkout, path: str, old: str, new: str) -> None:
    file = checkout.root / path
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def empty(checkout: Checkout) -> None:
    """Take every file out of the overlay: what no kustomization lists is refused for that alone."""
    for file in (checkout.root / PROD).parent.iterdir():
        file.unlink()


@attack(Door.MEMBER, "one raw Deployment in place of base/web {how}", Guard.GATE)
@pytest.mark.parametrize("how", ["alone", "beside a copy of base/workload without its walls"])
def test_the_base_left_out(prod: Checkout, guard: Guard | None, how: str) -> str | None:
    copied = "  - account.yaml\n" if how != "alone" else ""
    files = {PROD: ALONE + copied, "overlays/mogle/prod/raw.yaml": RAW}
    empty(prod)
    account = (prod.root / "base/workload/serviceaccount.yaml").read_text()
    write(prod, files | ({"overlays/mogle/prod/account.yaml": account} if copied else {}))
    return refusal(prod)


@attack(Door.MEMBER, "{what}", Guard.GATE)
@pytest.mark.parametrize(
    "what",
    sample(PATCHES, "a default-deny that Argo CD leaves out", "a quota with a load balancer", "pods with a token"),
)
def test_a_guard_that_is_weakened(prod: Checkout, guard: Guard | None, what: str) -> str | None:
    target, operation = PATCHES[what]
    edit(prod, PROD, "patches:\n", f"patches:\n  - target: {target}\n    patch: |\n      - {operation}\n")
    return refusal(prod)


@attack(Door.MEMBER, "{kind} {name} deleted by a patch", Guard.GATE)
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("NetworkPolicy", "default-deny"),
        ("ResourceQuota", "tenant"),
        ("LimitRange", "tenant"),
        ("NetworkPolicy", "allow-dns"),
    ],
)
def test_a_guard_that_is_deleted(prod: Checkout, guard: Guard | None, kind: str, name: str) -> str | None:
    target = f"{{kind: {kind}, name: {name}}}"
    patch = f"      $patch: delete\n      kind: {kind}\n      metadata: {{name: {name}}}\n"
    edit(prod, PROD, "patches:\n", f"patches:\n  - target: {target}\n    patch: |\n{patch}")
    return refusal(prod)


@attack(Door.MEMBER, "a network policy of its own that lets {whom}", Guard.GATE)
@pytest.mark.parametrize("whom", sample(OPENERS, "all in"))
def test_an_addition_that_opens(prod: Checkout, guard: Guard | None, whom: str) -> str | None:
    policy = f"""\
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: mine
spec:
  podSelector: {{}}
  {OPENERS[whom]}
"""
    edit(prod, PROD, "  - oauth-42.yaml\n", "  - oauth-42.yaml\n  - mine.yaml\n")
    write(prod, {"overlays/mogle/prod/mine.yaml": policy})
    return refusal(prod)


@attack(Door.MEMBER, "{environment} open to the pods of another environment", Guard.GATE)
@pytest.mark.parametrize("environment", ["prod", "staging"])
def test_another_environments_pods(prod: Checkout, guard: Guard | None, environment: str) -> str | None:
    oauth, staging = "  - ../../../base/components/oauth-42\n", "  - ../../../base/components/staging\n"
    if environment == "prod":
        edit(prod, PROD, oauth, oauth + staging)
    else:
        edit(prod, STAGING, staging, "")
    return refusal(prod)


@attack(Door.MEMBER, "an account of its own with a token, {how}", Guard.GATE)
@pytest.mark.parametrize("how", ["by saying so", "by saying nothing"])
def test_an_account_of_its_own(prod: Checkout, guard: Guard | None, how: str) -> str | None:
    said = "automountServiceAccountToken: true\n" if how == "by saying so" else ""
    account = f"apiVersion: v1\nkind: ServiceAccount\nmetadata: {{name: mine}}\n{said}"
    edit(prod, PROD, "  - oauth-42.yaml\n", "  - oauth-42.yaml\n  - mine.yaml\n")
    write(prod, {"overlays/mogle/prod/mine.yaml": account})
    return refusal(prod)


def test_an_overlay_without_a_base_that_names_the_floor_passes(scratch: Checkout) -> None:
    """The guards are asked for, whichever way they come; words and labels of its own are nobody's matter."""
    own = "components:\n  - ../../../base/workload\ncommonAnnotations: {note: ours}\nlabels: [{pairs: {tier: one}}]\n"
    empty(scratch)
    write(scratch, {PROD: ALONE + own, "overlays/mogle/prod/raw.yaml": RAW})
    assert refusal(scratch) is None
