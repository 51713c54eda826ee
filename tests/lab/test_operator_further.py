"""Further nights: what somebody changed by hand, what nobody answers, and what git asks for that cannot be."""

from __future__ import annotations

import time

import pytest

from gitops.clients.kubernetes import apply
from gitops.manifests.objects import Object
from tests.conftest import commit_all
from tests.lab.operating import MENDED, NAMED, Breakage, Operator, break_overlays, patch, told, until_named
from tests.lab.test_drills import OVER, TOLD, Slack
from tests.lab.test_lab import until

pytestmark = [pytest.mark.lab, pytest.mark.matrix, pytest.mark.timeout(1200)]

SITE = "mogle-prod"
# Seconds in which Argo CD takes back what was changed by hand.
HEALED = 60.0

_TARGET = patch("HorizontalPodAutoscaler", "{op: replace, path: /spec/scaleTargetRef/name, value: shop}")
_LARGE = patch(
    "Deployment", "{op: replace, path: /spec/template/spec/containers/0/resources/limits/memory, value: 9Gi}"
)
_SELECTOR = patch("Deployment", "{op: add, path: /spec/selector/matchLabels/example.com~1more, value: x}")
_KEY = patch(
    "Deployment", "{op: replace, path: /spec/template/spec/containers/0/env/1/valueFrom/secretKeyRef/key, value: other}"
)
REFUSED = (
    Breakage("umbrella-prod", "patches:\n", f"patches:\n{_SELECTOR}", "field is immutable"),
    Breakage("oauth-watch-prod", '"41 */6 * * *"', '"41 */6 * *"', "spec.schedule: Invalid value", "cronjob.yaml"),
)
STUCK = (
    Breakage(SITE, "patches:\n", f"patches:\n{_TARGET}", 'deployments.apps "shop" not found'),
    Breakage("benefit-prod", "patches:\n", f"patches:\n{_LARGE}", "maximum memory usage per Container is 2Gi"),
    Breakage("jobs-bot-prod", "patches:\n", f"patches:\n{_KEY}", "couldn't find key other in Secret"),
)


@pytest.fixture
def slack(operator: Operator) -> Slack:
    return Slack(operator.running)


@pytest.mark.parametrize(
    ("breakages", "ends"),
    [
        (REFUSED, "refused, so that waiting does not help"),
        (STUCK, "not without a change, so that waiting does not help"),
    ],
    ids=["refused", "stuck"],
)
def test_a_push_of_what_cannot_be_ends_soon_and_a_later_one_of_another_service_too(
    operator: Operator, breakages: tuple[Breakage, ...], ends: str
) -> None:
    break_overlays(operator, breakages, "break some")
    began = time.monotonic()
    pushed = operator.types("gitops lab push")
    assert pushed.code == 1
    assert ends in pushed.err
    assert time.monotonic() - began < NAMED
    until_named(operator, breakages)
    # Of another service: what stands in its way is said as soon.
    break_overlays(operator, [Breakage("umbrella-staging", "labels:\n", "# a note\nlabels:\n", "")], "another service")
    began = time.monotonic()
    later = operator.types("gitops lab push")
    assert later.code == 1
    assert "waiting does not help" in later.err
    assert time.monotonic() - began < NAMED
    for line in ("git revert --no-edit HEAD~1", "gitops lab push"):
        done = operator.types(line)
        assert done.code == 0, done.err
    assert time.monotonic() - began < NAMED + MENDED


def test_a_site_that_somebody_set_to_no_pods_is_told_and_brought_back_by_the_runbook(
    operator: Operator, slack: Slack
) -> None:
    assert operator.types("kubectl --namespace NAME scale deployment web --replicas 0", name=SITE).code == 0
    began = time.monotonic()
    until("Slack hears of it", lambda: slack.messages(SITE), TOLD)
    assert "it scales nothing: somebody set its pods to 0" in slack.messages(SITE)[0]["blocks"]
    assert "the replica count of the target is zero" in told(operator)
    [scaled] = operator.follows("degraded.md", "An autoscaler", 2, name=SITE)
    assert scaled.code == 0, scaled.err
    until("it is over", lambda: operator.types("gitops lab status").code == 0, MENDED)
    until("Slack hears of its end", lambda: len(slack.messages(SITE)) > 1, 2 * TOLD)
    assert OVER in slack.messages(SITE)[1]["text"]
    print(f"no pods: told and mended after {time.monotonic() - began:.0f} s")


# What somebody types, and what is there again.
BY_HAND = {
    "a CronJob is suspended": (
        'kubectl --namespace oauth-watch-prod patch cronjob cron --patch \'{"spec": {"suspend": true}}\'',
        "kubectl --namespace oauth-watch-prod get cronjob cron --output jsonpath='{.spec.suspend}'",
        "false",
    ),
    "a bot has no pod": (
        "kubectl --namespace jobs-bot-prod scale deployment bot --replicas 0",
        "kubectl --namespace jobs-bot-prod get deployment bot --output jsonpath='{.spec.replicas}'",
        "1",
    ),
    "a ConfigMap is deleted": (
        "kubectl --namespace mogle-prod delete configmap oauth-42",
        "kubectl --namespace mogle-prod get configmap oauth-42 --output name",
        "configmap/oauth-42\n",
    ),
    "an opened Secret is deleted": (
        "kubectl --namespace mogle-prod delete secret mogle-oauth-42-g1",
        "kubectl --namespace mogle-prod get secret mogle-oauth-42-g1 --output name",
        "secret/mogle-oauth-42-g1\n",
    ),
    "an Application is deleted": (
        "kubectl --namespace argocd delete application mogle-prod",
        "kubectl --namespace argocd get application mogle-prod --output name",
        "application.argoproj.io/mogle-prod\n",
    ),
}


def test_what_somebody_changed_by_hand_is_taken_back_and_nobody_is_told(operator: Operator, slack: Slack) -> None:
    for what, (typed, _, _) in BY_HAND.items():
        done = operator.types(typed)
        assert done.code == 0, (what, done.err)
    for what, (_, asked, answer) in BY_HAND.items():
        seconds = until(what, lambda: operator.types(asked).out == answer, HEALED)  # noqa: B023
        print(f"{what}: taken back after {seconds:.0f} s")
    until("all is well", lambda: operator.types("gitops lab status").code == 0, MENDED)
    assert slack.messages() == []


WEBHOOK: Object = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingWebhookConfiguration",
    "metadata": {"name": "of-nobody"},
    "webhooks": [
        {
            "name": "of-nobody.example.com",
            "clientConfig": {"url": "https://127.0.0.1:9/"},
            "rules": [
                {
                    "apiGroups": ["apps"],
                    "apiVersions": ["*"],
                    "operations": ["CREATE", "UPDATE"],
                    "resources": ["deployments"],
                }
            ],
            "admissionReviewVersions": ["v1"],
            "sideEffects": "None",
            "failurePolicy": "Fail",
            "timeoutSeconds": 1,
        }
    ],
}


def test_a_webhook_that_nobody_answers_is_named_and_taken_away_by_the_runbook(operator: Operator) -> None:
    running = operator.running
    apply(running.lab.checkout.tool("kubectl"), running.lab.kubeconfig, [WEBHOOK])
    edit = Breakage(
        SITE, "labels:\n", "commonAnnotations: {example.com/webhook: one}\nlabels:\n", "failed calling webhook"
    )
    break_overlays(operator, [edit], "a change")
    began = time.monotonic()
    pushed = operator.types("gitops lab push")
    assert pushed.code == 1
    assert 'failed calling webhook "of-nobody.example.com"' in pushed.err
    assert time.monotonic() - began < NAMED
    until_named(operator, [edit])
    listed, taken = operator.follows("refused.md", "A webhook that nobody answers", name="of-nobody")
    assert "of-nobody" in listed.out
    assert taken.code == 0, taken.err
    again = operator.types("gitops lab push")
    assert again.code == 0, again.err
    print(f"a webhook: named and mended after {time.monotonic() - began:.0f} s")


@pytest.fixture
def held(operator: Operator) -> str:
    """A namespace that goes and does not come to its end: something in it is held."""
    held = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "held", "namespace": SITE, "finalizers": ["example.com/held"]},
    }
    running = operator.running
    apply(running.lab.checkout.tool("kubectl"), running.lab.kubeconfig, [held])
    running.cluster.delete(f"/api/v1/namespaces/{SITE}")
    return SITE


def test_a_namespace_that_does_not_end_is_named_and_let_go_by_the_runbook(operator: Operator, held: str) -> None:
    began = time.monotonic()
    until("it is named", lambda: "example.com/held" in told(operator), NAMED)
    assert "it is being terminated" in told(operator)
    named = time.monotonic() - began
    why, listed = operator.follows("refused.md", "A namespace that does not end", name=held)
    assert "example.com/held" in why.out
    done = operator.types(
        'kubectl --namespace NAME patch configmap held --patch \'{"metadata": {"finalizers": null}}\'', name=held
    )
    assert done.code == 0, done.err
    until("it is over", lambda: operator.types("gitops lab status").code == 0, MENDED)
    print(f"a namespace: named after {named:.0f} s, mended after {time.monotonic() - began:.0f} s; {listed.out}")


def test_a_drain_that_a_budget_stops_is_explained_by_the_runbook(operator: Operator) -> None:
    """No node takes pods, and a service has lost one: its next one stays until that is there again."""
    cluster = operator.running.cluster
    names = [node["metadata"]["name"] for node in cluster.items("/api/v1/nodes")]
    lost, kept, *_ = cluster.items(f"/api/v1/namespaces/{SITE}/pods")
    drained = kept["spec"]["nodeName"]
    drain = f"kubectl drain {drained} --ignore-daemonsets --delete-emptydir-data --timeout"
    try:
        assert operator.types(f"kubectl cordon {' '.join(names)}").code == 0
        assert operator.types(f"kubectl --namespace {SITE} delete pod {lost['metadata']['name']}").code == 0
        stopped = operator.types(f"{drain} 20s")
        assert stopped.code == 1
        assert "Cannot evict pod as it would violate the pod's disruption budget." in stopped.err
        [budgets] = operator.follows("lost-nodes.md", "A drain does not end")
        [row] = [line.split() for line in budgets.out.splitlines() if line.startswith(SITE)]
        assert row[4] == "0"
        others = " ".join(name for name in names if name != drained)
        assert operator.types(f"kubectl uncordon {others}").code == 0
        assert operator.types(f"{drain} 90s").code == 0
    finally:
        operator.types(f"kubectl uncordon {' '.join(names)}")
    until("it is over", lambda: operator.types("gitops lab status").code == 0, MENDED)


_NOTHING = ("overlays/*/staging", "overlays/*/stage")


def test_applications_that_nobody_makes_are_named_and_come_back_by_the_runbook(operator: Operator) -> None:
    file = operator.root / "apps/services.yaml"
    text = file.read_text()
    file.write_text(text.replace(*_NOTHING))
    commit_all(operator.running.lab.checkout, "another name of staging")
    began = time.monotonic()
    pushed = operator.types("gitops lab push")
    assert pushed.code == 1
    assert "mogle-staging: no such Application, and nothing in apps/ makes it" in pushed.err
    assert time.monotonic() - began < NAMED
    status = operator.types("gitops lab status")
    assert "4 Applications are not there: " in " ".join(status.err.split())
    _, log = operator.follows("application-not-healthy.md", "An Application is not there")
    assert "another name of staging" in log.out
    for line in ("git revert --no-edit HEAD", "gitops lab push"):
        done = operator.types(line)
        assert done.code == 0, done.err
    print(f"Applications of nobody: mended after {time.monotonic() - began:.0f} s")
