"""The API server of a check: a lab's control plane alone (etcd and kube-apiserver), with the cluster's definitions and
policies in force. No controller runs, so nothing acts.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext

from gitops.check.answers import Denial, denial
from gitops.check.dry_run import MANAGER, POLICY_KINDS, Server
from gitops.check.schema import definitions
from gitops.clients.kubernetes import Cluster, ClusterError, wait_established
from gitops.ground.checkout import Checkout
from gitops.lab.layout import Lab
from gitops.lab.process import wait_until
from gitops.manifests.objects import Object, name
from gitops.manifests.render import in_parallel

_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_READY = "gitops-check-ready"


@contextmanager
def control_plane(checkout: Checkout, lab_name: str | None) -> Iterator[Server]:
    """A control plane for one check, gone afterwards; or that of a lab, started where it is not and left running."""
    # What only a check that asks needs to load.
    from gitops.lab import keeper
    from gitops.lab import lab as labs

    lab = Lab(checkout, lab_name or f"check-{secrets.token_hex(4)}")
    with nullcontext() if lab_name else keeper.kept(lab):
        labs.control_plane(lab)
        yield Server(checkout, Cluster(lab.kubeconfig))


def admitting(objects: Iterable[Object]) -> list[Object]:
    """What of a cluster's own objects an API server admits others by: policies, and the priorities that pods name."""
    return [item for item in objects if item["kind"] in (*POLICY_KINDS, "PriorityClass")]


def prepare(
    server: Server, policies: Sequence[Object], namespaces: Mapping[str, Mapping[str, str]]
) -> dict[str, Denial]:
    """Bring the definitions, the policies and the namespaces, and wait until the policies are in force.

    Returns the namespaces that a policy refuses, on a server that stayed and had it in force: these are not there.
    """
    crds = definitions(server.checkout)
    in_parallel(lambda namespace: _apply_namespace(server, namespace, {}), ("argocd", "kube-system"))
    rules = [item for item in policies if item["kind"] in POLICY_KINDS]
    # On a server that stayed the policies are in force already: without their exceptions they refuse all.
    for item in policies:
        if item["kind"] not in POLICY_KINDS:
            server.apply(item)
    denials = in_parallel(lambda namespace: _apply_namespace(server, *namespace), namespaces.items())
    refused = {namespace: denied for namespace, denied in zip(namespaces, denials, strict=True) if denied}
    if _is_prepared(server, [*crds, *policies]):
        return refused
    in_parallel(server.apply, crds)
    wait_established(server.cluster, crds)
    server.forget_kinds()
    kept = {(item["kind"], name(item)) for item in rules}
    for plural, kind in (
        ("validatingadmissionpolicybindings", POLICY_KINDS[1]),
        ("validatingadmissionpolicies", POLICY_KINDS[0]),
    ):
        for item in server.cluster.items(f"{_ADMISSION}/{plural}"):
            if (kind, name(item)) not in kept:
                server.cluster.delete(f"{_ADMISSION}/{plural}/{name(item)}")
    for item in rules:
        server.apply(item)
    _wait_for_policies(server)
    server.apply(_marker([*crds, *policies]))
    return refused


def _apply_namespace(server: Server, name: str, labels: Mapping[str, str]) -> Denial | None:
    try:
        server.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels)}})
    except ClusterError as error:
        if denied := denial(error):
            return denied
        raise
    # Which in a cluster a controller makes.
    account = {"name": "default", "namespace": name}
    server.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})
    return None


def _marker(items: Sequence[Object]) -> Object:
    """What a server keeps of the definitions and policies that it was given."""
    digest = hashlib.sha256(json.dumps(items, sort_keys=True, default=str).encode()).hexdigest()
    metadata = {"name": MANAGER, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"has": digest}}


def _is_prepared(server: Server, items: Sequence[Object]) -> bool:
    """Whether a check before this one brought the same definitions and policies to a server that stayed."""
    marker = server.cluster.find(f"/api/v1/namespaces/default/configmaps/{MANAGER}")
    return marker is not None and marker["data"] == _marker(items)["data"]


def _wait_for_policies(server: Server) -> None:
    """The server takes policies up one after the other: the last one is in force when all are."""
    body = {
        "validations": [{"expression": "false", "message": "ready"}],
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["configmaps"],
                    "resourceNames": [_READY],
                }
            ]
        },
    }
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": POLICY_KINDS[0],
        "metadata": {"name": _READY},
        "spec": body,
    }
    binding = {**policy, "kind": POLICY_KINDS[1], "spec": {"policyName": _READY, "validationActions": ["Deny"]}}
    for item in (policy, binding):
        server.apply(item)
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _READY, "namespace": "default"}}

    def denied() -> bool:
        try:
            server.cluster.ask("POST", "/api/v1/namespaces/default/configmaps", probe)
        except ClusterError as error:
            refused = denial(error)
            if refused is not None and refused.policy == _READY:
                return True
            raise
        return False

    wait_until("the policies are in force", denied, seconds=60)
