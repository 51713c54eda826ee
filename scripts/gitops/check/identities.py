"""What is one overlay's alone: a seal, which opens in one place, and an application of 42, which has one secret."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gitops.manifests.findings import Finding, Unit
from gitops.manifests.graph import Graph
from gitops.manifests.lines import Place
from gitops.manifests.objects import Object, name, spec_of, value_at
from gitops.manifests.overlay import Overlay
from gitops.manifests.sealedsecret import KIND
from gitops.repository import rotation
from gitops.repository.rotation import secret_name

_SEAL = re.compile(rb"\bA[A-Za-z0-9+/]{200,}={0,2}")
# The ConfigMap of an overlay's application (base/components/oauth-42), and what of it is one overlay's alone.
_APPLICATION = "oauth-42"
_IDENTITIES = {
    "application-id": re.compile(rb"^\s*application-id:\s*[\"']?(\d+)", re.MULTILINE),
    "client-id": re.compile(rb"^\s*client-id:\s*[\"']?([\w-]+)", re.MULTILINE),
}
# kustomize writes the overlay's namespace over it in silence; the seal stays what it is.
_NAMESPACE = re.compile(rb"^\s+namespace:\s*[\"']?([\w.-]+)", re.MULTILINE)
_ANNOTATIONS = {"gitops/application": "application-id", "gitops/uid": "client-id"}
_SEAL_ANEW = "seal the value for this overlay: gitops secrets seal, or gitops oauth rotate for 42's"


@dataclass(frozen=True)
class _Stand:
    """Where something stands that belongs to one overlay."""

    path: str
    line: int


class Identities:
    """What the files of all overlays have of it, each read once."""

    def __init__(self, graph: Graph, changed: frozenset[str]) -> None:
        """`changed`: the files that a change touches: of two the one at fault."""
        self._changed = changed
        self.seals: dict[bytes, list[_Stand]] = {}
        self.applications: dict[tuple[str, str], list[_Stand]] = {}
        self.namespaces: list[tuple[_Stand, str]] = []
        for file in sorted(graph.checkout.overlays.glob("[!.]*/[!.]*/*.y*ml")):
            content = file.read_bytes() if file.is_file() else b""
            path = graph.checkout.relative(file)
            if KIND.encode() in content:
                for match in _SEAL.finditer(content):
                    self.seals.setdefault(match[0], []).append(_stand(path, content, match))
                for match in _NAMESPACE.finditer(content):
                    self.namespaces.append((_stand(path, content, match), match[1].decode()))
            if file.name == rotation.FILE:
                for key, pattern in _IDENTITIES.items():
                    if named := pattern.search(content):
                        identity = (key, named[1].decode())
                        self.applications.setdefault(identity, []).append(_stand(path, content, named))

    def in_fault(self, stands: Sequence[_Stand]) -> tuple[_Stand, _Stand] | None:
        """Of what stands in several files: where it should not, and where it may; None where it is one's own."""
        files = {stand.path: stand for stand in reversed(stands)}
        if len(files) < 2:
            return None
        ordered = sorted(files.values(), key=lambda stand: (stand.path in self._changed, stand.path))
        return ordered[-1], ordered[0]


def _stand(path: str, content: bytes, match: re.Match[bytes]) -> _Stand:
    return _Stand(path, content.count(b"\n", 0, match.start()) + 1)


def check_files(identities: Identities) -> Iterator[Finding]:
    """Seals and applications that stand in two overlays, or one seal under two names."""
    for stands in identities.seals.values():
        if pair := identities.in_fault(stands):
            problem = f"is the very seal of {pair[1].path}:{pair[1].line}, and opens in one of the two at most"
            yield _finding("sealed-elsewhere", pair[0], problem, _SEAL_ANEW)
    for stand, namespace in identities.namespaces:
        overlay = Overlay.of_path(stand.path)
        if overlay and namespace != overlay.namespace:
            problem = f"is for namespace {namespace}; here it is {overlay.namespace}"
            yield _finding("sealed-elsewhere", stand, problem, _SEAL_ANEW)
    told = set[str]()
    for (key, value), stands in identities.applications.items():
        pair = identities.in_fault(stands)
        if pair and pair[0].path not in told:
            told.add(pair[0].path)
            owner = Overlay.of_path(pair[1].path)
            problem = f"{key} {value} is the application of {owner} ({pair[1].path}:{pair[1].line})"
            fix = "create an application of its own at 42, and name that: gitops oauth status shows them"
            yield _finding("application-shared", pair[0], problem, fix)


def _finding(rule: str, stand: _Stand, problem: str, fix: str) -> Finding:
    unit = "/".join(stand.path.split("/")[:3])
    return Finding(rule, Place(stand.path, stand.line), problem, fix, unit)


def check(unit: Unit) -> Iterator[Finding]:
    """SealedSecrets of an overlay that say of themselves that they are another's."""
    overlay = unit.overlay
    if overlay is None:
        return
    application = next((item for item in unit.kind("ConfigMap") if name(item) == _APPLICATION), {})
    data = application.get("data") or {}
    for item in unit.kind(KIND):
        template = spec_of(item).get("template") or {}
        made = value_at(template, ("metadata", "name"))
        if made not in (None, name(item)):
            where = ("spec", "template", "metadata", "name")
            what = f"makes Secret {made}; the seal is for {name(item)}"
            yield unit.finding("sealed-elsewhere", item, where, what, _SEAL_ANEW)
        # Older generations may be of an application that was replaced.
        if data.get("secret") == name(item):
            yield from _of_another(unit, item, data)
        elif f"-{_APPLICATION}-g" in name(item) and not name(item).startswith(f"{overlay.service}-"):
            what = f"is named for another service; here it would be {secret_name(overlay, 1)}"
            yield unit.finding("sealed-elsewhere", item, ("metadata", "name"), what, _SEAL_ANEW)


def _of_another(unit: Unit, item: Object, data: Mapping[str, object]) -> Iterator[Finding]:
    for annotation, key in _ANNOTATIONS.items():
        said = value_at(item, ("metadata", "annotations", annotation))
        if said is not None and str(said) != str(data.get(key)):
            what = f"{annotation} {said}: was sealed for another application than {key} {data.get(key)} of this overlay"
            yield unit.finding("sealed-elsewhere", item, ("metadata", "annotations", annotation), what, _SEAL_ANEW)
            return
