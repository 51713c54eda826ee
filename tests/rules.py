"""What every rendered overlay keeps, whichever it is: asserted of the frozen platform and of the live tree alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gitops.check import availability
from gitops.ground.checkout import Checkout
from gitops.manifests.findings import Unit
from gitops.manifests.graph import Graph
from gitops.manifests.overlay import ENVIRONMENTS
from gitops.manifests.render import build

Object = dict[str, Any]
# A base's own workload is named for its shape, and its container `app`; what a service adds has other names.
SHAPES = {"web", "bot", "cron"}
HARDENED = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    return [item for item in objects if item["kind"] in kinds]


def pod_templates(objects: list[Object]) -> list[Object]:
    """The pod templates of the shapes' Deployments and CronJobs."""
    workloads = [item for item in of_kind(objects, "Deployment", "CronJob") if item["metadata"]["name"] in SHAPES]
    specs = [item["spec"]["jobTemplate"]["spec"] if item["kind"] == "CronJob" else item["spec"] for item in workloads]
    return [spec["template"] for spec in specs]


def assert_hardened(template: Object) -> None:
    pod = template["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    [container] = [container for container in pod["containers"] if container["name"] == "app"]
    assert container["securityContext"].items() >= HARDENED.items()
    assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
    assert container["resources"]["requests"]["memory"] == container["resources"]["limits"]["memory"]


def assert_available(checkout: Checkout, folder: Path) -> None:
    """A web service never has fewer pods than it needs, and a bot never more than one: as the gate says."""
    graph = Graph(checkout)
    unit = Unit.of(graph, build(checkout, checkout.root, checkout.relative(folder)))
    assert list(availability.check(unit)) == []


def assert_argocd_objects(objects: list[Object], repo_url: str) -> None:
    """Of a cluster's folder: what Argo CD is told there."""
    assert_rendered_as_by_the_gate(objects)
    [generator] = of_kind(objects, "ApplicationSet")
    template = generator["spec"]["template"]
    assert template["spec"]["project"] == "services"
    assert generator["spec"]["syncPolicy"]["preserveResourcesOnDeletion"] is True
    assert generator["spec"]["goTemplateOptions"] == ["missingkey=error"]
    assert template["metadata"]["annotations"]["argocd.argoproj.io/manifest-generate-paths"] == ".;/base"
    policy = template["spec"]["syncPolicy"]
    assert policy["automated"] == {"prune": True, "selfHeal": True}
    assert policy["retry"]["refresh"] is True
    assert {"ServerSideApply=true", "PruneLast=true", "CreateNamespace=true"} <= set(policy["syncOptions"])
    labels = policy["managedNamespaceMetadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert labels["environment"] == "{{ index .path.segments 2 }}"
    for binding in of_kind(objects, "ValidatingAdmissionPolicyBinding"):
        # Whatever the label says; the policy that holds the label itself is in force in every namespace.
        bound = binding["spec"].get("matchResources", {}).get("namespaceSelector")
        everywhere = binding["metadata"]["name"] == "namespace-labels"
        assert bound == (None if everywhere else {"matchExpressions": [{"key": "environment", "operator": "Exists"}]})
        assert binding["spec"]["validationActions"] == ["Deny"]
    projects = {item["metadata"]["name"]: item["spec"] for item in of_kind(objects, "AppProject")}
    namespaces = [f"*-{environment}" for environment in ENVIRONMENTS]
    kinds = [{"group": "", "kind": "Namespace", "name": pattern} for pattern in namespaces]
    assert projects["services"]["clusterResourceWhitelist"] == kinds
    assert [place["namespace"] for place in projects["services"]["destinations"]] == namespaces
    [folders] = [generated["git"]["directories"] for generated in generator["spec"]["generators"]]
    assert folders == [{"path": f"overlays/*/{environment}"} for environment in ENVIRONMENTS]
    assert all(repo_url in spec["sourceRepos"] for spec in projects.values())
    assert {item["spec"]["project"] for item in of_kind(objects, "Application")} <= projects.keys() - {"services"}
    assert "set-in-clusters" not in str(objects)


def assert_rendered_as_by_the_gate(objects: list[Object]) -> None:
    """Argo CD renders by kustomize alone, without a flag that opens it, without submodules, and reaches git alone."""
    maps = {item["metadata"]["name"]: item.get("data", {}) for item in of_kind(objects, "ConfigMap")}
    # buildOptions of any version (--enable-helm, --enable-exec, --load-restrictor), and another binary of kustomize.
    assert not [key for key in maps["argocd-cm"] if key.startswith("kustomize.")]
    assert {maps["argocd-cm"].get(f"{tool}.enable") for tool in ("helm", "jsonnet")} == {"false"}
    for program in ("reposerver", "applicationsetcontroller"):
        assert maps["argocd-cmd-params-cm"][f"{program}.enable.git.submodule"] == "false"
    policies = {item["metadata"]["name"]: item["spec"] for item in of_kind(objects, "NetworkPolicy")}
    egress = policies["repo-server-egress"]
    assert egress["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "argocd-repo-server"}}
    assert egress["policyTypes"] == ["Egress"]
    public: list[set[int]] = []
    inside: list[set[int]] = []
    for rule in egress["egress"]:
        ports = {port["port"] for port in rule["ports"]}
        for peer in rule["to"]:
            (public if "ipBlock" in peer else inside).append(ports)
            assert "ipBlock" in peer or peer["podSelector"]
            private = {"10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"}
            assert "ipBlock" not in peer or ports == {53} or private <= set(peer["ipBlock"]["except"])
    # Names (the gate says of whom: network-ranges) and git; its cache.
    assert public == [{53}, {443}]
    assert inside == [{6379}]
