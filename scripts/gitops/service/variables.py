"""`gitops service set` and `unset`: what a program is told by its environment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault, InputError
from gitops.ground.suggest import did_you_mean
from gitops.manifests import yamledit, yamltext
from gitops.manifests.objects import Object
from gitops.repository import services
from gitops.service import calls, secretlike, workload
from gitops.service.change import check_clean
from gitops.service.draft import Expectation, Gate, OverlayDraft, keep
from gitops.service.workload import Patch, Workload

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Of one value, in bytes: a program's whole environment has some megabytes.
_MOST = 32_000
_OTHER_FORM = "no verb edits what stands there: change it by hand"


@dataclass(frozen=True)
class EnvironmentChange:
    """What was written: the files, and what is to be said."""

    paths: list[Path]
    notes: tuple[str, ...] = ()


def parsed(words: Sequence[str], service: str, *, public: bool) -> dict[str, str]:
    """NAME=VALUE of each word. Raises InputError, which never has a value, also for what looks like a secret."""
    variables: dict[str, str] = {}
    faults: list[Fault] = []
    for word in words:
        name, equals, value = word.partition("=")
        if not (equals and _NAME.fullmatch(name)):
            shown = name if equals or "=" in word else "no `=`"
            faults.append(Fault("a variable", expected="NAME=VALUE, NAME of letters, digits and _", found=shown[:60]))
        elif name in variables:
            faults.append(Fault(f"{name} is given twice", fix="give it once"))
        elif len(value.encode(errors="replace")) > _MOST or not _is_writable(value):
            faults.append(
                Fault(f"the value of {name}", expected=f"text of at most {_MOST:,} bytes without a zero byte")
            )
        elif not public and (why := secretlike.reason(name, value)):
            key = f"--key {name} --as-env"
            fix = (
                f"type it where nobody reads it: gitops secrets seal {service} {_secret(name)} {key}; "
                "if everybody may know it: --public"
            )
            faults.append(Fault(f"{name} looks like a secret ({why}), and all may read what is in git", fix=fix))
        variables[name] = value
    if faults:
        raise InputError.several(faults)
    return variables


def _is_writable(value: str) -> bool:
    return re.search("[\0\ud800-\udfff]", value) is None


def _secret(name: str) -> str:
    return name.lower().replace("_", "-").strip("-") or "secret"


def set_all(
    checkout: Checkout,
    gate: Gate,
    service: str,
    variables: Mapping[str, str],
    environment: str | None,
    *,
    public: bool = False,
) -> EnvironmentChange:
    """Give a service's program these variables, in one environment or in all. Raises as `draft.keep` does.

    `public`: everybody may know them, and it is written beside each that looks otherwise.
    """
    overlays = services.chosen(checkout, service, environment)
    check_clean(checkout)
    notes: list[str] = []

    def edit(draft: OverlayDraft, program: Workload) -> Expectation:
        for name, value in variables.items():
            notes.extend(calls.allow(draft, program, name, value))
            set_one(draft, program, name, value)
            if public and secretlike.reason(name, value):
                _mark(draft, program, name)
        return _has(variables)

    return EnvironmentChange(keep(checkout, gate, *workload.edited(checkout, overlays, edit)), tuple(notes))


def _has(variables: Mapping[str, str]) -> Expectation:
    def unmet(objects: Sequence[Object]) -> str:
        entries = (workload.app_of(objects) or {}).get("env") or []
        values = {entry.get("name"): entry.get("value") for entry in entries}
        return ", ".join(name for name, value in variables.items() if str(values.get(name) or "") != value)

    return unmet


def set_one(draft: OverlayDraft, program: Workload, name: str, value: str) -> None:
    """One variable in an overlay's draft: written over where it stands, or added. Raises InputError."""
    for patch in reversed(workload.patches(draft, program)):
        position = patch.index((*patch.path, "env"), "name", name)
        if position is None:
            continue
        path = (*patch.path, "env", position)
        if yamltext.child(yamledit.node_at(patch.text, patch.file, path), "valueFrom") is not None:
            raise InputError(
                f"{name} is read from elsewhere (valueFrom)",
                path=patch.file,
                line=yamledit.line_of(patch.text, patch.file, path),
                fix=f"gitops service unset {draft.overlay.service} {name}, or gitops secrets remove, comes first",
            )
        if patch.count((*patch.path, "env"), "name", name) > 1:
            line = yamledit.line_of(patch.text, patch.file, path)
            fix = f"gitops service unset {draft.overlay.service} {name} comes first, and takes out all of them"
            raise InputError(f"{name} is set there more than once", path=patch.file, line=line, fix=fix)
        draft.write(patch.file, _with_value(patch, path, value))
        return
    _check_free(draft, program, name)
    patch = workload.patch_to_edit(draft, program)
    patch.put_in(patch.path, "env", {"name": name, "value": value})


