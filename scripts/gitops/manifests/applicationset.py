"""The Applications that Argo CD makes of an ApplicationSet, by its own rules, without asking it.

Source: argo-cd v3.6.1, applicationset/generators/git.go, applicationset/utils/utils.go, reposerver/repository/utils.go.
A generator or a function of a template that is not understood here is a fault, so that nothing passes unseen.
"""

from __future__ import annotations

import itertools
import os
import posixpath
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitops.manifests import gotemplate
from gitops.manifests.globs import path_matches
from gitops.manifests.objects import FieldPath, Object, name, value_at

# Where an ApplicationSet has what its Applications are made from.
TEMPLATE = ("spec", "template")
FINALIZER = "resources-finalizer.argocd.argoproj.io"
# Of a generator: what is not one.
_BESIDE = {"selector"}
_GIT = {"repoURL", "revision", "directories", "requeueAfterSeconds", "pathParamPrefix", "values"}


@dataclass(frozen=True)
class GeneratorFault:
    """Why an ApplicationSet makes nothing: where, what is wrong, and how to fix it."""

    path: FieldPath
    problem: str
    fix: str


@dataclass(frozen=True)
class Application:
    """One Application. `item`: the whole of it; `maker`: the ApplicationSet that makes it, or itself; `folder`: what it
    is made from, empty for one that stands in git.
    """

    item: Object
    maker: Object
    folder: str = ""

    @property
    def name(self) -> str:
        """Its name."""
        return name(self.item)

    @property
    def spec(self) -> Object:
        """Its spec, empty where it has none."""
        spec = self.item.get("spec")
        return spec if isinstance(spec, dict) else {}

    @property
    def namespace(self) -> str:
        """Where it brings what names no namespace."""
        return str(value_at(self.spec, ("destination", "namespace")) or "")

    @property
    def sources(self) -> list[tuple[FieldPath, Object]]:
        """What it reads, each with its place in its spec: `sources` where it has any, as Argo CD does."""
        several = self.spec.get("sources")
        if isinstance(several, list) and several:
            return [(("sources", n), source) for n, source in enumerate(several) if isinstance(source, dict)]
        source = self.spec.get("source")
        return [(("source",), source)] if isinstance(source, dict) else []

    def reads(self, folder: str) -> bool:
        """Whether one of its sources is this folder."""
        return any(posixpath.normpath(str(source.get("path"))) == folder for _, source in self.sources)


@dataclass(frozen=True)
class Generated:
    """What an ApplicationSet comes to: its Applications; none where it has faults, as Argo CD then changes none."""

    applications: tuple[Application, ...] = ()
    faults: tuple[GeneratorFault, ...] = ()


def applications(objects: Sequence[Object], root: Path) -> tuple[tuple[Application, ...], tuple[GeneratorFault, ...]]:
    """All Applications of a cluster: those among its objects, and those that are made of a revision's files."""
    own = [Application(item, item) for item in objects if item.get("kind") == "Application"]
    faults: list[GeneratorFault] = []
    for item in objects:
        if item.get("kind") == "ApplicationSet":
            made = generate(item, directories(root, top_of(item)))
            own += made.applications
            faults += made.faults
    return tuple(own), tuple(faults)


def directories(root: Path, top: str) -> list[str]:
    """The folders of a revision that Argo CD shows its generators, below `top`: none that is hidden."""
    paths: list[str] = []
    for folder, names, _ in os.walk(root / top):
        names[:] = sorted(entry for entry in names if not entry.startswith("."))
        paths.append(str(Path(folder).relative_to(root)))
    return sorted(path for path in paths if path != ".")


def top_of(applicationset: Object) -> str:
    """The one folder that all of a set's patterns begin with; empty where there is none."""
    tops = {pattern.split("/")[0] for pattern, _ in patterns(applicationset)}
    return next(iter(tops)) if len(tops) == 1 and not any(char in "".join(tops) for char in "*?[\\") else ""


def patterns(applicationset: Object) -> list[tuple[str, bool]]:
    """Every pattern of its git generators, and whether it excludes."""
    generators = _mappings(value_at(applicationset, ("spec", "generators")))
    entries = itertools.chain.from_iterable(_mappings(value_at(one, ("git", "directories"))) for one in generators)
    return [(str(entry.get("path")), bool(entry.get("exclude"))) for entry in entries]


def chosen(entries: Sequence[Object], folders: Iterable[str]) -> list[str]:
    """The folders that a git generator's `directories` choose: what one entry excludes no other brings back."""
    kept = []
    for folder in folders:
        matching = [bool(entry.get("exclude")) for entry in entries if path_matches(str(entry.get("path")), folder)]
        if matching and not any(matching):
            kept.append(folder)
    return kept


