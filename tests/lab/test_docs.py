"""Every command that the documentation shows is run, in its order, in a clone of its own with a lab of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from git import Repo

from gitops.images import edit
from gitops.lab import lab as labs
from gitops.lab.layout import Lab
from gitops.manifests.image import Image
from tests import newcomer
from tests.conftest import GITOPS, commit_all
from tests.fakes.aws import Ecr
from tests.fakes.github import GitHub
from tests.frozen import ROOT, clone
from tests.lab.running import Running

pytestmark = [pytest.mark.lab, pytest.mark.docs]

# `make test` is this very run, and `make demo` is `gitops lab demo` behind the tools' build: the lab of the other tests
# is started by it.
NOT_RUN_AGAIN = {"make test", "make demo"}


def commands() -> list[str]:
    # The newcomer's pages are typed one after the other, each commit with them: tests/test_newcomer.py.
    pages = set((ROOT / "docs").rglob("*.md")) - {ROOT / page for page in newcomer.PAGES}
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(pages)]
    text = "\n".join(file.read_text() for file in files)
    lines = "".join(re.findall(r"```sh\n(.*?)```", text, re.DOTALL)).splitlines()
    return list(dict.fromkeys(line.strip() for line in lines if line.strip()))


def test_every_command_of_the_documentation_works(
    tmp_path: Path, github: GitHub, ecr: Ecr, running: Running, sealed_secrets: str
) -> None:
    assert set(commands()) >= NOT_RUN_AGAIN
    checkout = clone(tmp_path / "clone")
    # Sealed for the lab that runs: its controller is the one that the runbooks ask.
    shutil.copytree(running.work / "clusters/lab", checkout.root / "clusters/lab", dirs_exist_ok=True)
    for file in running.work.glob("overlays/*/*/sealedsecret-*.yaml"):
        shutil.copyfile(file, checkout.root / file.relative_to(running.work))
    commit_all(checkout, "Sealed for the lab")
    with Repo(checkout.root) as repo:
        repo.remotes.origin.set_url(github.clone_url)
    # A rollback goes back to what the registry still has.
    for tag in ("8.0.0", "9.0.0"):
        digest = ecr.push("mogle", tag)
        for path in ("overlays/mogle/staging/kustomization.yaml", "overlays/mogle/prod/kustomization.yaml"):
            before = (checkout.root / path).read_bytes()
            image = Image(edit.read(before, path).image.name, tag, digest)
            github.commit("main", {path: edit.replace(before, path, image)}, f"mogle {tag}")
    fakes = {**github.environment, **ecr.environment, "GITOPS_GITHUB_PAUSE": "0"}
    fakes |= {"GITOPS_SEALED_SECRETS_URL": sealed_secrets, "GITOPS_CLUSTER": "lab"}
    env = {**os.environ, **fakes, "PATH": f"{GITOPS.parent}:{os.environ['PATH']}"}
    try:
        for command in commands():
            if command in NOT_RUN_AGAIN:
                continue
            done = subprocess.run(
                ["bash", "-c", command], cwd=checkout.root, env=env, capture_output=True, text=True, timeout=480
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            commit_all(checkout, command)
    finally:
        labs.down(Lab(checkout, "default"))
