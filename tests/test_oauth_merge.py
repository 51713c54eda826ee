"""A rotation merges by itself, also in a freeze: where it is exactly that and its checks passed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from gitops.repository.history import History
from gitops.repository.rotation import is_rotation
from tests.attacks.github_world import protect
from tests.fakes.github_rulesets import BOT_ACTOR
from tests.oauth_world import BRANCH, DAY, OVERLAY, REFERENCE, RotationWorld, next_shows

pytestmark = pytest.mark.bots
LISTING = f"{OVERLAY}/kustomization.yaml"
SEALED = f"{OVERLAY}/sealedsecret-oauth-42-g3.yaml"
Files = dict[str, bytes | None]


def by_hand(world: RotationWorld) -> None:
    owner = "overlays/mogle/owner.yaml"
    world.github.commit("main", {owner: world.file(owner) + b"rotation: by-hand\n"}, "Rotations of mogle by hand")


def freeze(world: RotationWorld) -> None:
    """A window of two days around now."""
    edges = [f"{datetime.now(UTC) + days:%Y-%m-%dT%H:%M:%S}" for days in (-DAY, DAY)]
    text = f"freezes:\n  - {{name: campus week, from: {edges[0]}, to: {edges[1]}, time-zone: UTC}}\n"
    world.github.commit("main", {".github/freezes.yaml": text.encode()}, "Freeze")


def test_a_rotation_merges_by_itself_once_every_required_check_passed_on_it(known: RotationWorld) -> None:
    protect(known.github)
    new = next_shows(known)
    known.rotate()
    head = known.github.head(BRANCH) or ""
    passed: list[Callable[[], None]] = [
        lambda: known.github.rules.checked(head),
        lambda: known.github.rules.status(head, "main-gate", "success", BOT_ACTOR),
    ]
    for check in passed:
        assert known.rotate()["action"] == "unchanged"
        check()
    assert known.rotate()["action"] == "merged", "no code owner is asked, nor anyone else"
    assert known.opened("main") == new
    assert known.github.pulls[1].merged_at


def test_what_changed_on_main_meanwhile_is_proposed_anew_and_not_merged(known: RotationWorld) -> None:
    new = next_shows(known)
    known.rotate()
    known.checks_pass()
    known.github.commit("main", {LISTING: known.file(LISTING) + b"# a bump\n"}, "Bump")
    assert known.rotate()["action"] == "updated"
    known.checks_pass()
    assert known.rotate()["action"] == "merged"
    assert known.opened("main") == new
    assert known.file(LISTING).endswith(b"# a bump\n")


def test_an_owner_may_keep_the_merge_for_people(known: RotationWorld) -> None:
    by_hand(known)
    next_shows(known)
    known.rotate()
    assert "A person merges it" in known.github.pulls[1].body
    known.checks_pass()
    row = known.rotate()
    assert (row["state"], row["action"]) == ("PR_OPEN", "unchanged")
    assert len(known.open()) == 1


def also(path: str, content: bytes) -> Callable[[Files], Files]:
    return lambda files: {**files, path: content}


def instead(path: str, old: bytes, new: bytes) -> Callable[[Files], Files]:
    def change(files: Files) -> Files:
        text = files[path] or b""
        assert old in text
        return {**files, path: text.replace(old, new)}

    return change


def sealed_as(number: int) -> Callable[[Files], Files]:
    """The same rotation under another number."""

    def change(files: Files) -> Files:
        files = {path: (text or b"").replace(b"-g3", f"-g{number}".encode()) for path, text in files.items()}
        text = (files.pop(SEALED) or b"").replace(b'generation: "3"', f'generation: "{number}"'.encode())
        return {**files, SEALED.replace("g3", f"g{number}"): text}

    return change


FAKES: dict[str, Callable[[Files], Files]] = {
    "a file elsewhere": also("README.md", b"x"),
    "a file beside": also(f"{OVERLAY}/configmap.yaml", b"kind: ConfigMap\n"),
    "an environment variable": instead(REFERENCE, b"data:\n", b"data:\n  ADMIN: everyone\n"),
    "another application": instead(REFERENCE, b'application-id: "41002"', b'application-id: "41001"'),
    "another image": instead(LISTING, b"digest: sha256:", b"digest: sha256:0"),
    "a patch of the kustomization": instead(LISTING, b"resources:", b"namePrefix: x\nresources:"),
    "the generation that runs goes": also(f"{OVERLAY}/sealedsecret-oauth-42-g2.yaml", b""),
    "another overlay's secret": also("overlays/umbrella/prod/sealedsecret-oauth-42-g9.yaml", b"x"),
    "a number that was used before": sealed_as(2),
    "a second key in the Secret": instead(SEALED, b"  template:", b"    other: AgB=\n  template:"),
    "a wider scope": instead(SEALED, b"  annotations:\n", b'  annotations:\n    sealedsecrets.bitnami.com/x: "true"\n'),
    "a type of the Secret": instead(SEALED, b"  template:\n", b"  template:\n    type: x\n"),
    "a second document": instead(SEALED, b"# yaml-", b"kind: Secret\n---\n# yaml-"),
    "a seal that is none": instead(SEALED, b"    client-secret: ", b"    client-secret: $"),
    "a date that is none": instead(SEALED, b'valid-until: "2', b'valid-until: "0001-01-01T00:00:00+14:00x'),
}


@pytest.fixture
def proposed(known: RotationWorld) -> Files:
    """The files of a rotation that the bot proposes."""
    next_shows(known)
    known.rotate()
    return {path: known.file(path, BRANCH) for path in (LISTING, REFERENCE, SEALED)}


def test_what_changes_something_else_beside_is_no_rotation(known: RotationWorld, proposed: Files) -> None:
    main, commits = known.github.head("main"), {}
    for number, (name, forge) in enumerate(FAKES.items()):
        forged = forge(proposed)
        assert forged != proposed, name
        commits[name] = known.github.commit(f"student/{number}", forged, "mogle/prod: 42 secret", parent=main)
    history = History(known.checkout.root)
    history.fetch(None)
    assert is_rotation(history, known.github.head(BRANCH) or "")
    assert [name for name, commit in commits.items() if is_rotation(history, commit)] == []


def test_a_freeze_lets_a_rotation_pass_and_nothing_that_looks_like_one(known: RotationWorld, proposed: Files) -> None:
    freeze(known)
    forged = FAKES["an environment variable"](proposed)
    known.github.commit("oauth/mogle/staging", forged, "42 secret", parent=known.github.head("main"))
    known.github._open({"head": "oauth/mogle/staging", "base": "main", "title": known.github.pulls[1].title})
    known.github.pulls[2].labels = known.github.pulls[1].labels
    said = known.run("images", "freeze").out
    assert "#1: success: a rotation may be merged in campus week" in said
    assert "#2: failure: campus week" in said


@pytest.mark.parametrize("frozen", [False, pytest.param(True, marks=pytest.mark.matrix)])
def test_a_rotation_may_be_merged_in_a_freeze_by_the_run_that_opens_it(known: RotationWorld, frozen: bool) -> None:
    protect(known.github)
    if frozen:
        freeze(known)
    next_shows(known)
    known.rotate()
    pull = known.github.pulls[1]
    [status] = known.github.statuses[pull.last_head]
    said = "a rotation may be merged in campus week" if frozen else "no freeze"
    assert (status["context"], status["state"], status["description"]) == ("freeze", "success", said)
    known.github.rules.checked(pull.last_head)
    known.github.rules.status(pull.last_head, "main-gate", "success", BOT_ACTOR)
    assert known.rotate()["action"] == "merged"


def test_retired_generations_may_go_with_a_rotation_in_a_freeze(known: RotationWorld) -> None:
    next_shows(known)
    known.rotate()
    known.merge()
    known.argo_says("success")
    known.intra.advance(timedelta(days=14))
    known.rotate()
    assert SEALED.replace("g3", "g2") not in known.tree(BRANCH)
    freeze(known)
    assert "#2: success: a rotation may be merged" in known.run("images", "freeze").out
