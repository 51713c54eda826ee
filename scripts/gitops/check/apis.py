"""Kinds that this version of Kubernetes, or the next one, does not serve."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from gitops.check.schema import Schemas
from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding, Unit

_TABLE = Path(__file__).with_name("apis.yaml")


@cache
def table() -> dict[str, dict[str, str]]:
    """'group/version Kind' to when it was deprecated and removed, and what to use."""
    apis: dict[str, dict[str, str]] = yamlfile.parse_all(_TABLE.read_bytes(), _TABLE.name)[0]["apis"]
    return apis


def kubernetes_version(checkout: Checkout, cluster: str) -> tuple[int, int]:
    """A cluster's version of Kubernetes, as its cluster.yaml says. Raises InputError."""
    file = checkout.root / cluster / "cluster.yaml"
    text = str(yamlfile.read(checkout, file)["data"].get("kubernetesVersion"))
    major, dot, minor = text.partition(".")
    if not (dot and major.isdigit() and minor.isdigit()):
        raise InputError("kubernetesVersion", path=checkout.relative(file), expected="one such as 1.36", found=text)
    return int(major), int(minor)


def check(unit: Unit, schemas: Schemas, version: tuple[int, int]) -> Iterator[Finding]:
    """What is removed or deprecated in `version` of Kubernetes or the one after it, or known to nobody."""
    following = (version[0], version[1] + 1)
    for item in unit.objects:
        api, kind = str(item.get("apiVersion", "")), str(item.get("kind", ""))
        life: dict[str, Any] = table().get(f"{api} {kind}", {})
        use = f"use {life['use']}" if "use" in life else "see the deprecation guide of Kubernetes"
        if "removed" in life and _number(life["removed"]) <= following:
            what = (
                f"{api} is not served from Kubernetes {life['removed']} on; the cluster has {version[0]}.{version[1]}"
            )
            yield unit.finding("api-removed", item, ("apiVersion",), what, use)
        elif "deprecated" in life and _number(life["deprecated"]) <= following:
            yield unit.finding(
                "api-warning", item, ("apiVersion",), f"{api} is deprecated since Kubernetes {life['deprecated']}", use
            )
        elif not life and schemas.validator(api, kind) is None:
            yield unit.finding(
                "api-removed",
                item,
                ("apiVersion",),
                f"{api} {kind}: no such kind in this cluster",
                "spell apiVersion and kind as the API does, or bring its custom resource definition first",
            )


def _number(text: str) -> tuple[int, int]:
    major, minor = text.split(".")
    return int(major), int(minor)
