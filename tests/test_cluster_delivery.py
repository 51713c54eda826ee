"""The workflow `cluster`: it tells a pull request what it changes at AWS, and makes what follows from main."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from git import Repo

from gitops.cluster import delivery
from gitops.manifests import yamlfile
from tests.cluster_world import AwsWorld, aws_world
from tests.conftest import commit_all
from tests.fakes import act
from tests.fakes.cloudformation_template import ACCOUNT
from tests.fakes.github import TOKEN, GitHub
from tests.frozen import ROOT

pytestmark = pytest.mark.bots

SERVICE = "overlays/umbrella/staging/kustomization.yaml"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsWorld]:
    """A cluster that is what main says. Tests that change it take that back."""
    with aws_world(tmp_path_factory.mktemp("delivery") / "clone") as aws:
        assert aws.up().code == 0
        commit_all(aws.checkout)
        with Repo(aws.checkout.root) as repo:
            repo.git.update_ref("refs/remotes/origin/main", "HEAD")
        yield aws


@pytest.fixture
def aws(made: AwsWorld) -> Iterator[AwsWorld]:
    yield made
    with Repo(made.checkout.root) as repo:
        repo.git.checkout("--quiet", "--force", "-B", "main", "origin/main")
        repo.git.clean("-fdq", "--exclude=.tools")


def branch(aws: AwsWorld, name: str = "proposed") -> str:
    """What the working copy has, as a commit that is not main's."""
    with Repo(aws.checkout.root) as repo:
        repo.git.checkout("--quiet", "-B", name)
    sha = commit_all(aws.checkout)
    with Repo(aws.checkout.root) as repo:
        repo.git.checkout("--quiet", "main")
    return sha


def new_repository(aws: AwsWorld) -> None:
    """A service whose image is in a repository that is not there yet."""
    file = aws.checkout.root / SERVICE
    file.write_text(file.read_text().replace(".amazonaws.com/umbrella", ".amazonaws.com/umbrella-next"))


def calls(aws: AwsWorld) -> int:
    return len(aws.account.calls)


def test_a_revision_whose_stacks_are_mains_asks_nothing_of_aws(aws: AwsWorld) -> None:
    (aws.checkout.root / "README.md").write_text("Another.\n")
    before = calls(aws)
    ran = aws.run("plan", "seoul", "--head", branch(aws))
    assert ran.code == 0, ran.err
    assert calls(aws) == before


def test_a_new_service_is_planned_from_its_folder_and_nothing_is_left(aws: AwsWorld) -> None:
    new_repository(aws)
    before = aws.state()
    ran = aws.run("plan", "seoul", "--head", branch(aws), "--output", "json")
    assert ran.code == 0, ran.err
    assert [(row["stack"], row["changes"]) for row in json.loads(ran.out)] == [("seoul-services", 2)]
    assert (aws.state(), aws.half_made()) == (before, [])
    # The working copy is main's, and is not touched.
    assert {row["changes"] for row in json.loads(aws.run("plan", "seoul", "--output", "json").out)} == {0}


def test_a_link_in_what_is_proposed_is_not_followed(aws: AwsWorld) -> None:
    """It would lead the job, which holds a role, to its own environment."""
    new_repository(aws)
    file = aws.checkout.root / "clusters/seoul/aws/network.yaml"
    file.unlink()
    file.symlink_to("/proc/self/environ")
    before = calls(aws)
    ran = aws.run("plan", "seoul", "--head", branch(aws))
    assert (ran.code, "clusters/seoul/aws/network.yaml: a link" in ran.err) == (2, True)
    assert "AWS_SECRET" not in ran.out + ran.err
    assert calls(aws) == before


def test_apply_makes_what_a_service_needs_and_is_done_the_second_time(aws: AwsWorld) -> None:
    new_repository(aws)
    ran = aws.run("apply", "seoul", "--yes")
    assert ran.code == 0, ran.err
    made = [item.logical for item in aws.account.stacks.resources.values() if item.stack == "seoul-services"]
    assert {"UmbrellaNextRepository", "UmbrellaNextPushRole"} <= set(made)
    state = aws.state()
    assert aws.run("apply", "seoul", "--yes").code == 0
    assert aws.state() == state
    # Taken back, the role goes, and the images stay.
    with Repo(aws.checkout.root) as repo:
        repo.git.checkout("--quiet", "--", SERVICE)
    assert aws.run("apply", "seoul", "--yes").code == 0
    kinds = {item.kind for item in aws.account.stacks.resources.values() if item.logical.startswith("UmbrellaNext")}
    assert kinds == {"AWS::ECR::Repository"}


