"""Files that Argo CD reads beside the kustomization, found wherever they stand."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from git import Repo

from gitops.check import applications, tree
from gitops.ground.checkout import Checkout
from gitops.manifests import yamlfile
from gitops.manifests.findings import Finding
from gitops.repository import revision
from tests.attacks import Door, Guard, attack
from tests.attacks.gate_world import platform
from tests.conftest import commit_all
from tests.frozen import CLUSTER

UNIT = "overlays/mogle/prod"


def plant(root: Path, what: str) -> str:
    """Write what Argo CD would read, and return its path."""
    path = PLANTS[what]
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    if what == "a submodule that .gitmodules does not name":
        with Repo(root) as repo:
            sha = repo.head.commit.hexsha
            repo.git.execute(["git", "update-index", "--add", "--cacheinfo", f"160000,{sha},{path}"])
        file.mkdir()
    elif what == "a link to nothing, out of the repository":
        file.symlink_to("../../../../nothing")
    elif what == "a link into .git":
        file.symlink_to("../../../.git/config")
    else:
        file.write_text(f"# {what}\n")
    return path


PLANTS = {
    "parameters of every Application": f"{UNIT}/.argocd-source.yaml",
    "parameters of one Application": f"{UNIT}/.argocd-source-mogle-prod.yaml",
    "a Helm chart": f"{UNIT}/Chart.yaml",
    "a file that ends as a chart's": f"{UNIT}/zChart.yaml",
    "a Helm chart instead of a cluster": "clusters/seoul/Chart.yaml",
    "a list of submodules": ".gitmodules",
    "a submodule that .gitmodules does not name": f"{UNIT}/vendor",
    "the address of Git LFS": ".lfsconfig",
    "a link to nothing, out of the repository": f"{UNIT}/link",
    "a link into .git": f"{UNIT}/link",
}


@attack(Door.MEMBER, "has Argo CD read {what}", Guard.GATE)
@pytest.mark.parametrize("what", PLANTS)
@pytest.mark.bots
def test_planted(what: str, scratch: Checkout, guard: Guard | None) -> str | None:
    path = plant(scratch.root, what)
    commit_all(scratch)
    listed = subprocess.run(
        ["git", "ls-tree", "-r", "HEAD", path], cwd=scratch.root, capture_output=True, text=True, check=True
    )
    assert path in listed.stdout
    if guard is None:
        return None
    rules = set[str]()
    for head, base in (("HEAD", "HEAD~1"), ("HEAD", "HEAD"), (None, "HEAD~1")):
        with revision.compare(scratch, base, head) as change:
            (finding,) = (finding for finding in tree.check(change) if finding.place.file == path)
            rules.add(finding.rule)
    (rule,) = rules
    return rule


@pytest.mark.bots
def test_what_argo_cd_takes_for_no_chart_is_none(scratch: Checkout) -> None:
    for name in ("chart.yaml", "Charts.yaml", "Chart.yml"):
        (scratch.root / UNIT / name).write_text("a: b\n")
    with revision.compare(scratch, "HEAD", None) as change:
        assert list(tree.check(change)) == []


# What Argo CD would render beside or instead of what the gate does, by what an Application says of its source.
APPS, ROOT_APP = "apps/services.yaml", "apps/root.yaml"
PATH, PROJECT = "        path: '{{ .path.path }}'\n", "      project: services\n"
OTHERWISE = {
    "a chart": (APPS, PATH, "        chart: evil\n"),
    "Helm": (APPS, PATH, "        helm: {valueFiles: [https://evil.example]}\n"),
    "a plugin": (APPS, PATH, "        plugin: {name: evil}\n"),
    "files as they are": (APPS, PATH, "        directory: {recurse: true}\n"),
    "another kustomization": (APPS, PATH, "        kustomize: {components: [../../evil]}\n"),
    "more sources": (APPS, PROJECT, "      sources: [{repoURL: https://evil.example}]\n"),
    "dry sources": (APPS, PROJECT, "      sourceHydrator: {}\n"),
    "a patch of each Application": (APPS, "  goTemplate: true\n", "  templatePatch: '{{ .evil }}'\n"),
    "Helm at the root": (ROOT_APP, "    path: set-in-clusters\n", "    helm: {valueFiles: [https://evil.example]}\n"),
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_argo_cd_renders_what_the_gate_renders(scratch: Checkout, what: str) -> None:
    assert list(in_cluster(scratch)) == []
    file, after, more = OTHERWISE[what]
    text = (scratch.root / file).read_text()
    assert after in text
    (scratch.root / file).write_text(text.replace(after, after + more))
    [finding] = in_cluster(scratch)
    assert finding.rule == "source"
    assert finding.place.file == file


def in_cluster(checkout: Checkout) -> Iterator[Finding]:
    """What is found of the cluster's own folders."""
    has, url = platform(checkout), repo_url(checkout)
    for unit in has.units:
        yield from applications.check_cluster(unit, has, url)


def repo_url(checkout: Checkout) -> str:
    return str(yamlfile.read(checkout, checkout.root / CLUSTER / "cluster.yaml")["data"]["repoURL"])


@pytest.mark.bots
def test_what_is_not_committed_yet_is_seen(scratch: Checkout) -> None:
    (scratch.root / UNIT / ".argocd-source.yaml").write_text("kustomize: {}\n")
    (scratch.root / UNIT / "inside").symlink_to("ingress.yaml")
    with revision.compare(scratch, "HEAD", None) as change:
        assert [finding.rule for finding in tree.check(change)] == ["override"]
