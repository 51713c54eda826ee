"""Back to what ran before, and a hold that keeps the bot from going forward again; the freeze's commit status."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from gitops.clients.ecr import Registry, Repository
from gitops.clients.github import FREEZE, Hub
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, GitopsError, InputError, combined
from gitops.ground.printable import code, line
from gitops.images import bump, edit, hold
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository import contents, reconcile
from gitops.repository.git import FILE_MODE
from gitops.repository.history import History
from gitops.repository.mainline import main_files
from gitops.repository.pulls import Outcome, Proposal, propose
from gitops.repository.rotation import is_rotation

LABEL = "rollback"
# Where the merge queue tries what it is about to merge.
QUEUE = "gh-readonly-queue/main/"
# A status stays until something sets it again, at the latest the schedule of images.yaml. So long before a window
# (its period, and how late GitHub starts it) it fails: else something could be merged in the window's first hour.
AHEAD = timedelta(hours=1, minutes=15)


def rollback(
    checkout: Checkout,
    hub: Hub,
    registry: Registry,
    overlay: Overlay,
    *,
    to: str | None,
    reason: str,
    until: datetime,
) -> tuple[Outcome, Image, bool]:
    """Open the pull request that pins what an overlay ran before (or the tag `to`, which it must have run).

    It records a hold too. Returns the image as well, and whether the registry said that it has it. Raises InputError,
    RaceError, ExternalError.
    """
    path = overlay.kustomization
    with reconcile.main_of(checkout, hub, hub.settings.token) as main:
        file = main.files.root / path
        if not file.is_file():
            raise InputError("no such overlay on main", path=path, fix="choose one of: gitops service list")
        pin = edit.read(file.read_bytes(), path)
        fitting = _fitting(path, hold.past_images(main.history, path, pin.entry), to, pin.image)
        image, asked = _there(path, registry, fitting)
        content = edit.replace(file.read_bytes(), path, image)
        with contents.temporarily_written(main.files, {path: content}):
            edit.check_render(main.files, file.parent, path, pin, image)
        kept = hold.Hold(tag=image.tag, reason=reason, until=until)
        proposal = Proposal(
            branch=overlay.branch("rollback"),
            base=main.history.main(),
            title=f"{overlay}: back to {image.tag}",
            body=(
                f"{code(pin.image.tag)} -> {code(image.tag)} ({code(image.digest)})\n\n{code(reason)}\n\n"
                f"{code(hold.FILE)} keeps the bot on this version until {until.isoformat(timespec='minutes')}; "
                "delete it to let the bot go on."
            ),
            files={path: content, overlay.file(hold.FILE): hold.write(kept)},
            labels=(*bump.LABELS, LABEL),
        )
        return propose(hub, main.history, main.pulls.get(proposal.branch), proposal), image, asked


def _there(path: str, registry: Registry, fitting: Sequence[Image]) -> tuple[Image, bool]:
    """The first that the registry still has, and whether it could be asked: in an incident that must stop nobody."""
    for image in fitting:
        try:
            if registry.manifest(Repository.parse(image.name), digest=image.digest) is not None:
                return image, True
        except GitopsError:
            return image, False
    gone = ", ".join(f"{image.tag}@{image.digest[:19]}" for image in fitting)
    raise InputError("gone from the registry", path=path, found=gone, fix="push it again, or choose another with --to")


def _fitting(path: str, ran: Sequence[hold.PastImage], to: str | None, current: Image) -> list[Image]:
    # By name any that ran; by itself none that was left by a rollback.
    images = hold.former_images(ran) if to is None else [run.image for run in ran]
    before = [image for image in images if image.digest != current.digest and image.name == current.name]
    fitting = [image for image in before if to in (None, image.tag)]
    if not fitting:
        known = ", ".join(dict.fromkeys(image.tag for image in before)) or "nothing else"
        what = f"{to or 'another image'} never ran here"
        raise InputError(what, path=path, expected=f"what main's history has: {known}")
    return fitting


def set_freeze(checkout: Checkout, hub: Hub, now: datetime) -> dict[str, str]:
    """Set the commit status `freeze` on all that waits to be merged to what holds now.

    Returns what was written, by pull request (#12) or branch of the merge queue. Raises ExternalError where GitHub
    refused one, once all others are set. Branch protection requires the status:
    GitHub evaluates no check again at a window's edge, so a scheduled job does.
    """
    history = History(checkout.root)
    history.fetch(hub.settings.token)
    with main_files(checkout, history) as base:
        window = hold.frozen(hold.freezes(base), now, AHEAD)
    written, failures = {}, []
    waiting = [(f"#{pull.number}", pull.head.sha) for pull in hub.open_heads()]
    for name, head in [*waiting, *history.branches(QUEUE)]:
        state, text = "success", "no freeze"
        if window and goes_back(history, head):
            text = f"a rollback may be merged in {window.name}"
        elif window and is_rotation(history, head):
            # 42 waits for no window of ours: what is deployed ends all the same.
            text = f"a rotation may be merged in {window.name}"
        elif window:
            state, text = "failure", f"{window.name}: {window.start} until {window.end} {window.zone}"
        try:
            if hub.status(head, FREEZE, state, line(text)[:140]):
                written[name] = f"{state}: {text}"
        except ExternalError as error:
            # GitHub takes 1,000 statuses of one name on a commit: whoever used them up stops their own alone.
            failures.append(error)
    if failures:
        raise combined(failures)
    return written


def goes_back(history: History, head: str) -> bool:
    """Whether a commit does nothing but bring overlays back to images that main ran in them, and hold them there.

    Read from its files and main's history: a label, a title or a branch's name can be given by anyone.
    """
    base = history.fork_point(head)
    if base is None:
        return False
    added = history.changes(base, head)
    if set(added.values()) != {FILE_MODE}:
        return False
    allowed = set()
    for overlay in {Overlay.of_path(path) for path in added}:
        image = _image_taken_back(history, overlay, base, head) if overlay else None
        if overlay is None or image is None:
            return False
        allowed.add(overlay.kustomization)
        if _holds(history, head, overlay, image):
            allowed.add(overlay.file(hold.FILE))
    return set(added) <= allowed


def _image_taken_back(history: History, overlay: Overlay, base: str, head: str) -> Image | None:
    """The former image that `head` pins in an overlay, where its kustomization changes that image and no more."""
    path = overlay.kustomization
    before, after = history.content(base, path), history.content(head, path)
    if before is None or after is None:
        return None
    try:
        pin = edit.read(before, path)
        past = hold.former_images(hold.past_images(history, path, pin.entry))
        former = [image for image in past if image.name == pin.image.name]
        # What a stranger wrote is compared and never parsed.
        fitting = [image for image in former if image != pin.image and edit.replace(before, path, image) == after]
    except InputError:
        return None
    return fitting[0] if fitting else None


def _holds(history: History, head: str, overlay: Overlay, image: Image) -> bool:
    kept = hold.as_written(history.content(head, overlay.file(hold.FILE)) or b"")
    return kept is not None and kept.tag == image.tag
