"""The cluster's own answer: every object and every pod as a dry run on a real API server, the policies in force.

The server is a lab's control plane alone (etcd and kube-apiserver); no controller runs, so nothing acts.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property, partial
from urllib.parse import quote

from gitops.check.schema import definitions
from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError
from gitops.lab import lab as labs
from gitops.lab import process
from gitops.lab.bootstrap import wait_established
from gitops.lab.layout import Lab
from gitops.lab.process import wait_until
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import MERGE_KEYS, Object, name, value_at
from gitops.manifests.pods import Template, template
from gitops.manifests.quantity import is_quantity
from gitops.manifests.render import in_parallel

MANAGER = "gitops-check"
_ADMISSION = "/apis/admissionregistration.k8s.io/v1"
POLICY_KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
_DENIED = re.compile(r"ValidatingAdmissionPolicy '([^']+)' with binding '[^']+' denied request: (.*)", re.DOTALL)
_AT = re.compile(r"^at (\S+): (.*)", re.DOTALL)
_READY = "gitops-check-ready"
# A merge that the server cannot make: '...: .spec.containers[name="app"].env: duplicate entries for key ...'
_TYPED = re.compile(r"typed patch object .*?: \.(\S+): (duplicate entries .*)")
_UNKNOWN = re.compile(r'unknown field "([^"]+)"')


@contextmanager
def control_plane(checkout: Checkout, lab_name: str | None) -> Iterator[Server]:
    """A control plane for one check, gone afterwards; or that of a lab, started where it is not and left running."""
    lab = Lab(checkout, lab_name or f"check-{secrets.token_hex(4)}")
    try:
        labs.control_plane(lab)
        yield Server(checkout, Cluster(lab.kubeconfig))
    finally:
        if not lab_name:
            # Nothing in it is worth an orderly end.
            process.end_all(lab, patience=0)
            shutil.rmtree(lab.folder, ignore_errors=True)


@dataclass(frozen=True)
class Server:
    """A real API server to ask."""

    checkout: Checkout
    cluster: Cluster

    def prepare(self, policies: Sequence[Object], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Bring the definitions, the policies and the namespaces, and wait until the policies are in force."""
        crds = definitions(self.checkout)
        spaces = {"argocd": {}, "kube-system": {}, **namespaces}
        in_parallel(lambda at: self._namespace(at[0], at[1]), spaces.items())
        if self._has([*crds, *policies]):
            return
        in_parallel(self._apply, crds)
        for item in crds:
            wait_established(self.cluster, item["metadata"]["name"])
        self._resources.clear()
        wanted = {(item["kind"], name(item)) for item in policies}
        for plural, kind in (
            ("validatingadmissionpolicybindings", POLICY_KINDS[1]),
            ("validatingadmissionpolicies", POLICY_KINDS[0]),
        ):
            for item in self.cluster.items(f"{_ADMISSION}/{plural}"):
                if (kind, name(item)) not in wanted:
                    self.cluster.delete(f"{_ADMISSION}/{plural}/{name(item)}")
        for item in policies:
            self._apply(item)
        self._wait_for_policies()
        self._apply(self._memory([*crds, *policies]))

    def _namespace(self, wanted: str, labels: Mapping[str, str]) -> None:
        space: Object = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": wanted, "labels": dict(labels)}}
        self._apply(space)
        # Which in a cluster a controller makes.
        account = {"name": "default", "namespace": wanted}
        self._apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account})

    def _memory(self, items: Sequence[Object]) -> Object:
        digest = hashlib.sha256(json.dumps(items, sort_keys=True, default=str).encode()).hexdigest()
        metadata = {"name": MANAGER, "namespace": "default"}
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"has": digest}}

    def _has(self, items: Sequence[Object]) -> bool:
        """Whether a check before this one brought the same definitions and policies to a server that stayed."""
        found = self.cluster.find(f"/api/v1/namespaces/default/configmaps/{MANAGER}")
        return found is not None and found["data"] == self._memory(items)["data"]

    def _wait_for_policies(self) -> None:
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
            self._apply(item)
        probe = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": _READY, "namespace": "default"}}

        def denied() -> bool:
            try:
                self.cluster.ask("POST", "/api/v1/namespaces/default/configmaps", probe)
            except ClusterError as error:
                if error.status in (403, 422) and "ready" in error.reason:
                    return True
                raise
            return False

        wait_until("the policies are in force", denied, seconds=60)

    def _apply(self, item: Object) -> None:
        self.cluster.patch(self.path(item), item, kind="apply", fieldManager=MANAGER, force="true")

    def stand(self, items: Sequence[Object]) -> None:
        """Bring what must be there before a pod can be asked for: the ServiceAccounts and LimitRanges of a change."""
        for item in items:
            try:
                self._apply(item)
            except ClusterError:  # told when it is asked for
                continue

    def check(self, unit: Unit) -> list[Finding]:
        """Every object of a unit, and a pod of each template."""
        found: list[Finding] = []
        for item in unit.objects:
            if item.get("kind") in ("Namespace", *POLICY_KINDS):
                continue
            found += self._ask(unit, item)
            each = template(item)
            if each is not None and each.path:
                found += self._pod(unit, each)
        return found

    def transition(self, unit: Unit, pairs: Sequence[tuple[Object, Object]]) -> list[Finding]:
        """What the API server says to the new form of an object that runs in its old one (immutable fields)."""
        found: list[Finding] = []
        for old, new in pairs:
            try:
                path = self.path(old)
                self._apply(old)
            except (ClusterError, ExternalError):  # the old form is no longer taken: that is no fault of the change
                continue
            try:
                self.cluster.ask("PATCH", path, new, kind="apply", fieldManager=MANAGER, force="true")
            except ClusterError as error:
                for field, message in error.causes or [("", error.reason)]:
                    if "immutable" in message:
                        where = _path(new, field)
                        fix = "leave it as it is, or give the object another name (the old one is then deleted)"
                        found.append(unit.finding("immutable", new, where, f"{field}: {_short(message)}", fix))
            finally:
                with suppress(ClusterError):
                    self.cluster.delete(path)
        return found

    def _ask(self, unit: Unit, item: Object) -> list[Finding]:
        try:
            path = self.path(item)
        except ExternalError:
            return []  # apis.py has said that there is no such kind
        try:
            warnings = self.cluster.ask("PATCH", path, item, kind="apply", fieldManager=MANAGER, force="true")
        except ClusterError as error:
            return list(_refused(unit, item, error, ()))
        return [
            unit.finding("api-warning", item, _warned(item, text), text, "change it before it is refused")
            for text in warnings
            if "PodSecurity" not in text  # the pod itself is asked for, and refused
        ]

    def _pod(self, unit: Unit, each: Template) -> list[Finding]:
        metadata = {k: v for k, v in (each.body.get("metadata") or {}).items() if k in ("labels", "annotations")}
        metadata |= {"generateName": f"{name(each.item)}-", "namespace": unit.namespace}
        pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": each.spec}
        try:
            warnings = self.cluster.ask("POST", f"/api/v1/namespaces/{unit.namespace}/pods", pod)
        except ClusterError as error:
            return list(_refused(unit, each.item, error, each.path))
        return [
            unit.finding(
                "api-warning", each.item, (*each.path, "spec"), f"its pods: {text}", "change it before it is refused"
            )
            for text in warnings
        ]

    def path(self, item: Object) -> str:
        """The address of an object. Raises ExternalError where the server has no such kind."""
        api, kind = str(item.get("apiVersion")), str(item.get("kind"))
        root = f"/api/{api}" if "/" not in api else f"/apis/{api}"
        found = self._kinds(root).get(kind)
        if found is None:
            raise ExternalError(f"{api} {kind}: the API server has no such kind")
        plural, namespaced = found
        space = (
            f"/namespaces/{quote(str(item['metadata'].get('namespace') or 'default'), safe='')}" if namespaced else ""
        )
        return f"{root}{space}/{plural}/{quote(name(item), safe='')}"

    def _kinds(self, root: str) -> dict[str, tuple[str, bool]]:
        if root not in self._resources:
            try:
                listed = self.cluster.get(root)["resources"]
            except ClusterError:
                listed = []
            self._resources[root] = {r["kind"]: (r["name"], r["namespaced"]) for r in listed if "/" not in r["name"]}
        return self._resources[root]

    @cached_property
    def _resources(self) -> dict[str, dict[str, tuple[str, bool]]]:
        return {}


