"""From what is to change to the pull request that asks for it: of one image, or of several together."""

from __future__ import annotations

from collections.abc import Sequence

from gitops.clients import registries
from gitops.clients.registries import Details, Registry
from gitops.ground.errors import GitopsError
from gitops.ground.printable import counted
from gitops.images import body, edit, group
from gitops.images.notes import ReleaseNotes
from gitops.images.report import Edited
from gitops.images.target import FollowedOverlay, ImagePlan
from gitops.images.way_back import goes_back
from gitops.manifests.image import Image
from gitops.repository.pulls import Proposal
from gitops.repository.reconcile import Main

LABELS = ("images",)
# So many images are named in a title.
_NAMED = 3


class ProposedImage:
    """One image that is to change. `edited`: its overlay's file with that image and no other change."""

    def __init__(self, plan: ImagePlan, target: FollowedOverlay, winner: Image, edited: Edited) -> None:
        self.plan, self.target, self.winner, self.edited = plan, target, winner, edited

    @property
    def title(self) -> str:
        """One line of it."""
        return body.title(self.plan, self.winner, self.target.pin.image)


class Proposals:
    """Makes the pull requests of one run."""

    def __init__(self, main: Main, registry: Registry) -> None:
        self._main, self._registry = main, registry
        self._notes = ReleaseNotes(main.hub) if main.hub else None

    def of_one(self, change: ProposedImage) -> Proposal:
        """The pull request of an image by itself."""
        target = change.target
        return Proposal(
            branch=target.branch,
            base=self._main.history.main(),
            title=change.title,
            body=body.text(change.plan, change.winner, self._section(change, 1)),
            files=files_of([change]),
            labels=(*LABELS, target.overlay.environment),
            auto_merge=target.merges_itself(change.winner),
            goes_back=goes_back,
        )

    def of_group(self, branch: str, changes: Sequence[ProposedImage]) -> Proposal:
        """The pull request of a group. It merges by itself where each of its images does."""
        titles = "; ".join(change.title for change in changes)
        few = len(changes) <= _NAMED
        sections = {change.target.label: self._section(change, len(changes)) for change in changes}
        marker = group.marker({change.target.branch: change.winner for change in changes})
        return Proposal(
            branch=branch,
            base=self._main.history.main(),
            title=titles if few else f"{group.name(branch)}: {counted(len(changes), 'image')}",
            body=body.together(sections, marker),
            files=files_of(changes),
            labels=(*LABELS, *sorted({change.target.overlay.environment for change in changes})),
            auto_merge=all(change.target.merges_itself(change.winner) for change in changes),
            goes_back=goes_back,
        )

    def _section(self, change: ProposedImage, images: int) -> list[str]:
        target, winner, running = change.target, change.winner, change.target.pin.image
        was, now = self._details(running), self._details(winner)
        source = now.source if now else ""
        said = self._notes.lines(target.policy, source, running, winner) if self._notes else []
        return body.section(change.plan, winner, running, change.edited.diff, was, now, said, body.share(images))

    def _details(self, image: Image) -> Details | None:
        """For the compare link alone: an image that cannot be read has none."""
        try:
            return registries.details(self._registry, image.name, image.digest, labels=True)
        except GitopsError:
            return None


def files_of(changes: Sequence[ProposedImage]) -> dict[str, bytes | None]:
    """The changed overlays of a pull request by their paths, and None for each hold that is over."""
    files: dict[str, bytes | None] = {}
    for change in changes:
        target = change.target
        before = files.get(target.path)
        # Two images of one overlay stand in one file.
        both = edit.replace(before, target.path, change.winner, target.pin.entry) if before else None
        files[target.path] = both or change.edited.content
        if target.hold:
            files[target.hold_file] = None
    return files
