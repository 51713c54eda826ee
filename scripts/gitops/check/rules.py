"""What a check's API server has in force before anything is asked: the definitions, and main's policies with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gitops.check import schema
from gitops.check.answers import denial
from gitops.check.dry_run import MANAGER, POLICY_KINDS, Server
from gitops.clients.kubernetes import ClusterError, wait_established
from gitops.ground.checkout import Checkout
from gitops.lab.process import wait_until
from gitops.manifests.objects import Object, name
from gitops.manifests.render import in_parallel

_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
_PLURALS = {POLICY_KINDS[1]: "validatingadmissionpolicybindings", POLICY_KINDS[0]: "validatingadmissionpolicies"}
_READY = "gitops-check-ready"
# What of an object's metadata is its author's, not the server's.
_WRITTEN = ("name", "labels", "annotations")


@dataclass(frozen=True)
class Rules:
    """Policies and their bindings. `mark`: of which policies and definitions they are."""

    policies: tuple[Object, ...]
    mark: str

    @classmethod
    def of(cls, checkout: Checkout, policies: Sequence[Object]) -> Rules:
        """Those among some objects, with this checkout's definitions."""
        own = tuple(item for item in policies if item["kind"] in POLICY_KINDS)
        text = json.dumps([schema.fingerprint(checkout), *own], sort_keys=True, default=str)
        return cls(own, hashlib.sha256(text.encode()).hexdigest())


def key(checkout: Checkout) -> str:
    """Of which programs and definitions an etcd's data is."""
    tools = [str(checkout.tool(tool).resolve()) for tool in ("etcd", "kube-apiserver")]
    return hashlib.sha256("\n".join([*tools, schema.fingerprint(checkout)]).encode()).hexdigest()


def _brought(server: Server) -> dict[str, str]:
    """What a server keeps of what it was given: the mark of its rules, and the fingerprint of its definitions."""
    kept = server.cluster.find(f"/api/v1/namespaces/default/configmaps/{MANAGER}")
    return {} if kept is None else kept["data"]


def read(server: Server) -> Rules | None:
    """Those that were brought to a server; None where none were."""
    mark = _brought(server).get("rules")
    if mark is None:
        return None
    policies: list[Object] = []
    for kind, plural in _PLURALS.items():
        for item in server.cluster.items(f"{_ADMISSION}/{plural}"):
            metadata = {field: item["metadata"][field] for field in _WRITTEN if field in item["metadata"]}
            if name(item) != _READY:
                policies.append(
                    {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": metadata}
                    | {"spec": item["spec"]}
                )
    return Rules(tuple(policies), mark)


def bring(server: Server, rules: Rules) -> None:
    """Bring the definitions and the policies in place of any others, and wait until they are in force. What is there
    already stays.
    """
    brought, own = _brought(server), schema.fingerprint(server.checkout)
    if brought.get("rules") == rules.mark:
        return
    if brought.get("definitions") != own:
        definitions = schema.definitions(server.checkout)
        in_parallel(server.apply, definitions)
        wait_established(server.cluster, definitions)
        server.forget_kinds()
    kept = {(item["kind"], name(item)) for item in rules.policies}
    for kind, plural in _PLURALS.items():
        for item in server.cluster.items(f"{_ADMISSION}/{plural}"):
            if (kind, name(item)) not in kept:
                server.cluster.delete(f"{_ADMISSION}/{plural}/{name(item)}")
    for item in rules.policies:
        server.apply(item)
    _apply_last(server, rules.mark)
    wait_in_force(server, rules.mark)
    metadata = {"name": MANAGER, "namespace": "default"}
    data = {"rules": rules.mark, "definitions": own}
    server.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _apply_last(server: Server, mark: str) -> None:
    """A policy that refuses one ConfigMap, whatever is in it, and says for which rules it came."""
    rule: dict[str, Any] = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["configmaps"],
        "resourceNames": [_READY],
    }
    body = {
        "validations": [{"expression": "false", "message": mark}],
        "matchConstraints": {"resourceRules": [rule]},
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


def wait_in_force(server: Server, mark: str = "") -> None:
    """The server takes policies up one after the other: the last one is in force when all are.

    `mark`: of the rules that were just brought, as the last of earlier ones may be in force still.
    """
    probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _READY, "namespace": "default"}}

    def denied() -> bool:
        try:
            server.cluster.ask("POST", "/api/v1/namespaces/default/configmaps", probe)
        except ClusterError as error:
            refused = denial(error)
            if refused is not None and refused.policy == _READY:
                return mark in refused.text
            raise
        return False

    wait_until("the policies are in force", denied, seconds=60, every=0.05)
