"""What the pull request of a bump says."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import yaml

from gitops.clients.registries import Details
from gitops.ground.printable import code, fence, table
from gitops.images import memory
from gitops.images.entry import MAIN
from gitops.images.target import ImagePlan
from gitops.manifests.image import Image
from gitops.manifests.objects import Object

# GitHub takes 65,536 characters; the rest of the body fits beside this.
_MOST = 50_000
_COMPARISON = re.compile(r"https://github\.com/[\w-][\w.-]*/[\w-][\w.-]*/compare/\w+\.\.\.\w+", re.ASCII)


def title(plan: ImagePlan, image: Image, old: Image) -> str:
    """One line that also stands in main's history."""
    if image.tag == old.tag:
        return f"{plan.label}: {image.tag} at {image.digest[7:19]}"
    return f"{plan.label}: {image.tag}"


def diff(before: list[Object], after: list[Object]) -> str:
    """What changes in the render, as a unified diff of YAML."""
    old, new = _lines(before), _lines(after)
    return "\n".join(difflib.unified_diff(old, new, "main", "proposed", lineterm="", n=3))


def _lines(objects: list[Object]) -> list[str]:
    lines: list[str] = []
    for item in objects:
        lines += ["---", *yaml.safe_dump(item, sort_keys=False).splitlines()]
    return lines


def section(
    plan: ImagePlan,
    winner: Image,
    old: Image,
    rendered: str,
    was: Details | None,
    now: Details | None,
    notes: Sequence[str],
    most: int = _MOST,
) -> list[str]:
    """Of one image: both versions, where to compare them, what their makers say (`notes`, lines of Markdown), and what
    changes in the cluster (at most `most` characters of it). The same for the same facts.
    """
    rows = [
        ("tag", old.tag, winner.tag),
        ("digest", old.digest, winner.digest),
        ("built from", _revision(was), _revision(now)),
        ("pushed", "", _when(plan.pushed) if plan.pushed else ""),
        # What stands for it where a registry tells no time of push.
        ("built", "", _when(now.created) if now and now.created and not plan.pushed else ""),
        ("in the other environment since", "", _when(plan.runs_since) if plan.runs_since else ""),
    ]
    lines = [code(winner.name), "", *table(("", "runs", "proposed"), [row for row in rows if row[1] or row[2]])]
    if compared := _comparison(was, now):
        lines += ["", f"Compare: {compared}"]
    if plan.target and plan.target.hold:
        hold_on = plan.target.hold
        lines += ["", f"The hold on {code(hold_on.tag)} ({code(hold_on.reason)}) is over: its file goes."]
    if plan.target and plan.target.policy.auto_merge and not plan.target.merges_itself(winner):
        lines += ["", "A new major version: a person merges it, as the policy has `majors: by-hand`."]
    if notes:
        lines += ["", *notes]
    shown = rendered if len(rendered) <= most else rendered[:most] + "\n... (cut)"
    return [
        *lines,
        "",
        "<details><summary>What changes in the cluster</summary>",
        "",
        *fence(shown.split("\n"), "diff"),
        "",
        "</details>",
    ]


def text(plan: ImagePlan, winner: Image, about: Sequence[str]) -> str:
    """The body for one image. `about`: its section."""
    lines = [
        *about,
        "",
        "Close this pull request to decline this version: a newer one will be proposed, this one not again. To keep "
        f"what runs: `gitops images rollback {plan.overlay.service}{_option(plan)}`. A commit of yours on this branch "
        "stops the bot.",
        "",
        memory.marker(winner),
    ]
    return "\n".join(lines)


def share(images: int) -> int:
    """How many characters of a diff one of so many images may show."""
    return _MOST if images == 1 else _MOST // (2 * images)


def together(sections: Mapping[str, Sequence[str]], marker: str) -> str:
    """The body for several images. `sections`: of each by its label; what does not fit is named alone."""
    lines: list[str] = []
    left = _MOST - len(marker)
    rest: list[str] = []
    for label, about in sections.items():
        shown = [f"## {code(label)}", "", *about, ""]
        size = sum(len(line) + 1 for line in shown)
        if size > left:
            rest.append(f"- {code(label)}")
            continue
        left -= size
        lines += shown
    if rest:
        lines += ["Not shown here, as there is no more room:", "", *rest, ""]
    lines += [
        "Close this pull request to decline all these versions: newer ones will be proposed, these not again. A commit "
        "of yours on this branch stops the bot. What is held, declined or waits is left out.",
        "",
        marker,
    ]
    return "\n".join(lines)


def _option(plan: ImagePlan) -> str:
    return f" --image {plan.target.pin.entry}" if plan.target and plan.target.pin.entry != MAIN else ""


def _comparison(was: Details | None, now: Details | None) -> str:
    """Where the two are compared: a link only where the labels, which whoever built an image wrote, name GitHub."""
    if not (was and now and was.revision and now.revision and now.source and was.source == now.source):
        return ""
    address = f"{now.source}/compare/{was.revision}...{now.revision}"
    return address if _COMPARISON.fullmatch(address) else code(address)


def _revision(details: Details | None) -> str:
    return details.revision[:12] if details else ""


def _when(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
