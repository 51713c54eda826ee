"""What an overlay ran on main, and what a person took back of it: a downgrade, or a declined pull request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from github.PullRequest import PullRequest

from gitops.ground.errors import InputError
from gitops.images import edit, order
from gitops.images.policy import Policy
from gitops.manifests.image import Image
from gitops.repository.history import History
from gitops.repository.ours import TRAILER
from gitops.repository.pulls import Marker
from gitops.repository.versions import Version

# How a pull request says which image it proposes.
MARKER = Marker("gitops-image")


@dataclass(frozen=True)
class Declined:
    """An image that a person took back on main, or whose pull request a person closed. `by`: that commit or that."""

    tag: str
    digest: str
    by: str = ""


@dataclass(frozen=True)
class PastImage:
    """An image that an overlay ran on main, and the version that brought it."""

    version: Version
    image: Image


def past_images(history: History, path: str, name: str) -> list[PastImage]:
    """What an entry of an overlay ran on main, newest first; versions that changed another line are left out."""
    with history.lock:  # one git process answers all threads
        versions = list(history.versions(path))
    return images_of(versions, path, name)


def images_of(versions: Iterable[Version], path: str, name: str) -> list[PastImage]:
    """The same of versions of a file, newest first."""
    ran: list[PastImage] = []
    for version in versions:
        try:
            image = edit.read(version.content, path, name).image
        except InputError:  # an old version may have been broken
            continue
        if ran and ran[-1].image == image:
            ran[-1] = PastImage(version, image)  # the oldest commit that had it is the one that brought it
        else:
            ran.append(PastImage(version, image))
    return ran


def by_digest(ran: Sequence[PastImage]) -> list[PastImage]:
    """`past_images` where another tag of a digest is no other image: by its last tag, since its first version."""
    joined: list[PastImage] = []
    for run in ran:
        if joined and (joined[-1].image.name, joined[-1].image.digest) == (run.image.name, run.image.digest):
            joined[-1] = PastImage(run.version, joined[-1].image)
        else:
            joined.append(run)
    return joined


def former_images(ran: Sequence[PastImage]) -> list[Image]:
    """What an overlay can go back to, newest first, of `past_images`: what ran before the image that runs now.

    A return to an image that ran goes behind all that came after it: none of that is a way back any more.
    """
    kept: list[Image] = []
    for run in reversed(ran):
        if run.image in kept:
            del kept[kept.index(run.image) + 1 :]
        else:
            kept.append(run.image)
    return kept[-2::-1]


def downgraded(
    policy: Policy, ran: Sequence[PastImage], pushed: Callable[[str], datetime | None] = lambda _: None
) -> list[Declined]:
    """What a person replaced on main by an older one, and nobody brought again since: a downgrade is a hold.

    `pushed`: when the registry got a digest, which is asked and decides where the policy has no order by name.
    """
    declined: list[Declined] = []
    for index, older in enumerate(ran[1:]):
        again = any(run.image.digest == older.image.digest for run in ran[:index])
        if not again and _is_back(policy, ran, index, pushed):
            newer = ran[index].version
            declined.append(Declined(older.image.tag, older.image.digest, f"{newer.sha[:12]} by {newer.author}"))
    return declined


def _is_back(policy: Policy, ran: Sequence[PastImage], index: int, pushed: Callable[[str], datetime | None]) -> bool:
    """Whether a person went back from `ran[index + 1]` to `ran[index]`."""
    newer, older = ran[index], ran[index + 1]
    now, then = order.key(policy, newer.image.tag), order.key(policy, older.image.tag)
    if now is not None and then is not None:
        return bool(now < then)
    if TRAILER in newer.version.lines:
        return False  # the bot follows a tag, wherever that goes
    came, went = pushed(newer.image.digest), pushed(older.image.digest)
    if came and went and came != went:
        return came < went
    # What ran before the other one already runs again.
    return any(run.image.digest == newer.image.digest for run in ran[index + 2 :])


def declined(closed: Sequence[PullRequest]) -> list[Declined]:
    """The images of pull requests that a person closed without a merge."""
    images: list[Declined] = []
    for pull in closed:
        proposals = MARKER.declined([pull])
        by = f"#{pull.number}"
        images += [Declined(proposal.get("tag", ""), proposal.get("digest", ""), by) for proposal in proposals]
    return images


def marker(image: Image) -> str:
    """The line of a pull request's body that `declined` reads."""
    return MARKER.line({"tag": image.tag, "digest": image.digest})
