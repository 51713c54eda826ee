"""A secret and the program that reads it, in one change: sealed and wired, or both taken away."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.suggest import did_you_mean
from gitops.manifests import sealedsecret, secret, yamledit, yamlfile
from gitops.manifests.objects import FieldPath, Object, name, spec_of
from gitops.manifests.overlay import Overlay
from gitops.repository.contents import Contents
from gitops.secrets import give, manage
from gitops.secrets.give import Asked, Written
from gitops.service import workload
from gitops.service.change import check_clean
from gitops.service.draft import Expectation, Gate, OverlayDraft, keep
from gitops.service.workload import Patch, Workload

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
# What an image has there would be hidden, or the base's own.
_TOP = "bin boot dev etc home lib lib64 opt proc root run sbin srv sys tmp usr var"
_TAKEN = frozenset(("/", *(f"/{folder}" for folder in _TOP.split())))


@dataclass(frozen=True)
class Wiring:
    """How a program reads a secret: as a variable for each key or, `file`, as a file of this path."""

    file: str | None = None

    def check(self, keys: int) -> None:
        """Raise InputError unless there can be such a file."""
        if self.file is None:
            return
        folder = posixpath.dirname(self.file)
        if posixpath.normpath(self.file) != self.file or not self.file.startswith("/") or folder in _TAKEN:
            expected = "a file in a folder that has nothing else, such as /run/secrets/api/token"
            raise InputError("--as-file", expected=expected, found=repr(self.file))
        if keys != 1:
            raise InputError("--as-file is one file", fix="give one --key, and run it again for the next")


def variable(secret_name: str, key: str) -> str:
    """The variable of a key: API_TOKEN is its own, `token` of the Secret `slack` is SLACK_TOKEN."""
    if _VARIABLE.fullmatch(key):
        return key
    return re.sub(r"[^A-Z0-9]", "_", f"{secret_name}_{key}".upper())


def seal(
    checkout: Checkout,
    gate: Gate,
    overlays: Sequence[Overlay],
    secret_name: str,
    asked: Asked,
    cluster: str,
    today: date,
    wiring: Wiring,
) -> Written:
    """Seal the values for each overlay, and have its program read them. Raises as `draft.keep` does."""
    check_clean(checkout)
    wiring.check(len(asked.keys) + len(asked.files) if asked.env_file is None else 0)
    targets = [manage.SecretTarget(overlay, secret_name, asked.kind) for overlay in overlays]
    declared = asked.declared(today)
    programs = {overlay: workload.read(checkout, overlay) for overlay in overlays}
    given = give.read(checkout, targets, asked, declared)
    files: Contents = {}
    expectations: dict[Overlay, Expectation] = {}
    notes = list(given.notes)
    for target in targets:
        draft = OverlayDraft(checkout, target.overlay)
        draft.files |= manage.sealed_files(checkout, target, given.values, cluster, declared)
        for key in given.values:
            if wiring.file is None:
                _as_variable(draft, programs[target.overlay], secret_name, key)
            else:
                _as_file(draft, programs[target.overlay], secret_name, key, wiring.file)
        files |= draft.files
        expectations[target.overlay] = _reads(secret_name, given.values, wiring)
    if wiring.file is None:
        notes += [f"the program reads {key} as ${variable(secret_name, key)}" for key in given.values]
    if len(overlays) > 1:
        others = ", ".join(overlay.environment for overlay in overlays)
        notes.append(f"{others} have the same value; for another one in one of them: --environment NAME")
    return Written(keep(checkout, gate, files, expectations), tuple(notes))


def _as_variable(draft: OverlayDraft, program: Workload, secret_name: str, key: str) -> None:
    own = variable(secret_name, key)
    source = {"secretKeyRef": yamledit.Inline(name=secret_name, key=key)}
    for patch in workload.patches(draft, program):
        position = patch.index((*patch.path, "env"), "name", own)
        if position is None:
            continue
        path = (*patch.path, "env", position)
        if _value(patch, (*path, "valueFrom")) == source:
            return
        line = yamledit.line_of(patch.text, patch.file, path)
        fix = f"gitops service unset {draft.overlay.service} {own} comes first"
        raise InputError(f"{own} is set there already", path=patch.file, line=line, fix=fix)
    if place := program.place("env", own):
        what = f"{draft.overlay}: {own} is set there already"
        raise InputError(what, path=place.file, line=place.line, fix="give the key another name")
    patch = workload.patch_to_edit(draft, program)
    patch.put_in(patch.path, "env", {"name": own, "valueFrom": source})


def _as_file(draft: OverlayDraft, program: Workload, secret_name: str, key: str, file: str) -> None:
    folder, own = posixpath.split(file)
    volume = secret_name.replace(".", "-")[:63].strip("-")
    item = yamledit.Inline(key=key, path=own)
    for patch in workload.patches(draft, program):
        position = patch.index((*patch.pod, "volumes"), "name", volume)
        if position is None:
            continue
        path = (*patch.pod, "volumes", position, "secret")
        mounts = _value(patch, (*patch.path, "volumeMounts")) or []
        if {mount.get("mountPath") for mount in mounts if mount.get("name") == volume} != {folder}:
            line = yamledit.line_of(patch.text, patch.file, path)
            fix = f"give it in the folder that {secret_name} is in already"
            raise InputError(f"the volume {volume} is mounted elsewhere", path=patch.file, line=line, fix=fix)
        if item not in ((_value(patch, path) or {}).get("items") or []):
            patch.put_in(path, "items", item)
        return
    if folder in {mount.get("mountPath") for mount in program.app.get("volumeMounts") or []}:
        raise InputError(f"{draft.overlay}: {folder} is mounted already", fix="choose another folder")
    patch = workload.patch_to_edit(draft, program)
    patch.put_in(patch.path, "volumeMounts", {"name": volume, "mountPath": folder, "readOnly": True})
    patch.put_in(patch.pod, "volumes", {"name": volume, "secret": {"secretName": secret_name, "items": [item]}})


def _value(patch: Patch, path: FieldPath) -> Any:  # noqa: ANN401 - whatever YAML has
    [value] = yamlfile.parse_all(patch.text, patch.file)
    for step in path:
        try:
            value = value[step]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _reads(secret_name: str, keys: Collection[str], wiring: Wiring) -> Expectation:
    def unmet(objects: Sequence[Object]) -> str:
        app, pod = workload.app_of(objects) or {}, workload.spec_of(objects)
        if wiring.file:
            folder = posixpath.dirname(wiring.file)
            mounted = {mount.get("name") for mount in app.get("volumeMounts") or [] if mount["mountPath"] == folder}
            secrets = {volume["name"]: volume.get("secret") or {} for volume in pod.get("volumes") or []}
            there = any(secrets.get(volume, {}).get("secretName") == secret_name for volume in mounted)
            return "" if there else f"no {wiring.file}"
        sources = {entry["name"]: entry.get("valueFrom") for entry in app.get("env") or []}
        variables = {variable(secret_name, key): {"secretKeyRef": {"name": secret_name, "key": key}} for key in keys}
        return ", ".join(own for own, source in variables.items() if sources.get(own) != source)

    return unmet


# -- taking away


def remove(checkout: Checkout, gate: Gate, overlays: Sequence[Overlay], secret_name: str, key: str | None) -> Written:
    """Take a sealed Secret, or one key of it, out of overlays with all that their programs read of it.

    Raises as `draft.keep` does.
    """
    check_clean(checkout)
    if secret.is_generation(secret_name):
        fix = "gitops oauth rotate retires it once 42 takes it no more"
        raise InputError(f"{secret_name} is a generation of 42's secret, which the bot takes away", fix=fix)
    files: Contents = {}
    expectations: dict[Overlay, Expectation] = {}
    notes: list[str] = []
    known = [sealed for sealed in sealedsecret.all_sealed(checkout) if sealed.overlay in overlays]
    fitting = [sealed for sealed in known if sealed.name == secret_name]
    if not fitting:
        raise InputError(f"no Secret {secret_name}", fix=did_you_mean(secret_name, {sealed.name for sealed in known}))
    holding = [sealed for sealed in fitting if key in (None, *sealed.encrypted)]
    if not holding:
        keys = set[str]().union(*(sealed.encrypted for sealed in fitting))
        raise InputError(f"{secret_name} has no key {key!r}", fix=did_you_mean(str(key), keys))
    for sealed in holding:
        draft, program = OverlayDraft(checkout, sealed.overlay), workload.read(checkout, sealed.overlay)
        whole = key is None or set(sealed.encrypted) == {key}
        _unread(draft, program, secret_name, None if whole else key, notes)
        if whole:
            draft.delete(sealed.path)
            _unlist(draft, sealed.path.rpartition("/")[2])
        else:
            text = draft.text(sealed.path)
            draft.write(sealed.path, yamledit.remove(text, sealed.path, ("spec", "encryptedData", str(key))))
        files |= draft.files
        expectations[sealed.overlay] = _is_gone(secret_name, None if whole else key)
        page = sealed.annotations.get(sealedsecret.ISSUER)
        where = f" ({page})" if page else ""
        notes.append(f"{sealed.overlay}: its value is good until its issuer is told otherwise{where}: revoke it there")
    return Written(keep(checkout, gate, files, expectations), tuple(dict.fromkeys(notes)))


def _unlist(draft: OverlayDraft, file: str) -> None:
    listing = draft.overlay.kustomization
    text = draft.text(listing)
    [document] = yamlfile.parse_all(text, listing)
    entries = [str(entry).removeprefix("./") for entry in document.get("resources") or []]
    if file not in entries:
        raise InputError(f"lists {file} in another way than by its name", path=listing, fix="take it out by hand")
    draft.write(listing, yamledit.remove(text, listing, ("resources", entries.index(file))))


def _unread(draft: OverlayDraft, program: Workload, secret_name: str, key: str | None, notes: list[str]) -> None:
    """Take out whatever reads a Secret, or one key of it. What is read in another form the check names."""
    for patch in workload.patches(draft, program):
        while draft.has(patch.file) and (path := next(_readers(patch, secret_name, key), None)):
            if comment := patch.take_out(path):
                notes.append(f"{patch.file}:{comment}: this comment stays; take it out if it was about {secret_name}")


def _readers(patch: Patch, secret_name: str, key: str | None) -> Iterator[tuple[str | int, ...]]:
    """The paths of what reads it in a file: variables, what takes all of it for variables, mounts, then volumes."""
    pod = _value(patch, patch.pod) or {}
    app = _value(patch, patch.path) or {}
    for position, entry in enumerate(app.get("env") or []):
        source = (entry.get("valueFrom") or {}).get("secretKeyRef") or {}
        if source.get("name") == secret_name and key in (None, source.get("key")):
            yield (*patch.path, "env", position)
    for position, entry in enumerate(app.get("envFrom") or []):
        if (entry.get("secretRef") or {}).get("name") == secret_name and key is None:
            yield (*patch.path, "envFrom", position)
    for number, volume in enumerate(pod.get("volumes") or []):
        source = volume.get("secret") or {}
        if source.get("secretName") == secret_name:
            yield from _of_volume(patch, app, volume, (*patch.pod, "volumes", number), key)


def _of_volume(
    patch: Patch, app: Mapping[str, Any], volume: Mapping[str, Any], path: tuple[str | int, ...], key: str | None
) -> Iterator[tuple[str | int, ...]]:
    items = (volume.get("secret") or {}).get("items") or []
    keys = [item.get("key") for item in items]
    if key is not None and key not in keys:
        return
    if key is not None and len(keys) > 1:
        yield (*path, "secret", "items", keys.index(key))
        return
    for position, mount in enumerate(app.get("volumeMounts") or []):
        if mount.get("name") == volume.get("name"):
            yield (*patch.path, "volumeMounts", position)
    yield path


def _is_gone(secret_name: str, key: str | None) -> Callable[[Sequence[Object]], str]:
    def unmet(objects: Sequence[Object]) -> str:
        sealed = [item for item in objects if item.get("kind") == sealedsecret.KIND and name(item) == secret_name]
        left = [item for item in sealed if key is None or key in spec_of(item).get("encryptedData", {})]
        return f"{secret_name} is still there" if left else ""

    return unmet
