"""The verbs that edit overlays, each in every situation: the files are as they should be, or as they were."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from gitops.check import draft as gate
from gitops.ground.checkout import Checkout
from gitops.ground.errors import Fault
from gitops.manifests.overlay import Overlay
from gitops.repository import contents
from tests.service_world import AUTHOR, VERBS, WHOLE, Given, changed, service_of

# What is the engine's alone is tried with these, and with all of them in `make matrix`.
SAMPLE = ("set", "domain move", "secrets seal --as-env", "handover")
ENGINE = [verb if verb in SAMPLE else pytest.param(verb, marks=pytest.mark.matrix) for verb in VERBS]


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_changes_both_environments_and_says_what_comes_next(
    here: Checkout, given: Given, verb: str, tmp_path: Path
) -> None:
    done = given(*VERBS[verb])
    assert done.code == 0, done.err
    paths = changed(here)
    assert {path.rpartition("/")[0] for path in paths if path.startswith("overlays/")} >= {
        Overlay(service_of(VERBS[verb]), name).path for name in ("prod", "staging")
    }
    for path in paths:
        assert path in done.out
    assert f"\nnext: git switch -c {service_of(VERBS[verb])}-" in done.out
    subprocess.run(["git", "init", "--quiet", "--bare", tmp_path / "origin"], check=True)
    subprocess.run(["git", "remote", "set-url", "origin", tmp_path / "origin"], cwd=here.root, check=True)
    for step in re.findall(r"^(?:next|then): (git .*)", done.out, re.MULTILINE):
        subprocess.run(["bash", "-ec", step], cwd=here.root, check=True, capture_output=True, env=AUTHOR)
    assert changed(here) == []
    head, pushed = (
        subprocess.check_output(["git", "for-each-ref", "--format=%(objectname)", "refs/heads"], cwd=folder, text=True)
        for folder in (here.root, tmp_path / "origin")
    )
    assert pushed.strip() in head.split(), "all that is typed next is on GitHub then"
    again = given("service", "set", "mogle", "OTHER=1")
    assert "next: git add" in again.out, "on a branch of one's own no further one is needed"


@pytest.mark.parametrize("verb", VERBS)
def test_an_unknown_service_is_one_message_with_the_nearest_name(here: Checkout, given: Given, verb: str) -> None:
    name = service_of(VERBS[verb])
    mistyped = f"{name[:-2]}{name[-1]}{name[-2]}"
    done = given(*(mistyped if word == name else word for word in VERBS[verb]))
    assert (done.code, done.out) == (2, "")
    assert done.err == f"gitops: service {mistyped!r}: does not exist; did you mean {name}?\n"
    assert changed(here) == []


@pytest.mark.parametrize("verb", sorted(VERBS.keys() - WHOLE))
def test_an_unknown_environment_is_one_message(here: Checkout, given: Given, verb: str) -> None:
    done = given(*VERBS[verb], "--environment", "stagging")
    assert (done.code, done.out) == (2, "")
    name = service_of(VERBS[verb])
    assert done.err == f"gitops: environment 'stagging': {name} has none of this name; did you mean staging?\n"
    assert changed(here) == []


# Of what ends, staging is not first where prod takes its images from there.
@pytest.mark.parametrize("verb", sorted(VERBS.keys() - {*WHOLE, "remove"}))
def test_one_environment_alone(here: Checkout, given: Given, verb: str) -> None:
    assert given(*VERBS[verb], "--environment", "staging").code == 0
    folders = {path.rpartition("/")[0] for path in changed(here)}
    name = service_of(VERBS[verb])
    assert f"overlays/{name}/staging" in folders
    assert f"overlays/{name}/prod" not in folders


@pytest.mark.parametrize("verb", VERBS)
def test_a_dirty_tree_is_left_as_it_is(here: Checkout, given: Given, verb: str) -> None:
    (here.root / "README.md").write_text("mine")
    done = given(*VERBS[verb])
    assert (done.code, done.out) == (2, "")
    assert "the working copy has 1 uncommitted change (first: README.md); commit or stash" in done.err
    assert changed(here) == ["README.md"]


@pytest.mark.parametrize("verb", ENGINE)
def test_no_network_is_needed(here: Checkout, given: Given, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", away)
    monkeypatch.setattr(socket, "getaddrinfo", away)
    done = given(*VERBS[verb])
    assert done.code == 0, done.err
    assert changed(here)


@pytest.mark.parametrize("verb", ENGINE)
def test_a_result_that_the_check_refuses_is_not_written(
    here: Checkout, given: Given, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "errors", lambda *_: [Fault("a-rule: is broken", path="overlays/mogle", fix="mend it")])
    done = given(*VERBS[verb])
    assert (done.code, done.out) == (1, "")
    # On a busy machine a step that takes long says so.
    assert [line for line in done.err.splitlines() if not line.startswith("the result rendered")] == [
        "gitops: the check refuses the result, so nothing was written",
        "overlays/mogle: a-rule: is broken; mend it",
    ]
    assert changed(here) == []


@pytest.mark.parametrize("verb", ENGINE)
@pytest.mark.parametrize("moment", ["before", "while it writes"])
def test_ctrl_c_leaves_the_files_as_they_were_or_as_they_should_be(
    here: Checkout, given: Given, verb: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> list[Fault]:
        os.kill(os.getpid(), signal.SIGINT)
        return []

    whole = contents._replace

    def interrupted_write(file: Path, content: bytes | None) -> None:
        if here.root in file.parents:
            os.kill(os.getpid(), signal.SIGINT)
        whole(file, content)

    if moment == "before":
        monkeypatch.setattr(gate, "errors", interrupt)
    else:
        monkeypatch.setattr(contents, "_replace", interrupted_write)
    done = given(*VERBS[verb])
    assert done.code == 130
    assert done.err.endswith("interrupted\n")
    if moment == "before":
        assert changed(here) == []
    else:
        paths = changed(here)
        subprocess.run(["git", "stash", "--include-untracked", "--quiet"], cwd=here.root, check=True, env=AUTHOR)
        monkeypatch.setattr(contents, "_replace", whole)
        assert given(*VERBS[verb]).code == 0
        assert changed(here) == paths, "all of it was written, as it would have been"


# The first ones are git's, the others the renderer's.
@pytest.mark.parametrize("limit", [1, 3, 5])
def test_ctrl_c_while_a_limit_of_time_is_set_keeps_no_process_alive(
    here: Checkout, given: Given, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    whole, begun = threading.Timer.start, list[threading.Timer]()

    def interrupted(timer: threading.Timer) -> None:
        begun.append(timer)
        whole(timer)
        if len(begun) == limit:
            raise KeyboardInterrupt

    monkeypatch.setattr(threading.Timer, "start", interrupted)
    done = given(*VERBS["set"])
    assert (done.code, done.err.endswith("interrupted\n")) == (130, True)
    assert changed(here) == []
    for thread in threading.enumerate():
        if isinstance(thread, threading.Timer) and not thread.daemon:
            thread.join(timeout=30)
            assert not thread.is_alive(), "Python would wait for it at its end"


@pytest.mark.parametrize("verb", ENGINE)
def test_a_file_that_cannot_be_written_is_said_and_no_other_is(
    here: Checkout, given: Given, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, written = contents._replace, []

    def full(file: Path, content: bytes | None) -> None:
        if here.root in file.parents:
            written.append(file)
            if len(written) == 2:
                raise OSError(28, "No space left on device", str(file))
        whole(file, content)

    monkeypatch.setattr(contents, "_replace", full)
    done = given(*VERBS[verb])
    assert (done.code, done.out) == (2, "")
    assert "cannot be written: No space left on device; nothing was" in done.err
    assert changed(here) == []