def _refused(unit: Unit, item: Object, error: ClusterError, prefix: tuple[str, ...]) -> Iterator[Finding]:
    denied = _DENIED.search(error.reason)
    if denied:
        policy, text = denied[1], denied[2].strip()
        at = _AT.match(text)
        path = _policy_path(item, at[1]) if at else ()
        yield unit.finding("policy", item, path, text, "see policies/, or file an exception there", policy=policy)
        return
    rule = "pod" if prefix else "api-server"
    word = "its pods: " if prefix else ""
    # What it cannot even decode (a quantity that is none, an item twice) it calls its own error.
    if error.status == 0 or (error.status >= 500 and not error.reason.startswith("failed to ")):
        raise ExternalError(f"the API server: {error.reason or error}")
    if "quantities must match" in error.reason:
        for path in _no_quantities(item):
            yield unit.finding(rule, item, path, f"{word}no quantity", "write one such as 50m, 128Mi or 1Gi")
        return
    if "violates PodSecurity" in error.reason:
        for path, what in _pod_security(item, error.reason):
            yield unit.finding(rule, item, path, f"{word}Pod Security (restricted): {what}", "leave it as base/ has it")
        return
    unknown, typed = _UNKNOWN.findall(error.reason), _TYPED.search(error.reason)
    if typed:
        field = re.sub(r'\[\w+="?([^"\]]*)"?\]', r"[\1]", typed[1])
        yield unit.finding(
            rule, item, (*prefix, *_path(item, field)), f"{word}{field}: {typed[2]}", "take one of them out"
        )
        return
    causes = [(field.lstrip("."), f"unknown field {field}") for field in unknown] or list(error.causes)
    for field, message in causes or [("", error.reason)]:
        path = (*prefix, *_deepened(value_at(item, prefix), field, message))
        yield unit.finding(
            rule,
            item,
            path,
            f"{word}{field + ': ' if field else ''}{_short(message)}",
            "write what the API server asks for",
        )


