"""What goes wrong for one overlay is told for that one, with what to do, and stops no other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gitops.clients.github import Hub
from gitops.images import bump
from tests.attacks.github_world import protect
from tests.fakes.aws import Fault
from tests.fakes.github import Fault as GitHubFault
from tests.fakes.github import GitHub
from tests.fakes.github_rulesets import MEMBER
from tests.image_world import PROD, REPOSITORY, STAGING, ImageWorld

pytestmark = pytest.mark.bots
FULL = pytest.mark.matrix

OTHER = REPOSITORY.replace("/mogle", "/umbrella")
PIN = "- name: app\n"
# By its name: the file of a service, what stands there instead (or is changed in it), and what is told of it.
FAULTS: dict[str, tuple[str, str | bytes | tuple[str, str], str]] = {
    "syntax": ("prod/kustomization.yaml", "images: [\n", "not valid YAML"),
    "no-mapping": ("prod/kustomization.yaml", "- a\n", "expected a mapping"),
    "no-utf-8": ("prod/kustomization.yaml", b"# \xff\n", "not UTF-8"),
    "nothing": ("prod/kustomization.yaml", "", "expected one YAML document"),
    "images-text": ("prod/kustomization.yaml", "images: app\n", "images; expected a list, found str"),
    "images-null": ("prod/kustomization.yaml", "images:\n", "no `images:` list"),
    "entry-text": ("prod/kustomization.yaml", "images: [app]\n", "an entry of images; expected a mapping, found 'app'"),
    "components-text": ("prod/kustomization.yaml", "components: x\n", "components; expected a list"),
    "key-that-is-a-list": ("prod/kustomization.yaml", "? [a]\n: b\n", "not valid YAML"),
    "pin-with-such-a-key": ("prod/kustomization.yaml", (PIN, f"{PIN}    ? [a]\n    : b\n"), "not valid YAML"),
    "tag-bool": ("prod/kustomization.yaml", (PIN, f"{PIN}    x: !!bool maybe\n"), "a value that is none (KeyError)"),
    "tag-int": ("prod/kustomization.yaml", (PIN, f'{PIN}    x: !!int ""\n'), "a value that is none"),
    "tag-time": ("prod/kustomization.yaml", (PIN, f"{PIN}    x: !!timestamp x\n"), "a value that is none"),
    "tag-own": ("prod/kustomization.yaml", (PIN, f"{PIN}    x: !env HOME\n"), "could not determine a constructor"),
    "tag-code": ("prod/kustomization.yaml", (PIN, f"{PIN}    x: !!python/name:os.system x\n"), "not valid YAML"),
    "tag-of-the-tag": ("prod/kustomization.yaml", ("newTag: ", "newTag: !!str "), "has an anchor or a tag"),
    "doubled": ("prod/kustomization.yaml", (PIN, f"{PIN}    newTag: x\n  {PIN}"), "is pinned more than once"),
    "rules-text": ("prod/ingress.yaml", "spec: {rules: [x]}\n", "an entry of rules; expected a mapping"),
    "spec-text": ("prod/ingress.yaml", "spec: x\n", "spec; expected a mapping, found str"),
    "policy-syntax": ("images.yaml", "prod: {\n", "not valid YAML"),
    "policy-tag": ("images.yaml", "prod: {semver: {range: !!bool maybe}}\n", "a value that is none (KeyError)"),
    "policy-of-nothing": ("images.yaml", "canary: {newest: {}}\n", "canary: no such overlay beside it"),
    "policy-of-a-number": ("images.yaml", "1: {semver: {}}\n", "valid string"),
    "hold-date": ("prod/hold.yaml", "tag: x\nreason: x\nuntil: !!timestamp x\n", "a value that is none"),
    "hold-list": ("prod/hold.yaml", "[x]\n", "expected a mapping"),
    "owner": ("owner.yaml", "team: !!set x\n", "not valid YAML"),
}


def services(world: ImageWorld) -> None:
    """A service for each fault, all else as mogle's prod."""
    files: dict[str, bytes | None] = {}
    for name, (path, fault, _) in FAULTS.items():
        own = {
            "owner.yaml": world.file("overlays/mogle/owner.yaml"),
            "images.yaml": b"prod: {semver: {}}\n",
            "prod/kustomization.yaml": world.file(PROD),
        }
        if isinstance(fault, tuple):
            assert fault[0].encode() in own[path]
            own[path] = own[path].replace(fault[0].encode(), fault[1].encode(), 1)
        else:
            own[path] = fault.encode() if isinstance(fault, str) else fault
        files |= {f"overlays/{name}/{file}": content for file, content in own.items()}
    world.github.commit("main", files, "Slips of many kinds")


