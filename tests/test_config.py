"""What the bases, policies and Argo CD's settings promise, shown on the frozen platform, which has each of them.

A rule that the live tree too must keep stands in tests/rules.py and is held of both.
"""

from __future__ import annotations

import itertools
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from git import Repo
from pydantic import BaseModel

from gitops.check import report, schema
from gitops.cluster import cost, scale, support
from gitops.exceptions import files as exceptions
from gitops.images import hold, policy, wide
from gitops.lb import model as lb
from gitops.manifests import installation, kustomize, upstream, yamlfile
from gitops.manifests.graph import Graph
from gitops.manifests.overlay import ENVIRONMENTS, Overlay
from gitops.manifests.pods import Template
from gitops.repository import freeze
from gitops.repository import services as model
from gitops.tools import pins
from tests import builder_groups, catalogue, flows, powerful_fields, rules
from tests.frozen import PLATFORM, ROOT, is_data, platform

CHECKOUT = platform()
OVERLAYS = sorted(path.parent for path in CHECKOUT.overlays.glob("*/*/kustomization.yaml"))
IDS = [f"{path.parent.name}-{path.name}" for path in OVERLAYS]
CLUSTERS = sorted(path.parent for path in (CHECKOUT.root / "clusters").glob("*/kustomization.yaml"))
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
    match = re.fullmatch(r"([\d.]+)(\w*)", str(text))
    assert match
    return float(match[1]) * QUANTITY[match[2]]


@each_overlay
def test_namespace_is_the_folder(overlay: Path) -> None:
    namespace = f"{overlay.parent.name}-{overlay.name}"
    assert {item["metadata"]["namespace"] for item in render(overlay)} == {namespace}


@each_overlay
def test_every_image_is_pinned_by_digest(overlay: Path) -> None:
    containers = list(itertools.chain.from_iterable(pod["spec"]["containers"] for pod in templates(overlay)))
    assert containers
    for container in containers:
        assert PINNED.fullmatch(container["image"]), container


@each_overlay
def test_pods_are_hardened(overlay: Path) -> None:
    for template in templates(overlay):
        rules.assert_hardened(template)
        assert [container["securityContext"] for container in template["spec"]["containers"]] == [rules.HARDENED]


@each_service
def test_a_web_service_never_has_fewer_pods_and_a_bot_never_more(overlay: Path) -> None:
    assert len(kind(overlay, "Deployment")) == 1
    rules.assert_available(CHECKOUT, overlay)
    if kind(overlay, "Deployment")[0]["metadata"]["name"] == "bot":
        assert {item["kind"] for item in render(overlay)}.isdisjoint({"Service", "Ingress", "HorizontalPodAutoscaler"})


@each_overlay
def test_pods_land_where_their_image_runs_and_go_before_or_after_others_by_their_environment(overlay: Path) -> None:
    for template in templates(overlay):
        spec = template["spec"]
        assert spec["nodeSelector"]["kubernetes.io/arch"] in ("amd64", "arm64")
        assert spec["priorityClassName"] == overlay.name
        kept = {entry["key"]: entry.get("value") for entry in spec.get("tolerations", [])}
        # Spot instances are kept for staging, and staging for them.
        place = (spec["nodeSelector"].get("environment"), kept.get("environment"))
        assert place == (("staging", "staging") if overlay.name == "staging" else (None, None))


def test_what_goes_first_is_the_platform_then_prod_then_staging() -> None:
    classes = {
        item["metadata"]["name"]: item for item in kind(CHECKOUT.root / "clusters/seoul/objects", "PriorityClass")
    }
    # Above what has no class, such as a job that somebody starts by hand, and below Kubernetes' own.
    assert 10**9 > classes["platform"]["value"] > classes["prod"]["value"] > classes["staging"]["value"] > 0
    installed = installation.objects(CHECKOUT, "seoul")
    made = [item["spec"]["template"]["spec"] for item in installed if item["kind"] in ("Deployment", "StatefulSet")]
    assert len(made) >= 8
    # Which is there before Argo CD is.
    assert {spec.get("priorityClassName") for spec in made} == {"system-cluster-critical"}
    assert classes["staging"]["preemptionPolicy"] == "Never"
    assert not any(item.get("globalDefault") for item in classes.values())


