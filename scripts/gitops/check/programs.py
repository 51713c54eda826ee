"""What an overlay's programs are told and is not so: variables that nobody sets, files that are not there, a port;
and containers that run none.

The API server takes all of it. Source: k8s.io/kubernetes, third_party/forked/golang/expansion (variables), and
pkg/kubelet/kuberuntime, pkg/volume/util/subpath (what is mounted by a path that is not there).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from gitops.check.references import contents, workloads
from gitops.manifests.findings import Finding, Unit
from gitops.manifests.objects import FieldPath, Object
from gitops.manifests.pods import Template, template

# `$$` stands for one `$`. What a shell runs, `$(date)`, is written in small letters; a variable is not.
_VARIABLE = re.compile(r"\$\$|\$\(([A-Z_][A-Z0-9_]*)\)")
# Every pod has these, whatever enableServiceLinks says.
_GIVEN = "KUBERNETES_"
# The bases' own container, and the variable that says where it listens (base/workload).
_MAIN, _PORT = "app", "PORT"
Keys = Mapping[tuple[str, str], Collection[str]]


def check(unit: Unit) -> Iterator[Finding]:
    """Every container of an overlay."""
    known = contents(unit)
    yield from _added(unit)
    for pods in workloads(unit):
        for path, container in pods.containers():
            yield from _variables(unit, pods, path, container, known)
            yield from _mounts(unit, pods, path, container, known)
            yield from _port(unit, pods, path, container)


# -- containers


def _added(unit: Unit) -> Iterator[Finding]:
    """Containers without an image: a patch was for one of another name, and added this one instead."""
    for pods in filter(None, map(template, unit.objects)):
        containers = list(pods.containers())
        names = [str(container.get("name")) for _, container in containers if container.get("image")]
        for path, container in containers:
            if container.get("image"):
                continue
            place, named = unit.places.of(pods.item, path), container.get("name")
            problem = f"container {named} has no image: it is one more, which the patch adds"
            fix = f"name one of: {', '.join(names) or 'none'}"
            if place.file.startswith("base/components/"):
                # Which is for every Deployment that an overlay has.
                problem = f"{posixpath.dirname(place.file)} is for a container {named}, which this one has not"
                path, fix = containers[-1][0], f"name its main container {named}"
            yield unit.finding("unmatched", pods.item, path, problem, fix)


# -- variables


def _variables(unit: Unit, pods: Template, path: FieldPath, container: Object, known: Keys) -> Iterator[Finding]:
    """`$(NAME)` where nothing sets NAME: a variable sees those before it, arguments see all."""
    sources = _from_sources(container, known)
    if sources is None or pods.spec.get("enableServiceLinks", True) is not False:
        return
    entries = [entry for entry in container.get("env") or [] if isinstance(entry, dict)]
    names = [str(entry.get("name")) for entry in entries]
    for number, entry in enumerate(entries):
        text, before = entry.get("value"), {*sources, *names[:number]}
        for named in _named(text) if isinstance(text, str) else ():
            if named not in before:
                where = "after it" if named in names else "nowhere"
                what = f"$({named}) in {entry.get('name')} stays as it is written: {named} is set {where}"
                fix = f"set {named} in the same list above it, or write its value"
                yield unit.finding("variable", pods.item, (*path, "env", number, "value"), what, fix)
    for field in ("command", "args"):
        for number, text in enumerate(container.get(field) or []):
            for named in _named(str(text)):
                if named not in {*sources, *names}:
                    what = f"$({named}) in {field} stays as it is written: {named} is set nowhere"
                    fix = f"set {named} in env, or write its value"
                    yield unit.finding("variable", pods.item, (*path, field, number), what, fix)


def _named(text: str) -> list[str]:
    """The variables that a text names, each once."""
    matches = (match[1] for match in _VARIABLE.finditer(text))
    return [named for named in dict.fromkeys(matches) if named and not named.startswith(_GIVEN)]


def _from_sources(container: Object, known: Keys) -> set[str] | None:
    """The variables of whole ConfigMaps and Secrets; None where it is not known what one of them has."""
    names = set[str]()
    for source in container.get("envFrom") or []:
        for field, kind in (("configMapRef", "ConfigMap"), ("secretRef", "Secret")):
            reference = source.get(field)
            if not reference:
                continue
            keys = known.get((kind, str(reference.get("name"))))
            if keys is None:
                return None
            names |= {f"{source.get('prefix') or ''}{key}" for key in keys}
    return names


# -- files


def _mounts(unit: Unit, pods: Template, path: FieldPath, container: Object, known: Keys) -> Iterator[Finding]:
    """One file of a ConfigMap or Secret, mounted by a name that it has not: an empty folder stands there instead."""
    volumes = {str(volume.get("name")): volume for volume in pods.spec.get("volumes") or []}
    for number, mount in enumerate(container.get("volumeMounts") or []):
        inner, volume = mount.get("subPath"), volumes.get(str(mount.get("name"))) or {}
        files = _files(volume, known) if inner else None
        if files is None or any(file == inner or file.startswith(f"{inner}/") for file in files):
            continue
        what = f"mounts {inner} of volume {mount.get('name')}, which has: {', '.join(sorted(files)) or 'nothing'}"
        fix = "name a file that is there, or add the key"
        yield unit.finding("mount", pods.item, (*path, "volumeMounts", number, "subPath"), what, fix)


def _files(volume: Object, known: Keys) -> Sequence[str] | None:
    """The files of a volume, None where it is no ConfigMap or Secret of which they are known."""
    for field, kind, by in (("configMap", "ConfigMap", "name"), ("secret", "Secret", "secretName")):
        source = volume.get(field)
        if source:
            listed = [str(entry.get("path")) for entry in source.get("items") or []]
            keys = known.get((kind, str(source.get(by))))
            return listed or (None if keys is None else list(keys))
    return None


# -- the port


def _port(unit: Unit, pods: Template, path: FieldPath, container: Object) -> Iterator[Finding]:
    """A program that is told to listen where its container has no port."""
    ports = [port.get("containerPort") for port in container.get("ports") or []]
    for number, entry in enumerate(container.get("env") or []):
        value: Any = entry.get("value")
        if container.get("name") != _MAIN or entry.get("name") != _PORT or not ports:
            continue
        if str(value).isdigit() and int(value) not in ports:
            listed = ", ".join(map(str, ports))
            what = f"listens on {_PORT} {value}; the container's ports are {listed}, where nothing answers"
            where: FieldPath = (*path, "env", number, "value")
            fix = f"write containerPort: {value} too, under the name that it has in base/workload"
            if unit.places.of(pods.item, where).of_base:
                where = (*path, "ports", 0, "containerPort")
                fix = f'write {_PORT}: "{ports[0]}" too, or leave {value}'
            yield unit.finding("service-port", pods.item, where, what, fix)
