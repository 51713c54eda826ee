"""What is asked of a registry that lists names alone, so that a policy can choose.

By name (semver, pattern) that is what runs and what wins, however many tags there are. By time (newest) it is every tag
that fits, which is bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from gitops.clients.registries import ListedImage, Registry
from gitops.ground.errors import InputError
from gitops.images import order
from gitops.images.memory import Declined
from gitops.images.policy import Digest, Newest, Policy
from gitops.images.select import fits
from gitops.manifests.image import Image

# Tags of one repository whose times are asked for in a run: each is three requests.
MOST = 100
PARALLEL = 8


def with_facts(registry: Registry, policy: Policy, running: Image, listing: Sequence[ListedImage]) -> list[ListedImage]:
    """The listing, with digests and times of what runs and of what the policy cannot choose by its name.

    Raises InputError where those are too many, CredentialsError, ExternalError.
    """
    if all(image.digest for image in listing):
        return list(listing)
    dated = isinstance(policy.select, Newest)
    tags = {image.tag for image in listing if _needs_facts(policy, image)}
    if len(tags) > MOST:
        raise InputError(
            f"{running.name} tells no times of push, so newest asks for each tag",
            expected=f"at most {MOST} tags that fit",
            found=str(len(tags)),
            fix="narrow it with allow in images.yaml, or choose by name (pattern, semver)",
        )
    known = _asked(registry, running.name, listing, {*tags, running.tag}, dated)
    if all(image.digest != running.digest for image in known):
        untagged = registry.look(running.name, digest=running.digest, dated=dated)
        known += [untagged] if untagged else []
    return known


def _needs_facts(policy: Policy, image: ListedImage) -> bool:
    if isinstance(policy.select, Digest):
        return image.tag == policy.select.tag
    return isinstance(policy.select, Newest) and fits(policy, image)


def times(registry: Registry, name: str, listing: Sequence[ListedImage]) -> Callable[[str], datetime | None]:
    """When the registry got a digest, by the listing or, where that lists names alone, by asking for the first MOST."""
    asked: set[str] = set()
    known = {image.digest: image.pushed for image in listing if image.pushed}
    whole = all(image.pushed for image in listing)

    def when(digest: str) -> datetime | None:
        if digest in known or whole or (digest not in asked and len(asked) >= MOST):
            return known.get(digest)
        asked.add(digest)
        image = registry.look(name, digest=digest, dated=True)
        return image.pushed if image else None

    return when


def with_times(
    registry: Registry, policy: Policy, running: Image, listing: Sequence[ListedImage], declined: Sequence[Declined]
) -> list[ListedImage]:
    """The listing, with the times that decide whether what a person declined holds back what stands below it.

    Of the best MOST of those; one without a time counts as held back. Raises CredentialsError, ExternalError.
    """
    keys = {image.tag: order.key(policy, image.tag) for image in listing if image.pushed is None and image.tag}
    runs = order.key(policy, running.tag)
    refusals = [order.key(policy, image.tag) for image in declined]
    refused = [key for key in refusals if key is not None and (runs is None or key > runs)]
    if not refused:
        return list(listing)
    below = [
        tag for tag, key in keys.items() if key is not None and (runs is None or key > runs) and key <= max(refused)
    ]
    best = sorted(below, key=lambda tag: (keys[tag], order.natural(tag)), reverse=True)[:MOST]
    return _asked(registry, running.name, listing, {*best, *(image.tag for image in declined)}, dated=True)


def _asked(
    registry: Registry, name: str, listing: Sequence[ListedImage], tags: Collection[str], dated: bool
) -> list[ListedImage]:
    """The listing with the facts of these tags; one that is gone since is left out."""

    def ask(image: ListedImage) -> ListedImage | None:
        needed = image.tag in tags and (not image.digest or (dated and image.pushed is None))
        return registry.look(name, tag=image.tag, dated=dated) if needed else image

    with ThreadPoolExecutor(PARALLEL) as pool:
        return [image for image in pool.map(ask, listing) if image]
