"""A tag that a person moved while the digest stayed: the digest decides, and what runs is what ran."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from gitops.ground.command import run
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.image import REFERENCE
from gitops.manifests.objects import FieldPath, Object
from gitops.manifests.pods import template
from gitops.repository.ours import TRAILER
from gitops.repository.revision import Change


def check(unit: Unit, pairs: Collection[tuple[Object, Object]]) -> Iterator[Finding]:
    """`pairs`: each changed object as it was and as it is."""
    for old, new in pairs:
        before = dict(_images(old).values())
        told = set[str]()
        for path, (name_and_digest, tag) in _images(new).items():
            was = before.get(name_and_digest)
            if was and tag and was != tag and name_and_digest not in told:
                told.add(name_and_digest)
                problem = f"the tag went from {was} to {tag}, and the digest is still that of {was}, which runs on"
                fix = "move both: gitops images bump proposes them together; or leave both"
                yield unit.finding("image-pin", new, (*path, "image", "tag"), problem, fix)


def moved(change: Change, changed: Iterable[tuple[Unit, Collection[tuple[Object, Object]]]]) -> Iterator[Finding]:
    """What `check` finds in each unit and its changed objects, but for what the bot moved."""
    for unit, pairs in changed:
        yield from (finding for finding in check(unit, pairs) if not by_bot(change, finding.place.file))


def _images(item: Object) -> Mapping[FieldPath, tuple[str, str]]:
    """Every container's image by its path: its name and digest, and its tag. Those without a digest are left out."""
    pods = template(item)
    images: dict[FieldPath, tuple[str, str]] = {}
    for path, container in pods.containers() if pods else ():
        match = REFERENCE.fullmatch(str(container.get("image")))
        if match and match["digest"]:
            images[tuple(path)] = (f"{match['name']}@{match['digest']}", match["tag"] or "")
    return images


def by_bot(change: Change, file: str) -> bool:
    """Whether all commits of a change that touch a file are the bot's, which asked the registry: a tag may be a second
    name of one image (1.3.0-rc.1 released as 1.3.0)."""
    if not change.commits:
        return False
    words = ["log", "--format=%B%x00", change.commits, "--", file]
    messages = run(["git", "-C", change.head.root, *words], timeout=60).decode(errors="replace").split("\0")
    messages = [message for message in messages if message.strip()]
    return bool(messages) and all(TRAILER in message.splitlines() for message in messages)
