"""What Kubernetes takes for the same: lists whose order says nothing, quantities, and fields that have a default.

The lists are those that its own schema calls a set or a map (lists.yaml); all other lists are read in their order, and
so is every list of a pod's template: with another order the template is another one, and the pods restart. The defaults
are those of k8s.io/kubernetes (pkg/apis/*/*/defaults.go); tests/test_preview_truth.py holds them to the API server.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from gitops.manifests import yamlfile
from gitops.manifests.objects import Object
from gitops.manifests.pods import TEMPLATES

LISTS = Path(__file__).parent / "lists.yaml"
# How a path of lists.yaml says "every item".
ITEM = "[]"


class Absent:
    """What stands where one side has nothing; a null in a list is something."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT: Final = Absent()
# From the mapping that lacks the field to the value that it has all the same.
Computed = Callable[[Mapping[Any, Any]], Any]


@dataclass(frozen=True)
class Form:
    """What is known of a value. `default`: what it is where it does not stand there.

    `fields`: of a mapping, by key; `items`: of the items of a list, and of a mapping's other fields. `unordered`: the
    order of a list's items says nothing. `quantity`: 1000m is 1. `no_lists`: an empty list below is none.
    `everywhere`: all that is below it is as it is.
    """

    default: Any = ABSENT
    fields: Mapping[str, Form] = field(default_factory=dict)
    items: Form | None = None
    unordered: bool = False
    quantity: bool = False
    no_lists: bool = False
    everywhere: bool = False

    def child(self, key: object = ITEM) -> Form:
        """The form of a field, or of an item."""
        if self.everywhere:
            return self
        form = self.fields.get(str(key)) or self.items or PLAIN
        return replace(form, no_lists=True) if self.no_lists and not form.no_lists else form

    def default_in(self, mapping: Mapping[Any, Any]) -> Any:  # noqa: ANN401
        """The default of this field in a mapping, ABSENT where it has none."""
        if self.no_lists and self.default is ABSENT:
            return []
        return self.default(mapping) if callable(self.default) else self.default


PLAIN = Form()
# For who asks what is there and not in which order.
UNORDERED = Form(unordered=True, everywhere=True)


def of(item: Object) -> Form:
    """The form of an object, by its kind."""
    form = _KINDS.get(str(item.get("kind")), Form()) if _is_built_in(item) else Form()
    form = _with(form, ("metadata",), _METADATA)
    for path in _lists().get(f"{item.get('apiVersion')} {item.get('kind')}", ()):
        form = _with(form, path, Form(unordered=True))
    return replace(form, no_lists=_is_built_in(item))


def _is_built_in(item: Object) -> bool:
    group, _, _ = str(item.get("apiVersion")).rpartition("/")
    return "." not in group or group.endswith(".k8s.io")


@cache
def _lists() -> dict[str, tuple[tuple[str, ...], ...]]:
    listed: dict[str, list[str]] = yamlfile.parse_all(LISTS.read_bytes(), str(LISTS))[0]["lists"]
    return {kind: tuple(map(_steps, paths)) for kind, paths in listed.items()}


def _steps(path: str) -> tuple[str, ...]:
    return tuple(path.split("."))


def _with(form: Form, path: tuple[str, ...], leaf: Form) -> Form:
    """The same form, and at the path what `leaf` says beside it."""
    if not path:
        fields = {**form.fields, **leaf.fields}
        return replace(form, unordered=form.unordered or leaf.unordered, fields=fields)
    first, *rest = path
    if first == ITEM:
        return replace(form, items=_with(form.items or Form(), tuple(rest), leaf))
    below = form.fields.get(first) or form.items or Form()
    return replace(form, fields={**form.fields, first: _with(below, tuple(rest), leaf)})


def _defaults(**values: Any) -> dict[str, Form]:
    return {name: Form(value) for name, value in values.items()}


def _same_as(name: str) -> Form:
    return Form(lambda mapping: mapping.get(name) or ABSENT)


def _pull_policy(container: Mapping[Any, Any]) -> str:
    name, _, digest = str(container.get("image") or "").partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    return "Always" if not digest and tag in ("", "latest") else "IfNotPresent"


def _scratch(volume: Mapping[Any, Any]) -> Any:  # noqa: ANN401
    return {} if volume.keys() <= {"name", "emptyDir"} else ABSENT


_METADATA = Form(fields=_defaults(labels={}, annotations={}))
_AMOUNTS = Form({}, items=Form(quantity=True))
_RESOURCES = Form({}, {"limits": _AMOUNTS, "requests": _AMOUNTS})
_GET = Form(fields=_defaults(scheme="HTTP", path="/"))
_HOOK = Form(fields={"httpGet": _GET})
_PROBE = Form(
    fields={
        "httpGet": _GET,
        "grpc": Form(fields=_defaults(service="")),
        **_defaults(initialDelaySeconds=0, timeoutSeconds=1, periodSeconds=10, successThreshold=1, failureThreshold=3),
    }
)
_FIELD = Form(fields=_defaults(apiVersion="v1"))
_AMOUNT_OF = Form(fields={"divisor": Form("0", quantity=True)})
_REFERENCES = {"fieldRef": _FIELD, "resourceFieldRef": _AMOUNT_OF}
_ENV = Form(items=Form(fields={"value": Form(""), "valueFrom": Form(fields=_REFERENCES)}))
_MOUNTS = Form(items=Form(fields=_defaults(readOnly=False, subPath="", subPathExpr="")))
_PROBES = dict.fromkeys(("livenessProbe", "readinessProbe", "startupProbe"), _PROBE)
_CONTAINERS = Form(
    items=Form(
        fields={
            "env": _ENV,
            "imagePullPolicy": Form(_pull_policy),
            "lifecycle": Form(fields={"postStart": _HOOK, "preStop": _HOOK}),
            "ports": Form(items=Form(fields=_defaults(protocol="TCP", hostPort=0, name="", hostIP=""))),
            "resources": _RESOURCES,
            "volumeMounts": _MOUNTS,
            **_PROBES,
            **_defaults(
                stdin=False,
                stdinOnce=False,
                tty=False,
                workingDir="",
                terminationMessagePath="/dev/termination-log",
                terminationMessagePolicy="File",
            ),
        }
    )
)
_DOWNWARD = Form(items=Form(fields=_REFERENCES))
_FILES = Form(fields=_defaults(defaultMode=420))
_SOURCES = Form(
    items=Form(
        fields={
            "serviceAccountToken": Form(fields=_defaults(expirationSeconds=3600)),
            "downwardAPI": Form(fields={"items": _DOWNWARD}),
        }
    )
)
_VOLUMES = Form(
    items=Form(
        fields={
            "configMap": _FILES,
            "secret": _FILES,
            "downwardAPI": Form(fields={"items": _DOWNWARD, **_FILES.fields}),
            "projected": Form(fields={"sources": _SOURCES, **_FILES.fields}),
            "emptyDir": Form(_scratch, {"sizeLimit": Form(quantity=True)}),
            "persistentVolumeClaim": Form(fields=_defaults(readOnly=False)),
            "hostPath": Form(fields=_defaults(type="")),
        }
    )
)
_POD = Form(
    fields={
        "containers": _CONTAINERS,
        "initContainers": _CONTAINERS,
        "ephemeralContainers": _CONTAINERS,
        "volumes": _VOLUMES,
        "overhead": _AMOUNTS,
        # The older name of the other.
        "serviceAccount": _same_as("serviceAccountName"),
        "serviceAccountName": _same_as("serviceAccount"),
        **_defaults(
            dnsPolicy="ClusterFirst",
            hostIPC=False,
            hostNetwork=False,
            hostPID=False,
            hostname="",
            nodeSelector={},
            priorityClassName="",
            restartPolicy="Always",
            schedulerName="default-scheduler",
            securityContext={},
            subdomain="",
            terminationGracePeriodSeconds=30,
        ),
    }
)
_TEMPLATE = Form(fields={"metadata": Form({}, _METADATA.fields), "spec": _POD})
_RULES = Form(items=Form(fields={"ports": Form(items=Form(fields=_defaults(protocol="TCP")))}))
_AMOUNT = Form(fields={"averageValue": Form(quantity=True), "value": Form(quantity=True)})
_METRIC = Form(fields={"target": _AMOUNT})
_METRICS = ("resource", "containerResource", "pods", "object", "external")
_ROLLING = _defaults(maxSurge="25%", maxUnavailable="25%")
_BY_KIND: dict[str, dict[str, Form]] = {
    "Deployment": {
        "strategy": Form(
            {},
            {
                "type": Form("RollingUpdate"),
                "rollingUpdate": Form(lambda it: _values(_ROLLING) if _rolls(it) else ABSENT, _ROLLING),
            },
        ),
        **_defaults(minReadySeconds=0, paused=False, progressDeadlineSeconds=600, replicas=1, revisionHistoryLimit=10),
    },
    "StatefulSet": _defaults(
        minReadySeconds=0, podManagementPolicy="OrderedReady", replicas=1, revisionHistoryLimit=10
    ),
    "DaemonSet": _defaults(minReadySeconds=0, revisionHistoryLimit=10),
    "CronJob": _defaults(
        concurrencyPolicy="Allow", failedJobsHistoryLimit=1, successfulJobsHistoryLimit=3, suspend=False
    ),
    "Job": _defaults(backoffLimit=6, completionMode="NonIndexed", suspend=False),
    "Service": {
        "ports": Form(items=Form(fields={"protocol": Form("TCP"), "targetPort": _same_as("port"), "name": Form("")})),
        **_defaults(internalTrafficPolicy="Cluster", sessionAffinity="None", type="ClusterIP"),
    },
    "HorizontalPodAutoscaler": {
        "metrics": Form(items=Form(fields=dict.fromkeys(_METRICS, _METRIC))),
        **_defaults(minReplicas=1),
    },
    "NetworkPolicy": {"ingress": _RULES, "egress": _RULES},
    "PersistentVolumeClaim": {"resources": _RESOURCES, "volumeMode": Form("Filesystem")},
    "ResourceQuota": {"hard": _AMOUNTS},
    "LimitRange": {"limits": Form(items=Form(items=_AMOUNTS))},
}


def _rolls(strategy: Mapping[Any, Any]) -> bool:
    return strategy.get("type") in (None, "RollingUpdate")


def _values(forms: Mapping[str, Form]) -> dict[str, Any]:
    return {name: form.default for name, form in forms.items()}


def _kinds() -> dict[str, Form]:
    kinds = {kind: Form(fields={"spec": Form(fields=fields)}) for kind, fields in _BY_KIND.items()}
    for kind, path in TEMPLATES.items():
        leaf = _TEMPLATE if path else Form(fields={"spec": _POD})
        kinds[kind] = _with(kinds.get(kind, Form()), path, leaf)
    for kind in ("ConfigMap", "Secret"):
        kinds[kind] = Form(fields=_defaults(data={}, stringData={}, binaryData={}))
    return kinds


_KINDS = _kinds()
