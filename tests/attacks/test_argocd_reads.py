"""Files that Argo CD reads beside the kustomization, found wherever they stand."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from git import Repo

from gitops.check import tree
from gitops.ground.checkout import Checkout
from gitops.repository import revision
from tests.attacks import Door, Guard, attack
from tests.conftest import commit_all

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
def test_what_is_not_committed_yet_is_seen(scratch: Checkout) -> None:
    (scratch.root / UNIT / ".argocd-source.yaml").write_text("kustomize: {}\n")
    (scratch.root / UNIT / "inside").symlink_to("ingress.yaml")
    with revision.compare(scratch, "HEAD", None) as change:
        assert [finding.rule for finding in tree.check(change)] == ["override"]
