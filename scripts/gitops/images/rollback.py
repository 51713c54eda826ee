"""Back to what ran before, and a hold that keeps the bot from going forward again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gitops.clients.github import Hub
from gitops.clients.registries import Registry
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError
from gitops.ground.printable import code
from gitops.images import edit, entry, hold, memory
from gitops.images.proposal import LABELS
from gitops.images.set import runs
from gitops.images.way_back import goes_back
from gitops.manifests.image import Image
from gitops.manifests.overlay import Overlay
from gitops.repository import contents, local, reconcile, services, versions
from gitops.repository.ours import readable
from gitops.repository.pulls import Outcome, Proposal, propose
from gitops.service import draft
from gitops.service.draft import Gate

LABEL = "rollback"


def rollback(
    checkout: Checkout,
    hub: Hub,
    registry: Registry,
    overlay: Overlay,
    *,
    name: str = entry.MAIN,
    to: str | None,
    reason: str,
    until: datetime,
) -> tuple[Outcome, Image, bool]:
    """Open the pull request that pins what an overlay ran before (or the tag `to`, which it must have run).

    `name`: which of its images, by its entry in `images:`. A hold comes too. Returns the image as well, and whether
    the registry said that it has it. Raises InputError, RaceError, ExternalError.
    """
    path = overlay.kustomization
    with reconcile.main_of(checkout, hub, hub.settings.token) as main:
        file = main.files.root / path
        if not file.is_file():
            raise InputError("no such overlay on main", path=path, fix="choose one of: gitops service list")
        pin = edit.read(file.read_bytes(), path, name)
        fitting = _fitting(path, memory.past_images(main.history, path, pin.entry), to, pin.image)
        image, asked = _there(path, registry, fitting)
        content = edit.replace(file.read_bytes(), path, image, name)
        with contents.temporarily_written(main.files, {path: content}):
            edit.check_render(main.files, file.parent, path, pin, image)
        held = entry.hold_file(overlay, name)
        kept = hold.Hold(tag=image.tag, reason=reason, until=until)
        proposal = Proposal(
            branch=entry.branch("rollback", overlay, name),
            base=main.history.main(),
            title=f"{entry.label(overlay, name)}: back to {image.tag}",
            body=(
                f"{code(pin.image.tag)} -> {code(image.tag)} ({code(image.digest)})\n\n{code(reason)}\n\n"
                f"{code(held)} keeps the bot on this version until {until.isoformat(timespec='minutes')}; "
                "delete it to let the bot go on."
            ),
            files={path: content, held: hold.write(kept)},
            labels=(*LABELS, LABEL),
            goes_back=goes_back,
        )
        return propose(hub, main.history, main.pulls.get(proposal.branch), proposal), image, asked


@dataclass(frozen=True)
class LocalRollback:
    """A commit that goes back, on a branch of its own. `asked`: whether the registry said that it has the image."""

    branch: str
    commit: str
    image: Image
    asked: bool


def rollback_here(
    checkout: Checkout,
    gate: Gate,
    registry: Registry,
    overlay: Overlay,
    *,
    name: str = entry.MAIN,
    to: str | None,
    reason: str,
    until: datetime,
) -> LocalRollback:
    """Commit what `rollback` would propose, without GitHub: on a new branch, from main as this clone has it.

    The working copy stays as it is, whatever it has. Raises InputError, NotHealthyError, ExternalError.
    """
    services.check_exists(checkout, overlay)
    path = overlay.kustomization
    start = local.main(checkout)
    content = versions.content(checkout.root, start, path)
    if content is None:
        raise InputError("no such overlay on main", path=path, fix="choose one of: gitops service list")
    pin = edit.read(content, path, name)
    past = versions.of_files(checkout.root, start, [path], limit=100)[path]
    ran = memory.images_of(past, path, pin.entry)
    fitting = _fitting(path, ran, to, pin.image, fix=local.missing_history(checkout))
    image, asked = _there(path, registry, fitting)
    files: contents.Contents = {path: edit.replace(content, path, image, name)}
    files[entry.hold_file(overlay, name)] = hold.write(hold.Hold(tag=image.tag, reason=reason, until=until))
    draft.hold(checkout, gate, files, {overlay: runs(image)}, start)
    title = f"{entry.label(overlay, name)}: back to {image.tag}"
    own = "" if name == entry.MAIN else f"{readable(name)}-"
    branch = f"back-{overlay.namespace}-{own}{readable(image.tag)}"
    return LocalRollback(branch, local.commit(checkout, start, branch, f"{title}\n\n{reason}", files), image, asked)


def _there(path: str, registry: Registry, fitting: Sequence[Image]) -> tuple[Image, bool]:
    """The first that the registry still has, and whether it could be asked: in an incident that must stop nobody."""
    for image in fitting:
        try:
            if registry.look(image.name, digest=image.digest) is not None:
                return image, True
        except GitopsError:
            return image, False
    gone = ", ".join(f"{image.tag}@{image.digest[:19]}" for image in fitting)
    raise InputError("gone from the registry", path=path, found=gone, fix="push it again, or choose another with --to")


def _fitting(
    path: str, ran: Sequence[memory.PastImage], to: str | None, current: Image, fix: str | None = None
) -> list[Image]:
    # By name any that ran; by itself none that was left by a rollback.
    images = memory.former_images(ran) if to is None else [run.image for run in ran]
    before = [image for image in images if image.digest != current.digest and image.name == current.name]
    fitting = [image for image in before if to in (None, image.tag)]
    if not fitting and to == current.tag:
        raise InputError(f"{to} is what runs here now", path=path, fix="name what it ran before, or leave --to out")
    if not fitting:
        known = ", ".join(dict.fromkeys(image.tag for image in before)) or "nothing else"
        what = f"{to or 'another image'} never ran here"
        raise InputError(what, path=path, expected=f"what main's history has: {known}", fix=fix)
    return fitting
