"""One cause, one finding: what another finding explains goes unsaid, and what many objects have alike is counted."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from gitops.check.guards import RENAMING
from gitops.manifests.findings import Finding
from gitops.manifests.lines import Place

# So many overlays with the same complaint have it from what all of them stand on.
_MANY = 5
# A pod's words are its workload's.
_FAMILY = {"pod": "api-server"}
# What these say of one line once more has the same cause, in whatever words.
_ONE_A_LINE = ("manifest-paths", "quota-room")
_FIELD = re.compile(r"^(its pods: )?[\w.\[\]/-]+: ")


def _same_object(finding: Finding) -> tuple[object, ...]:
    return finding.unit, finding.kind, finding.name


def _same_line(finding: Finding) -> tuple[object, ...]:
    return (finding.place,)


def _same_file(finding: Finding) -> tuple[object, ...]:
    return (finding.place.file,)


def _same_folder(finding: Finding) -> tuple[object, ...]:
    return (posixpath.dirname(finding.place.file),)


def _same_part(finding: Finding) -> tuple[object, ...]:
    return (finding.place.file.partition("/")[0],)


def _same_unit(finding: Finding) -> tuple[object, ...]:
    return (finding.unit,)


def _anywhere(_: Finding) -> tuple[object, ...]:
    return ()


@dataclass(frozen=True)
class _Consequence:
    """A finding that goes unsaid beside another one, which says the same or brings it about.

    `words`, `of_words`: patterns for the complaint, with its policy; `shared`: what both have in common. `nearer`: it
    knows the very line, where the other one knows what that line is in.
    """

    rule: str
    words: str
    of: str
    of_words: str
    shared: Callable[[Finding], tuple[object, ...]]
    nearer: bool = False

    def among(self, findings: Sequence[Finding]) -> Iterator[tuple[Finding, Finding]]:
        """Those that are one, each with the finding that it goes unsaid beside."""
        causes = {self.shared(finding): finding for finding in findings if _fits(finding, self.of, self.of_words)}
        for finding in findings if causes else ():
            cause = causes.get(self.shared(finding))
            if cause and _fits(finding, self.rule, self.words):
                yield finding, cause


def _fits(finding: Finding, rule: str, words: str) -> bool:
    return finding.rule == rule and bool(re.search(words, f"{finding.policy}: {finding.problem}"))


_CONSEQUENCES = (
    # Two judges of one field: the platform's policies say what to write, Pod Security and the schema do not.
    _Consequence("pod", r"Pod Security .*(hostPort|host namespaces)", "policy", "^no-host:", _same_object, nearer=True),
    _Consequence(
        "pod",
        r"Pod Security (?!.*(hostPort|host namesp|volume))",
        "policy",
        "^no-privileged:",
        _same_object,
        nearer=True,
    ),
    _Consequence("pod", r"Pod Security .*volume", "policy", "^volumes:", _same_object),
    _Consequence("pod", "looking up service account", "service-account", "", _same_object),
    _Consequence("pod", "maximum (cpu|memory) usage", "quota-room", "the LimitRange gives", _same_object),
    _Consequence("policy", "must be at least", "quantity", "", _same_line),
    _Consequence("policy", "^ingress-class: .*sends to what is no", "ingress-service", "", _same_object),
    _Consequence("policy", "^ingress-class: .*(hosts of others)", "lb-default", "", _same_object),
    _Consequence("policy", "^ingress-class: .*(without a host)", "lb-host", "", _same_object),
    _Consequence("policy", "^service-inside:", "quota-room", "services", _same_line),
    _Consequence("policy", "^namespace-labels:", "namespace-labels", "", _same_unit),
    _Consequence("policy", "^volumes:", "quota-room", "persistentvolumeclaims", _same_object),
    _Consequence("policy", "^volume-claim:", "quantity", "", _same_object),
    _Consequence("immutable", "^: spec: ", "policy", "^volume-claim:", _same_object),
    _Consequence("immutable", "^: spec: ", "quantity", "", _same_object),
    _Consequence("immutable", r"spec\.clusterIPs", "service-address", "", _same_object),
    _Consequence("image-pin", "the tag went from", "policy", "^image-latest:", _same_line),
    _Consequence("guard-rails", "is not what the base has", "policy", "", _same_line),
    _Consequence("guard-rails", "is not what the base has", "network-policy-selector", "", _same_line),
    _Consequence("network-ranges", "", "guard-rails", "is not what the base has", _same_line),
    _Consequence("waits", "", "guard-rails", "is not what the base has", _same_line),
    _Consequence("replicas", "would say everything", "volume", "", _same_line),
    # What nobody may have, and what is replaced where it was issued, needs no other word.
    _Consequence("plain-secret", "", "leaked-secret", "", _same_file),
    _Consequence("policy", "", "project-kind", "", _same_object),
    # What comes of it: of an image that no entry gave its name, of objects under another one, of what is not rendered.
    _Consequence("policy", r"at (initC|c)ontainers\[[^\]]*\]\.image", "unmatched", "", _same_unit),
    _Consequence("sealed-elsewhere", "", "guard-rails", f"^: ({'|'.join(RENAMING)}) ", _same_unit),
    _Consequence("readable-secret", "", "guard-rails", f"^: ({'|'.join(RENAMING)}) ", _same_unit),
    _Consequence("readable-secret", "", "secret-key", "", _same_line),
    _Consequence("unlisted", "", "outside", "refers to", _same_folder),
    _Consequence("unlisted", "", "render", "", _same_unit),
    _Consequence("unlisted", "", "render-hangs", "", _same_unit),
    _Consequence("outside", "a link out", "outside", "refers to .* leads out", _same_folder),
    _Consequence("unlisted", "", "policy-holds", "is not there", _same_part),
    _Consequence("unlisted", "", "applications", "no (ApplicationSet is there|Application reads)", _same_part),
    _Consequence("unlisted", "", "lb-redirect", "nothing listens", _same_part),
    _Consequence("lb-network", "", "network-policy-selector", "", _same_unit),
    _Consequence("lb-shadowed", r"never answers: \*", "lb-host", "", _anywhere),
    _Consequence("budget", "has no PodDisruptionBudget", "pdb-selector", "", _same_unit),
    _Consequence("grace", "to answer what it has begun", "lb-annotation", "deregistration_delay", _same_unit),
    _Consequence("immutable", r"spec\.selector: ", "selector", "", _same_object),
    _Consequence("api-server", r"template\.metadata\.labels: ", "selector", "", _same_object),
    _Consequence("api-server", "`defaultBackend` or `rules`", "unlisted", "", _same_unit),
    _Consequence("api-server", "image: Required", "unmatched", "no image|for a container", _same_object),
    _Consequence("pod", "image: Required", "unmatched", "no image|for a container", _same_object),
    _Consequence("api-server", r"spec\.strategy", "rollout", "ends all of its pods", _same_object),
    _Consequence("immutable", "selector", "guard-rails", "comes into selectors", _same_unit),
)


def joined(findings: Iterable[Finding], overlays: int) -> list[Finding]:
    """The findings, one for each cause, in their order. `overlays`: how many were looked at."""
    return list(_of_all(list(_alike(list(_unexplained(list(findings))))), overlays))


def _unexplained(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Without what follows from another finding."""
    broken = {(finding.place.file, finding.problem) for finding in findings if finding.rule == "render"}
    follows: set[int] = set()
    nearer: dict[int, Place] = {}
    for consequence in _CONSEQUENCES:
        for unsaid, cause in consequence.among(findings):
            follows.add(id(unsaid))
            if consequence.nearer and unsaid.place.file == cause.place.file and unsaid.place.line > cause.place.line:
                nearer.setdefault(id(cause), unsaid.place)
    for finding in findings:
        # A file that is no YAML is said once, by what renders it.
        repeated = finding.rule != "render" and (finding.place.file, finding.problem) in broken
        if not repeated and id(finding) not in follows:
            yield replace(finding, place=nearer.get(id(finding), finding.place))


def _alike(findings: Sequence[Finding]) -> Iterator[Finding]:
    """One line that many objects have: a label of the kustomization, a field of a base."""
    groups: dict[tuple[object, ...], list[Finding]] = {}
    for finding in findings:
        words = finding.problem.replace(f"{finding.kind} {finding.name}" if finding.kind else "\0", "*")
        words = _FIELD.sub("", words.replace(finding.name or "\0", "*"))
        words = "" if finding.rule in _ONE_A_LINE else words
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
