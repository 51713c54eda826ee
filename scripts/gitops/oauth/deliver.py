"""`gitops oauth deliver`: what is proposed and proved is merged, and what is merged is followed to the pods.

42 is not asked, so it may run every quarter of an hour. What was said already stands in the rotation's
own pull request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from github.PullRequest import PullRequest
from pydantic import SecretStr

from gitops.clients.github import Hub
from gitops.clients.intra42 import Api
from gitops.ground.budget import Budget
from gitops.ground.checkout import Checkout
from gitops.oauth import observe, proposed
from gitops.oauth.observe import Observation
from gitops.oauth.rotate import RotationReport, targets
from gitops.oauth.state import SyncStatus
from gitops.repository import reconcile
from gitops.repository.pulls import Outcome, PullAction, merge_proved
from gitops.repository.rotation import is_rotation

# What a run has, in a job of 15 minutes.
SECONDS = 10 * 60.0
# How long ago 42 may have accepted a secret that is merged without asking again.
FRESH = timedelta(days=2)
# For how long after its merge a delivery is news.
_NEWS = timedelta(days=14)
_DELIVERED, _STUCK = "<!-- gitops: delivered -->", "<!-- gitops: not delivered -->"


@dataclass(frozen=True, kw_only=True)
class DeliveryReport(RotationReport):
    """What was found for one application. `alarming`: this run is the first to know that it does not arrive."""

    alarming: bool = False


def run(
    checkout: Checkout, hub: Hub, *, names: Sequence[str], now: datetime, token: SecretStr | None
) -> list[DeliveryReport]:
    """Every application (or those of the services `names`): merged, followed.

    What goes wrong for one is in its report and stops no other. Raises InputError, ExternalError for what stops all.
    """

    def look(main: reconcile.Main) -> list[DeliveryReport]:
        listed = targets(main.files, names)
        main.history.read_ahead(own.application.reference for own in listed if own.application)
        return [DeliveryReport(overlay=own.overlay, application=own.application, error=own.error) for own in listed]

    def act(main: reconcile.Main, report: DeliveryReport) -> DeliveryReport:
        assert report.application is not None  # noqa: S101 - those without have an error
        observation = observe.observe(report.application, main, None, Api(), now)
        observation = replace(observation, why="")
        report = replace(report, observation=observation, trace=(observation.decision.state,))
        report = replace(report, outcome=_merge(main, hub, observation, now))
        if report.outcome and report.outcome.action is PullAction.MERGED:
            return report
        return _followed(main, hub, report, observation)

    return reconcile.run(checkout, hub, token, look, act, Budget(SECONDS))


def _merge(main: reconcile.Main, hub: Hub, observation: Observation, now: datetime) -> Outcome | None:
    pull = observation.pull
    if pull is None or not observation.application.owner.merges_by_itself:
        return None
    return merge_proved(hub, main.history, pull, is_rotation, since=now - FRESH)


def _followed(main: reconcile.Main, hub: Hub, report: DeliveryReport, observation: Observation) -> DeliveryReport:
    """With what is news of the delivery, which is written into the pull request that brought it."""
    facts, since = observation.facts, observation.past.since
    is_news = since is not None and facts.sync is SyncStatus.HEALTHY and facts.now - since <= _NEWS
    if not is_news and not facts.undeliverable:
        return report
    pull = _merged_pull(main, hub, observation)
    if pull is None:
        return report
    if is_news:
        text = f"Delivered: Argo CD says that every pod holds generation {observation.application.deployed.number}."
        return replace(report, arrived=hub.comment_once(pull, _DELIVERED, text))
    text = f"Not delivered within an hour of the merge ({facts.sync}): docs/runbooks/oauth.md, 'STUCK'."
    return replace(report, alarming=hub.comment_once(pull, _STUCK, text))


def _merged_pull(main: reconcile.Main, hub: Hub, observation: Observation) -> PullRequest | None:
    """The pull request that brought what main deploys; None where a person brought it in another way."""
    application = observation.application
    pull = next(iter(hub.closed_pulls(application.branch, merged=True)), None)
    brought = proposed.of(main.history, application, pull) if pull else set()
    return pull if observation.facts.deployed in brought else None