@each_overlay
def test_only_zones_are_spread_over(overlay: Path) -> None:
    """Karpenter takes a preference for a command: one over hostnames gives each pod a node of its own."""
    for template in templates(overlay):
        for spread in template["spec"].get("topologySpreadConstraints", []):
            assert spread["whenUnsatisfiable"] == "DoNotSchedule"
            assert spread["topologyKey"] == "topology.kubernetes.io/zone"


@each_service
def test_a_burst_is_more_than_one_slow_page(overlay: Path) -> None:
    for autoscaler in kind(overlay, "HorizontalPodAutoscaler"):
        [metric] = autoscaler["spec"]["metrics"]
        [template] = templates(overlay)
        [asked] = [c["resources"]["requests"]["cpu"] for c in template["spec"]["containers"] if c["name"] == "app"]
        share = metric["resource"]["target"]["averageUtilization"] / 100
        assert amount(asked) * share >= 0.1


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
        for reference in Template(template, (), template).references():
            what, name = f"{reference.kind.lower()}s", reference.name
            assert (what, name) in known
            assert reference.key is None or reference.key in known[what, name], str(reference)
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
    opted = {"allow-internal-services", "allow-bucket", "allow-database"}
    assert policies.keys() - opted == {"default-deny", "allow-dns", "allow-https"} | web
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
    url = yamlfile.read(CHECKOUT, cluster / "cluster.yaml")["data"]["repoURL"]
    rules.assert_argocd_objects(render(cluster), url)
    assert {item["spec"]["project"] for item in kind(cluster, "Application")} == {"platform", "waves"}
    repositories = {item["metadata"]["name"]: item["spec"]["sourceRepos"] for item in kind(cluster, "AppProject")}
    assert repositories.pop("add-ons") == [url, *upstream.REPOSITORIES]
    assert set(map(tuple, repositories.values())) == {(url,)}


@pytest.mark.parametrize("cluster", CLUSTERS, ids=lambda path: path.name)
def test_what_others_publish_is_read_at_the_version_that_is_tried_here(cluster: Path) -> None:
    versions = {tool.name: f"refs/tags/v{tool.version}" for tool in pins.load(CHECKOUT)}
    read = {
        upstream.REPOSITORIES[item["spec"]["source"]["repoURL"]]: item["spec"]["source"]["targetRevision"]
        for item in kind(cluster / "platform", "Application")
        if item["spec"]["source"]["repoURL"] in upstream.REPOSITORIES
    }
    assert read == {name: versions[name] for name in upstream.REPOSITORIES.values()}


def _weaker(objects: list[dict[str, Any]], name: str, data: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {**item, "data": {**item["data"], **data}} if item["metadata"]["name"] == name else item for item in objects
    ]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("argocd-cm", {"kustomize.buildOptions": "--load-restrictor LoadRestrictionsNone"}),
        ("argocd-cm", {"kustomize.buildOptions.v5.8.0": "--enable-helm"}),
        ("argocd-cm", {"kustomize.path.v5.8.0": "/custom-tools/kustomize"}),
        ("argocd-cm", {"helm.enable": "true"}),
        ("argocd-cmd-params-cm", {"reposerver.enable.git.submodule": "true"}),
    ],
)
def test_an_argo_cd_that_renders_otherwise_than_the_gate_is_noticed(name: str, data: dict[str, str]) -> None:
    objects = render(CLUSTERS[0])
    rules.assert_rendered_as_by_the_gate(objects)
    with pytest.raises(AssertionError):
        rules.assert_rendered_as_by_the_gate(_weaker(objects, name, data))


@each_overlay
def test_the_services_project_allows_what_an_overlay_has(overlay: Path) -> None:
    projects = kind(CHECKOUT.root / "clusters/seoul", "AppProject")
    [project] = [item for item in projects if item["metadata"]["name"] == "services"]
    allowed = {(entry["group"], entry["kind"]) for entry in project["spec"]["namespaceResourceWhitelist"]}
    kinds = {(item["apiVersion"].rpartition("/")[0], item["kind"]) for item in render(overlay)}
    assert kinds <= allowed


