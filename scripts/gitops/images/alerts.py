"""Who is told of a red run: Slack once for each cause, and one issue that has them all and remembers what was told."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from gitops.clients.github import Hub, issues
from gitops.clients.slack import Slack
from gitops.ground.errors import GitopsError, NotHealthyError, UnexpectedError, combined
from gitops.ground.printable import code, marker
from gitops.images import wording
from gitops.images.report import BumpReport

RUNBOOK = "docs/runbooks/images.md"
LABEL = "images-red"
TITLE = "Image updates need a person"
_TOLD = re.compile(r'<!-- told: "([0-9a-f@ ]*)" -->')
# What comes back so soon after it was gone is the same trouble, of which people were told.
QUIET = timedelta(days=1)
# What of an error may be another with each run, though its cause is the same: times, counts, identifiers.
_VARYING = re.compile(r"[0-9a-f]{7,}|[0-9]+")


# Characters of a cause: a message of Slack and an issue have room for a hundred such.
_LONGEST = 300


@dataclass(frozen=True)
class Cause:
    """One thing that a person must see. `key`: the same for as long as the cause is."""

    text: str
    key: str

    @classmethod
    def of_error(cls, error: GitopsError, where: str = "") -> Cause:
        """Of an error, by its first line and without what differs from run to run."""
        text = f"{where}: {error}" if where else str(error)
        line = text.splitlines()[0][:_LONGEST]
        return cls(line, _digest(_VARYING.sub("#", line)))

    @classmethod
    def of_alert(cls, text: str) -> Cause:
        """Of a fact about an image: another version is another cause."""
        return cls(text, _digest(text))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def failure(report: BumpReport) -> GitopsError | None:
    """What a run fails for because of one overlay: an error, or what a person must hear."""
    if report.error or not report.plan.alert:
        return report.error
    return NotHealthyError(f"{report.plan.label}: {wording.alert(report.plan.alert)}")


def causes(reports: Sequence[BumpReport]) -> list[Cause]:
    """Why a run is red, in the order of its overlays, each once."""
    listed: dict[str, Cause] = {}
    for report in reports:
        if report.error:
            cause = Cause.of_error(report.error, report.plan.label)
        elif heard := failure(report):
            cause = Cause.of_alert(str(heard))
        else:
            continue
        listed.setdefault(cause.key, cause)
    return list(listed.values())


@contextmanager
def stopped(hub: Hub | None, taken: Mapping[str, SecretStr], now: datetime) -> Iterator[None]:
    """Tell of what stops the whole of a run, as `tell` does, and raise it."""
    try:
        yield
    except Exception as error:  # of whatever type: nobody was looked at, and somebody has to know
        failed = UnexpectedError.of(error)
        try:
            tell(hub, taken, [Cause.of_error(failed)], now)
        except GitopsError as unheard:
            raise combined([failed, unheard]) from None
        raise failed from None


def tell(hub: Hub | None, taken: Mapping[str, SecretStr], reasons: Sequence[Cause], now: datetime) -> None:
    """Tell Slack what was not told yet, and keep the issue. Without a `hub` or a token of Slack nothing is done.

    What was told and comes back within a day after it was gone is not told again: it is in the issue. Slack comes
    first: what nobody could be told is told by the next run. Raises ExternalError.
    """
    slack = Slack.of(taken)
    if slack is None or hub is None:
        return
    told = _told(issues.body(hub, LABEL))
    known = {key for key, gone in told.items() if gone is None or now < gone + QUIET}
    if news := [cause for cause in reasons if cause.key not in known]:
        slack.post(*(f":warning: images: {cause.text}" for cause in news), f"Runbook: {RUNBOOK}")
    current = {cause.key for cause in reasons}
    gone = {key: told[key] or now for key in known - current}
    if reasons:
        issues.keep(hub, LABEL, TITLE, _body(reasons, gone), closed="reopens")
    else:
        issues.close(hub, LABEL, _body(reasons, gone))


def _told(body: str) -> dict[str, datetime | None]:
    """What people were told, by its key: None for what was so in the last run, else when it was gone."""
    # The bot's own line is the last one: text of others above it may look like it.
    lines = _TOLD.findall(body)
    told: dict[str, datetime | None] = {}
    for word in lines[-1].split() if lines else ():
        key, _, gone = word.partition("@")
        told[key] = datetime.fromtimestamp(int(gone), UTC) if re.fullmatch("[0-9]{1,11}", gone) else None
    return told


def _body(reasons: Sequence[Cause], gone: Mapping[str, datetime]) -> str:
    words = [*(cause.key for cause in reasons), *(f"{key}@{int(moment.timestamp())}" for key, moment in gone.items())]
    lines = [f"- {code(cause.text)}" for cause in reasons] or ["Nothing needs a person now."]
    after = f"What to do: {RUNBOOK}. The bot keeps this up to date, and closes it once a run is green."
    return "\n".join([*lines, "", after, marker("told", " ".join(sorted(words)))])
