"""policies/exceptions/<rule>.<namespace>.<Kind>.<name>.yaml: what is allowed for a while, why, and who answers for it.

The file's name is what the cluster's policies look for (kustomization.yaml beside it lists it); what it says is for
people and for this check, as a policy cannot know the date.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.manifests import yamlfile
from gitops.manifests.findings import RULES, SHORTEST_REASON, Finding
from gitops.manifests.lines import Place, line_of, read_text
from gitops.manifests.objects import Object

FOLDER = "policies/exceptions"
LIST = f"{FOLDER}/kustomization.yaml"
SOON = timedelta(days=14)


class ExceptionFile(BaseModel):
    """Why an object may break a rule, who answers for it, and until when."""

    model_config = ConfigDict(extra="forbid", title="Exception")

    reason: str = Field(min_length=SHORTEST_REASON)
    owner: str
    until: date


@dataclass(frozen=True)
class PolicyException:
    """One exception. `rule`: a policy's name, or a rule of the check."""

    place: Place
    rule: str
    namespace: str
    kind: str
    name: str
    owner: str
    until: date

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is what this exception is about."""
        return (
            finding.overlay is not None
            and finding.overlay.namespace == self.namespace
            and (finding.policy or finding.rule) == self.rule
            and (finding.kind, finding.name) == (self.kind, self.name)
        )


@dataclass
class Exceptions:
    """Those that hold for a change, those that have ended and no longer do, and what is wrong with the others."""

    allowed: list[PolicyException] = field(default_factory=list)
    lapsed: list[PolicyException] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def known_to(self, listed: Object) -> Object:
        """The policies' ConfigMap with those that hold alone: a policy cannot know the date."""
        keys = {Path(exception.place.file).name for exception in self.allowed}
        return listed | {"data": {key: text for key, text in (listed.get("data") or {}).items() if key in keys}}

    def overdue(self, findings: Collection[Finding]) -> Iterator[Finding]:
        """What is wrong with those that have ended and would cover one of these findings: that it is still there."""
        for exception in self.lapsed:
            covered = next((finding for finding in findings if exception.covers(finding)), None)
            if covered:
                problem = (
                    f"ended on {exception.until}, and {exception.kind} {exception.name} still breaks {exception.rule}"
                )
                fix = f"{exception.owner}: put it right ({covered.place}), or give it a new day by pull request"
                yield Finding("exception", exception.place, problem, fix, covered.unit)


def _all(_: str, __: str) -> bool:
    return True


def read(
    checkout: Checkout,
    policies: Collection[str],
    today: date,
    *,
    concerns: Callable[[str, str], bool] = _all,
    judged: bool = True,
) -> Exceptions:
    """Every exception. `policies`: the names of those in force.

    `concerns`: whether a change concerns an exception's namespace or file. One that has ended fails nobody else's
    change: there it holds, until it is put right. `judged`: whether the change could be what made a file wrong.
    """
    made = Exceptions()
    files = sorted(file for file in (checkout.root / FOLDER).glob("*") if file.name != "kustomization.yaml")
    teams = set(yamlfile.read(checkout, checkout.teams_file)) if files else set()
    listed = _listed(checkout)
    for file in files:
        if problems := list(_problems(checkout, file, policies, teams, listed)):
            made.findings += problems if judged else []
            continue
        content = yamlfile.read_model(checkout, file, ExceptionFile)
        place = _place(checkout, file, "until")
        rule, namespace, kind, name = file.name.split(".")[:4]
        exception = PolicyException(place, rule, namespace, kind, name, content.owner, content.until)
        concerned = concerns(namespace, place.file)
        (made.lapsed if concerned and content.until < today else made.allowed).append(exception)
        if concerned and today <= content.until <= today + SOON:
            fix = f"{content.owner}: put right what it allows"
            made.findings.append(Finding("exception-ends", place, f"ends on {content.until}", fix))
    return made


def _problems(
    checkout: Checkout, file: Path, policies: Collection[str], teams: Collection[str], listed: Collection[str]
) -> Iterator[Finding]:
    parts = file.name.split(".")
    place = _place(checkout, file)
    if len(parts) != 5 or parts[4] != "yaml":
        fix = "name it <policy>.<namespace>.<Kind>.<name>.yaml"
        yield Finding("exception", place, "not named for what it allows", fix)
        return
    if parts[0] not in {*policies, *RULES}:
        fix = f"the policies are: {', '.join(sorted(policies))}"
        yield Finding("exception", place, f"{parts[0]} is no policy", fix)
        return
    try:
        content = yamlfile.read_model(checkout, file, ExceptionFile)
    except InputError as error:
        for fault in error.faults:
            sides = Fault(fault.what, found=fault.found, expected=fault.expected).sentence
            fix = fault.fix or "give it reason, owner (a team) and until (a date)"
            yield Finding("exception", Place(place.file, fault.line or place.line), sides, fix)
        return
    if content.owner not in teams:
        fix = f"the teams are: {', '.join(sorted(teams))}"
        yield Finding("exception", _place(checkout, file, "owner"), f"owner {content.owner} is no team", fix)
    if parts[0] in policies and file.name not in listed:
        problem = f"{file.name} is not listed: the cluster does not know it"
        yield Finding("exception", Place(LIST, 1), problem, f"add {file.name} to the files of policy-exceptions")


def _place(checkout: Checkout, file: Path, key: str = "") -> Place:
    """The line of a key of a file, the first where there is none."""
    line = line_of(read_text(file), f"{key}:") if key else None
    return Place(checkout.relative(file), line or 1)


def _listed(checkout: Checkout) -> set[str]:
    try:
        content = yamlfile.read(checkout, checkout.root / LIST)
    except InputError:
        return set()
    files = set[str]()
    for entry in content.get("configMapGenerator") or []:
        if entry.get("name") == "policy-exceptions":
            files.update(map(str, entry.get("files") or []))
    return files
