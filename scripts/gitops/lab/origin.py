"""The lab's origin: the working copy's commit, with the lab's own address and seals on top.

A lab cannot open what was sealed for another cluster. So it seals values of its own, with its own certificate, and
commits them to its own origin: nothing of the working copy is ever changed.
"""

from __future__ import annotations

import json
import os
import secrets
import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path

from gitops.ground import jsontext
from gitops.ground.checkout import Checkout
from gitops.ground.errors import ExternalError, InputError, told
from gitops.lab import network
from gitops.lab.layout import Lab
from gitops.manifests import sealedsecret, yamlfile
from gitops.repository.git import Actor, GitError, Repo
from gitops.repository.history import History
from gitops.secrets import certificate
from gitops.secrets.seal import seal

LAB = Actor("lab", "lab@example.com")
# Where the lab's own address stands.
_ADDRESSED = ("clusters/lab/cluster.yaml", "clusters/lab/platform/repository.yaml")
_ROOTS = ("root", "platform")
_ADD_ONS = "apps/platform/"
# What stands in an Application of apps/ in place of this repository's address.
_OURS = "set-in-clusters"
# The working copy of the last push.
SEED = "seed"
# Where the git host reads what was pushed.
PUSHED = "pushed"
# Opened for both ways: without a reader, nobody waits for one.
_HOOK = """\
#!/bin/sh
exec timeout 5 cat 1<>{pushed}
"""


def create(lab: Lab) -> None:
    """Create the bare repository that the lab's git host serves. Whoever may write in its folder pushes."""
    # `HEAD` comes last of what makes a repository.
    if not (lab.origin / "HEAD").exists():
        with Repo.init(lab.origin, bare=True, initial_branch="main") as repo, repo.config_writer() as writer:
            # For a git host that a test puts before it; the lab's own takes no push.
            writer.set_value("http", "receivepack", "true")
    pushed = lab.folder / PUSHED
    if not pushed.exists():
        os.mkfifo(pushed, 0o600)
    hook = lab.origin / "hooks/post-receive"
    hook.write_text(_HOOK.format(pushed=shlex.quote(str(pushed))))
    hook.chmod(0o700)


def source_commit(lab: Lab) -> tuple[str, str, list[str]]:
    """The working copy's commit, its subject, and the files that differ from it. Raises InputError without a commit."""
    try:
        with Repo(lab.checkout.root) as repo:
            head = repo.head.commit
            changed = [line[3:] for line in repo.git.status("--porcelain", "--untracked-files=all").splitlines()]
            return head.hexsha, str(head.summary), changed
    except (GitError, ValueError):
        raise InputError(
            "the lab runs a commit, and there is none", path=str(lab.checkout.root), fix="commit first"
        ) from None


def seeded(lab: Lab) -> bool:
    """Whether the first push came to its end."""
    if not (lab.origin / "HEAD").exists() or not (lab.folder / SEED).exists():
        return False
    with Repo(lab.origin) as repo:
        return "main" in repo.heads


def main(lab: Lab) -> str:
    """The commit of the origin's main."""
    with Repo(lab.origin) as repo:
        return repo.heads["main"].commit.hexsha


def applications(lab: Lab) -> list[str]:
    """The names of the Applications that the origin's main must give: the two roots, those of the platform, and one for
    each overlays/<service>/<environment>.
    """
    return [*_ROOTS, *_platform(lab), *_services(lab)]


def _services(lab: Lab) -> list[str]:
    """The Applications of the overlays at the origin's main."""
    with Repo(lab.origin) as repo:
        listed = repo.git.ls_tree("-d", "-r", "--name-only", "refs/heads/main", "overlays/").splitlines()
    folders = [path.split("/") for path in listed]
    return [f"{parts[1]}-{parts[2]}" for parts in folders if len(parts) == 3]


def _platform(lab: Lab) -> dict[str, str]:
    """The Applications of apps/platform at the origin's main, each with the repository that it reads."""
    made = {}
    with Repo(lab.origin) as repo:
        for path in repo.git.ls_tree("-r", "--name-only", "refs/heads/main", _ADD_ONS).splitlines():
            if path.count("/") == 3 and path.endswith(".yaml"):
                [document] = yamlfile.parse_all(repo.git.show(f"refs/heads/main:{path}"), path)
                if document.get("kind") == "Application":
                    made[document["metadata"]["name"]] = document["spec"]["source"]["repoURL"]
    return made


