"""A member's overlay takes a part of an address that is another's, or holds a node. The control is the gate without the
rule; no policy of the cluster can tell these, as each object alone is what a service may have.
"""

from __future__ import annotations

import pytest

from gitops.check import references
from gitops.ground.checkout import Checkout
from gitops.lb import check as lb
from tests.attacks import Door, Guard, attack, sample
from tests.attacks.gate_world import refusal, write

pytestmark = pytest.mark.bots

UNIT = "overlays/mogle/prod"
BUDGET = """\
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: mine}
spec:
  maxUnavailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector: %s
"""
RULE = """\
    - host: "%s"
      http:
        paths:
          - path: %s
            pathType: Exact
            backend: {service: {name: web, port: {name: http}}}
"""
PATCHES = {
    "the address of the cluster's DNS": "{clusterIP: 10.96.0.10}",
    "two addresses": "{clusterIP: 10.96.0.10, clusterIPs: [10.96.0.10, 'fd00::a']}",
}
HOSTS = {
    "the login of another's host": ("benefit.example.org", "/login"),
    "a path of another's hosts by a wildcard": ("*.benefit.example.org", "/login"),
    "a path of a service that comes later": ("umbrella.example.com", "/login"),
}
BUDGETS = {
    "all pods": "{}",
    "the same pods by an expression": "{matchExpressions: [{key: app.kubernetes.io/component, operator: Exists}]}",
    "all pods but others": "{matchExpressions: [{key: app.kubernetes.io/component, operator: NotIn, values: [api]}]}",
    "the same pods": "{matchLabels: {app.kubernetes.io/component: web}}",
}


@pytest.fixture
def gate(scratch: Checkout, guard: Guard | None, monkeypatch: pytest.MonkeyPatch) -> Checkout:
    if guard is None:
        for module, rule in ((references, "_addressed"), (references, "_budgets"), (lb, "_shared")):
            monkeypatch.setattr(module, rule, lambda *_: iter(()))
    return scratch


@attack(Door.MEMBER, "a Service that asks for {what}", Guard.GATE)
@pytest.mark.parametrize("what", PATCHES)
def test_an_address_of_its_choice(gate: Checkout, what: str, guard: Guard | None) -> str | None:
    file = gate.root / UNIT / "kustomization.yaml"
    file.write_text(file.read_text().replace("patches:\n", "patches:\n  - path: service.yaml\n"))
    head = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n"
    write(gate, {f"{UNIT}/service.yaml": f"{head}spec: {PATCHES[what]}\n"})
    return refusal(gate)


@attack(Door.MEMBER, "an Ingress that takes {what}", Guard.GATE)
@pytest.mark.parametrize("what", HOSTS)
def test_a_part_of_anothers_host(gate: Checkout, what: str, guard: Guard | None) -> str | None:
    file = gate.root / UNIT / "ingress.yaml"
    first = "metadata:\n  name: web\n  annotations: {alb.ingress.kubernetes.io/group.order: '-1'}\n"
    text = file.read_text().replace("metadata:\n  name: web\n", first)
    file.write_text(text + RULE % HOSTS[what])
    stopped = refusal(gate)
    assert stopped in (None, "lb-host-shared")
    return stopped


@attack(Door.MEMBER, "a second budget for {what}, which no drain gets past", Guard.GATE)
@pytest.mark.parametrize("what", sample(BUDGETS, "all pods"))
def test_a_second_budget(gate: Checkout, what: str, guard: Guard | None) -> str | None:
    file = gate.root / UNIT / "kustomization.yaml"
    file.write_text(file.read_text().replace("  - oauth-42.yaml\n", "  - oauth-42.yaml\n  - budget.yaml\n"))
    write(gate, {f"{UNIT}/budget.yaml": BUDGET % BUDGETS[what]})
    return refusal(gate)


NONE = {
    "other pods": "{matchLabels: {app: other}}",
    "no pods of web": "{matchExpressions: [{key: a, operator: Exists}]}",
}


@pytest.mark.parametrize("what", NONE)
def test_a_budget_for_other_pods_is_no_second_one(scratch: Checkout, what: str) -> None:
    file = scratch.root / UNIT / "kustomization.yaml"
    file.write_text(file.read_text().replace("  - oauth-42.yaml\n", "  - oauth-42.yaml\n  - budget.yaml\n"))
    write(scratch, {f"{UNIT}/budget.yaml": BUDGET % NONE[what]})
    assert "pdb-overlap" not in str(refusal(scratch))


def test_a_headless_service_has_no_address(scratch: Checkout) -> None:
    file = scratch.root / UNIT / "kustomization.yaml"
    file.write_text(file.read_text().replace("patches:\n", "patches:\n  - path: service.yaml\n"))
    write(
        scratch,
        {f"{UNIT}/service.yaml": "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {clusterIP: None}\n"},
    )
    assert refusal(scratch) is None
