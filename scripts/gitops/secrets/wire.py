"""A secret and the program that reads it, in one change: sealed and wired, or both taken away."""

from __future__ import annotations

import itertools
import posixpath
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from pydantic import SecretBytes

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.ground.suggest import did_you_mean
from gitops.manifests import sealedsecret, secret, yamledit, yamlfile
from gitops.manifests.objects import FieldPath, Object, name, spec_of
from gitops.manifests.overlay import Overlay
from gitops.manifests.pods import TEMPLATES
from gitops.repository.contents import Contents
from gitops.secrets import give, manage
from gitops.secrets.give import Asked, Written
from gitops.service import workload
from gitops.service.change import check_clean
from gitops.service.draft import Expectation, Gate, OverlayDraft, keep
from gitops.service.workload import Patch, Workload

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
# A folder and a file, as a mount and an item of a volume may have them (pkg/apis/core/validation).
_FILE = re.compile(r"(?:/(?!\.\.)(?!\.(?:/|\Z))[A-Za-z0-9._-]+){2,}")
# What an image has there would be hidden, or the base's own.
_TOP = "bin boot dev etc home lib lib64 opt proc root run sbin srv sys tmp usr var"
_FULL = "etc/ssl etc/ssl/certs usr/bin usr/lib usr/local usr/local/bin usr/local/lib usr/sbin usr/share var/lib var/run"
_TAKEN = frozenset(f"/{folder}" for folder in (*_TOP.split(), *_FULL.split()))
# What the kernel, the image's programs and the cluster have, as a whole.
_THEIRS = re.compile(r"/(?:bin|boot|dev|lib|lib64|proc|sbin|sys|(?:var/)?run/secrets/kubernetes\.io)(?:/.*)?")
# Where images have nothing.
_EMPTY = re.compile(r"/(?:mnt|run|secrets|tmp|var/run)(?:/.*)?")
# What Linux takes as one variable with its name, `=` and the byte at its end (MAX_ARG_STRLEN).
_LONGEST = 131_072


@dataclass(frozen=True)
class Wiring:
    """How a program reads a secret: as a variable for each key or, `file`, as a file of this path."""

    file: str | None = None

    def check(self, keys: int) -> None:
        """Raise InputError unless there can be such a file."""
        if self.file is None:
            return
        folder = posixpath.dirname(self.file)
        if not _FILE.fullmatch(self.file) or folder in _TAKEN or _THEIRS.fullmatch(folder):
            expected = "a file in a folder that has nothing else, such as /run/secrets/api/token"
            raise InputError("--as-file", expected=expected, found=repr(self.file))
        if keys != 1:
            raise InputError("--as-file is one file", fix="give one --key, and run it again for the next")

    def check_variables(self, secret_name: str, values: Mapping[str, SecretBytes]) -> None:
        """Raise InputError unless each value can be a variable of its own. Says nothing of any."""
        if self.file is not None:
            return
        owners: dict[str, str] = {}
        for key, value in values.items():
            own = variable(secret_name, key)
            if own in owners:
                raise InputError(f"{owners[own]} and {key} would both be ${own}", fix="give one of them another name")
            owners[own] = key
            content = value.get_secret_value()
            fix = f"--as-file /run/secrets/{secret_name}/{key} gives it as a file"
            if not _is_text(content):
                raise InputError(f"{key}: a variable is text, and this is none", fix=fix)
            if len(own) + len(content) + 2 > _LONGEST:
                raise InputError(f"{key}: longer than a variable can be", expected=f"less than {_LONGEST}", fix=fix)

    def notes(self, secret_name: str, keys: Collection[str]) -> Iterator[str]:
        """What is to be said of it."""
        if self.file is None:
            yield from (f"the program reads {key} as ${variable(secret_name, key)}" for key in keys)
            return
        yield from (f"the program reads {key} as the file {self.file}" for key in keys)
        folder = posixpath.dirname(self.file)
        if not _EMPTY.fullmatch(folder):
            yield f"what the image itself has in {folder} is hidden by it"


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


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
    wiring.check_variables(secret_name, given.values)
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
    notes += wiring.notes(secret_name, given.values)
    if len(overlays) > 1:
        others = ", ".join(overlay.environment for overlay in overlays)
        notes.append(f"{others} have the same value; for another one in one of them: --environment NAME")
    return Written(keep(checkout, gate, files, expectations), tuple(notes))


