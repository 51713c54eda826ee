"""`gitops lb` against recorded results of the AWS Load Balancer Controller's own builder (tests/builder)."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from gitops.lb import check, model
from gitops.lb.rules import ListenerRule
from gitops.lb.targets import TargetGroup
from gitops.manifests.findings import RULES, Finding, Unit
from gitops.manifests.objects import Object
from gitops.manifests.places import Places
from gitops.manifests.reach import Reach
from tests import builder_groups
from tests.frozen import platform

GROUPS = builder_groups.read()
RECORDED: dict[str, dict[str, Any]] = json.loads((builder_groups.FOLDER / "recorded.json").read_text())
OF_THE_PLATFORM = {"kube-system": "clusters/seoul/objects"}


def units(objects: list[Object]) -> list[Unit]:
    """The objects of each namespace as a folder; the platform's are those of kube-system."""
    folders: dict[str, list[Object]] = {}
    for item in objects:
        namespace = item["metadata"]["namespace"]
        folders.setdefault(OF_THE_PLATFORM.get(namespace, f"overlays/{namespace}/prod"), []).append(item)
    return [Unit(folder, tuple(items), Places(platform(), folder, Reach())) for folder, items in folders.items()]


def shown(rule: ListenerRule) -> dict[str, Any]:
    """A rule as the recorder writes it: without what is empty."""
    parts = {
        "hosts": list(rule.hosts),
        "paths": list(rule.paths),
        "others": sorted([condition.field for condition in rule.others] + expressions(rule)),
        "to": list(rule.answer.to),
    }
    return {key: value for key, value in parts.items() if value}


def expressions(rule: ListenerRule) -> list[str]:
    return ["host-header"] * bool(rule.host_expressions) + ["path-pattern"] * bool(rule.path_expressions)


def of_listener(listener: model.Listener) -> dict[str, Any]:
    rules = {"rules": list(map(shown, listener.rules))} if listener.rules else {}
    return {"protocol": listener.protocol, "default": list(listener.default.to), **rules}


def settings(group: TargetGroup) -> dict[str, Any]:
    asked = {key: str(value) for key, value in asdict(group.check).items()}
    attributes = {"attributes": group.attributes} if group.attributes else {}
    return {"protocol": group.protocol, "version": group.version, "check": asked, **attributes}


def errors(balancer: model.LoadBalancer) -> list[Finding]:
    findings = [*check.check(balancer), *check.check_listeners(balancer, [])]
    return [finding for finding in findings if RULES[finding.rule].severity == "error"]


def test_each_group_is_recorded() -> None:
    assert list(RECORDED) == sorted(GROUPS)


@pytest.mark.parametrize("name", [name for name, recorded in RECORDED.items() if "error" not in recorded])
def test_a_group_is_what_the_controller_makes_of_it(name: str) -> None:
    balancer, recorded = model.merge(units(GROUPS[name].objects()), None), RECORDED[name]
    listeners = {str(port): of_listener(listener) for port, listener in balancer.listeners.items()}
    assert listeners == recorded["listeners"]
    assert {key: settings(group) for key, group in balancer.target_groups.items()} == recorded.get("target_groups", {})
    problems = [f"{finding.rule}: {finding.what}" for finding in errors(balancer)]
    assert bool(problems) == bool(GROUPS[name].stricter), problems


@pytest.mark.parametrize("name", [name for name, recorded in RECORDED.items() if "error" in recorded])
def test_what_stops_the_controller_is_a_finding(name: str) -> None:
    balancer = model.merge(units(GROUPS[name].objects()), None)
    assert errors(balancer), RECORDED[name]["error"]
