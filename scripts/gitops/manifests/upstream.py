"""What Applications take from other projects' repositories, rendered here from the Go module of the same version.

A module of Go is its repository at a tag, and its content is pinned by go.sum. So what Argo CD will render in
production is installed by `gitops cluster up` (Argo CD cannot bring itself), and served by the lab, from the very same
files.
"""

from __future__ import annotations

import itertools
import os
import tempfile
from pathlib import Path

import yaml

from gitops.ground.checkout import Checkout
from gitops.ground.command import run
from gitops.ground.errors import InputError
from gitops.manifests import yamlfile
from gitops.manifests.objects import Object, name
from gitops.manifests.reach import kustomization

# The repository of each pinned tool (scripts/tools) that an Application reads; `share` there says which of its folders.
REPOSITORIES = {
    "https://github.com/argoproj/argo-cd.git": "argocd",
    "https://github.com/bitnami/sealed-secrets.git": "sealed-secrets",
}
_TIMEOUT = 60.0


def render(checkout: Checkout, application: Object) -> list[Object]:
    """What Argo CD renders of an Application that reads one of REPOSITORIES, at the version of the pinned tool.

    Raises InputError for one that reads something else, CommandError where it does not render.
    """
    source = application["spec"]["source"]
    tool = REPOSITORIES.get(source["repoURL"])
    folder = checkout.tools / "share" / str(tool) / source["path"]
    if tool is None or not folder.is_dir():
        what = f"Application {name(application)} reads {source['path']} of {source['repoURL']}"
        raise InputError(what, expected="a folder that a pinned tool shares", fix="add it to scripts/tools/tools.yaml")
    if not kustomization(folder):
        documents = (yamlfile.parse_all(file.read_bytes(), str(file)) for file in sorted(folder.glob("*.yaml")))
        return list(itertools.chain.from_iterable(documents))
    patches = (source.get("kustomize") or {}).get("patches") or []
    return _with_patches(checkout, folder.resolve(), patches, application["spec"]["destination"]["namespace"])


def _with_patches(checkout: Checkout, folder: Path, patches: list[Object], namespace: str) -> list[Object]:
    """As Argo CD does it: the Application's patches stand in the folder's kustomization; a namespace where none is."""
    with tempfile.TemporaryDirectory() as scratch:
        top = Path(scratch).resolve()
        document = {"resources": [os.path.relpath(folder, top)], "patches": patches, "namespace": namespace}
        (top / "kustomization.yaml").write_text(yaml.safe_dump(document))
        rendered = run([checkout.tool("kustomize"), "build", top], timeout=_TIMEOUT)
    return yamlfile.parse_all(rendered, str(folder))
