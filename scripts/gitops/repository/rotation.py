"""The files of a rotation of 42's secrets: how they are made, and whether a change is exactly that.

A rotation of an overlay adds one SealedSecret under a number that was never used, names it in oauth-42.yaml, lists it
in kustomization.yaml; generations that are of no use any more may go with it. Nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from gitops.ground.errors import InputError
from gitops.manifests import sealedsecret, yamledit, yamlfile, yamltext
from gitops.manifests.overlay import Overlay
from gitops.repository.contents import Contents
from gitops.repository.git import FILE_MODE, GONE_MODE

if TYPE_CHECKING:  # the gate reads a rotation's files, and loads no client of GitHub's for it
    from gitops.repository.history import History

FILE = "oauth-42.yaml"
KEY = "client-secret"
_PREFIX = "gitops/"
_SEALED = re.compile(r"sealedsecret-oauth-42-g([1-9]\d{0,8})\.yaml")
_SEAL_LINE = re.compile(rf"^    {KEY}: ([A-Za-z0-9+/]{{400,8000}}={{0,2}})$", re.MULTILINE)
_ANNOTATION_LINE = re.compile(rf'^    ({_PREFIX}[a-z-]+): "([A-Za-z0-9:+-]{{1,100}})"$', re.MULTILINE)
# What a file says before a change, by its path. Raises InputError where there is none.
Reader = Callable[[str], bytes]


@dataclass(frozen=True)
class Record:
    """What is remembered of a generation.

    `valid_until`: the most careful date that was known when it was sealed, which is the end of the one before it where
    that still ran. `ends`: its own end, where 42 said so.
    """

    application: str
    uid: str
    generation: int
    rotation: str
    certificate: str
    valid_until: datetime | None
    ends: datetime | None = None

    def annotations(self) -> dict[str, str]:
        """As its SealedSecret carries it."""
        moments = {"valid-until": self.valid_until, "ends": self.ends}
        known = {name: moment.isoformat(timespec="seconds") for name, moment in moments.items() if moment}
        values = {
            "application": self.application,
            "uid": self.uid,
            "generation": str(self.generation),
            "rotation": self.rotation,
            "certificate": self.certificate,
            **known,
        }
        return {f"{_PREFIX}{name}": value for name, value in values.items()}

    @classmethod
    def of(cls, sealed: sealedsecret.Sealed) -> Record | None:
        """The record that a SealedSecret carries, or None: sealed by hand. Raises InputError where it is damaged."""
        values = {str(name).removeprefix(_PREFIX): str(text) for name, text in sealed.annotations.items()}
        if "rotation" not in values:
            return None
        try:
            return cls(
                values["application"],
                values["uid"],
                int(values["generation"]),
                values["rotation"],
                values["certificate"],
                _moment(values.get("valid-until")),
                _moment(values.get("ends")),
            )
        # A date of the year 1 has no moment in UTC, where its zone is ahead.
        except (KeyError, ValueError, OverflowError) as error:
            raise InputError(
                f"annotations {_PREFIX}*: {error}", path=sealed.path, fix="restore them from git"
            ) from None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def sealed_file(generation: int) -> str:
    """The name of a generation's file."""
    return f"sealedsecret-oauth-42-g{generation}.yaml"


def secret_name(overlay: Overlay, generation: int) -> str:
    """The name of a generation's Secret."""
    return f"{overlay.service}-oauth-42-g{generation}"


def generation_of(name: str, service: str, path: str) -> int:
    """The number in the name of a generation's Secret. Raises InputError; `path`: of the file that names it."""
    match = re.fullmatch(rf"{re.escape(service)}-oauth-42-g([1-9]\d{{0,8}})", name)
    if not match:
        raise InputError("the Secret's name", path=path, expected=f"{service}-oauth-42-g<number>", found=repr(name))
    return int(match[1])


def files(read: Reader, overlay: Overlay, generation: int, sealed: bytes, retired: Collection[int]) -> Contents:
    """What changes: `sealed` comes as `generation`, and the generations `retired` go. Raises InputError."""
    reference, listing = overlay.file(FILE), overlay.kustomization
    changed = without(read, overlay, retired)
    text = yamlfile.decode(changed.get(listing) or read(listing), listing)
    changed[listing] = yamledit.append(text, listing, ("resources",), sealed_file(generation)).encode()
    text = yamlfile.decode(read(reference), reference)
    name = secret_name(overlay, generation)
    changed[reference] = yamltext.put(text, reference, ("data", "secret"), name).encode()
    changed[overlay.file(sealed_file(generation))] = sealed
    return changed