def _as_variable(draft: OverlayDraft, program: Workload, secret_name: str, key: str) -> None:
    own, service = variable(secret_name, key), draft.overlay.service
    for entry in program.app.get("env") or []:
        if entry.get("name") != own:
            continue
        source = (entry.get("valueFrom") or {}).get("secretKeyRef") or {}
        if _names(source, secret_name, key):
            return
        place = program.place("env", own)
        path, line = (place.file, place.line) if place else (None, None)
        fix = "give the key another name"
        if path and path.startswith("overlays/"):
            reading = f"gitops secrets remove {service} {source.get('name')} --key {source.get('key')}"
            fix = f"{reading if source else f'gitops service unset {service} {own}'} comes first"
        raise InputError(f"{own} is set there already", path=path, line=line, fix=fix)
    patch = workload.patch_to_edit(draft, program)
    source = {"secretKeyRef": yamledit.Inline(name=secret_name, key=key)}
    patch.put_in(patch.path, "env", {"name": own, "valueFrom": source})


def _names(source: Mapping[str, Any] | None, secret_name: str, key: str) -> bool:
    """Whether a variable's source is this key of this Secret, be it optional or not."""
    return source is not None and (source.get("name"), source.get("key")) == (secret_name, key)


def _as_file(draft: OverlayDraft, program: Workload, secret_name: str, key: str, file: str) -> None:
    folder, own = posixpath.split(file)
    for patch in workload.patches(draft, program):
        for position, volume in enumerate(_value(patch, (*patch.pod, "volumes")) or []):
            if (volume.get("secret") or {}).get("secretName") == secret_name:
                _put_item(patch, (*patch.pod, "volumes", position), volume, key, file)
                return
    for mount in program.app.get("volumeMounts") or []:
        _check_beside(draft.overlay, program, folder, mount)
    taken = {volume.get("name") for volume in program.pods.spec.get("volumes") or []}
    plain = secret_name.replace(".", "-")[:56].strip("-")
    names = itertools.chain([plain], (f"{plain}-{number}" for number in itertools.count(2)))
    name = next(name for name in names if name not in taken)
    patch = workload.patch_to_edit(draft, program)
    patch.put_in(patch.path, "volumeMounts", {"name": name, "mountPath": folder, "readOnly": True})
    item = yamledit.Inline(key=key, path=own)
    patch.put_in(patch.pod, "volumes", {"name": name, "secret": {"secretName": secret_name, "items": [item]}})


def _put_item(patch: Patch, path: tuple[str | int, ...], volume: Mapping[str, Any], key: str, file: str) -> None:
    """One more file in a volume that the overlay has for this Secret already. Raises InputError."""
    folder, own = posixpath.split(file)
    secret_name, name = volume["secret"]["secretName"], volume.get("name")
    mounts = _value(patch, (*patch.path, "volumeMounts")) or []
    line = yamledit.line_of(patch.text, patch.file, path)
    if {mount.get("mountPath") for mount in mounts if mount.get("name") == name} != {folder}:
        fix = f"give it in the folder that {secret_name} is in already"
        raise InputError(f"the volume {name} is mounted elsewhere", path=patch.file, line=line, fix=fix)
    items = volume["secret"].get("items")
    if not items:  # each key is a file of its own name
        if own != key:
            fix = f"--as-file {folder}/{key}"
            raise InputError(f"the volume {name} has each key by its own name", path=patch.file, line=line, fix=fix)
        return
    holders = [item.get("key") for item in items if item.get("path") == own]
    if holders and holders != [key]:
        raise InputError(f"{file} is {holders[0]} already", path=patch.file, line=line, fix="name another file")
    if not holders:
        patch.put_in((*path, "secret"), "items", yamledit.Inline(key=key, path=own))


