"""What people declined of an image by closing the bot's pull requests, also where its marker in one was edited."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from itertools import product

from github.PullRequest import PullRequest

from gitops.ground.errors import InputError
from gitops.images import edit, group
from gitops.images.memory import Declined
from gitops.images.reasons import EditedMarker
from gitops.images.target import Declines, FollowedOverlay
from gitops.manifests.image import Image
from gitops.repository.history import History

_TAGS = re.compile(rb"newTag:[ \t]*[\"']?([A-Za-z0-9_][A-Za-z0-9_.-]{0,127})")
_DIGESTS = re.compile(rb"digest:[ \t]*[\"']?(sha256:[0-9a-f]{64})")


def of(history: History, closed: Iterable[PullRequest], target: FollowedOverlay) -> Declines:
    """What pull requests decline of one image: by their marker; by their commit or their title where that is edited."""
    images: list[Declined] = []
    edited: list[EditedMarker] = []
    for pull in closed:
        if group.is_readable(pull):
            images += group.declined(pull, target.branch)
            continue
        before, after = _contents(history, pull, target)
        if before is not None and before == after:
            continue  # a group's, which left this image as it was
        known = (before and after and _by_commit(before, after, target)) or _by_title(pull, target)
        edited.append(EditedMarker(pull.number, known.tag if known else ""))
        if known:
            images.append(Declined(known.tag, known.digest, f"#{pull.number}, whose marker was edited"))
    return Declines(tuple(images), tuple(edited))


def _contents(history: History, pull: PullRequest, target: FollowedOverlay) -> tuple[bytes | None, bytes | None]:
    """The file that pins the image, before a pull request's commit and after; None where this clone has no commit."""
    base = history.fork_point(pull.head.sha)
    if base is None:
        return None, None
    return history.content(base, target.path), history.content(pull.head.sha, target.path)


def _by_commit(before: bytes, after: bytes, target: FollowedOverlay) -> Declined | None:
    """The image that a commit pins, where it is no other change. What a stranger wrote is compared and never parsed."""
    name, entry = target.pin.image.name, target.pin.entry
    for tag, digest in product(set(_TAGS.findall(after)), set(_DIGESTS.findall(after))):
        image = Image(name, tag.decode(), digest.decode())
        with suppress(InputError):
            if edit.replace(before, target.path, image, entry) == after:
                return Declined(image.tag, image.digest)
    return None


def _by_title(pull: PullRequest, target: FollowedOverlay) -> Declined | None:
    """The tag that a title names for an image. Where it names a digest as well, all of that is not known."""
    for part in pull.title.split("; "):
        if match := re.fullmatch(rf"{re.escape(target.label)}: ([A-Za-z0-9_][A-Za-z0-9_.-]{{0,127}})", part):
            return Declined(match[1], "")
    return None