def test_each_slip_in_a_file_is_told_for_its_own_overlay_and_all_others_go_on(images: ImageWorld) -> None:
    services(images)
    images.ecr.push("mogle", "3.1.0")
    done = images.run("images", "bump", "--output", "json")
    assert done.code == 2, done.err
    assert "a fault of gitops" not in done.err
    assert images.open() == ["bump/mogle/staging"]
    rows = {row["service"]: row for row in json.loads(done.out) if row["error"]}
    assert rows.keys() == FAULTS.keys()
    for name, (path, _, told) in FAULTS.items():
        assert rows[name]["error"].startswith(f"overlays/{name}/{path}"), rows[name]["error"]
        assert told in rows[name]["error"], rows[name]["error"]
        assert rows[name]["error"].splitlines()[0] in done.err


@pytest.mark.parametrize("fault", ["key-that-is-a-list", "components-text", "rules-text"])
def test_a_slip_in_prod_stops_nothing_of_staging(images: ImageWorld, fault: str) -> None:
    path, content, told = FAULTS[fault]
    images.write(f"overlays/mogle/{path}", str(content))
    images.ecr.push("mogle", "3.1.0")
    done = images.run("images", "bump", "--output", "json")
    assert (done.code, images.open()) == (2, ["bump/mogle/staging"])
    [row] = [row for row in json.loads(done.out) if row["error"]]
    assert row["environment"] == "prod"
    assert told in row["error"]


def test_an_entry_of_images_without_a_name_is_none_of_the_bots_business(images: ImageWorld) -> None:
    images.write(STAGING, images.file(STAGING).decode().replace(PIN, f"- newTag: nameless\n  {PIN}"))
    images.ecr.push("mogle", "3.1.0")
    assert images.bump()["staging"]["action"] == "opened"
    assert "- newTag: nameless" in images.file(STAGING, "bump/mogle/staging").decode()


def two_repositories(world: ImageWorld) -> None:
    """mogle's prod runs out of another repository, and follows it by itself."""
    digest = world.ecr.push("umbrella", "3.0.0")
    text = world.file(PROD).decode()
    pinned = text.replace(REPOSITORY, OTHER)
    old = next(line for line in text.splitlines() if "digest:" in line)
    world.write(PROD, pinned.replace(old, f"    digest: {digest}"))
    world.policy(staging={"semver": {}}, prod={"semver": {}})


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("AccessDeniedException", "DescribeImages"),
        pytest.param("AccessDeniedException", "BatchGetImage", marks=FULL),
        pytest.param("ServerException", "DescribeImages", marks=FULL),
        pytest.param("InvalidParameterException", "BatchGetImage", marks=FULL),
    ],
)
def test_one_repository_that_is_denied_stops_no_other(images: ImageWorld, code: str, call: str) -> None:
    two_repositories(images)
    images.ecr.push("mogle", "3.1.0")
    images.ecr.push("umbrella", "3.1.0")
    images.ecr.faults = [Fault(call, code, times=99, repository="umbrella")]
    done = images.run("images", "bump", "--output", "json")
    assert done.code == 4
    assert images.open() == ["bump/mogle/staging"]
    errors = {row["environment"]: row["error"] for row in json.loads(done.out)}
    assert errors["staging"] is None
    assert OTHER in errors["prod"]
    assert code in errors["prod"]
    if code == "AccessDeniedException":
        assert "let the role that asks (AWS_IMAGES_ROLE) read it" in errors["prod"]


