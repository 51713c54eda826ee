"""What Argo CD needs for the number of Applications that there are, and what of it is not set yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, PositiveInt

from gitops.ground.checkout import Checkout
from gitops.manifests import installation, kustomize, yamlfile

FILE = Path(__file__).with_name("scale.yaml")
_CONFIG = ("argocd-cm", "argocd-cmd-params-cm")


class ScaleStep(BaseModel):
    """What up to so many Applications need. `shards`: at most one for each cluster that is deployed to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    applications: PositiveInt
    shards: PositiveInt
    repo_servers: PositiveInt = Field(alias="repo-servers")
    settings: dict[str, str] = Field(description="Keys of argocd-cm and argocd-cmd-params-cm.")


class ScaleTable(BaseModel):
    """scale.yaml. `read`: when it was taken over; `steps`: by rising number of Applications."""

    model_config = ConfigDict(extra="forbid")

    read: date
    steps: list[ScaleStep] = Field(min_length=1)


@dataclass(frozen=True)
class SizedArgo:
    """What this number of Applications needs. `step`: None where they are more than any step is for.

    `unset`: settings that are another value in git, each with the one that stands there ("" for none).
    """

    applications: int
    step: ScaleStep | None
    unset: Mapping[str, str]


def table() -> ScaleTable:
    """The steps of this checkout."""
    return yamlfile.read_own(FILE, ScaleTable)


def step_for(applications: int) -> ScaleStep | None:
    """The first step that is large enough."""
    return next((step for step in table().steps if step.applications >= applications), None)


def sized(checkout: Checkout, cluster: str) -> SizedArgo:
    """What a cluster's Argo CD needs. Raises InputError where its folder does not render."""
    count = len(installation.platform(checkout, cluster)) + len(installation.services(checkout))
    step = step_for(count)
    root = kustomize.build(checkout, checkout.root / "clusters" / cluster)
    configured: dict[str, str] = {}
    for item in root:
        if item["kind"] == "ConfigMap" and item["metadata"]["name"] in _CONFIG:
            configured |= item.get("data") or {}
    wants = step.settings if step else {}
    return SizedArgo(
        count, step, {key: configured.get(key, "") for key, value in wants.items() if configured.get(key) != value}
    )