def without(read: Reader, overlay: Overlay, retired: Collection[int]) -> Contents:
    """What changes where the generations `retired` go and nothing comes. Raises InputError."""
    changed: Contents = {}
    listing = overlay.kustomization
    for generation in sorted(retired):
        text = yamlfile.decode(changed.get(listing) or read(listing), listing)
        changed[listing] = yamledit.remove_item(text, listing, ("resources",), sealed_file(generation)).encode()
        changed[overlay.file(sealed_file(generation))] = None
    return changed


def is_rotation(history: History, head: str) -> bool:
    """Whether a commit does nothing to main but rotate the secrets of overlays, one generation each.

    Read from its files and main's history alone: a label, a title or a branch's name can be given by anyone.
    """
    base = history.fork_point(head)
    if base is None:
        return False
    by_overlay: dict[Overlay | None, dict[str, str]] = {}
    for path, mode in history.changes(base, head).items():
        by_overlay.setdefault(Overlay.of_path(path), {})[path] = mode
    return bool(by_overlay) and all(
        overlay is not None and _rotates(history, overlay, base, head, changed)
        for overlay, changed in by_overlay.items()
    )


def _rotates(history: History, overlay: Overlay, base: str, head: str, changed: Mapping[str, str]) -> bool:
    """Whether what `head` changes in an overlay is what a rotation would make of `base`, byte by byte."""
    modes = {FILE_MODE: set[int](), GONE_MODE: set[int]()}
    for path, mode in changed.items():
        match = _SEALED.fullmatch(path.rpartition("/")[2])
        if mode not in modes:
            return False
        if match:
            modes[mode].add(int(match[1]))
    if len(modes[FILE_MODE]) != 1:
        return False
    [generation], retired = modes[FILE_MODE], modes[GONE_MODE]

    def read(path: str) -> bytes:
        content = history.content(base, path)
        if content is None:
            raise InputError(path=path, expected="a file")
        return content

    try:
        sealed = history.content(head, overlay.file(sealed_file(generation))) or b""
        used = _used(history, overlay, base)
        due = files(read, overlay, generation, sealed, retired)
        if generation <= max(used) or used[0] in retired or not _is_seal(sealed, overlay, generation, read):
            return False
    except InputError:
        return False
    return set(changed) == set(due) and all(history.content(head, path) == text for path, text in due.items())


def _used(history: History, overlay: Overlay, base: str) -> list[int]:
    """The generation that `base` deploys, then those that main's history deployed. Raises InputError."""
    path = overlay.file(FILE)
    used = [_deployed(history.content(base, path) or b"", overlay, path)]
    for version in history.versions(path):
        try:
            used.append(_deployed(version.content, overlay, path))
        except InputError:  # an old version may have been broken
            continue
    return used


def _deployed(content: bytes, overlay: Overlay, path: str) -> int:
    name = yamltext.scalar(yamltext.child(yamltext.compose(yamlfile.decode(content, path), path), "data"), "secret")
    return generation_of(name or "", overlay.service, path)


def _is_seal(content: bytes, overlay: Overlay, generation: int, read: Reader) -> bool:
    """Whether a file is what the bot writes of a generation of the application that the overlay names.

    A stranger's file is not parsed as YAML. What is in the seal nobody can say but the controller. Raises InputError.
    """
    path, reference = overlay.file(sealed_file(generation)), overlay.file(FILE)
    text = content.decode(errors="replace")
    seals = _SEAL_LINE.findall(text)
    annotations = dict(_ANNOTATION_LINE.findall(text))
    name = secret_name(overlay, generation)
    record = Record.of(sealedsecret.Sealed(path, overlay, name, {}, annotations))
    if record is None or len(seals) != 1:
        return False
    data = yamltext.child(yamltext.compose(yamlfile.decode(read(reference), reference), reference), "data")
    named = (yamltext.scalar(data, "application-id"), yamltext.scalar(data, "client-id"))
    is_this = (record.application, record.uid, record.generation) == (*named, generation)
    return is_this and sealedsecret.write(name, {KEY: seals[0]}, record.annotations()) == content
