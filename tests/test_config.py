"""The configuration itself. Each exception to a rule is a named constant with its reason."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gitops.check import exceptions, report
from gitops.ground.checkout import Checkout
from gitops.images import hold, policy
from gitops.lab.played import references
from gitops.lb import model as lb
from gitops.manifests import kustomize, yamlfile
from gitops.repository import services as model
from tests import catalogue
from tests.conftest import ROOT

CHECKOUT = Checkout(ROOT)
OVERLAYS = sorted(path.parent for path in CHECKOUT.overlays.glob("*/*/kustomization.yaml"))
IDS = [f"{path.parent.name}-{path.name}" for path in OVERLAYS]
CLUSTERS = sorted(path.parent for path in (ROOT / "clusters").glob("*/kustomization.yaml"))
PINNED = re.compile(r"[\w.:/-]+:[\w.-]+@sha256:[0-9a-f]{64}")
QUANTITY = {"m": 0.001, "": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=IDS)
each_service = pytest.mark.parametrize(
    "overlay",
    [overlay for overlay in OVERLAYS if overlay.parent.name != "oauth-watch"],  # which is a CronJob
    ids=[name for name in IDS if name != "oauth-watch-prod"],
)


@cache
def render(folder: Path) -> list[dict[str, Any]]:
    return kustomize.build(CHECKOUT, folder)


def kind(folder: Path, name: str) -> list[dict[str, Any]]:
    return [item for item in render(folder) if item["kind"] == name]


def templates(folder: Path) -> list[dict[str, Any]]:
    """The pod templates of an overlay's Deployments and CronJobs."""
    jobs = [item["spec"]["jobTemplate"] for item in kind(folder, "CronJob")]
    return [item["spec"]["template"] for item in [*kind(folder, "Deployment"), *jobs]]


def amount(text: str) -> float:
    found = re.fullmatch(r"([\d.]+)(\w*)", str(text))
    assert found
    return float(found[1]) * QUANTITY[found[2]]


@each_overlay
def test_namespace_is_the_folder(overlay: Path) -> None:
    wanted = f"{overlay.parent.name}-{overlay.name}"
    assert {item["metadata"]["namespace"] for item in render(overlay)} == {wanted}


@each_overlay
def test_every_image_is_pinned_by_digest(overlay: Path) -> None:
    images = [c["image"] for template in templates(overlay) for c in template["spec"]["containers"]]
    assert images
    assert all(PINNED.fullmatch(image) for image in images), images


@each_overlay
def test_pods_are_hardened(overlay: Path) -> None:
    for template in templates(overlay):
        pod = template["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            if pod.get("restartPolicy") != "Never":  # nobody waits for a Job to be ready
                assert {"startupProbe", "readinessProbe", "livenessProbe"} <= container.keys()
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]


