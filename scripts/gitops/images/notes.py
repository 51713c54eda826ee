"""What the source repository of an image says of the versions between two: its releases, or the names of its tags.

Whoever writes there writes into a pull request of ours: so it stands in blocks of code, in which GitHub sees no
mention, no reference and no HTML, and has an end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from semantic_version import Version

from gitops.clients.github import Hub, releases
from gitops.clients.github.releases import Release
from gitops.ground.errors import GitopsError
from gitops.ground.printable import code, fence, line
from gitops.images import order
from gitops.images.policy import SOURCE, Policy
from gitops.manifests.image import Image

# Of one version, and of all: GitHub takes 65,536 characters for a body, most of which is for the render.
_MOST_RELEASES, _MOST_EACH, _MOST = 10, 2_000, 8_000


class ReleaseNotes:
    """The release notes of a run: each repository is asked once, and none of them ends a run."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._read: dict[str, list[Release] | str] = {}

    def lines(self, policy: Policy, source: str, old: Image, new: Image) -> list[str]:
        """What is said between two images, as Markdown. `source`: where the image says that it was built from."""
        named = re.fullmatch(SOURCE, policy.source or source)
        if named is None:
            return []
        known = self._of(named[1])
        if isinstance(known, str):
            return [f"No release notes: {code(known)}"]
        between = list(_between(policy, known, old.tag, new.tag))
        if not between:
            return [f"No release notes: {code(named[1])} has no release of {code(new.tag)}"]
        return _shown(named[1], between)

    def _of(self, repository: str) -> list[Release] | str:
        """Its releases, or why they cannot be read."""
        if repository not in self._read:
            try:
                self._read[repository] = releases.newest(self._hub, repository)
            except GitopsError as error:
                self._read[repository] = str(error).splitlines()[0]
        return self._read[repository]


def _between(policy: Policy, known: Sequence[Release], old: str, new: str) -> Iterator[Release]:
    """Those above the old version up to the new one, the newest first; of what has no order the new one alone."""
    first, last = order.named_version(policy, old), order.named_version(policy, new)
    versions = [(_version(policy, release.tag), release) for release in known]
    if first is None or last is None:
        yield from (release for _, release in versions if release.tag.removeprefix("v") == new.removeprefix("v"))
        return
    fitting = [(number, release) for number, release in versions if number and first < number <= last]
    for number, release in sorted(fitting, key=lambda pair: pair[0], reverse=True):
        if number == last or not number.prerelease:
            yield release


def _version(policy: Policy, name: str) -> Version | None:
    return order.version(name) or order.named_version(policy, name)


def _shown(repository: str, between: Sequence[Release]) -> list[str]:
    lines = ["<details><summary>Release notes</summary>", "", f"https://github.com/{repository}/releases"]
    left = _MOST
    for release in between[:_MOST_RELEASES]:
        lines += ["", code(release.tag)]
        if release.notes.strip() and left > 0:
            text = _cut("\n".join(map(line, release.notes.strip().splitlines())), min(left, _MOST_EACH))
            left -= len(text)
            lines += ["", *fence(text.split("\n"), "text")]
    if len(between) > _MOST_RELEASES:
        lines += ["", f"and {len(between) - _MOST_RELEASES} more"]
    return [*lines, "", "</details>"]


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}\n... (cut)"