def touched(lab: Lab, before: str, after: str) -> list[str]:
    """The Applications that Argo CD renders again between two commits of the origin.

    The rule is apps/services.yaml's `manifest-generate-paths: .;/base`; the roots and the platform's own folders have
    no such rule and follow every commit.
    """
    if before == after:
        return []
    with Repo(lab.origin) as repo:
        paths = [path.split("/") for path in repo.git.diff("--name-only", before, after).splitlines()]
    base = any(path[0] == "base" for path in paths)
    overlays = {f"{path[1]}-{path[2]}" for path in paths if path[0] == "overlays" and len(path) > 3}
    following = [name for name, repository in _platform(lab).items() if repository == _OURS]
    return [*_ROOTS, *following, *(name for name in _services(lab) if base or name in overlays)]


def push(lab: Lab) -> str:
    """Bring the origin's main to the working copy's commit plus the lab's own changes. Returns main's commit.

    Nothing is pushed where nothing changed. Raises ExternalError where the origin refuses.
    """
    sha, subject, _ = source_commit(lab)
    work = lab.folder / "seed.partial"
    try:
        shutil.rmtree(work, ignore_errors=True)
        with Repo.clone_from(str(lab.origin), work) as repo:
            for entry in work.iterdir():
                if entry.name != ".git":
                    shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
            History(lab.checkout.root).export(sha, work)
            _name_origin(lab, work)
            seal_all(lab, work)
            repo.git.add("--all", "--force")
            if not repo.head.is_valid() or repo.index.diff("HEAD"):
                repo.index.commit(
                    f"{subject}\n\nThe lab's address and seals on top of {sha}.", author=LAB, committer=LAB
                )
                repo.git.push("origin", "HEAD:refs/heads/main")
            commit = repo.head.commit.hexsha
        # What `up` reads is whole, whenever this is interrupted.
        shutil.rmtree(lab.folder / SEED, ignore_errors=True)
        work.rename(lab.folder / SEED)
        return commit
    except GitError as error:
        raise ExternalError(f"the lab's origin: {error}") from None


def _name_origin(lab: Lab, work: Path) -> None:
    for path in _ADDRESSED:
        file = work / path
        text = file.read_text()
        url = yamlfile.read(Checkout(work), file)["data"]["repoURL"]
        file.write_text(text.replace(f"repoURL: {url}", f"repoURL: {lab.repo_url}"))


def _certificate(lab: Lab) -> bytes:
    """The newest certificate of the lab's controller, in PEM. Raises ExternalError."""
    try:
        status, content = network.request(lab, "sealed-secrets", "/v1/cert.pem", seconds=30)
    except OSError as error:
        raise ExternalError(f"the lab's sealed-secrets controller: {told(error)}") from None
    if status != 200:
        raise ExternalError(f"the lab's sealed-secrets controller: /v1/cert.pem: HTTP {status}")
    return content


# No key of a Secret has a slash.
_AGAINST = "/certificate"


def seal_all(lab: Lab, work: Path) -> None:
    """Put seals of the lab's own into every SealedSecret; the same ones as before where name and keys are the same.

    Each says against which certificate: the lab's controller may have a newer one meanwhile.
    """
    memory = lab.folder / "seals.json"
    known: dict[str, dict[str, str]] = jsontext.parse(memory.read_text()) if memory.exists() else {}
    current = certificate.load(_certificate(lab), "the lab's controller", datetime.now(UTC))
    checkout = Checkout(work)
    for path, content in certificate.pin_files(checkout, "lab", current).items():
        (work / path).write_bytes(content)
    for sealed in sealedsecret.all_sealed(checkout):
        values = known.setdefault(f"{sealed.namespace}/{sealed.name}", {})
        if not sealed.encrypted.keys() <= values.keys():
            # In the form of 42's secrets, which most of them are.
            where = (current.key, sealed.namespace, sealed.name)
            fresh = {key: seal(*where, f"s-s4t2ud-{secrets.token_hex(32)}".encode()) for key in sealed.encrypted}
            values |= fresh | {_AGAINST: current.fingerprint}
        file = work / sealed.path
        chosen = {key: values[key] for key in sealed.encrypted}
        file.write_bytes(sealedsecret.reseal(file.read_bytes(), sealed.path, chosen, values[_AGAINST]))
    draft = memory.with_suffix(".partial")
    draft.write_text(json.dumps(known))
    draft.rename(memory)
