"""The commit status `freeze` on all that waits to be merged, and what may be merged in a freeze: a way back."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from gitops.clients.github import Hub
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, InputError, combined
from gitops.images import edit, entry, hold, memory
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository import freeze, freeze_status
from gitops.repository.git import FILE_MODE
from gitops.repository.history import History
from gitops.repository.mainline import main_files

# Where the merge queue tries what it is about to merge.
QUEUE = "gh-readonly-queue/main/"


def set_all(checkout: Checkout, hub: Hub, now: datetime) -> dict[str, str]:
    """Set the commit status `freeze` on all that waits to be merged to what holds now.

    Returns what was written, by pull request (#12) or branch of the merge queue. Raises ExternalError where GitHub
    refused one, once all others are set. Branch protection requires the status:
    GitHub evaluates no check again at a window's edge, so a scheduled job does.
    """
    history = History(checkout.root)
    history.fetch(hub.settings.token)
    with main_files(checkout, history) as base:
        window = freeze.current(freeze.read(base), now, freeze.AHEAD)
    written, failures = {}, []
    waiting = [(f"#{pull.number}", pull.head.sha) for pull in hub.open_heads()]
    for name, head in [*waiting, *history.branches(QUEUE)]:
        try:
            if text := freeze_status.set_one(hub, history, window, head, goes_back):
                written[name] = text
        except ExternalError as error:
            # GitHub takes 1,000 statuses of one name on a commit: whoever used them up stops their own alone.
            failures.append(error)
    if failures:
        raise combined(failures)
    return written


def goes_back(history: History, head: str) -> bool:
    """Whether a commit does nothing but bring overlays back to images that main ran in them, and hold them there."""
    return bool(taken_back(history, head))


def taken_back(history: History, head: str) -> set[Overlay]:
    """The overlays that a commit brings back to images that main ran in them; none where it does anything else.

    Read from its files and main's history: a label, a title or a branch's name can be given by anyone.
    """
    base = history.fork_point(head)
    if base is None:
        return set()
    added = history.changes(base, head)
    if set(added.values()) != {FILE_MODE}:
        return set()
    allowed = set()
    overlays = {Overlay.of_path(path) for path in added}
    for overlay in overlays:
        back = _taken_back(history, overlay, base, head) if overlay else None
        if overlay is None or back is None:
            return set()
        name, image = back
        allowed.add(overlay.kustomization)
        file = entry.hold_file(overlay, name)
        if _holds(history, head, file, image):
            allowed.add(file)
    return set(filter(None, overlays)) if set(added) <= allowed else set()


def _taken_back(history: History, overlay: Overlay, base: str, head: str) -> tuple[str, Image] | None:
    """The entry and its former image that `head` pins, where the kustomization changes that image and no more."""
    path = overlay.kustomization
    before, after = history.content(base, path), history.content(head, path)
    if before is None or after is None:
        return None
    with suppress(InputError):
        for name in edit.entries(before, path):
            if image := _image_taken_back(history, path, before, after, name):
                return name, image
    return None


def _image_taken_back(history: History, path: str, before: bytes, after: bytes, name: str) -> Image | None:
    """The former image of one entry, where `after` is `before` with that image and no other change."""
    try:
        pin = edit.read(before, path, name)
        past = memory.former_images(memory.past_images(history, path, pin.entry))
        former = [image for image in past if image.name == pin.image.name]
        # What a stranger wrote is compared and never parsed.
        fitting = [image for image in former if image != pin.image and edit.replace(before, path, image, name) == after]
    except InputError:
        return None
    return fitting[0] if fitting else None


def _holds(history: History, head: str, file: str, image: Image) -> bool:
    kept = hold.as_written(history.content(head, file) or b"")
    return kept is not None and kept.tag == image.tag