def _pod_security(item: Object, reason: str) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each complaint of Pod Security, 'what (who must set field)', with the field in the object."""
    each = template(item)
    if each is None:
        return
    for what, who in re.findall(r"(?:, |: )([^,:(]+) \(((?:[^()]|\([^()]*\))*)\)", reason):
        fields = [f.rstrip(".") for f in re.findall(r"securityContext[\w.]*|host\w+", who)] or [what.split()[0]]
        names = re.findall(r'"([^"]+)"', who)
        owners = ["", *(f"containers[{n}]." for n in names), *(f"initContainers[{n}]." for n in names)]
        if fields[0] == "hostPath":
            owners = [f"volumes[{n}]." for n in names]
        paths = [_path(each.spec, f"{owner}{fields[0]}") for owner in owners]
        yield (*each.path, "spec", *max(paths, key=partial(_there, each.spec), default=())), f"{what} ({who})"


def _there(item: Object, path: tuple[str | int, ...]) -> int:
    """How many steps of a path are there."""
    return sum(value_at(item, path[: n + 1]) is not None for n in range(len(path)))


def _no_quantities(item: Object) -> list[tuple[str | int, ...]]:
    """Where a pod's resources are no quantities; the whole object where none of them is at fault."""
    each = template(item)
    paths = [(*at, "resources") for at, _ in each.containers()] if each else []
    values = [found for path in paths for found in _values(item, path)]
    return [path for path, value in values if not is_quantity(value)] or [()]


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 300 else f"{text[:300]} ..."


def _path(item: Object, field: str) -> tuple[str | int, ...]:
    """The API server's own words for a place (spec.containers[0].image, data[key]) as a path in the object."""
    path: list[str | int] = []
    current: object = item
    for word, index in re.findall(r"([^.\[\]]+)|\[([^\]]*)\]", field):
        step: str | int = word or index
        if isinstance(current, list):
            found = _index(current, str(step))
            if found is None:
                break
            step = found
            current = current[step]
        else:
            if step in ("labels", "annotations") and isinstance(current, dict) and "metadata" in current:
                path.append("metadata")  # which the server leaves out of its own words
                current = current["metadata"]
            current = current.get(str(step)) if isinstance(current, dict) else None
        path.append(step)
    return tuple(path)


def _deepened(item: Object, field: str, message: str) -> tuple[str | int, ...]:
    """The place of a field, and in it the value that the message quotes."""
    path = _path(item, field)
    quoted = re.search(r'(?:value|for|limit is|request is):? "?([^":]+)"?', message)
    for at, value in _values(item, path):
        if quoted and str(value) == quoted[1].strip():
            return at
    return path


def _values(item: object, below: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """Every value below a path, each with its own path."""
    current = value_at(item, below)
    if isinstance(current, dict):
        for key in current:
            yield from _values(item, (*below, key))
    elif isinstance(current, list):
        for number in range(len(current)):
            yield from _values(item, (*below, number))
    else:
        yield below, current


def _index(items: list[object], word: str) -> int | None:
    if word.isdigit():
        return int(word) if int(word) < len(items) else None
    for number, item in enumerate(items):
        if isinstance(item, dict) and any(str(item.get(key)) == word for key in MERGE_KEYS):
            return number
    return None


def _policy_path(item: Object, at: str) -> tuple[str | int, ...]:
    """A policy's own words for a place: from the object's root, or from its pod's spec (containers[NAME].image)."""
    if at.startswith(("metadata", "spec")):
        # An annotation's key has dots of its own.
        head, _, key = at.partition("[")
        return (*head.split("."), key.rstrip("]")) if key else _path(item, at)
    each = template(item)
    if each is None:
        return ()
    return (*each.path, "spec", *_path(each.spec, at))


def _warned(item: Object, text: str) -> tuple[str | int, ...]:
    """Where a warning points: most name a field first, 'spec.x: ...'."""
    field, colon, _ = text.partition(":")
    if colon and " " not in field and "." in field:
        return _path(item, field)
    return ("apiVersion",) if "deprecated" in text and "apiVersion" in item else ()
