"""The other projects' repositories that Applications read: what they read of them, from the pinned modules, tagged.

The lab's git host is github.com to the repo-server alone, by a proxy and a certificate that it is told to trust.
"""

from __future__ import annotations

import shutil
from urllib.parse import urlsplit

from gitops.lab.layout import Lab
from gitops.lab.origin import LAB
from gitops.manifests.upstream import REPOSITORIES
from gitops.repository.git import Repo
from gitops.tools import pins


def create(lab: Lab) -> None:
    """Create the repositories that are not there, each with one commit and the tag of the pinned version."""
    tools = {tool.name: tool for tool in pins.load(lab.checkout)}
    for url, name in REPOSITORIES.items():
        tag = f"v{tools[name].version}"
        bare = lab.upstream / urlsplit(url).path.lstrip("/")
        if bare.exists():
            with Repo(bare) as repo:
                if tag in [there.name for there in repo.tags]:
                    continue
            shutil.rmtree(bare)
        draft, cloned = bare.with_suffix(".draft"), bare.with_suffix(".partial")
        for left in (draft, cloned):
            shutil.rmtree(left, ignore_errors=True)
        shutil.copytree(lab.checkout.tools / "share" / name, draft)
        with Repo.init(draft, initial_branch="main") as repo:
            repo.git.add("--all", "--force")
            repo.index.commit(f"{name} {tag}", author=LAB, committer=LAB)
            repo.create_tag(tag)
            Repo.clone_from(str(draft), cloned, bare=True).close()
        cloned.rename(bare)
        shutil.rmtree(draft)
