"""What people declare for the bots and for each other, beside what is rendered: owners, image policies, holds, freezes.

Each is read as its own program reads it, so that a slip is a finding here and no bot that stands still tomorrow.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, zip_longest
from pathlib import Path

import yaml
from pydantic import BaseModel, ValidationError

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.images import edit, hold, policy, wide
from gitops.images.entry import MAIN
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding
from gitops.manifests.lines import Place, line_of, read_text
from gitops.manifests.overlay import Overlay
from gitops.repository import freeze, services
from gitops.repository.revision import Change

RULE = "declared"
_FIX = "write what docs/schemas says of it"
# A handle, as people write it: a channel of Slack.
_COMMENTED = re.compile(r"\s*([\w-]+):\s+(#\S+)\s*")
_WORD = re.compile(r"[\w-]+")
# Files that are read by their whole name, in one folder: of a service, of an environment (hold), of .github.
_READ = re.compile(r"(owner|images|hold(?:_[a-z0-9_-]+)?)\.(ya?ml|json)")
_READ_WIDE = re.compile(r"(teams|freezes|images)\.(yml|json)")
_WIDE: dict[str, type[BaseModel]] = {freeze.FILE: freeze.Freezes, wide.FILE: wide.WidePolicy}


def check(change: Change) -> Iterator[Finding]:
    """What a change touches of it, and all of it where nothing is compared or the teams changed."""
    checkout = change.head
    teams, owners = checkout.relative(checkout.teams_file), checkout.relative(checkout.codeowners_file)
    files = change.files
    everything = change.base is None or teams in files
    touched = {path.split("/")[1] for path in files if path.startswith("overlays/") and path.count("/") > 1}
    for path, model in _WIDE.items():
        if (everything or path in files) and (checkout.root / path).exists():
            yield from _shape(checkout, checkout.root / path, model)
    if everything or any(path.startswith(".github/") for path in files):
        yield from _misnamed(checkout)
    broken = list(_shape(checkout, checkout.teams_file, services.Teams)) if everything or touched else []
    yield from broken
    unowned: list[Finding] = []
    for folder in checkout.service_folders:
        if (everything or folder.name in touched) and any(folder.glob("*/kustomization.y*ml")):
            problems = list(_strays(checkout, folder))
            if (folder / "owner.yaml").exists() or not any("/owner." in stray.place.file for stray in problems):
                problems += _owner(checkout, folder, teams_are_broken=bool(broken))
            yield from problems
            unowned += problems
            yield from _policies(checkout, folder)
    if not broken and not unowned and (everything or touched or owners in files):
        yield from _codeowners(checkout)


def _strays(checkout: Checkout, folder: Path) -> Iterator[Finding]:
    """Files of a service that say such a thing under a name or in a folder where nobody reads it."""
    for file in sorted([*folder.glob("*.*"), *folder.glob("*/*.*")]):
        match = _READ.fullmatch(file.name)
        if match is None or not file.is_file():
            continue
        is_hold, is_inner = match[1].startswith("hold"), file.parent != folder
        kustomizations = file.parent.glob("kustomization.y*ml")
        if (is_hold == is_inner and match[2] == "yaml") or any(file.name in read_text(one) for one in kustomizations):
            continue
        above = checkout.relative(folder)
        inner = checkout.relative(file.parent) if is_inner else f"{above}/<environment>"
        yield _misread(checkout, file, f"{inner if is_hold else above}/{match[1]}.yaml")


def _misnamed(checkout: Checkout) -> Iterator[Finding]:
    """The same for what is declared for all."""
    for file in sorted((checkout.root / ".github").glob("*.*")):
        if match := _READ_WIDE.fullmatch(file.name):
            yield _misread(checkout, file, f".github/{match[1]}.yaml")


def _misread(checkout: Checkout, file: Path, target: str) -> Finding:
    there = (checkout.root / target).exists()
    fix = f"take it away: {target} is what counts" if there else f"move it to {target}"
    return Finding(RULE, Place(checkout.relative(file), 1), "nobody reads it under this name", fix)


def _owner(checkout: Checkout, folder: Path, *, teams_are_broken: bool) -> Iterator[Finding]:
    file = folder / "owner.yaml"
    if not file.exists():
        fix = "write owner.yaml with team, contact and description, as the other services have it"
        yield Finding(RULE, Place(checkout.relative(file), 1), "nobody answers for this service", fix)
        return
    problems = list(_shape(checkout, file, services.Owner))
    yield from problems
    if problems or teams_are_broken:
        return
    team, known = yamlfile.read_model(checkout, file, services.Owner).team, services.teams(checkout)
    if team not in known:
        place = Place(checkout.relative(file), line_of(read_text(file), "team:") or 1)
        yield Finding(RULE, place, f"team {team} is not in .github/teams.yaml", f"one of {', '.join(sorted(known))}")


def _policies(checkout: Checkout, folder: Path) -> Iterator[Finding]:
    """The image policies of a service and its holds, and that each is for an image that is there."""
    file = folder / policy.FILE
    problems = list(_shape(checkout, file, policy.Policies)) if file.exists() else []
    policies = {}
    if not problems:
        try:
            policies = policy.read(checkout, folder)
        except InputError as error:
            problems += _findings(error, checkout.relative(file), _key_line(file))
    yield from problems
    for overlay in sorted(Overlay(folder.name, path.parent.name) for path in folder.glob("*/kustomization.yaml")):
        own = policies.get(overlay.environment)
        entries = [*own.entries] if own else [MAIN]
        for entry in entries[1:]:
            yield from _pinned(checkout, overlay, entry, file)
        holds = sorted((checkout.root / overlay.path).glob("hold*.yaml"))
        shapes = list(chain.from_iterable(_shape(checkout, path, hold.Hold) for path in holds))
        yield from shapes
        if not shapes and not problems:
            try:
                hold.read_all(checkout, overlay, entries)
            except InputError as error:
                yield from _findings(error, overlay.path, lambda _: 1)


def _pinned(checkout: Checkout, overlay: Overlay, entry: str, file: Path) -> Iterator[Finding]:
    """Whether the kustomization has the further image that a policy is for. Of the main one other rules tell."""
    path = overlay.kustomization
    try:
        known = list(edit.entries((checkout.root / path).read_bytes(), path))
    except InputError:
        return  # said by what renders it
    if entry not in known:
        place = Place(checkout.relative(file), line_of(read_text(file), f"{entry}:") or 1)
        problem = f"{overlay.environment}: follows image {entry}, which {path} does not have"
        yield Finding(RULE, place, problem, f"its images has: {', '.join(known) or 'none'}")


def _key_line(file: Path) -> Callable[[Fault], int]:
    """The line of the first key of a file that a fault speaks of; the first where it is about the whole."""
    lines = read_text(file).splitlines()

    def line(fault: Fault) -> int:
        for word in _WORD.findall(fault.what):
            for number, text in enumerate(lines, 1):
                if text.startswith(f"{word}:"):
                    return number
        return 1

    return line


def _shape(checkout: Checkout, file: Path, model: type[BaseModel]) -> Iterator[Finding]:
    """What a model says against a file, each at its line."""
    path = checkout.relative(file)
    try:
        content = yamlfile.read(checkout, file)
        model.model_validate(content)
    except InputError as error:
        yield from _findings(error, path, lambda _: 1)
    except ValidationError as error:
        node: yaml.Node | None = next(iter(yamlfile.compose_all(file.read_bytes(), path)), None)
        faults = [_uncommented(fault, read_text(file)) for fault in yamlfile.faults(error, path, node=node)]
        yield from _findings(InputError.several(faults), path, _key_line(file))


def _uncommented(fault: Fault, text: str) -> Fault:
    """The same fault; where a value without quotes begins with #, and is none for that, with what to write."""
    lines = text.splitlines()
    match = _COMMENTED.fullmatch(lines[fault.line - 1]) if fault.line and fault.line <= len(lines) else None
    return replace(fault, fix=f'write {match[1]}: "{match[2]}": without quotes # begins a comment') if match else fault


def _findings(error: InputError, path: str, line: Callable[[Fault], int]) -> Iterator[Finding]:
    for fault in error.faults:
        sides = Fault(fault.what, found=fault.found, expected=fault.expected).sentence
        yield Finding(RULE, Place(fault.path or path, fault.line or line(fault)), sides, fault.fix or _FIX)


def _codeowners(checkout: Checkout) -> Iterator[Finding]:
    file = checkout.codeowners_file
    try:
        expected = services.codeowners(checkout).splitlines()
    except InputError:
        return  # said of the file that it is about
    lines = read_text(file).splitlines()
    for number, (actual, meant) in enumerate(zip_longest(lines, expected), 1):
        if actual != meant:
            place = Place(checkout.relative(file), min(number, max(len(lines), 1)))
            yield Finding(RULE, place, f"expected {meant!r}, found {actual!r}", "run: gitops service codeowners")
            return