def generate(applicationset: Object, folders: Sequence[str]) -> Generated:
    """What Argo CD makes of it where git has these folders."""
    generators = value_at(applicationset, ("spec", "generators"))
    if not isinstance(generators, list) or not generators:
        return Generated(
            faults=(GeneratorFault(("spec", "generators"), "has no generator", "name folders by git.directories"),)
        )
    faults: list[GeneratorFault] = []
    made: list[Application] = []
    for number, generator in enumerate(generators):
        path = ("spec", "generators", number)
        if unknown := _unknown(generator):
            faults.append(GeneratorFault((*path, *unknown[0]), unknown[1], "name folders by git.directories"))
            continue
        for folder in chosen(_mappings(generator["git"]["directories"]), folders):
            application, fault = _application(applicationset, generator["git"], folder)
            made += [application] if application else []
            faults += [fault] if fault else []
    counts = Counter(application.name for application in made)
    for doubled in sorted(word for word, count in counts.items() if count > 1):
        twins = ", ".join(one.folder for one in made if one.name == doubled)
        problem = f"{counts[doubled]} folders ({twins}) make one Application, {doubled}"
        faults.append(GeneratorFault((*TEMPLATE, "metadata", "name"), problem, "name it by service and environment"))
    return Generated((), tuple(dict.fromkeys(faults))) if faults else Generated(tuple(made))


def _unknown(generator: object) -> tuple[FieldPath, str] | None:
    """What of a generator is not a git generator of folders, with where it stands."""
    if not isinstance(generator, dict):
        return (), "is no generator"
    for key in generator:
        if key != "git":
            what = "chooses among them by" if key in _BESIDE else "generator"
            return (key,), f"{what} {key}: which Applications it makes is known after the merge"
    git = generator.get("git")
    if not isinstance(git, dict) or not isinstance(git.get("directories"), list):
        return ("git",), "names no directories"
    for key in git:
        if key not in _GIT:
            return ("git", key), f"git.{key}: which Applications it makes is known after the merge"
    return None


def _application(applicationset: Object, git: Object, folder: str) -> tuple[Application | None, GeneratorFault | None]:
    """What a folder becomes."""
    spec, template = _mapping(applicationset, "spec"), _mapping(applicationset, *TEMPLATE)
    options = [str(option) for option in spec.get("goTemplateOptions") or []]
    try:
        fill = _filler(git, folder, options, templated=spec.get("goTemplate") is True)
        metadata = _filled(_mapping(template, "metadata"), fill, (*TEMPLATE, "metadata"))
        made = _filled(_mapping(template, "spec"), fill, (*TEMPLATE, "spec"))
    except gotemplate.TemplateError as error:
        path = error.path if isinstance(error, _FilledError) else ("spec", "generators")
        fix = "write one such as {{ index .path.segments 1 }}"
        return None, GeneratorFault(path, f"{error}: Argo CD would make no Application at all", fix)
    preserved = value_at(spec, ("syncPolicy", "preserveResourcesOnDeletion")) is True
    if not preserved and not metadata.get("finalizers"):
        metadata["finalizers"] = [FINALIZER]
    metadata["namespace"] = str(value_at(applicationset, ("metadata", "namespace")) or "argocd")
    api = applicationset.get("apiVersion")
    item = {"apiVersion": api, "kind": "Application", "metadata": metadata, "spec": made}
    return Application(item, applicationset, folder), None


class _FilledError(gotemplate.TemplateError):
    """A template that cannot be filled. `path`: of the text."""

    def __init__(self, path: FieldPath, problem: str) -> None:
        super().__init__(problem)
        self.path = path


def _filler(git: Object, folder: str, options: Sequence[str], *, templated: bool) -> Callable[[str], str]:
    """What fills the texts of a folder's Application."""
    base = posixpath.basename(folder)
    prefix = str(git.get("pathParamPrefix") or "")
    segments = folder.split("/")
    if templated:
        own = {"path": folder, "basename": base, "basenameNormalized": gotemplate.sanitized(base), "segments": segments}
        parameters: dict[str, Any] = {prefix: {"path": own}} if prefix else {"path": own}
        values = {key: gotemplate.filled(str(text), parameters, options) for key, text in _items(git.get("values"))}
        return lambda text: gotemplate.filled(text, {**parameters, **({"values": values} if values else {})}, options)
    word = f"{prefix}.path" if prefix else "path"
    plain = {word: folder, f"{word}.basename": base, f"{word}.basenameNormalized": gotemplate.sanitized(base)}
    plain |= {f"{word}[{number}]": segment for number, segment in enumerate(segments)}
    plain |= {f"values.{key}": gotemplate.filled_plainly(str(text), plain) for key, text in _items(git.get("values"))}
    return lambda text: gotemplate.filled_plainly(text, plain)


def _filled(value: Any, fill: Callable[[str], str], path: FieldPath) -> Any:  # noqa: ANN401 - whatever stands there
    """A part of the template with every text of it filled, keys too."""
    if isinstance(value, dict):
        return {_text(key, fill, path): _filled(inner, fill, (*path, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, fill, (*path, number)) for number, inner in enumerate(value)]
    return _text(value, fill, path)


def _text(value: Any, fill: Callable[[str], str], path: FieldPath) -> Any:  # noqa: ANN401
    if not isinstance(value, str) or "{{" not in value:
        return value
    try:
        return fill(value)
    except gotemplate.TemplateError as error:
        raise _FilledError(path, str(error)) from None


def _items(value: object) -> Iterable[tuple[str, object]]:
    return value.items() if isinstance(value, Mapping) else ()


def _mapping(value: object, *path: str) -> Object:
    inner = value_at(value, path)
    return inner if isinstance(inner, dict) else {}


def _mappings(value: object) -> list[Object]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []
