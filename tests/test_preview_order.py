"""Order is a difference wherever it is read, and what Kubernetes takes for the same is none."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gitops.preview import diff
from gitops.preview.notable import notable

CONTAINER: dict[str, Any] = {
    "name": "app",
    "image": "app:1",
    "args": ["-v", "1"],
    "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)"}],
    "volumeMounts": [{"name": "b", "mountPath": "/b"}, {"name": "a", "mountPath": "/b/a"}],
    "readinessProbe": {"httpGet": {"port": 80}},
    "resources": {"requests": {"cpu": "1000m", "memory": "1Gi"}},
}
POD: dict[str, Any] = {
    "containers": [CONTAINER, {"name": "log"}],
    "volumes": [{"name": "a"}, {"name": "b", "emptyDir": {}}],
}
PORTS = [{"port": 80}, {"port": 443, "protocol": "TCP"}]


def _kubernetes(kind: str, **spec: Any) -> dict[str, Any]:
    versions = {"Deployment": "apps/v1", "CronJob": "batch/v1", "Rollout": "argoproj.io/v1alpha1"}
    return {"apiVersion": versions.get(kind, "v1"), "kind": kind, "metadata": {"name": "x"}, "spec": spec}


@pytest.mark.parametrize("kind", ["Deployment", "Rollout"])
@pytest.mark.parametrize("swapped", ["args", "env", "volumeMounts", "containers", "volumes"])
def test_the_order_of_whatever_a_pod_has_is_read(kind: str, swapped: str) -> None:
    pod = copy.deepcopy(POD)
    items: Any = pod[swapped] if swapped in pod else pod["containers"][0][swapped]
    items.reverse()
    old, new = (_kubernetes(kind, template={"spec": spec}) for spec in (POD, pod))
    change = diff.compare(old, new)
    assert change
    assert len(change.fields) == 1
    assert swapped in change.fields[0].path
    assert notable([(old, new)]) == (f"restarts the pods of {kind} x",)


def test_kubernetes_own_sets_and_maps_have_no_order() -> None:
    assert diff.compare(_kubernetes("Service", ports=PORTS), _kubernetes("Service", ports=PORTS[::-1])) is None
    custom = {**_kubernetes("Service", ports=PORTS), "apiVersion": "example.com/v1"}
    swapped = {**custom, "spec": {"ports": PORTS[::-1]}}
    assert diff.compare(custom, swapped) is not None


@pytest.mark.parametrize(
    "written",
    [
        {"image": "app:1", "imagePullPolicy": "IfNotPresent", "env": [*CONTAINER["env"]], "tty": False, "command": []},
        {"resources": {"requests": {"cpu": 1, "memory": "1024Mi"}, "limits": {}}},
        {"readinessProbe": {"httpGet": {"port": 80, "scheme": "HTTP", "path": "/"}, "timeoutSeconds": 1}},
        {"workingDir": None, "terminationMessagePath": "/dev/termination-log"},
    ],
)
def test_what_kubernetes_fills_in_is_no_difference(written: dict[str, Any]) -> None:
    sides = [
        _kubernetes("Deployment", template={"spec": {**POD, "containers": [container]}})
        for container in (CONTAINER, {**CONTAINER, **written})
    ]
    assert diff.compare(*sides) is None
    assert diff.compare(*sides[::-1]) is None
