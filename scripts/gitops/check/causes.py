"""One cause, one finding: what another finding explains goes unsaid, and what many objects have alike is counted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from gitops.check.guards import RENAMING
from gitops.manifests.findings import Finding

# So many overlays with the same complaint have it from what all of them stand on.
_MANY = 5
# A pod's words are its workload's.
_FAMILY = {"pod": "api-server"}
_FIELD = re.compile(r"^(its pods: )?[\w.\[\]/-]+: ")
_IMAGE = re.compile(r"at (initC|c)ontainers\[[^\]]*\]\.image")


def joined(findings: Iterable[Finding], overlays: int) -> list[Finding]:
    """The findings, one for each cause, in their order. `overlays`: how many were looked at."""
    return list(_of_all(list(_alike(list(_unexplained(list(findings))))), overlays))


def _unexplained(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Without what follows from another finding."""
    unmatched = {finding.unit for finding in findings if finding.rule == "unmatched"}
    unrendered = {finding.unit for finding in findings if finding.rule in ("render", "render-hangs")}
    broken = {(finding.place.file, finding.problem) for finding in findings if finding.rule == "render"}
    leaked = {finding.place.file for finding in findings if finding.rule == "leaked-secret"}
    renamed = {finding.unit for finding in findings if finding.problem.startswith(RENAMING)}
    for finding in findings:
        # A seal, and what names it, under another name.
        strange = finding.rule in ("sealed-elsewhere", "readable-secret") and finding.unit in renamed
        # The image that no entry of `images` gave its name.
        unnamed = finding.rule == "policy" and finding.unit in unmatched and _IMAGE.search(finding.problem)
        # What is replaced where it was issued is no Secret any more.
        replaced = finding.rule == "plain-secret" and finding.place.file in leaked
        # What an overlay is made of is not known where it does not render.
        unread = finding.rule == "unlisted" and finding.unit in unrendered
        # A file that is no YAML is said once, by what renders it.
        repeated = finding.rule != "render" and (finding.place.file, finding.problem) in broken
        if not (strange or unnamed or replaced or unread or repeated):
            yield finding


def _alike(findings: Sequence[Finding]) -> Iterator[Finding]:
    """One line that many objects have: a label of the kustomization, a field of a base."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        words = _FIELD.sub("", finding.problem.replace(finding.name or "\0", "*"))
        key = (_FAMILY.get(finding.rule, finding.rule), finding.place, finding.policy, words)
        groups.setdefault(key, []).append(finding)
    for group in groups.values():
        objects = {(finding.unit, finding.kind, finding.name) for finding in group}
        yield replace(group[0], more=len(objects) - 1)


def _of_all(findings: Sequence[Finding], overlays: int) -> Iterator[Finding]:
    """What nearly every overlay has alike is not each one's own."""
    groups: dict[tuple[str, ...], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.rule, finding.policy, _without_names(finding)), []).append(finding)
    for group in groups.values():
        units = {finding.unit for finding in group if finding.overlay}
        if len(units) >= _MANY and 10 * len(units) >= 9 * overlays:
            more = sum(finding.more + 1 for finding in group) - 1
            yield replace(group[0], more=more)
        else:
            yield from group


def _without_names(finding: Finding) -> str:
    text = f"{finding.kind} {finding.name}: {finding.problem}"
    if overlay := finding.overlay:
        for name in (overlay.path, overlay.namespace, overlay.service, overlay.environment):
            text = re.sub(rf"\b{re.escape(name)}\b", "*", text)
    return text