@pytest.mark.parametrize(
    ("branch", "opened"),
    [
        ("work", 0),
        ("bump/mogle/staging/mine", 1),
        pytest.param("bump", 0, marks=FULL),
        pytest.param("work/bump", 0, marks=FULL),
        pytest.param("bump/mogle", 0, marks=FULL),
        pytest.param("work/bump/mogle/staging/mine", 1, marks=FULL),
    ],
)
def test_a_branch_that_is_in_the_way_is_named_with_what_to_do(images: ImageWorld, branch: str, opened: int) -> None:
    """git keeps a branch as a file, so none of its name's folders can be a branch, too."""
    images.policy(staging={"semver": {}}, prod={"semver": {"range": "<3.1.1"}})
    images.ecr.push("mogle", "3.1.0")
    images.github.commit(branch, {"README.md": b"x"}, "Mine", parent=images.github.head("main"))
    done = images.run("images", "bump")
    assert done.code == 4
    assert f"GitHub: the branch {branch} is in the way of " in done.err
    assert f"git push origin --delete {branch}" in done.err
    assert len(images.open()) == opened
    images.github.git("update-ref", "-d", f"refs/heads/{branch}")
    images.bump()
    assert images.open() == ["bump/mogle/prod", "bump/mogle/staging"]


def test_the_rulesets_let_no_member_make_a_branch_that_is_in_the_way(github: GitHub) -> None:
    protect(github, "bots")
    for branch in ("bump", "work", "work/bump", "work/rollback", "rollback", "oauth", "seals"):
        assert github.rules.refuses_push(branch, "0" * 40, "1" * 40, MEMBER) != "", branch
    assert github.rules.refuses_push("rollback/mogle/prod", "0" * 40, "1" * 40, MEMBER) == ""


@pytest.mark.parametrize("limit", ["quota", pytest.param("pause", marks=FULL)])
def test_a_limit_that_outlasts_the_job_ends_the_run_which_says_whom_it_did_not_reach(
    images: ImageWorld, limit: str
) -> None:
    images.policy(staging={"semver": {}}, prod={"semver": {"range": "<3.1.1"}})
    images.ecr.push("mogle", "3.1.0")
    images.github.faults = [GitHubFault("POST", "mutation", limit, times=99)]
    done = images.run("images", "bump", "--output", "json")
    assert done.code == 4
    asked, left = sorted((row["error"] for row in json.loads(done.out)), key=lambda error: "not reached" in error)
    assert "this token asked too often; run it again in 50 minutes" in asked
    assert left.startswith("not reached: GitHub takes no more requests of this token")
    assert len([request for request in images.github.requests if "mutation" in request]) == 1, "asked once"
    images.github.faults = []
    images.bump()
    assert images.open() == ["bump/mogle/prod", "bump/mogle/staging"]


def test_a_limit_that_the_plans_meet_ends_the_run_likewise(images: ImageWorld) -> None:
    images.policy(staging={"semver": {}}, prod={"semver": {}})
    images.ecr.push("mogle", "3.1.0")
    images.github.faults = [GitHubFault("GET", "pulls$", "quota", times=9, skip=1)]
    done = images.run("images", "bump")
    assert done.code == 4
    assert "this token asked too often" in done.err
    assert images.github.pulls == {}


def test_a_run_whose_time_is_over_says_whom_it_did_not_reach(
    images: ImageWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bump, "SECONDS", 0.0)
    images.ecr.push("mogle", "3.1.0")
    done = images.run("images", "bump")
    assert (done.code, "not reached: the 0 minutes of this run were over" in done.err) == (4, True)
    assert images.github.pulls == {}


def hub(world: ImageWorld, monkeypatch: pytest.MonkeyPatch) -> Hub:
    for name, value in world.environment.items():
        monkeypatch.setenv(name, value)
    return Hub.from_environment()


@pytest.mark.parametrize("kind", ["reset", pytest.param(500, marks=FULL)])
def test_an_answer_that_is_lost_has_nothing_written_twice(
    images: ImageWorld, monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    images.ecr.push("mogle", "3.1.0")
    images.github.faults = [GitHubFault("POST", "pulls$", kind, after=True)]
    assert images.bump()["staging"]["action"] == "opened"
    own, pull = hub(images, monkeypatch), images.github.pulls[1]
    images.github.faults = [GitHubFault("POST", "comments$", kind, after=True)]
    [opened] = own.open_pulls().values()
    assert own.comment_once(opened, "<!-- x -->", "It is so.")
    assert own.comment_once(opened, "<!-- x -->", "It is so.") is False
    images.github.faults = [GitHubFault("POST", "comments$", kind)]
    assert own.comment_once(opened, "<!-- y -->", "It was not.")
    assert len(pull.comments) == 2
    assert len(images.github.pulls) == 1