def test_apply_leaves_to_a_person_what_is_not_the_services(aws: AwsWorld) -> None:
    file = aws.checkout.root / "clusters/seoul/aws/vpc.yaml"
    document = yamlfile.read(aws.checkout, file)
    document["Resources"]["Vpc"]["Properties"]["EnableDnsHostnames"] = False
    file.write_text(yaml.safe_dump(document))
    before = aws.state()
    ran = aws.run("apply", "seoul", "--yes")
    assert ran.code == 0, ran.err
    assert aws.state() == before


def test_apply_before_there_is_a_foundation_says_who_makes_it(tmp_path: Path) -> None:
    with aws_world(tmp_path / "clone") as aws:
        ran = aws.run("apply", "seoul", "--yes")
        assert (ran.code, "gitops cluster up seoul" in ran.err) == (2, True)
        assert not aws.account.stacks.stacks


def test_a_comment_needs_a_revision_and_an_event(aws: AwsWorld) -> None:
    ran = aws.run("plan", "seoul", "--comment")
    assert (ran.code, "--comment tells of a revision" in ran.err) == (2, True)
    ran = aws.run("plan", "seoul", "--head", "HEAD", "--comment")
    assert (ran.code, "no payload of a workflow_run event" in ran.err) == (2, True)


# -- the workflow itself


class Proposed:
    """A pull request of a GitHub whose main is the cluster's, and the workflow's job on it."""

    def __init__(self, aws: AwsWorld, github: GitHub, folder: Path) -> None:
        self.aws, self.github, self.folder = aws, github, folder
        with Repo(aws.checkout.root) as repo:
            repo.git.push("--force", "--quiet", str(github.git_dir), "main:refs/heads/main")
        Repo.clone_from(github.clone_url, folder).close()
        self.head = ""

    def open(self, files: dict[str, bytes | None]) -> None:
        self.head = self.github.commit("student/next", files, "Next", parent=self.github.head("main"))
        if not self.github.pulls:
            self.github._open({"head": "student/next", "base": "main", "title": "Next"})

    def run(self) -> act.Done:
        ended = {
            "event": "pull_request",
            "conclusion": "success",
            "head_sha": self.head,
            "head_branch": "student/next",
            "head_repository": {"full_name": self.github.name},
            "id": 1,
        }
        return act.run(
            self.folder,
            "cluster.yaml",
            "workflow_run",
            job="plan",
            github=self.github,
            secrets={"GITHUB_TOKEN": TOKEN},
            environment={**self.aws.environment(), "STANDIN_AWS": self.aws.account.url},
            payload={"workflow_run": ended, "repository": {"full_name": self.github.name}},
        )

    @property
    def comments(self) -> list[str]:
        return list(self.github.pulls[1].comments)


def test_the_workflow_tells_a_pull_request_and_takes_it_back(aws: AwsWorld, github: GitHub, tmp_path: Path) -> None:
    proposed = Proposed(aws, github, tmp_path / "runner")
    text = (aws.checkout.root / SERVICE).read_text()
    changed = text.replace(".amazonaws.com/umbrella", ".amazonaws.com/umbrella-next").encode()
    proposed.open({SERVICE: changed})
    done = proposed.run()
    assert done.code == 0, done.text
    [comment] = proposed.comments
    assert comment.startswith(delivery.marker("seoul"))
    assert "2 changes of 1 stack" in comment, comment
    assert "UmbrellaNextRepository" in comment
    assert aws.half_made() == []
    # A definition that cannot be is told too, in the same comment.
    file = "clusters/seoul/cluster.yaml"
    wrong = (aws.checkout.root / file).read_text().replace("172.20.0.0/16", "10.42.0.0/20").encode()
    proposed.open({file: wrong})
    assert proposed.run().code != 0
    [comment] = proposed.comments
    assert "no plan" in comment
    assert "data.vpcRange overlaps data.serviceRange" in comment
    proposed.open({SERVICE: text.encode(), file: (aws.checkout.root / file).read_bytes()})
    assert proposed.run().code == 0
    assert proposed.comments == []


def test_the_job_that_has_a_role_runs_no_strangers_file() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/cluster.yaml").read_text())
    for name, job in workflow["jobs"].items():
        text = yaml.safe_dump(job)
        assert "secrets." not in text
        assert not any("ref" in step.get("with", {}) for step in job["steps"])
        assert job["environment"]["name"] in act.DECLARED, name
    condition = workflow["jobs"]["plan"]["if"]
    assert "github.event.workflow_run.head_repository.full_name == github.repository" in condition
    assert "refs/heads/main" in workflow["jobs"]["apply"]["if"]
    assert ACCOUNT not in yaml.safe_dump(workflow)
