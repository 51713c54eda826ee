"""A bot's disk in the lab: bound in its pod's zone, the same one for the next pod, and never taken away by a change."""

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.running import Running
from tests.lab.test_lab import pods, until

pytestmark = pytest.mark.lab

NAMESPACE = "notice-bot-prod"
CLAIM = f"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/data"
ZONE = "topology.kubernetes.io/zone"


def bound(running: Running) -> dict[str, Any]:
    claim: dict[str, Any] = running.cluster.get(CLAIM)
    assert claim["status"]["phase"] == "Bound"
    return claim


def pod(running: Running) -> dict[str, Any]:
    [made] = pods(running, NAMESPACE)
    return made


def zone_of(running: Running, made: dict[str, Any]) -> str:
    return str(running.cluster.get(f"/api/v1/nodes/{made['spec']['nodeName']}")["metadata"]["labels"][ZONE])


def test_a_bots_disk_is_in_its_pods_zone_and_stays_when_nobody_claims_it(running: Running) -> None:
    volume = running.cluster.get(f"/api/v1/persistentvolumes/{bound(running)['spec']['volumeName']}")
    [term] = volume["spec"]["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": ZONE, "operator": "In", "values": [zone_of(running, pod(running))]}]
    assert volume["spec"]["persistentVolumeReclaimPolicy"] == "Retain"


def test_the_next_pod_has_the_same_disk_in_the_same_zone(running: Running) -> None:
    before, volume = pod(running), bound(running)["spec"]["volumeName"]
    running.cluster.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/{before['metadata']['name']}")

    def next_runs() -> bool:
        living = pods(running, NAMESPACE)
        names = {item["metadata"]["name"] for item in living if item.get("status", {}).get("phase") == "Running"}
        return bool(names - {before["metadata"]["name"]}) and len(living) == 1

    until("the next pod runs", next_runs)
    assert zone_of(running, pod(running)) == zone_of(running, before)
    assert bound(running)["spec"]["volumeName"] == volume


def test_who_takes_the_component_away_does_not_take_the_data_away(running: Running) -> None:
    component = "  - ../../../base/components/volume\n"
    running.edit(NAMESPACE, component, "")
    running.push()
    path = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/bot"
    until("without a disk", lambda: "persistentVolumeClaim" not in str(running.cluster.get(path)["spec"]))
    claim = bound(running)
    # Back, and it is the same one.
    running.edit(NAMESPACE, "components:\n", f"components:\n{component}")
    running.wait(NAMESPACE, revision=running.push())
    assert bound(running)["metadata"]["uid"] == claim["metadata"]["uid"]
