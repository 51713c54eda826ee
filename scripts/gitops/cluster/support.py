"""How long EKS supports a version of Kubernetes without asking more for it: support.yaml, read from AWS's calendar."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

from gitops.ground.errors import Fault

FILE = Path(__file__).with_name("support.yaml")
# An upgrade is prepared in this time: a new version in the lab, the gate's schemas, the cluster.
NOTICE_DAYS = 60


class SupportCalendar(BaseModel):
    """support.yaml. `read`: when it was taken over; `ends`: the last day of each version."""

    model_config = ConfigDict(extra="forbid")

    read: date
    ends: dict[str, date]


def calendar() -> SupportCalendar:
    """The calendar of this checkout."""
    return SupportCalendar.model_validate(yaml.safe_load(FILE.read_text(encoding="utf-8")))  # noqa: TID251 - of this package


def fault(version: str, source: str, today: date) -> Fault | None:
    """What is wrong with a version today: unknown to the calendar, or without support."""
    known = calendar()
    if version not in known.ends:
        return Fault(
            f"data.kubernetesVersion {version}: not in EKS's calendar as it was read on {known.read}",
            path=source,
            expected=" or ".join(sorted(version for version, end in known.ends.items() if end >= today)),
            fix="choose one of these, or renew scripts/gitops/cluster/support.yaml",
        )
    if known.ends[version] < today:
        return Fault(
            f"data.kubernetesVersion {version}: out of standard support since {known.ends[version]}",
            path=source,
            fix="choose a newer one (CONTRIBUTING.md: a new version of Kubernetes)",
        )
    return None


def days_left(version: str, today: date) -> int:
    """Days until the support of a known version ends."""
    return (calendar().ends[version] - today).days
