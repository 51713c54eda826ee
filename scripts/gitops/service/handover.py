"""`gitops service handover`: another team answers for a service, in every file that says who does."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.manifests import yamledit, yamlfile, yamltext
from gitops.manifests.objects import Object
from gitops.manifests.overlay import Overlay
from gitops.repository import services
from gitops.repository.contents import Contents
from gitops.service.change import check_clean
from gitops.service.draft import Expectation, Gate, OverlayDraft, keep

_LABEL = "team"


def hand_over(checkout: Checkout, gate: Gate, name: str, team: str) -> list[Path]:
    """Give a service to another team: owner.yaml, the label `team` of each overlay, CODEOWNERS.

    Returns the files that changed (none where it already belongs to that team). Raises as `draft.keep` does, and
    InputError for a file that says it in a way that cannot be edited.
    """
    teams, service = services.teams(checkout), services.one(checkout, name)
    services.check_team(team, teams)
    check_clean(checkout)
    owners = checkout.relative(checkout.codeowners_file)
    files: Contents = {owners: services.codeowners(checkout, given={name: team}).encode()}
    files |= _owner(checkout, service, team, teams[team].contact)
    expectations: dict[Overlay, Expectation] = {}
    for summary in service.overlays:
        draft = OverlayDraft(checkout, summary.overlay)
        _put_label(draft, team)
        files |= draft.files
        expectations[summary.overlay] = _belongs_to(team)
    return keep(checkout, gate, files, expectations)


def _owner(checkout: Checkout, service: services.Service, team: str, contact: str) -> Contents:
    file = service.folder / "owner.yaml"
    path = checkout.relative(file)
    text = yamledit.put(yamlfile.decode(file.read_bytes(), path), path, ("team",), team)
    return {path: yamledit.put(text, path, ("contact",), contact).encode()}


def _put_label(draft: OverlayDraft, team: str) -> None:
    path = draft.overlay.kustomization
    text = draft.text(path)
    node = yamledit.node_at(text, path, ("labels",))
    entries = node.value if isinstance(node, yaml.SequenceNode) else []
    pairs = [yamltext.child(entry, "pairs") for entry in entries]
    naming = [number for number, own in enumerate(pairs) if own and yamltext.child(own, _LABEL)]
    if not naming:
        line = yamledit.line_of(text, path, ("labels",))
        fix = f"write there by hand: - pairs: {{team: {team}}}"
        raise InputError(f"no label {_LABEL} stands here", path=path, line=line, fix=fix)
    for number in naming:
        text = yamledit.put(text, path, ("labels", number, "pairs", _LABEL), team)
    draft.write(path, text)


def _belongs_to(team: str) -> Expectation:
    """That each object with such a label has this team's."""

    def unmet(objects: Sequence[Object]) -> str:
        labels = {((item.get("metadata") or {}).get("labels") or {}).get(_LABEL, team) for item in objects}
        return "" if labels <= {team} else f"the label {_LABEL}: {', '.join(sorted(labels - {team}))} is there too"

    return unmet