def _mark(draft: OverlayDraft, program: Workload, name: str) -> None:
    """Write behind a variable's value that everybody may know it: the check asks for that (check/readable.py)."""
    for patch in reversed(workload.patches(draft, program)):
        position = patch.index((*patch.path, "env"), "name", name)
        if position is None:
            continue
        number = yamledit.line_of(patch.text, patch.file, (*patch.path, "env", position, "value"))
        lines = patch.text.splitlines(keepends=True)
        line = lines[number - 1].rstrip("\r\n")
        if secretlike.PUBLIC not in line:
            lines[number - 1] = f"{line}  {secretlike.PUBLIC}{lines[number - 1][len(line) :]}"
            draft.write(patch.file, "".join(lines))
        return


def _with_value(patch: Patch, path: tuple[str | int, ...], value: str) -> str:
    if yamltext.child(yamledit.node_at(patch.text, patch.file, path), "value") is None:
        return yamledit.add(patch.text, patch.file, path, "value", value)
    return yamledit.put(patch.text, patch.file, (*path, "value"), value)


def _check_free(draft: OverlayDraft, program: Workload, name: str) -> None:
    """Raise InputError where the base, a component or an inline patch sets a variable."""
    place = program.place("env", name)
    # What this very draft has added is in none of them.
    if place:
        what = f"{draft.overlay}: {name} is set there already"
        fix = "take another name: this one is the base's" if place.of_base else f"{_OTHER_FORM}, or take another name"
        raise InputError(what, path=place.file, line=place.line, fix=fix)


def unset(
    checkout: Checkout, gate: Gate, service: str, names: Sequence[str], environment: str | None
) -> EnvironmentChange:
    """Take variables from a service's program, wherever its overlays set them. Raises as `draft.keep` does."""
    names = list(dict.fromkeys(names))
    overlays = services.chosen(checkout, service, environment)
    check_clean(checkout)
    notes: list[str] = []
    known, gone = set[str](), set[str]()

    def edit(draft: OverlayDraft, program: Workload) -> Expectation:
        known.update(str(entry.get("name")) for entry in program.app.get("env") or [])
        gone.update(name for name in names if _unset_one(draft, program, name, notes))
        return _has_none(names)

    files, expectations = workload.edited(checkout, overlays, edit)
    if missing := [name for name in names if name not in gone]:
        raise InputError(f"{service} sets no variable {missing[0]}", fix=did_you_mean(missing[0], known))
    return EnvironmentChange(keep(checkout, gate, files, expectations), tuple(notes))


def _unset_one(draft: OverlayDraft, program: Workload, name: str, notes: list[str]) -> bool:
    removed = False
    # From the last one: what is taken out of the list moves those behind it.
    for patch in reversed(workload.patches(draft, program)):
        env = (*patch.path, "env")
        # A list that was written twice into has it twice.
        while not patch.is_gone and (position := patch.index(env, "name", name)) is not None:
            _take_out(draft, patch, (*env, position), name, notes)
            removed = True
    if removed:
        notes.extend(calls.left(draft, program, name))
    if not removed and (place := program.place("env", name)):
        what = f"{draft.overlay}: {name} is set there"
        raise InputError(what, path=place.file, line=place.line, fix=_OTHER_FORM)
    return removed


def _take_out(draft: OverlayDraft, patch: Patch, path: tuple[str | int, ...], name: str, notes: list[str]) -> None:
    """One entry of a variable. Raises InputError where it reads a Secret, which another verb takes away."""
    entry = yamledit.node_at(patch.text, patch.file, path)
    source = yamltext.child(yamltext.child(entry, "valueFrom"), "secretKeyRef")
    if source is not None:
        line = yamledit.line_of(patch.text, patch.file, path)
        secret, key = yamltext.scalar(source, "name"), yamltext.scalar(source, "key")
        fix = f"gitops secrets remove {draft.overlay.service} {secret} --key {key} takes it and what reads it"
        raise InputError(f"{name} is read from a Secret", path=patch.file, line=line, fix=fix)
    if comment := patch.take_out(path):
        notes.append(f"{patch.file}:{comment}: this comment stays; take it out if it was about {name}")


def _has_none(names: Sequence[str]) -> Expectation:
    def unmet(objects: Sequence[Object]) -> str:
        entries = (workload.app_of(objects) or {}).get("env") or []
        left = {entry.get("name") for entry in entries}
        return ", ".join(f"{name} is still there" for name in names if name in left)

    return unmet