@each_service
def test_a_web_service_never_has_fewer_pods_and_a_bot_never_more(overlay: Path) -> None:
    [deployment] = kind(overlay, "Deployment")
    spec = deployment["spec"]
    if deployment["metadata"]["name"] == "bot":
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
        assert {item["kind"] for item in render(overlay)}.isdisjoint({"Service", "Ingress", "HorizontalPodAutoscaler"})
        return
    assert "replicas" not in spec
    assert spec["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    pod = spec["template"]["spec"]
    pre_stop = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert 0 < pre_stop < pod["terminationGracePeriodSeconds"]
    zone = pod["topologySpreadConstraints"][0]
    assert (zone["topologyKey"], zone["whenUnsatisfiable"]) == ("topology.kubernetes.io/zone", "DoNotSchedule")
    assert "minDomains" not in zone
    [budget] = kind(overlay, "PodDisruptionBudget")
    assert budget["spec"]["maxUnavailable"] == 1


@each_overlay
def test_every_reference_resolves(overlay: Path) -> None:
    rendered = render(overlay)
    known: dict[tuple[str, str], set[str]] = {}
    for item in rendered:
        name = item["metadata"]["name"]
        if item["kind"] == "ConfigMap":
            known["configmaps", name] = set(item["data"])
        elif item["kind"] == "SealedSecret":
            known["secrets", name] = set(item["spec"]["encryptedData"])
    accounts = {item["metadata"]["name"] for item in kind(overlay, "ServiceAccount")}
    for template in templates(overlay):
        for what, name, key in references(template):
            assert key is None or key in known[what, name], f"{what} {name} {key}"
            assert (what, name) in known
        assert template["spec"]["serviceAccountName"] in accounts
    for deployment in kind(overlay, "Deployment"):
        template = deployment["spec"]["template"]
        labels = template["metadata"]["labels"].items()
        ports = {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        assert deployment["spec"]["selector"]["matchLabels"].items() <= labels
        for item in [*kind(overlay, "PodDisruptionBudget")]:
            assert item["spec"]["selector"]["matchLabels"].items() <= labels
        for service in kind(overlay, "Service"):
            assert service["spec"]["selector"].items() <= labels
            assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports
        for allowed in kind(overlay, "NetworkPolicy"):
            assert allowed["spec"]["podSelector"].get("matchLabels", {}).items() <= labels
    workloads = {(item["kind"], item["metadata"]["name"]) for item in rendered}
    for item in kind(overlay, "HorizontalPodAutoscaler"):
        target = item["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) in workloads
    for item in kind(overlay, "Ingress"):
        for rule in item["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                assert ("Service", path["backend"]["service"]["name"]) in workloads


@each_overlay
def test_internal_addresses_are_services_of_the_same_environment(overlay: Path) -> None:
    text = str(kind(overlay, "Deployment"))
    for name, namespace in re.findall(r"http://([a-z0-9-]+)\.([a-z0-9-]+)\.svc\.cluster\.local", text):
        service, _, environment = namespace.rpartition("-")
        assert environment == overlay.name
        assert name in {item["metadata"]["name"] for item in kind(CHECKOUT.overlays / service / environment, "Service")}
        opened = {item["metadata"]["name"] for item in kind(overlay, "NetworkPolicy")}
        assert "allow-internal-services" in opened


@each_overlay
def test_the_network_is_closed_but_for_what_the_shape_needs(overlay: Path) -> None:
    policies = {item["metadata"]["name"]: item["spec"] for item in kind(overlay, "NetworkPolicy")}
    assert policies["default-deny"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    web = {"allow-load-balancer", "allow-internal-clients"} if kind(overlay, "Service") else set()
    assert policies.keys() - {"allow-internal-services"} == {"default-deny", "allow-dns", "allow-https"} | web
    for name in ("allow-internal-clients", "allow-internal-services"):
        assert "'environment': '" not in str(policies.get(name, "")).replace(f"'environment': '{overlay.name}'", "")


@each_service
def test_the_quota_holds_the_largest_scale_and_a_surge(overlay: Path) -> None:
    [quota] = kind(overlay, "ResourceQuota")
    [deployment] = kind(overlay, "Deployment")
    assert len(kind(overlay, "LimitRange")) == 1
    most = 1 + max([item["spec"]["maxReplicas"] for item in kind(overlay, "HorizontalPodAutoscaler")] or [1])
    requests = deployment["spec"]["template"]["spec"]["containers"][0]["resources"]["requests"]
    assert most <= int(quota["spec"]["hard"]["pods"])
    for name, value in requests.items():
        assert most * amount(value) <= amount(quota["spec"]["hard"][f"requests.{name}"]), name


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda path: path.name)
def test_argocd_objects_follow_the_rules(cluster: Path) -> None:
    [generator] = kind(cluster, "ApplicationSet")
    template = generator["spec"]["template"]
    assert template["spec"]["project"] == "services"
    assert generator["spec"]["syncPolicy"]["preserveResourcesOnDeletion"] is True
    assert generator["spec"]["goTemplateOptions"] == ["missingkey=error"]
    assert template["metadata"]["annotations"]["argocd.argoproj.io/manifest-generate-paths"] == ".;/base"
    policy = template["spec"]["syncPolicy"]
    assert policy["automated"] == {"prune": True, "selfHeal": True}
    assert policy["retry"]["refresh"] is True
    assert {"ServerSideApply=true", "PruneLast=true", "CreateNamespace=true"} <= set(policy["syncOptions"])
    assert policy["managedNamespaceMetadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    projects = {item["metadata"]["name"]: item["spec"] for item in kind(cluster, "AppProject")}
    assert projects["services"]["clusterResourceWhitelist"] == [{"group": "", "kind": "Namespace"}]
    assert [d["namespace"] for d in projects["services"]["destinations"]] == ["*-staging", "*-prod"]
    assert {item["spec"]["project"] for item in kind(cluster, "Application")} == {"platform"}
    url = yamlfile.read(CHECKOUT, cluster / "cluster.yaml")["data"]["repoURL"]
    assert all(spec["sourceRepos"] == [url] for spec in projects.values())
    assert "set-in-clusters" not in str(render(cluster))


@each_overlay
def test_the_services_project_allows_what_an_overlay_has(overlay: Path) -> None:
    [project] = [item for item in kind(ROOT / "clusters/seoul", "AppProject") if item["metadata"]["name"] == "services"]
    allowed = {(entry["group"], entry["kind"]) for entry in project["spec"]["namespaceResourceWhitelist"]}
    found = {(item["apiVersion"].rpartition("/")[0], item["kind"]) for item in render(overlay)}
    assert found <= allowed


def test_repo_urls_are_set_in_clusters_alone() -> None:
    for file in [
        *(ROOT / "apps").rglob("*.yaml"),
        *(ROOT / "base").rglob("*.yaml"),
        *CHECKOUT.overlays.rglob("*.yaml"),
    ]:
        for value in re.findall(r"repoURL: (\S+)", file.read_text()):
            assert value == "set-in-clusters", file


def test_every_yaml_file_begins_with_its_schema() -> None:
    # kustomize and GitHub read the rest; these have no schema of their own.
    without = {ROOT / "scripts/tools/tools.yaml", ROOT / "scripts/gitops/check/apis.yaml"}
    folders = ("apps", "base", "clusters", "overlays", "policies", "scripts", ".github")
    files = {file for folder in folders for file in (ROOT / folder).rglob("*.y*ml")} - without
    templates = ROOT / "scripts/gitops/service/templates"
    late = [
        file
        for file in files
        if not file.read_text().startswith(f"# yaml-language-server: {'$' if file.parent == templates else ''}$schema=")
    ]
    assert late == []


SCHEMAS: dict[str, type[BaseModel]] = {
    "owner": model.Owner,
    "teams": model.Teams,
    "images": policy.Policies,
    "hold": hold.Hold,
    "freezes": hold.Freezes,
    "exception": exceptions.Exception_,
    "baseline": report.Baseline,
    "certificates": lb.Certificates,
    "mistake": catalogue.Mistake,
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_current(name: str, request: pytest.FixtureRequest) -> None:
    file = ROOT / f"docs/schemas/{name}.json"
    text = json.dumps(SCHEMAS[name].model_json_schema(), indent=2) + "\n"
    if request.config.getoption("--update-golden"):
        file.write_text(text)
    assert file.read_text() == text
