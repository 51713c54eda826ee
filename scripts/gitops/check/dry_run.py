"""Asking a real API server for every object and every pod, as dry runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from urllib.parse import quote

from gitops.check import answers
from gitops.clients.kubernetes import Cluster, ClusterError
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import Object, name, spec_of, value_at
from gitops.manifests.pods import Template, template
from gitops.manifests.quantity import number

MANAGER = "gitops-check"
# In what words it refuses another value of what is there already.
_FIXED = re.compile(r"immutable|may not change once set|can ?not be (changed|unset|less)|updates to .* are forbidden")
_SIZE = ("resources", "requests", "storage")
POLICY_KINDS = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")


def _is_larger_claim(old: Object, new: Object) -> bool:
    """Whether all that a claim asks for is more room: it is given that once it is bound, as none is here."""
    if old.get("kind") != "PersistentVolumeClaim":
        return False
    before, after = ({**spec_of(item), "resources": None} for item in (old, new))
    return before == after and number(value_at(spec_of(new), _SIZE)) >= number(value_at(spec_of(old), _SIZE))


@dataclass(frozen=True)
class Server:
    """A real API server to ask."""

    checkout: Checkout
    cluster: Cluster

    def apply(self, item: Object) -> None:
        """Bring an object for good: what is asked later stands on it. Raises ClusterError."""
        self.cluster.patch(self.path(item), item, kind="apply", fieldManager=MANAGER, force="true")

    def apply_prerequisites(self, items: Sequence[Object]) -> bool:
        """Bring what must be there before a pod can be asked for: the ServiceAccounts and LimitRanges of a change.

        Returns whether the server took all; what it refuses is told when it is asked for.
        """
        taken = True
        for item in items:
            try:
                # What an earlier check left would be judged by its change alone.
                if self.cluster.find(path := self.path(item)):
                    self._remove(path)
                self.apply(item)
            except ClusterError:
                taken = False
        return taken

    def check(self, unit: Unit, *, pods: bool = True) -> list[Finding]:
        """Every object of a unit, and a pod of each template.

        `pods`: False where what a pod needs was refused: all would be refused for it again.
        """
        findings: list[Finding] = []
        for item in unit.objects:
            if item.get("kind") in ("Namespace", *POLICY_KINDS):
                continue
            findings += self._ask(unit, item)
            made = template(item) if pods else None
            if made is not None and made.path:
                findings += self._pod(unit, made)
        return findings

    def check_update(self, unit: Unit, pairs: Sequence[tuple[Object, Object]]) -> list[Finding]:
        """What the API server says to the new form of an object that runs in its old one (immutable fields)."""
        findings: list[Finding] = []
        for old, new in pairs:
            try:
                path = self.path(old)
                if self.cluster.find(path):  # brought for all: a policy, or the exceptions that every policy asks for
                    continue
                self.apply(old)
            except (ClusterError, ExternalError):  # the old form is no longer taken: that is no fault of the change
                continue
            try:
                self.cluster.ask("PATCH", path, new, kind="apply", fieldManager=MANAGER, force="true")
            except ClusterError as error:
                for field, message in error.causes or [("", error.reason)]:
                    if _FIXED.search(message) and not _is_larger_claim(old, new):
                        # Of the list that it fills in, a person writes the first alone.
                        where = answers.field_path(new, re.sub(r"^spec\.clusterIPs.*", "spec.clusterIP", field))
                        fix = "leave it as it is, or give the object another name (the old one is then deleted)"
                        if new.get("kind") == "PersistentVolumeClaim":
                            where, fix = ("spec", *_SIZE), "leave it as it is: a disk grows and never shrinks"
                        findings.append(
                            unit.finding("immutable", new, where, f"{field}: {answers.decisive(message)}", fix)
                        )
            finally:
                with suppress(ClusterError):
                    self._remove(path)
        return findings

    def _remove(self, path: str) -> None:
        """Raises ClusterError."""
        # No controller is there to lift what would keep it (a claim's protection), and the next check asks here too.
        self.cluster.patch(path, {"metadata": {"finalizers": None}})
        self.cluster.delete(path)

    def _ask(self, unit: Unit, item: Object) -> list[Finding]:
        try:
            path = self.path(item)
        except ExternalError:
            return []  # apis.py has said that there is no such kind
        try:
            warnings = self.cluster.ask("PATCH", path, item, kind="apply", fieldManager=MANAGER, force="true")
        except ClusterError as error:
            return list(answers.refusal(unit, item, error, ()))
        return [
            unit.finding("api-warning", item, answers.warning_path(item, text), text, "change it before it is refused")
            for text in warnings
            if "PodSecurity" not in text  # the pod itself is asked for, and refused
        ]

    def _pod(self, unit: Unit, pods: Template) -> list[Finding]:
        template_metadata = pods.body.get("metadata") or {}
        metadata = {key: value for key, value in template_metadata.items() if key in ("labels", "annotations")}
        metadata |= {"generateName": f"{name(pods.item)}-", "namespace": unit.namespace}
        pod: Object = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pods.spec}
        try:
            warnings = self.cluster.ask("POST", f"/api/v1/namespaces/{unit.namespace}/pods", pod)
        except ClusterError as error:
            return list(answers.refusal(unit, pods.item, error, pods.path))
        return [
            unit.finding(
                "api-warning",
                pods.item,
                (*pods.path, *answers.warning_path(pod, text)),
                f"its pods: {text}",
                "change it before it is refused",
            )
            for text in warnings
        ]

    def path(self, item: Object) -> str:
        """The address of an object. Raises ExternalError where the server has no such kind."""
        api, kind = str(item.get("apiVersion")), str(item.get("kind"))
        root = f"/api/{api}" if "/" not in api else f"/apis/{api}"
        resource = self._kinds(root).get(kind)
        if resource is None:
            raise ExternalError(f"{api} {kind}: the API server has no such kind")
        plural, namespaced = resource
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
            self._resources[root] = {
                resource["kind"]: (resource["name"], resource["namespaced"])
                for resource in listed
                if "/" not in resource["name"]  # a subresource
            }
        return self._resources[root]

    def forget_kinds(self) -> None:
        """After new definitions: ask anew which kinds there are."""
        self._resources.clear()

    @cached_property
    def _resources(self) -> dict[str, dict[str, tuple[str, bool]]]:
        return {}
