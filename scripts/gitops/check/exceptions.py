"""policies/exceptions/<rule>.<namespace>.<Kind>.<name>.yaml: what is allowed for a while, why, and who answers for it.

The file's name is what the cluster's policies look for (kustomization.yaml beside it lists it); what it says is for
people and for this check, as a policy cannot know the date.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.findings import RULES, Finding
from gitops.manifests.places import Place

FOLDER = "policies/exceptions"
LIST = f"{FOLDER}/kustomization.yaml"
SOON = timedelta(days=14)


class Exception_(BaseModel):
    """Why an object may break a rule, who answers for it, and until when."""

    model_config = ConfigDict(extra="forbid")

    reason: str = Field(min_length=10)
    owner: str
    until: date


@dataclass(frozen=True)
class Allowed:
    """One exception. `rule`: a policy's name, or a rule of the check."""

    file: str
    rule: str
    namespace: str
    kind: str
    name: str
    until: date

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is what this exception is about."""
        if _namespace(finding.unit) != self.namespace:
            return False
        told, _, rest = finding.what.partition(": ")
        if self.rule == "removed-folder":
            return finding.rule == self.rule
        rule = rest.partition(":")[0] if finding.rule == "policy" else finding.rule
        return rule == self.rule and told == f"{self.kind} {self.name}"


def _namespace(unit: str) -> str:
    parts = unit.split("/")
    return f"{parts[1]}-{parts[2]}" if parts[0] == "overlays" and len(parts) == 3 else ""


def read(checkout: Checkout, policies: Collection[str], today: date) -> tuple[list[Allowed], list[Finding]]:
    """Every exception that holds today, and what is wrong with the others. `policies`: the names of those in force."""
    allowed: list[Allowed] = []
    found: list[Finding] = []
    folder = checkout.root / FOLDER
    files = sorted(file for file in folder.glob("*") if file.name != "kustomization.yaml")
    teams = set(yamlfile.read(checkout, checkout.teams_file)) if files else set()
    listed = _listed(checkout)
    for file in files:
        path = str(file.relative_to(checkout.root))
        problems = list(_problems(checkout, path, policies, teams, listed))
        found += problems
        if problems:
            continue
        exception = yamlfile.read_model(checkout, file, Exception_)
        rule, namespace, kind, name = file.name.split(".")[:4]
        line = _line(file, "until")
        if exception.until < today:
            found.append(
                Finding(
                    "exception",
                    Place(path, line),
                    f"ended on {exception.until}",
                    "put right what it allows, or give it a new day by pull request",
                )
            )
            continue
        if exception.until - today <= SOON:
            found.append(
                Finding(
                    "exception-ends",
                    Place(path, line),
                    f"ends on {exception.until}",
                    f"{exception.owner}: put right what it allows",
                )
            )
        allowed.append(Allowed(path, rule, namespace, kind, name, exception.until))
    return allowed, found


def _problems(
    checkout: Checkout, path: str, policies: Collection[str], teams: Collection[str], listed: Collection[str]
) -> Iterator[Finding]:
    file = checkout.root / path
    parts = file.name.split(".")
    known = {*policies, *RULES}
    if len(parts) != 5 or parts[4] != "yaml":
        yield Finding(
            "exception",
            Place(path, 1),
            "not named for what it allows",
            "name it <policy>.<namespace>.<Kind>.<name>.yaml",
        )
        return
    if parts[0] not in known:
        yield Finding(
            "exception", Place(path, 1), f"{parts[0]} is no policy", f"the policies are: {', '.join(sorted(policies))}"
        )
        return
    try:
        exception = yamlfile.read_model(checkout, file, Exception_)
    except InputError as error:
        yield Finding(
            "exception",
            Place(path, 1),
            "\n".join(f"{file.name}: {fault.sentence}" for fault in error.faults),
            "give it reason, owner (a team) and until (a date)",
        )
        return
    if exception.owner not in teams:
        yield Finding(
            "exception",
            Place(path, _line(file, "owner")),
            f"owner {exception.owner} is no team",
            f"the teams are: {', '.join(sorted(teams))}",
        )
    if parts[0] in policies and file.name not in listed:
        yield Finding(
            "exception",
            Place(LIST, 1),
            f"{file.name} is not listed: the cluster does not know it",
            f"add {file.name} to the files of policy-exceptions",
        )


def _listed(checkout: Checkout) -> set[str]:
    try:
        content = yamlfile.read(checkout, checkout.root / LIST)
    except InputError:
        return set()
    entries = [entry for entry in content.get("configMapGenerator") or [] if entry.get("name") == "policy-exceptions"]
    return {str(file) for entry in entries for file in entry.get("files") or []}


def _line(file: Path, key: str) -> int:
    lines: Sequence[str] = file.read_text(errors="replace").splitlines()
    return next((number for number, line in enumerate(lines, 1) if line.startswith(f"{key}:")), 1)
