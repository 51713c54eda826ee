"""What EKS Auto Mode's own controllers need of the platform, asked of a real API server with its policies."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gitops.clients.kubernetes import wait_established
from gitops.lab import lab as labs
from gitops.lab.layout import Lab
from gitops.manifests import kustomize
from gitops.manifests.objects import Object
from tests.frozen import CLUSTER, ROOT, platform
from tests.policy_server import SERVICE, policy_server

pytestmark = pytest.mark.bots

# As AWS's user guide has it ("Grant additional Kubernetes RBAC to EKS Auto Mode managed controllers").
MANAGED = ("arn:aws:sts::111122223333:assumed-role/AWSServiceRoleForAmazonEKS/session", "eks:managed")
MEMBER = ("a-member", "system:masters")


def definition(group: str, kind: str) -> dict[str, Any]:
    """A kind of AWS's in a namespace, with any fields."""
    plural = f"{kind.lower()}s" if not kind.endswith("y") else f"{kind.lower()[:-1]}ies"
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "listKind": f"{kind}List", "plural": plural, "singular": kind.lower()},
            "scope": "Namespaced",
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }


@pytest.fixture(scope="module")
def kubeconfig() -> Iterator[Path]:
    """Of the API server with the platform's policies, and with what AWS brings."""
    lab = Lab(platform(), "auto-mode")
    kinds = [("eks.amazonaws.com", "TargetGroupBinding"), ("networking.k8s.aws", "ApplicationNetworkPolicy")]
    with policy_server(platform(), lab=lab.name) as made:
        for group, kind in kinds:
            item = definition(group, kind)
            made.server.apply(item)
            wait_established(made.server.cluster, [item])
        yield lab.kubeconfig
    labs.reset(lab)


def create(kubeconfig: Path, who: tuple[str, str], api: str, kind: str, **fields: Any) -> str:
    """What the API server says to someone who makes an object in a service's namespace; nothing is kept."""
    item = {"apiVersion": api, "kind": kind, "metadata": {"name": "a", "namespace": SERVICE.namespace}, **fields}
    return said(kubeconfig, who, item)


def said(kubeconfig: Path, who: tuple[str, str], item: Object) -> str:
    """What the API server says to someone who makes an object; nothing is kept."""
    user, group = who
    groups = ["--as-group", group, "--as-group", "system:masters"]
    argv = [str(ROOT / ".tools/bin/kubectl"), "--kubeconfig", str(kubeconfig), "--as", user, *groups]
    argv += ["create", "--dry-run=server", "--validate=false", "-f", "-"]
    asked = json.dumps(item)
    return subprocess.run(argv, input=asked, capture_output=True, text=True, timeout=60, check=False).stderr.strip()


@pytest.mark.parametrize(
    ("api", "kind", "fields"),
    [
        ("eks.amazonaws.com/v1", "TargetGroupBinding", {}),
        ("discovery.k8s.io/v1", "EndpointSlice", {"addressType": "IPv4", "endpoints": []}),
    ],
)
def test_what_its_controllers_make_for_a_service_they_may_make_and_nobody_else(
    kubeconfig: Path, api: str, kind: str, fields: dict[str, Any]
) -> None:
    assert create(kubeconfig, MANAGED, api, kind, **fields) == ""
    assert "ValidatingAdmissionPolicy 'kinds'" in create(kubeconfig, MEMBER, api, kind, **fields)


def test_a_service_opens_its_network_by_no_policy_of_another_kind(kubeconfig: Path) -> None:
    said = create(kubeconfig, MEMBER, "networking.k8s.aws/v1", "ApplicationNetworkPolicy", spec={})
    assert "ValidatingAdmissionPolicy 'kinds'" in said


def pools() -> list[Object]:
    rendered = kustomize.build(platform(), platform().root / CLUSTER / "objects")
    return [item for item in rendered if item["kind"] in ("NodePool", "NodeClass")]


def test_karpenters_own_definition_takes_the_pools(kubeconfig: Path) -> None:
    assert len(pools()) >= 3
    assert [said(kubeconfig, MEMBER, item) for item in pools()] == [""] * len(pools())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"disruption": {"budgets": [{"nodes": "0", "schedule": "0 22 * * *"}]}},
            "'schedule' must be set with 'duration'",
        ),
        (
            {"template": {"metadata": {"labels": {"karpenter.sh/pool": "x"}}}},
            'label domain "karpenter.sh" is restricted',
        ),
        ({"weight": 1000}, "spec.weight"),
        ({"limits": {"cpu": "many"}}, "spec.limits.cpu"),
    ],
)
def test_what_karpenter_would_refuse_is_refused_here(kubeconfig: Path, change: Object, problem: str) -> None:
    pool = next(item for item in pools() if item["kind"] == "NodePool")
    template = {**pool["spec"]["template"], **change.get("template", {})}
    disruption = {**pool["spec"]["disruption"], **change.get("disruption", {})}
    spec = {**pool["spec"], **change, "template": template, "disruption": disruption}
    assert problem in said(kubeconfig, MEMBER, {**pool, "spec": spec})
