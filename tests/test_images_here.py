"""`gitops images set` and `rollback` without GitHub: odd words, and a run that is interrupted at any step."""

from __future__ import annotations

import os
import signal

import pytest
from git import Repo

from gitops.check import draft as gate
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault
from gitops.repository import local
from tests.conftest import commit_all
from tests.service_world import Given, changed

NEXT = f"9.9.9@sha256:{'8' * 64}"
BACK = ("images", "rollback", "mogle", "--local", "--reason")
STEPS = ("the check", "read-tree", "hash-object", "update-index", "write-tree", "commit-tree", "update-ref")


@pytest.fixture
def newer(here: Checkout, given: Given) -> Checkout:
    """mogle ran another image, and runs 9.9.9 now."""
    assert given("images", "set", "mogle", NEXT).code == 0
    commit_all(here)
    with Repo(here.root) as repo:
        repo.delete_remote(repo.remotes.origin)
    return here


def heads(checkout: Checkout) -> list[str]:
    with Repo(checkout.root) as repo:
        return sorted(head.name for head in repo.heads)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("",), "--reason; expected why, in a few words, found ''"),
        ((" \n",), "--reason; expected why"),
        (("x", "--for", "0d"), "--for; expected a span of some minutes at least, such as 90m, 24h or 3d, found '0d'"),
        (("x", "--to", "9.9.9"), "9.9.9 is what runs here now; name what it ran before, or leave --to out"),
        (("x", "--to", "7.7.7"), "7.7.7 never ran here; expected what main's history has: 2.14.0"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_rollback_that_cannot_be_is_one_message(
    newer: Checkout, given: Given, words: tuple[str, ...], message: str
) -> None:
    done = given(*BACK, *words)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert (heads(newer), changed(newer)) == (["main"], [])


@pytest.mark.parametrize("step", STEPS)
def test_an_interrupted_rollback_leaves_no_branch_and_the_working_copy_as_it_is(
    newer: Checkout, given: Given, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (newer.root / "README.md").write_text("in the middle of something")
    whole = local._git

    def interrupt(*_: object) -> list[Fault]:
        os.kill(os.getpid(), signal.SIGINT)
        return []

    def interrupted(checkout: Checkout, env: dict[str, str], *words: str, stdin: bytes | None = None) -> str:
        if words[0] == step:
            os.kill(os.getpid(), signal.SIGINT)
        return whole(checkout, env, *words, stdin=stdin)

    if step == "the check":
        monkeypatch.setattr(gate, "errors", interrupt)
    monkeypatch.setattr(local, "_git", interrupted)
    done = given(*BACK, "logins fail")
    assert (done.code, done.out) == (130, "")
    assert done.err.endswith("interrupted\n")
    assert (heads(newer), changed(newer)) == (["main"], ["README.md"])


DIGEST = "9" * 64


@pytest.mark.parametrize(
    "version",
    [
        f"sha256:{DIGEST}",
        f"@sha256:{DIGEST}",
        f"9.9.9@sha512:{DIGEST}{DIGEST}",
        "9.9.9@sha256:abc",
        f"9.9.9@sha256:{DIGEST.replace('9', 'A')}",
        "9.9.9 ",
        "",
    ],
)
def test_what_is_no_version_is_said_with_what_is_one(here: Checkout, given: Given, version: str) -> None:
    done = given("images", "set", "mogle", version)
    assert (done.code, done.out) == (2, "")
    assert "image; expected TAG, TAG@sha256:DIGEST or REGISTRY/NAME:TAG[@sha256:DIGEST], found " in done.err
    assert changed(here) == []
