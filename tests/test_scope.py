from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from git import Repo

from gitops.ground.checkout import Checkout
from gitops.ground.errors import InputError
from gitops.scope import change, event
from gitops.scope.event import Comparison
from gitops.scope.targets import MakeTarget, targets
from tests.conftest import commit_all, gitops
from tests.frozen import ROOT

PULL = {"pull_request": {"base": {"ref": "main"}, "head": {"sha": "b" * 40}}}
QUEUE = {"merge_group": {"base_sha": "a" * 40, "head_sha": "b" * 40}}
PUSH = {"before": "a" * 40, "after": "b" * 40}
ZEROS = {"before": "0" * 40, "after": "b" * 40}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["overlays/mogle/prod/kustomization.yaml"], (MakeTarget.LIVE,)),
        (
            ["overlays/shop/owner.yaml", "overlays/shop/prod/kustomization.yaml", ".github/CODEOWNERS"],
            (MakeTarget.LIVE,),
        ),
        ([".github/freezes.yaml"], (MakeTarget.LIVE,)),
        ([".github/images.yaml"], (MakeTarget.LIVE,)),
        (["policies/exceptions/a.yaml", "policies/exceptions/kustomization.yaml"], (MakeTarget.LIVE,)),
        (["README.md", "docs/runbooks/gate.md", ".github/pull_request_template.md"], (MakeTarget.DOCS,)),
        (["README.md", "overlays/mogle/prod/kustomization.yaml"], (MakeTarget.LIVE, MakeTarget.DOCS)),
        (["overlays/mogle/prod/kustomization.yaml", "scripts/gitops/cli.py"], (MakeTarget.ALL,)),
        (["overlays/mogle/prod/kustomization.yaml", "base/web/deployment.yaml"], (MakeTarget.ALL,)),
        (["README.md", ".github/workflows/check.yaml"], (MakeTarget.ALL,)),
        (["docs/schemas/owner.json"], (MakeTarget.ALL,)),
        (["policies/pods/image-registry.yaml"], (MakeTarget.ALL,)),
        (["clusters/seoul/sealed-secrets.pem", "apps/kustomization.yaml"], (MakeTarget.LIVE,)),
        (["apps/services.yaml"], (MakeTarget.ALL,)),
        (["clusters/seoul/cluster.yaml"], (MakeTarget.LIVE,)),
        (["clusters/seoul/aws/network.yaml"], (MakeTarget.ALL,)),
        # Names that only begin alike, and prose that a test reads.
        (["overlays.md/x.py"], (MakeTarget.ALL,)),
        (["baseline.yaml.py"], (MakeTarget.ALL,)),
        (["tests/mistakes/README.md"], (MakeTarget.ALL,)),
        ([], (MakeTarget.ALL,)),
    ],
)
def test_a_change_gets_the_tests_that_it_can_break(files: list[str], expected: tuple[MakeTarget, ...]) -> None:
    assert targets(files) == expected


def test_every_target_is_one_of_the_makefile() -> None:
    rules = re.findall(r"^([\w-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {target.value for target in MakeTarget} <= set(rules)


@pytest.mark.parametrize(
    ("name", "payload", "expected"),
    [
        ("pull_request", PULL, Comparison("origin/main", "b" * 40)),
        # A pull request's payload has a `before` too, once something was pushed to it.
        ("pull_request", PULL | PUSH, Comparison("origin/main", "b" * 40)),
        ("merge_group", QUEUE, Comparison("a" * 40, "b" * 40)),
        ("push", PUSH, Comparison("a" * 40, "b" * 40)),
        ("push", ZEROS, Comparison(None, "b" * 40)),
        ("schedule", {}, Comparison(None, "HEAD")),
        ("workflow_dispatch", {}, Comparison(None, "HEAD")),
    ],
)
def test_the_event_says_what_is_compared(
    tmp_path: Path, name: str, payload: dict[str, Any], expected: Comparison
) -> None:
    file = tmp_path / "event.json"
    file.write_text(json.dumps(payload))
    assert event.comparison(name, file) == expected


def test_outside_of_actions_there_is_no_event() -> None:
    assert event.comparison(None, None) is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"pull_request": null}', '{"pull_request": {"head": {}}}'])
def test_a_payload_that_is_none_is_said(tmp_path: Path, text: str) -> None:
    file = tmp_path / "event.json"
    file.write_text(text)
    with pytest.raises(InputError, match=r"event\.json: not the payload of a pull_request event"):
        event.comparison("pull_request", file)


def test_what_is_not_committed_counts_and_what_main_gained_does_not(scratch: Checkout) -> None:
    with Repo(scratch.root) as repo:
        start = repo.head.commit.hexsha
        (scratch.root / "scripts/new.py").write_text("")
        repo.create_head("gained", commit_all(scratch, "main goes on"))
        repo.head.reset(start, index=True, working_tree=True)
    (scratch.root / "overlays/mogle/prod/new.yaml").write_text("a: 1\n")
    assert change.read(scratch, "gained").targets == (MakeTarget.LIVE,)
    (scratch.root / "base/web/deployment.yaml").write_text("a: 1\n")
    assert change.read(scratch, "gained").targets == (MakeTarget.ALL,)


def test_without_a_change_to_look_at_everything_is_tested_and_the_last_commit_shown(
    scratch: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Repo(scratch.root) as repo:
        before = repo.head.commit.hexsha
    (scratch.root / "overlays/mogle/prod/new.yaml").write_text("a: 1\n")
    commit_all(scratch)
    (tmp_path / "event.json").write_text("{}")
    monkeypatch.setenv("GITHUB_EVENT_NAME", "schedule")
    monkeypatch.setenv("GITHUB_EVENT_PATH", str(tmp_path / "event.json"))
    scope = change.read(scratch, None)
    assert (scope.base, scope.head, scope.targets) == (before, "HEAD", (MakeTarget.ALL,))


def test_a_base_that_git_does_not_know_is_said(scratch: Checkout) -> None:
    done = gitops(scratch, "scope", "--base", "never-there")
    assert (done.code, done.out) == (2, "")
    assert "'never-there': git knows no such revision here" in done.err


def test_the_step_has_outputs(scratch: Checkout, tmp_path: Path) -> None:
    (scratch.root / "overlays/mogle/prod/new.yaml").write_text("a: 1\n")
    done = gitops(scratch, "scope", "--base", "HEAD", GITHUB_OUTPUT=str(tmp_path / "output"))
    assert (done.code, done.out) == (0, "test-live\n")
    assert "1 file differs from HEAD: make test-live" in done.err
    assert (tmp_path / "output").read_text() == "base=HEAD\nhead=HEAD\ntests=test-live\n"


def test_outputs_that_cannot_be_written_are_said(scratch: Checkout, tmp_path: Path) -> None:
    done = gitops(scratch, "scope", "--base", "HEAD", GITHUB_OUTPUT=str(tmp_path))
    assert done.code == 2
    assert f"gitops: {tmp_path}: cannot be written: Is a directory; name another file\n" in done.err
