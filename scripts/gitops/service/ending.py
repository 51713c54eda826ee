"""`gitops service remove`: the end of a service, as one pull request, and what a person deletes after it.

Argo CD leaves what it ran (`preserveResourcesOnDeletion`), so that a folder renamed by mistake ends nothing: the gate
lets a folder go by an exception alone, and that one ends too (docs/runbooks/services.md).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.suggest import did_you_mean
from gitops.manifests import yamledit, yamlfile
from gitops.manifests.findings import SHORTEST_REASON
from gitops.manifests.overlay import Overlay
from gitops.repository import local, services, versions
from gitops.repository.contents import Contents
from gitops.repository.services import Service
from gitops.service.change import check_clean
from gitops.service.draft import Gate, keep

# How long the exception holds: the pull request is merged within it, and the namespace deleted.
DAYS = 30
_FOLDER = "policies/exceptions"
_SCHEMA = "# yaml-language-server: $schema=../../docs/schemas/exception.json\n"


@dataclass(frozen=True)
class Ended:
    """What was written, and what is left to do: by whom, one line each."""

    paths: list[Path]
    left: tuple[str, ...]


def exception_file(overlay: Overlay) -> str:
    """The exception by which the gate lets an overlay's folder go."""
    return f"{_FOLDER}/removed-folder.{overlay.namespace}.Application.{overlay.application}.yaml"


def remove(checkout: Checkout, gate: Gate, name: str, environment: str | None, reason: str, today: date) -> Ended:
    """End a service, or one environment of it. Raises as `draft.keep` does: also where another service calls it."""
    service = services.one(checkout, name)
    overlays = services.chosen(checkout, name, environment)
    if len(reason) < SHORTEST_REASON:
        expected = f"at least {SHORTEST_REASON} characters, as it stands in the exception"
        raise InputError("--reason", expected=expected, found=repr(reason))
    check_owner(checkout, service)
    check_clean(checkout)
    files: Contents = {}
    until = today + timedelta(days=DAYS)
    whole = len(overlays) == len(service.overlays)
    for folder in [service.folder] if whole else [checkout.root / overlay.path for overlay in overlays]:
        files |= {checkout.relative(file): None for file in sorted(folder.rglob("*")) if file.is_file()}
    for overlay in overlays:
        lines = [f"reason: {json.dumps(reason, ensure_ascii=False)}", f"owner: {service.owner.team}", f"until: {until}"]
        files[exception_file(overlay)] = (_SCHEMA + "\n".join([*lines, ""])).encode()
    if whole:
        owners = checkout.relative(checkout.codeowners_file)
        files[owners] = services.codeowners(checkout, without=name).encode()
    else:
        files |= _without_policies(checkout, service, overlays)
    left = _left(service, overlays, until, whole=whole)
    return Ended(keep(checkout, gate, files, {}), tuple(left))


def check_owner(checkout: Checkout, service: Service) -> None:
    """Raise InputError where nobody answers for a service: an exception has an owner, and so has a new service."""
    if service.owner.team not in services.teams(checkout):
        path = checkout.relative(service.folder / "owner.yaml")
        fix = f"gitops service handover {service.name} --to TEAM comes first"
        raise InputError(f"{service.owner.team} is no team", path=path, fix=fix)


def _without_policies(checkout: Checkout, service: Service, overlays: Sequence[Overlay]) -> Contents:
    """images.yaml without these environments. Raises InputError where another one takes its images from there."""
    path = checkout.relative(service.folder / "images.yaml")
    if not (checkout.root / path).is_file():
        return {}
    text = yamlfile.decode((checkout.root / path).read_bytes(), path)
    policies = yamlfile.read(checkout, checkout.root / path)
    gone = {overlay.environment for overlay in overlays}
    for environment, policy in policies.items():
        promote = policy.get("promote") if isinstance(policy, dict) else None
        source = promote.get("from") if isinstance(promote, dict) else None
        if environment not in gone and source in gone:
            line = yamledit.line_of(text, path, (environment, "promote", "from"))
            fix = f'say first where {environment} gets its images from, such as semver: {{range: "*"}}'
            raise InputError(f"{environment} takes what {source} ran", path=path, line=line, fix=fix)
    for environment in gone & policies.keys():
        text = yamledit.remove(text, path, (environment,))
    return {path: text.encode()}


def _left(service: Service, overlays: Sequence[Overlay], until: date, *, whole: bool) -> list[str]:
    namespaces = " ".join(overlay.namespace for overlay in overlays)
    components = {summary.overlay: summary.components for summary in service.overlays}
    kept = frozenset[str]().union(*(components[overlay] for overlay in overlays)) & {"database", "bucket", "volume"}
    hosts = [summary.domains for summary in service.overlays if summary.overlay in overlays]
    domains = list(itertools.chain.from_iterable(hosts))
    lines = [f"the platform team, once it is merged: kubectl delete namespace {namespaces}"]
    if kept:
        names = ", ".join(sorted(kept))
        lines.append(
            f"the platform team: its data stays ({names}) until somebody deletes it, see docs/runbooks/data.md"
        )
    if any("oauth-42" in components[overlay] for overlay in overlays):
        lines.append(f"{service.owner.team}: delete its application on 42's page")
    if domains:
        lines.append(f"whoever keeps the zone: no name leads there any more: {' '.join(domains)}")
    if whole:
        lines.append(f"{service.owner.team}: close its bots' pull requests")
        lines.append(f"{service.owner.team}: delete its image repository, unless another service runs it")
    words = service.name if whole else f"{service.name} --environment {overlays[0].environment}"
    lines.append(f"{service.owner.team}, then and before {until}: gitops service remove {words} --finish")
    return lines


def finish(checkout: Checkout, gate: Gate, name: str, environment: str | None) -> Ended:
    """Take the exceptions of a removal away, once its namespaces are gone. Raises as `draft.keep` does."""
    files = sorted((checkout.root / _FOLDER).glob("removed-folder.*.Application.*.yaml"))
    removed = {Overlay(*file.name.split(".")[1].rpartition("-")[::2]): checkout.relative(file) for file in files}
    fitting = [overlay for overlay in removed if overlay.service == name and environment in (None, overlay.environment)]
    if not fitting:
        known = {overlay.service for overlay in removed}
        raise InputError(f"no removal of {name} is to be finished", fix=did_you_mean(name, known))
    if there := [overlay.path for overlay in fitting if (checkout.root / overlay.path).is_dir()]:
        raise InputError("is still there", path=there[0], fix=f"gitops service remove {name} comes first")
    start = local.main(checkout)
    unmerged = [overlay.path for overlay in fitting if versions.content(checkout.root, start, overlay.kustomization)]
    if unmerged:
        fix = "once its removal is merged and its namespaces are gone: git switch main && git pull, and then this"
        raise InputError("is still on main", path=unmerged[0], fix=fix)
    check_clean(checkout)
    return Ended(keep(checkout, gate, {removed[overlay]: None for overlay in fitting}, {}), ())
