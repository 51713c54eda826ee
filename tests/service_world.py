"""What the verbs that edit overlays are tried with: a clone in which services have what can be taken away again."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from git import Repo

from gitops.check import draft as gate
from gitops.ground.checkout import Checkout
from gitops.manifests import kustomize
from gitops.manifests.objects import Object
from tests.conftest import Ran, commit_all
from tests.frozen import clone
from tests.world import run_here

AUTHOR = {**os.environ, "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@example.com"}
AUTHOR |= {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@example.com"}
DAY = ("--from", "2099-01-31T09:00", "--to", "2099-01-31T18:00", "--time-zone", "Asia/Seoul")
PREPARED = (
    ("service", "set", "mogle", "GREETING=hello"),
    ("secrets", "seal", "mogle", "mail", "--key", "token", "--as-env"),
    ("service", "domain", "add", "mogle", "more.mogle.example.com"),
    ("service", "scale", "benefit", "--min", "8", "--max", "12", *DAY),
)
MOGLE = ("overlays/mogle/prod", "overlays/mogle/staging")
# A verb by the words that it is tried with.
VERBS: dict[str, tuple[str, ...]] = {
    "set": ("service", "set", "mogle", "MENU_URL=https://menu.example.com"),
    "unset": ("service", "unset", "mogle", "GREETING"),
    "domain add": ("service", "domain", "add", "mogle", "shop.mogle.example.com"),
    "domain remove": ("service", "domain", "remove", "mogle", "more.mogle.example.com"),
    "domain move": ("service", "domain", "move", "mogle", "more.mogle.example.com", "less.mogle.example.com"),
    "scale": ("service", "scale", "mogle", "--min", "4", "--max", "20"),
    "scale for a day": ("service", "scale", "benefit", "--min", "9", "--max", "13", *DAY),
    "images set": ("images", "set", "mogle", f"9.9.9@sha256:{'9' * 64}"),
    "secrets remove": ("secrets", "remove", "mogle", "mail"),
    "scale --end": ("service", "scale", "benefit", "--end"),
    "secrets seal --as-env": ("secrets", "seal", "mogle", "api", "--key", "API_TOKEN", "--as-env"),
    "secrets seal --as-file": ("secrets", "seal", "mogle", "api", "--key", "token", "--as-file", "/run/secrets/api/x"),
    "handover": ("service", "handover", "mogle", "--to", "benefit"),
    "remove": ("service", "remove", "benefit"),
}
# A service belongs to one team in all of its environments.
WHOLE = ("handover",)
VALUE = "a value of nobody else"
Given = Callable[..., Ran]


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The frozen platform, where these have what can be taken away again."""
    checkout = clone(tmp_path_factory.mktemp("verbs") / "prepared")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gate, "errors", lambda *_: [])
        for words in PREPARED:
            done = run_here(checkout.root, words, piped(words), {})
            assert done.code == 0, done.err
            commit_all(checkout)
    return checkout


@pytest.fixture
def here(prepared: Checkout, tmp_path: Path) -> Checkout:
    Repo.clone_from(prepared.root, tmp_path / "clone").close()
    (tmp_path / "clone/.tools").symlink_to(prepared.tools)
    return Checkout(tmp_path / "clone")


@pytest.fixture
def given(here: Checkout, monkeypatch: pytest.MonkeyPatch) -> Given:
    """The command in a clone of what is prepared; the check says yes (tests below ask the real one)."""
    monkeypatch.setattr(gate, "errors", lambda *_: [])
    return lambda *words, **env: run_here(here.root, words, piped(words), env)


def piped(words: Sequence[str]) -> str | None:
    """What a person pipes into a command: a value where it seals one."""
    return VALUE if tuple(words[:2]) == ("secrets", "seal") else None


def service_of(words: Sequence[str]) -> str:
    """The service that a verb is tried with."""
    return next(word for word in words if word in ("mogle", "benefit"))


def changed(checkout: Checkout) -> list[str]:
    """Each path that is not as it was committed."""
    words = ["git", "status", "--porcelain", "--untracked-files=all", "--no-renames"]
    out = subprocess.check_output(words, cwd=checkout.root, text=True)
    return sorted(line[3:] for line in out.splitlines())


def app(checkout: Checkout, overlay: str) -> Object:
    for item in kustomize.build(checkout, checkout.root / overlay):
        if item["kind"] in ("Deployment", "CronJob"):
            pods = item["spec"].get("jobTemplate", item)["spec"]["template"]["spec"]
            container: Object = next(part for part in pods["containers"] if part["name"] == "app")
            return container
    raise AssertionError(overlay)


def variables(checkout: Checkout, overlay: str) -> dict[str, str | None]:
    return {entry["name"]: entry.get("value") for entry in app(checkout, overlay)["env"]}
