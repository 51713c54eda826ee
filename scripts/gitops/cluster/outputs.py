"""What AWS gave, as files of the cluster's folder: nobody types an ARN. They are committed by a pull request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from gitops.cluster import generated, state
from gitops.cluster.world import ClusterWorld
from gitops.ground.errors import InputError
from gitops.ground.output import write
from gitops.manifests import certificates, yamlfile, yamltext
from gitops.repository import services
from gitops.repository.services import Service

FILE = "outputs.yaml"
_HEAD = """\
# yaml-language-server: $schema=https://raw.githubusercontent.com/yannh/kubernetes-json-schema/master/v1.36.3-standalone-strict/configmap-v1.json
# What AWS gave this cluster. Written by `gitops cluster up {name}`; do not edit.
"""
_CERTIFICATES_HEAD = """\
# yaml-language-server: $schema=../../docs/schemas/certificates.json
# Which names each certificate of the load balancer covers; `gitops check` holds every host against them. The ARNs are
# those of objects/ingressclassparams.yaml, the first is the default. By `gitops cluster up {name}`; do not edit.
"""
# The field of IngressClassParams.
_FIELD = "certificateARNs:"


def save(world: ClusterWorld, outputs: Mapping[str, str]) -> list[str]:
    """Write what differs; the paths of what was written, as the repository has them. Raises InputError."""
    folder = world.checkout.cluster(world.definition.name)
    known = services.services(world.checkout)
    plan = generated.certificates(world.definition, known)
    covered = [(outputs[f"{generated.logical(item.domain)}Certificate"], item.names) for item in plan]
    texts = {folder / FILE: _outputs(world, outputs), folder / certificates.FILE: _certificates(world, covered)}
    parameters = folder / "objects/ingressclassparams.yaml"
    if parameters.exists():
        source = world.checkout.relative(parameters)
        texts[parameters] = with_arns(parameters.read_text(encoding="utf-8"), [arn for arn, _ in covered], source)
    texts |= _of_overlays(world, known, outputs)
    changed = [file for file, text in texts.items() if not file.exists() or file.read_text(encoding="utf-8") != text]
    for file in changed:
        _replace(file, texts[file])
    return [world.checkout.relative(file) for file in changed]


def _of_overlays(world: ClusterWorld, known: Sequence[Service], outputs: Mapping[str, str]) -> dict[Path, str]:
    """The overlays' own files, with where their database and their bucket are; all else stays byte for byte."""
    texts: dict[Path, str] = {}
    for source, key, value in state.written(world.checkout, known, outputs):
        file = world.checkout.root / source
        text = texts.get(file) or file.read_text(encoding="utf-8")
        texts[file] = yamltext.put(text, source, ("data", key), value)
        yamlfile.parse_all(texts[file], source)
    return texts


def _replace(file: Path, text: str) -> None:
    """Whole or not at all, whenever the run is killed."""
    draft = file.with_name(f".{file.name}.draft")
    write(draft, text)
    draft.replace(file)


def _outputs(world: ClusterWorld, outputs: Mapping[str, str]) -> str:
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "outputs", "annotations": {"config.kubernetes.io/local-config": "true"}},
        "data": dict(sorted(outputs.items())),
    }
    return _HEAD.format(name=world.definition.name) + yaml.safe_dump(document, sort_keys=False, width=1000)


def _certificates(world: ClusterWorld, covered: list[tuple[str, tuple[str, ...]]]) -> str:
    items = [{"arn": arn, "names": list(names)} for arn, names in covered]
    text = yaml.safe_dump({"certificates": items}, sort_keys=False, width=1000)
    return _CERTIFICATES_HEAD.format(name=world.definition.name) + text


def with_arns(text: str, arns: list[str], source: str) -> str:
    """A file of IngressClassParams with another list of certificates; all else stays byte for byte."""
    lines = text.splitlines(keepends=True)
    keys = [number for number, line in enumerate(lines) if line.strip() == _FIELD]
    if len(keys) != 1:
        raise InputError(path=source, expected=f"one list {_FIELD}", found=str(len(keys)))
    [key] = keys
    indent = len(lines[key]) - len(lines[key].lstrip())
    end = key + 1
    while end < len(lines) and lines[end].lstrip().startswith("- arn:"):
        end += 1
    new = [f"{' ' * (indent + 2)}- {arn}\n" for arn in arns]
    changed = "".join([*lines[: key + 1], *new, *lines[end:]])
    yamlfile.parse_all(changed, source)
    return changed
