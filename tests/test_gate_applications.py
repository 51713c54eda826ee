"""What a change of Argo CD's own objects does to every Application, as the preview says it."""

from __future__ import annotations

import json

import pytest

from gitops.ground.checkout import Checkout
from gitops.preview.model import ApplicationChange, Preview
from tests.previews import edit, preview

pytestmark = pytest.mark.bots

APPS = "apps/services.yaml"
PATH = "        path: '{{ .path.path }}'\n"
OVERLAYS = 11
IMAGE = "111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/mogle"


def app(shown: Preview, name: str) -> ApplicationChange:
    return next(one for one in shown.applications if one.name == name)


def values(one: ApplicationChange) -> dict[str, str]:
    changed: dict[str, str] = {}
    for item in one.objects:
        changed |= {f"{item.kind}/{item.name} {field.path}": str(field.new) for field in item.fields}
    return changed


PATCH = '[{"op": "add", "path": "/spec/minReadySeconds", "value": 9}]'
# What the template's source says of kustomize, and what mogle-prod then is: a field's value, or an object's name.
SAID = {
    f"images: ['app={IMAGE}:9.9']": ("Deployment/web spec.template.spec.containers[name=app].image", ":9.9"),
    "replicas: [{name: web, count: 9}]": ("Deployment/web spec.replicas", "9"),
    "commonLabels: {who: me}": ("Deployment/web metadata.labels.who", "me"),
    "commonAnnotations: {who: me}": ("Deployment/web metadata.annotations", "me"),
    "namespace: other": ("namespace", "other"),
    "namePrefix: x-": ("name", "x-web"),
    "nameSuffix: -x": ("name", "web-x"),
    f"patches: [{{target: {{kind: Deployment}}, patch: '{PATCH}'}}]": (
        "Deployment/web spec.minReadySeconds",
        "9",
    ),
    "components: [../../../base/components/burst]": ("HorizontalPodAutoscaler/web spec.maxReplicas", ""),
}


@pytest.mark.parametrize("said", SAID)
def test_what_the_template_says_of_kustomize_is_rendered(scratch: Checkout, said: str) -> None:
    edit(scratch, APPS, PATH, f"{PATH}        kustomize:\n          {said}\n")
    shown = preview(scratch)
    mogle = app(shown, "mogle-prod")
    assert any("source.kustomize" in line for line in mogle.notable)
    where, value = SAID[said]
    if where in ("name", "namespace"):
        assert value in {str(getattr(item, where)) for item in mogle.objects}
    else:
        assert value in values(mogle)[where]
    assert any(item.kind == "Application" and item.name == "mogle-prod" for item in mogle.objects)


PROD = "          - path: overlays/*/prod\n"
NAMESPACE = "        namespace: '{{ index .path.segments 1 }}-{{ index .path.segments 2 }}'"
AUTOMATED = "        automated:\n          prune: true\n          selfHeal: true\n"
EXCLUDED = "{path: overlays/umbrella/*, exclude: true}"
# What is replaced by what, and what is said of which Application.
TEMPLATES = {
    "narrowed": ("overlays/*/prod", "overlays/mogle/prod", "benefit-prod", "the Application goes"),
    "excluded": (PROD, f"{PROD}          - {EXCLUDED}\n", "umbrella-staging", "the Application goes"),
    "reversed": (PROD, f"{PROD}            exclude: true\n", "mogle-prod", "in the cluster as before"),
    "another namespace": (NAMESPACE, "        namespace: all", "mogle-prod", "goes to namespace all"),
    "another project": ("project: services", "project: platform", "mogle-prod", "comes under project platform"),
    "by hand": (AUTOMATED, "", "mogle-prod", "no longer synced"),
    "not preserved": ("OnDeletion: true", "OnDeletion: false", "mogle-prod", "deletes all that it runs"),
}


@pytest.mark.parametrize("what", TEMPLATES)
def test_what_the_applicationset_makes_is_compared(scratch: Checkout, what: str) -> None:
    old, new, name, words = TEMPLATES[what]
    edit(scratch, APPS, old, new)
    assert any(words in line for line in app(preview(scratch), name).notable)


def test_the_applicationset_taken_out_takes_all_applications(scratch: Checkout) -> None:
    edit(scratch, "apps/kustomization.yaml", "  - services.yaml\n", "")
    gone = [one.name for one in preview(scratch).applications if one.action == "removed"]
    assert len(gone) == OVERLAYS


def test_a_template_that_argo_cd_refuses_is_said_and_takes_nothing(scratch: Checkout) -> None:
    edit(scratch, APPS, "{{ .path.path }}", "{{ .path.pth }}")
    shown = preview(scratch)
    assert [one.name for one in shown.applications if one.action == "broken"] == ["all Applications"]
    assert not any(one.action == "removed" for one in shown.applications)


def test_a_folder_of_the_platform_is_rendered_as_its_application_says(scratch: Checkout) -> None:
    path = "    path: clusters/set-in-clusters/objects\n"
    edit(
        scratch, "apps/platform/cluster/application.yaml", path, f"{path}    kustomize: {{commonLabels: {{who: me}}}}\n"
    )
    policies = app(preview(scratch), "cluster (seoul)")
    assert values(policies)["IngressClass/platform metadata.labels"] == '{"who": "me"}'


def test_a_field_that_argo_cd_ignores_is_said(scratch: Checkout) -> None:
    entry = "{group: apps, kind: Deployment, jsonPointers: [/spec/minReadySeconds]}"
    edit(scratch, APPS, "      syncPolicy:\n", f"      ignoreDifferences: [{entry}]\n      syncPolicy:\n")
    edit(scratch, "base/web/deployment.yaml", "spec:\n", "spec:\n  minReadySeconds: 99\n")
    lines = app(preview(scratch), "mogle-prod").notable
    assert "spec.minReadySeconds of Deployment web alone is no reason for Argo CD to sync (ignoreDifferences)" in lines


def test_another_source_of_one_cluster_is_that_clusters_alone(scratch: Checkout) -> None:
    said = {"commonLabels": {"who": "me"}}
    value = json.dumps([{"op": "add", "path": "/spec/template/spec/source/kustomize", "value": said}])
    patch = f"  - target: {{kind: ApplicationSet}}\n    patch: '{value}'\n"
    edit(scratch, "clusters/seoul/kustomization.yaml", "patches:\n", f"patches:\n{patch}")
    actions = {one.name: one.action for one in preview(scratch).applications}
    assert actions["mogle-prod (seoul)"] == "changed"
    assert "mogle-prod" not in actions


def test_a_cluster_that_does_not_render_takes_nothing(scratch: Checkout) -> None:
    edit(scratch, "clusters/seoul/kustomization.yaml", "  - ingress.yaml\n", "  - gone.yaml\n")
    actions = {one.name: one.action for one in preview(scratch).applications}
    assert actions == {"all Applications": "broken", "root (seoul)": "broken"}