def _check_beside(overlay: Overlay, program: Workload, folder: str, mount: Mapping[str, Any]) -> None:
    """Raise InputError where a folder cannot be mounted beside another one: no folder is made in what is read-only."""
    there = str(mount.get("mountPath")).rstrip("/")
    if there == folder:
        raise InputError(f"{overlay}: {folder} is mounted already", fix="choose another folder")
    volumes = program.pods.spec.get("volumes") or []
    kinds = next((set(volume) - {"name"} for volume in volumes if volume.get("name") == mount.get("name")), set())
    if there.startswith(f"{folder}/") or (folder.startswith(f"{there}/") and kinds != {"emptyDir"}):
        what = f"{overlay}: {folder} and {there}, which is mounted already, are one in the other"
        raise InputError(what, fix="choose a folder beside it")


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
        sources = {entry["name"]: (entry.get("valueFrom") or {}).get("secretKeyRef") for entry in app.get("env") or []}
        variables = {key: variable(secret_name, key) for key in keys}
        return ", ".join(own for key, own in variables.items() if not _names(sources.get(own), secret_name, key))

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
        draft = OverlayDraft(checkout, sealed.overlay)
        whole = key is None or set(sealed.encrypted) == {key}
        _unread(draft, secret_name, None if whole else key, notes)
        if whole:
            draft.delete(sealed.path)
            listing = draft.overlay.kustomization
            own = sealed.path.rpartition("/")[2]
            draft.write(listing, yamledit.remove_item(draft.text(listing), listing, ("resources",), own))
        else:
            text = draft.text(sealed.path)
            draft.write(sealed.path, yamledit.remove(text, sealed.path, ("spec", "encryptedData", str(key))))
        files |= draft.files
        expectations[sealed.overlay] = _is_gone(secret_name, None if whole else key)
        page = sealed.annotations.get(sealedsecret.ISSUER)
        where = f" ({page})" if page else ""
        notes.append(f"{sealed.overlay}: its value is good until its issuer is told otherwise{where}: revoke it there")
    return Written(keep(checkout, gate, files, expectations), tuple(dict.fromkeys(notes)))


def _unread(draft: OverlayDraft, secret_name: str, key: str | None, notes: list[str]) -> None:
    """Take out of the overlay's own files whatever reads a Secret, or one key of it, in any of their pods.

    What is read in another form the check names.
    """
    for kind, template in TEMPLATES.items():
        # From the last one: what is taken out of the list moves those behind it.
        for file in reversed(draft.patches(kind)) if template else ():
            patch = Patch(draft, file, (*template, "spec", "containers", 0))
            while not patch.is_gone and (path := next(_readers(patch, secret_name, key), None)):
                if comment := patch.take_out(path):
                    notes.append(f"{file}:{comment}: this comment stays; take it out if it was about {secret_name}")


def _readers(patch: Patch, secret_name: str, key: str | None) -> Iterator[tuple[str | int, ...]]:
    """The paths of what reads it in a file: variables, what takes all of it for variables, mounts, then volumes."""
    pod = _value(patch, patch.pod) or {}
    volumes = {
        number: volume
        for number, volume in enumerate(pod.get("volumes") or [])
        if (volume.get("secret") or {}).get("secretName") == secret_name
    }
    for field in ("containers", "initContainers"):
        for number, container in enumerate(pod.get(field) or []):
            yield from _of_container((*patch.pod, field, number), container, secret_name, key)
    for number, volume in volumes.items():
        yield from _of_volume(pod, volume, (*patch.pod, "volumes", number), key)


def _of_container(
    path: tuple[str | int, ...], container: Mapping[str, Any], secret_name: str, key: str | None
) -> Iterator[tuple[str | int, ...]]:
    for position, entry in enumerate(container.get("env") or []):
        source = (entry.get("valueFrom") or {}).get("secretKeyRef") or {}
        if source.get("name") == secret_name and key in (None, source.get("key")):
            yield (*path, "env", position)
    for position, entry in enumerate(container.get("envFrom") or []):
        if (entry.get("secretRef") or {}).get("name") == secret_name and key is None:
            yield (*path, "envFrom", position)


def _of_volume(
    pod: Mapping[str, Any], volume: Mapping[str, Any], path: tuple[str | int, ...], key: str | None
) -> Iterator[tuple[str | int, ...]]:
    items = (volume.get("secret") or {}).get("items") or []
    kept = [number for number, item in enumerate(items) if item.get("key") != key]
    if key is not None and len(kept) == len(items):
        return
    if key is not None and kept:
        gone = next(number for number, item in enumerate(items) if item.get("key") == key)
        yield (*path, "secret", "items", gone)
        return
    for field in ("containers", "initContainers"):
        for number, container in enumerate(pod.get(field) or []):
            for position, mount in enumerate(container.get("volumeMounts") or []):
                if mount.get("name") == volume.get("name"):
                    yield (*path[:-2], field, number, "volumeMounts", position)
    yield path


def _is_gone(secret_name: str, key: str | None) -> Callable[[Sequence[Object]], str]:
    def unmet(objects: Sequence[Object]) -> str:
        sealed = [item for item in objects if item.get("kind") == sealedsecret.KIND and name(item) == secret_name]
        left = [item for item in sealed if key is None or key in spec_of(item).get("encryptedData", {})]
        return f"{secret_name} is still there" if left else ""

    return unmet
