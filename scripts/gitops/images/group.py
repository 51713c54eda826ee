"""One pull request for several images: of a service's environments, or of a team's services (.github/images.yaml).

What merges by itself and what a person merges stand in two, so that one merges by itself only where every member's
policy says so, and prod in none that does. Both branches have a part that begins with an underscore, as no service and
no environment does: bump/mogle/_auto, bump/_community/_by-hand.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

from github.PullRequest import PullRequest

from gitops.clients.github import Hub, decisions
from gitops.images import memory, wide
from gitops.images.memory import Declined
from gitops.images.reasons import NotGrouped
from gitops.images.report import BumpReport
from gitops.images.target import ImagePlan
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository import services
from gitops.repository.ours import safe
from gitops.repository.pulls import Marker, is_withdrawn
from gitops.repository.reconcile import Main

# How a pull request says which images it proposes: TAG@DIGEST by the branch that each would have by itself.
MARKER = Marker("gitops-images")
_AUTO, _BY_HAND = "_auto", "_by-hand"
_WAY = re.compile(rb"^group:[ \t]*[\"']?(service|team)\b", re.MULTILINE)


class Grouping:
    """How the images of one run are grouped; `way`: by what, None: each has a pull request of its own."""

    def __init__(self, main: Main, way: wide.Way | None) -> None:
        self._main, self._way = main, way
        self._teams = {service.name: service.owner.team for service in services.readable(main.files)[0]}

    def branch(self, report: BumpReport) -> str | None:
        """The branch of the group in which an image is proposed; None where it is not, or by itself."""
        target, winner = report.plan.target, report.plan.winner
        if self._way is None or target is None or winner is None or report.error:
            return None
        return self._branches(self._way, target.overlay.service)[0 if target.merges_itself(winner) else 1]

    def _branches(self, way: wide.Way, service: str) -> tuple[str, str]:
        team = self._teams.get(service, "")
        owner = service if way == "service" else f"_{safe(team)}"
        return f"bump/{owner}/{_AUTO}", f"bump/{owner}/{_BY_HAND}"

    def with_mates(self, names: Sequence[str]) -> list[str]:
        """The services, and those that are proposed together with one of them."""
        teams = {self._teams[name] for name in names if name in self._teams}
        mates = [name for name, team in sorted(self._teams.items()) if self._way == "team" and team in teams]
        return list(dict.fromkeys([*names, *mates])) if names else []

    def asked(self, branch: str) -> list[str]:
        """Where the pull requests of an image may be, by the branch that it has by itself.

        Also on those of an earlier grouping: what was declined then stays so.
        """
        branches = [branch]
        for way in sorted(self._ways):
            branches += self._branches(way, branch.split("/")[1])
        return branches

    @cached_property
    def _ways(self) -> set[wide.Way]:
        with self._main.history.lock:  # one git process answers all threads
            contents = [version.content for version in self._main.history.versions(wide.FILE)]
        former = {match[1] for match in map(_WAY.search, contents) if match}
        known: tuple[wide.Way, ...] = ("service", "team")
        return {way for way in known if way == self._way or way.encode() in former}

    def ended(self, reports: Sequence[BumpReport], names: Collection[str]) -> Iterator[ImagePlan]:
        """A plan for each group's branch on which nothing is proposed any more; where that is in doubt it stays."""
        active = {self.branch(report) for report in reports}
        branches = {*self._main.pulls, *(name for name, _ in self._main.history.branches("bump/"))}
        for branch in sorted(name for name in branches - active if is_group(name)):
            owner, kind = branch.split("/")[1:]
            owned = {name for name, team in self._teams.items() if owner in (name, f"_{safe(team)}")}
            if names and not owned & set(names):
                continue
            is_used = self._way is not None and any(branch in self._branches(self._way, name) for name in owned)
            if not (is_used and self._in_doubt(branch, owned, reports)):
                yield ImagePlan(Overlay(owner, kind), no_change=NotGrouped())

    def _in_doubt(self, branch: str, owned: Collection[str], reports: Sequence[BumpReport]) -> bool:
        """Whether something that an open pull request proposes may be what is to run, for all that is known."""
        pull = self._main.pulls.get(branch)
        if pull is None:
            return False
        members = MARKER.read(pull)
        for report in reports:
            target, reason = report.plan.target, report.plan.no_change
            concerned = report.overlay.service in owned if target is None or not members else target.branch in members
            if concerned and (report.error or (reason and not reason.certain)):
                return True
        return False


def is_group(branch: str) -> bool:
    """Whether a branch is a group's."""
    parts = branch.split("/")
    return len(parts) == 3 and parts[0] == "bump" and parts[2] in (_AUTO, _BY_HAND)


def name(branch: str) -> str:
    """What a person calls a group: by its service or its team."""
    owner = branch.split("/")[1]
    return f"team {owner[1:]}" if owner.startswith("_") else owner


def marker(images: dict[str, Image]) -> str:
    """The line of a group's body that says what it proposes, by each image's own branch."""
    return MARKER.line({branch: f"{image.tag}@{image.digest}" for branch, image in images.items()})


def has(pull: PullRequest | None, branch: str) -> bool:
    """Whether a group's pull request proposes an image, by the branch that it has by itself."""
    return pull is not None and branch in MARKER.read(pull)


def declined_pulls(hub: Hub, branch: str) -> list[PullRequest]:
    """The pull requests of a branch, an image's own or a group's, that a person closed to decline what they propose."""
    pulls = [pull for pull in hub.closed_pulls(branch) if not is_withdrawn(pull)]
    # One of a person has no marker, nor is it a proposal; in one of the bot's somebody may have edited it.
    pulls = [pull for pull in pulls if is_readable(pull) or pull.user.type == "Bot"]
    by_the_way = decisions.closed_by_the_way(hub, branch) if pulls else set()
    return [pull for pull in pulls if pull.number not in by_the_way]


def is_readable(pull: PullRequest) -> bool:
    """Whether a pull request says what it proposes."""
    if is_group(pull.head.ref):
        return bool(MARKER.read(pull)) and all(map(_parted, MARKER.read(pull).values()))
    read = memory.MARKER.read(pull)
    return bool(read.get("tag") and read.get("digest"))


def _parted(image: str) -> tuple[str, str] | None:
    tag, _, digest = image.partition("@")
    return (tag, digest) if tag and digest else None


def declined(pull: PullRequest, branch: str) -> list[Declined]:
    """What such a pull request declines of one image, by the branch that this has by itself."""
    if not is_group(pull.head.ref):
        return memory.declined([pull])
    image = _parted(MARKER.read(pull).get(branch, ""))
    return [Declined(*image, f"#{pull.number}")] if image else []
