"""What is open beside what the policies ask for: people's own pull requests, and those whose policy is gone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import cached_property

from gitops.images import way_back
from gitops.images.plan import EVERY_ENVIRONMENT
from gitops.images.reasons import NoPolicy
from gitops.images.target import FollowedOverlay, ImagePlan
from gitops.manifests.overlay import Overlay
from gitops.repository.reconcile import Main

BUMP = "bump/"
# Branches of commands that a person gives for an overlay (`gitops images`), and what each is called.
BY_HAND = {"rollback": "rollback", "promote": "promotion", "hold": "hold"}
_BOTS = (BUMP, "oauth/", "seals/")


class OpenByHand:
    """The open pull requests of people by which an overlay's image goes elsewhere, or stays."""

    def __init__(self, main: Main) -> None:
        self._main = main

    def why_wait(self, target: FollowedOverlay) -> str:
        """Why nothing is proposed for an overlay now; empty where nothing of a person's is open."""
        rest = target.branch.partition("/")[2]
        for kind, called in BY_HAND.items():
            if pull := self._main.pulls.get(f"{kind}/{rest}"):
                return f"waits for #{pull.number}, a {called} by hand: merge it or close it"
        if number := self._reverts.get(target.overlay):
            return f"waits for #{number}, which goes back to an image that ran: merge it or close it"
        return ""

    @cached_property
    def _reverts(self) -> dict[Overlay, int]:
        """By overlay: the pull request of any other branch that does nothing but go back, as GitHub's button Revert."""
        ours = (*_BOTS, *(f"{kind}/" for kind in BY_HAND))
        numbers: dict[Overlay, int] = {}
        for branch, pull in self._main.pulls.items():
            if not branch.startswith(ours):
                numbers |= dict.fromkeys(way_back.taken_back(self._main.history, pull.head.sha), pull.number)
        return numbers


def without_policy(
    main: Main, names: Sequence[str], targets: Sequence[FollowedOverlay], broken: Collection[ImagePlan]
) -> list[ImagePlan]:
    """A plan for each open pull request of ours whose policy is gone; what cannot be read may have one."""
    followed = {target.branch for target in targets}
    unread = {plan.overlay for plan in broken}
    plans: list[ImagePlan] = []
    for branch in sorted(branch for branch in main.pulls if branch.startswith(BUMP) and branch.count("/") == 2):
        _, service, environment = branch.split("/")
        if environment.startswith("_"):
            continue  # a group's
        overlay = Overlay(service, environment)
        # Behind an underscore stands one of its further images.
        own = Overlay(service, environment.partition("_")[0])
        known = branch in followed or {own, Overlay(service, EVERY_ENVIRONMENT)} & unread
        if not known and (not names or service in names):
            plans.append(ImagePlan(overlay, no_change=NoPolicy()))
    return plans
