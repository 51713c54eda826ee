"""One run of `gitops github`: the files, GitHub, and who is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import SecretStr

from gitops.clients.github import Hub
from gitops.clients.slack import Slack
from gitops.github import apply as applying
from gitops.github import declared, plan, remote
from gitops.github.declared import Declared
from gitops.github.plan import SettingsPlan
from gitops.github.remote import Remote
from gitops.ground.checkout import Checkout

# The workflow that verifies on a schedule: .github/workflows/settings.yaml.
WORKFLOW = "settings.yaml"
RUNBOOK = "docs/runbooks/github.md"


@dataclass(frozen=True)
class Verdict:
    """What a verification found. `drift`: one phrase for each setting that is not as declared.

    `edited`: one for each ruleset that someone edited, where what they changed may be hidden from this token.
    """

    plan: SettingsPlan
    drift: tuple[str, ...]
    edited: tuple[str, ...]


@dataclass(frozen=True)
class SettingsComparison:
    """What the files say, what GitHub says, and what has to change."""

    hub: Hub
    declared: Declared
    remote: Remote
    plan: SettingsPlan


def compare(checkout: Checkout) -> SettingsComparison:
    """Compare the files with GitHub. Raises InputError, ExternalError."""
    wish, hub = declared.read(checkout), Hub.from_environment()
    actual = remote.read(hub)
    return SettingsComparison(hub, wish, actual, plan.make(wish, actual))


def apply(checkout: Checkout, *, prune: bool) -> list[applying.AppliedChange]:
    """Set GitHub as declared. Raises InputError, and ExternalError where nothing was changed yet."""
    comparison = compare(checkout)
    return applying.apply(comparison.hub, comparison.declared, comparison.plan, comparison.remote, prune=prune)


def verify(checkout: Checkout, taken: Mapping[str, SecretStr], *, tell: bool) -> Verdict:
    """Compare, and with `tell` say to Slack what is not as declared. Raises InputError, ExternalError."""
    slack = Slack.needed(taken, "of drift") if tell else None
    comparison = compare(checkout)
    made = comparison.plan
    drift = [f"{change.kind} {change.name}: {change.verb}" for change in made.changes]
    # Who may bypass a ruleset is shown to its editors alone; that someone edited it is shown to all. It is told once:
    # the run that told of it succeeds, unless there is drift too.
    since = comparison.hub.last_success(WORKFLOW) if made.edited else None
    edited = [f"ruleset {name}: edited since it was verified last" for name in made.edited_since(since)]
    if slack and (drift or edited):
        lines = [f":warning: GitHub is not set as declared: {phrase}" for phrase in drift]
        lines += [f":warning: who may bypass is hidden from this run: {phrase}" for phrase in edited]
        slack.post(*lines, f"Runbook: {RUNBOOK}")
    return Verdict(made, tuple(drift), tuple(edited))