def test_repo_urls_are_set_in_clusters_alone() -> None:
    for folder in ("apps", "base", "overlays"):
        for file in (CHECKOUT.root / folder).rglob("*.yaml"):
            for value in re.findall(r"repoURL: (\S+)", file.read_text()):
                assert value in {"set-in-clusters", *upstream.REPOSITORIES}, file


def test_every_yaml_file_begins_with_its_schema() -> None:
    # kustomize and GitHub read the rest; these have no schema of their own.
    without = {"scripts/tools/tools.yaml", "scripts/gitops/check/apis.yaml", "scripts/gitops/manifests/lists.yaml"}
    folders = ("apps/", "base/", "clusters/", "overlays/", "policies/", "scripts/", ".github/")
    with Repo(CHECKOUT.root) as repo:
        files = {path for path in repo.git.ls_files().splitlines() if path.startswith(folders)}
    for path in sorted(files - without):
        # In a template a `$` is written twice.
        escaped = "$" if path.startswith("scripts/gitops/service/templates/") else ""
        if path.endswith((".yaml", ".yml")):
            text = (CHECKOUT.root / path).read_text()
            assert text.startswith(f"# yaml-language-server: {escaped}$schema="), path


def test_the_frozen_platform_has_every_shape_and_every_feature() -> None:
    graph = Graph(CHECKOUT)
    used = set().union(*(graph.reach(unit).folders for unit in graph.units))
    bases = [*(CHECKOUT.root / "base").glob("*/kustomization.yaml"), *(CHECKOUT.root / "base/components").glob("*/*")]
    present = {CHECKOUT.relative(file.parent) for file in bases if file.name == "kustomization.yaml"}
    # A stage that few services have: tests/test_canary.py adds it to one.
    assert present - used == {"base/components/canary"}
    services = model.services(CHECKOUT)
    assert {overlay.name for overlay in OVERLAYS} == set(ENVIRONMENTS) - {"canary"}
    assert any(hold.read(CHECKOUT, Overlay(overlay.parent.name, overlay.name)) for overlay in OVERLAYS)
    assert freeze.read(CHECKOUT)
    policies = [policy.read(CHECKOUT, service.folder) for service in services]
    entries = itertools.chain.from_iterable(map(dict.values, policies))
    ways = {type(entry.select) for entry in entries}
    assert {policy.Semver, policy.Promote} <= ways
    assert not all(policies), "one that nobody bumps"


def test_the_frozen_platform_is_data_alone() -> None:
    frozen = [str(file.relative_to(PLATFORM)) for file in PLATFORM.rglob("*") if file.is_file()]
    assert frozen
    assert [path for path in frozen if not is_data(path)] == []


SCHEMAS: dict[str, type[BaseModel]] = {
    "owner": model.Owner,
    "teams": model.Teams,
    "images": policy.Policies,
    "hold": hold.Hold,
    "freezes": freeze.Freezes,
    "images-wide": wide.WidePolicy,
    "exception": exceptions.ExceptionFile,
    "baseline": report.Baseline,
    "builder-groups": builder_groups.BuilderGroups,
    "certificates": lb.Certificates,
    "flows": flows.Flows,
    "mistake": catalogue.Mistake,
    "powerful-fields": powerful_fields.Table,
    "prices": cost.PriceList,
    "scale": scale.ScaleTable,
    "support": support.SupportCalendar,
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_schemas_are_current(name: str, request: pytest.FixtureRequest) -> None:
    file = ROOT / f"docs/schemas/{name}.json"
    text = json.dumps(SCHEMAS[name].model_json_schema(), indent=2) + "\n"
    if request.config.getoption("--update-golden"):
        file.write_text(text)
    assert file.read_text() == text


@pytest.mark.parametrize("definition", sorted(schema.OWN.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_editor_has_the_schema_of_each_definition_of_ours(definition: Path, request: pytest.FixtureRequest) -> None:
    [content] = yamlfile.parse_all(definition.read_bytes(), definition.name)
    [version] = content["spec"]["versions"]
    text = json.dumps(version["schema"]["openAPIV3Schema"], indent=2) + "\n"
    file = ROOT / f"docs/schemas/{definition.stem}.json"
    if request.config.getoption("--update-golden"):
        file.write_text(text)
    assert file.read_text() == text
