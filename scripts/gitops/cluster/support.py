"""How long what a cluster runs is supported: Kubernetes at EKS' standard price, and Argo CD by its project."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.ground.printable import counted
from gitops.manifests import yamlfile

FILE = Path(__file__).with_name("support.yaml")
ARGO_CD = "apps/platform/argocd/application.yaml"
_RELEASE = re.compile(r"refs/tags/v(\d+\.\d+)\.\d+")
# An upgrade is prepared in this time: a new version in the lab, the gate's schemas, the cluster.
NOTICE_DAYS = 60


class SupportCalendar(BaseModel):
    """support.yaml. `read`: when it was taken over; `ends`: the last day of each version of Kubernetes at EKS."""

    model_config = ConfigDict(extra="forbid")

    read: date
    ends: dict[str, date]
    argo_cd: dict[str, date] = Field(alias="argo-cd", description="The last day of each minor version of Argo CD.")


def calendar() -> SupportCalendar:
    """The calendar of this checkout."""
    return yamlfile.read_own(FILE, SupportCalendar)


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


def argo_cd_version(checkout: Checkout) -> str:
    """The minor version of Argo CD that the platform's Application brings. Raises InputError."""
    revision = yamlfile.read(checkout, checkout.root / ARGO_CD)["spec"]["source"]["targetRevision"]
    match = _RELEASE.fullmatch(str(revision))
    if match is None:
        raise InputError("targetRevision", path=ARGO_CD, expected="refs/tags/vX.Y.Z", found=str(revision))
    return match[1]


def argo_cd_fault(checkout: Checkout, today: date) -> Fault | None:
    """What is wrong with the version of Argo CD today: unknown, or not supported for much longer. Raises InputError."""
    version, known = argo_cd_version(checkout), calendar()
    fix = "merge Renovate's pull request for Argo CD"
    end = known.argo_cd.get(version)
    if end is None:
        what = f"Argo CD {version}: not in the calendar as it was read on {known.read}"
        return Fault(what, path=ARGO_CD, fix="renew scripts/gitops/cluster/support.yaml")
    left = (end - today).days
    if left < 0:
        return Fault(f"Argo CD {version}: out of support since {end}", path=ARGO_CD, fix=fix)
    if left < NOTICE_DAYS:
        return Fault(f"Argo CD {version}: its support ends in {counted(left, 'day')}", path=ARGO_CD, fix=fix)
    return None
