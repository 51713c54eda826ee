"""GitHub, as far as the bots need it: pull requests by branch, and one signed commit that is atomic.

A commit is made through the API, so that GitHub signs it: createCommitOnBranch on a work branch (expectedHeadOid), then
one updateRefs that moves the pull request's branch to it and takes the work branch away, both with beforeOid. REST's
forced update of a branch compares nothing. A pull request's branch never stands on main itself: GitHub would close it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Literal

import requests
from github import Auth, Github, GithubException, UnknownObjectException
from github.PullRequest import PullRequest
from pydantic import SecretStr

from gitops.clients.github.errors import RaceError, errors
from gitops.clients.github.retry import CarefulRetry
from gitops.clients.github.settings import RepositorySettings
from gitops.ground import settings as environment
from gitops.ground.errors import ExternalError, GitopsError, InputError
from gitops.ground.hidden import hide

ZERO = "0" * 40
# Where a commit is made before the pull request's branch moves to it.
WORK = "work/"
_VIEWER = "query Viewer { viewer { login } }"
_REPOSITORY = "query Repository($owner: String!, $name: String!) { repository(owner: $owner, name: $name) { id } }"
_COMMIT = """mutation Commit($input: CreateCommitOnBranchInput!) {
  createCommitOnBranch(input: $input) { commit { oid } }
}"""
_REFS = "mutation Refs($input: UpdateRefsInput!) { updateRefs(input: $input) { clientMutationId } }"
_DISARM = """mutation Disarm($input: DisablePullRequestAutoMergeInput!) {
  disablePullRequestAutoMerge(input: $input) { clientMutationId }
}"""
# Seconds. An hour's quota that is used up comes back after up to an hour: whoever waits for it seems to hang.
LONGEST_WAIT = 120.0
# GitHub commits in its own name what is made through its API or its pages.
GITHUB_COMMITTER = "noreply@github.com"
# What has to pass on a commit before it merges (.github/rulesets/main.json): the check of GitHub Actions, by the App
# that must report it, and the statuses that main's own code sets as our App.
ACTIONS_APP = 15368
CHECK = "check"
FREEZE, MAIN_GATE = "freeze", "main-gate"
STATUSES = (FREEZE, MAIN_GATE)


@dataclass(frozen=True)
class FinishedRun:
    """A run of a workflow that ended. `path`: the workflow's file; `commit`: what it ran on; `url`: its page."""

    path: str
    event: str
    branch: str
    commit: str
    conclusion: str
    url: str


class Hub:
    """One repository on GitHub. `writes` counts what was changed there."""

    @classmethod
    def from_environment(cls, token: SecretStr | None = None) -> Hub:
        """The repository of the environment; `token`: one that was taken out of it. Raises InputError."""
        return cls(RepositorySettings.from_environment(token), pause=environment.read().github_pause)

    def __init__(self, settings: RepositorySettings, *, pause: float = 1.0, tries: int = 5) -> None:
        """`pause`: seconds between two writes, as GitHub asks for of bots; `tries`: more of a request that failed."""
        self.settings = settings
        self.writes = 0
        wait = environment.read().github_wait
        retry = CarefulRetry(total=tries, secondary_rate_wait=wait, max_rate_limit_wait=max(wait, LONGEST_WAIT))
        self._github = Github(
            auth=Auth.Token(settings.token.get_secret_value()),
            base_url=settings.api_url,
            timeout=20,
            retry=retry,
            seconds_between_requests=0,
            seconds_between_writes=pause,
            per_page=100,
            lazy=True,  # what is known of the repository by its name needs no request
        )
        self._repo = self._github.get_repo(settings.repository)

    @property
    def owner(self) -> str:
        """The account that the repository belongs to."""
        return self.settings.repository.partition("/")[0]

    @cached_property
    def login(self) -> str:
        """Who asks: of an App's token `<its name>[bot]`. Raises ExternalError."""
        return str(self.graphql(_VIEWER, {}, "read who asks")["viewer"]["login"])

    @property
    def is_app(self) -> bool:
        """Whether an App asks: what rulesets take from our App alone, nobody else need set."""
        return self.login.endswith("[bot]")

    @cached_property
    def _id(self) -> str:
        owner, _, name = self.settings.repository.partition("/")
        repository = self.graphql(_REPOSITORY, {"owner": owner, "name": name})["repository"]
        if not repository:
            raise InputError(f"{self.settings.repository}: no such repository, or this token may not see it")
        return str(repository["id"])

    def open_pulls(self) -> dict[str, PullRequest]:
        """Every open pull request of this repository's own branches to main, by branch."""
        return {pull.head.ref: pull for pull in self.open_heads() if self._is_own(pull)}

    def _is_own(self, pull: PullRequest) -> bool:
        """Whether a branch of this repository is to be merged into main. A fork can be the same owner's."""
        name = pull.head.repo.full_name if pull.head.repo else ""
        return name.lower() == self.settings.repository.lower() and pull.base.ref == "main"

    def open_heads(self) -> list[PullRequest]:
        """Every open pull request, those of forks too."""
        with errors("list pull requests"):
            return list(self._repo.get_pulls(state="open"))

    def closed_pulls(self, branch: str, *, merged: bool | None = False) -> list[PullRequest]:
        """The pull requests of a branch that were closed without a merge (by one; None: by either), newest first."""
        with errors(f"list pull requests of {branch}"):
            pulls = list(self._repo.get_pulls(state="closed", head=f"{self.owner}:{branch}"))
        return [pull for pull in pulls if merged in (None, bool(pull.merged_at)) and self._is_own(pull)]

    def commit(
        self, branch: str, *, base: str, expected: str | None, files: Mapping[str, bytes | None], message: str
    ) -> str:
        """Make `branch` one commit on top of `base` (a commit of main); None deletes a file. Returns the commit.

        Raises RaceError where the branch is no longer at `expected` (None: it must not exist), ExternalError.
        """
        work = WORK + branch
        try:
            self._refs({work: (None, base)})
        except RaceError:
            # A run that was killed left it, or one is at work: whichever, its next step fails and ours goes on.
            self._refs({work: (self.head(work), base)})
        headline, _, body = hide(message).partition("\n\n")
        changes = {
            "additions": [
                {"path": path, "contents": base64.b64encode(content).decode()}
                for path, content in files.items()
                if content is not None
            ],
            "deletions": [{"path": path} for path, content in files.items() if content is None],
        }
        commit = {
            "branch": {"repositoryNameWithOwner": self.settings.repository, "branchName": work},
            "expectedHeadOid": base,
            "message": {"headline": headline, "body": body},
            "fileChanges": changes,
        }
        made = self._write(_COMMIT, commit, f"commit on {work}")
        oid = str(made["createCommitOnBranch"]["commit"]["oid"])
        try:
            self._refs({branch: (expected, oid), work: (oid, None)})
        except RaceError:
            with suppress(GitopsError):
                self._refs({work: (oid, None)})
            raise
        return oid

    def delete_branch(self, branch: str, expected: str) -> None:
        """Raises RaceError where it is no longer at `expected`."""
        self._refs({branch: (expected, None)})

    def _refs(self, moves: Mapping[str, tuple[str | None, str | None]]) -> None:
        updates = [
            {"name": f"refs/heads/{name}", "beforeOid": before or ZERO, "afterOid": after or ZERO, "force": True}
            for name, (before, after) in moves.items()
        ]
        try:
            self._write(_REFS, {"repositoryId": self._id, "refUpdates": updates}, f"move {', '.join(moves)}")
        except ExternalError:
            # GitHub does not say in a fixed form that a branch was elsewhere. So look.
            for name, (before, after) in moves.items():
                if (head := self.head(name)) not in (before, after):
                    raise RaceError(
                        f"GitHub: {name} is at {head or 'nothing'} and no longer at {before or 'nothing'}; "
                        "the next run looks again"
                    ) from None
            if all(self.head(name) == after for name, (_, after) in moves.items()):
                return
            for name, (before, after) in moves.items():
                if before is None and after and (obstacle := self._obstacle(name)):
                    raise ExternalError(
                        f"GitHub: the branch {obstacle} is in the way of {name}, as a file is of a folder",
                        fix=f"rename it, or delete it: git push origin --delete {obstacle}",
                    ) from None
            raise

    def _obstacle(self, branch: str) -> str | None:
        """The branch because of which git cannot have another of this name: `work` beside `work/x`, or the reverse."""
        parts = branch.split("/")
        above = ["/".join(parts[:number]) for number in range(1, len(parts))]
        below = self.call("GET", f"/git/matching-refs/heads/{branch}/")
        names = [name for name in above if self.head(name)]
        names += [str(ref["ref"]).removeprefix("refs/heads/") for ref in below]
        return names[0] if names else None

    def last_success(self, workflow: str) -> datetime | None:
        """When the newest scheduled run of a workflow file that succeeded began, or None where none ever did.

        GitHub starts a schedule on main alone; any other run may be of a branch that has the file changed.
        """
        with errors(f"read the runs of {workflow}"):
            try:
                runs = self._repo.get_workflow(workflow).get_runs(status="success", event="schedule")
                newest = next(iter(runs), None)
            except UnknownObjectException:
                return None
        return newest.run_started_at.astimezone(UTC) if newest else None

    def finished_run(self, number: int) -> FinishedRun:
        """A run of a workflow that ended, as GitHub says it now. Raises ExternalError."""
        with errors(f"read run {number}"):
            run = self._repo.get_workflow_run(number)
            if not run.path:
                raise ValueError("no run")
            return FinishedRun(run.path, run.event, run.head_branch, run.head_sha, run.conclusion, run.html_url)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, *, repository: str | None = None) -> Any:  # noqa: ANN401 - what GitHub answers
        """One call of the REST API below this repository's address, for what PyGithub has no class for.

        `repository`: another one. Raises ExternalError.
        """
        with errors(f"{method} {repository or ''}{path.partition('?')[0] or 'the repository'}"):
            if method != "GET":
                self.writes += 1
            url = f"/repos/{repository or self.settings.repository}{path}"
            answer = self._github.requester.requestJsonAndCheck(method, url, input=body)[1]
            # What is no JSON PyGithub gives so.
            if isinstance(answer, dict) and isinstance(answer.get("data"), str):
                raise ValueError("no JSON")
            return answer

    def head(self, branch: str) -> str | None:
        """The commit of a branch on GitHub, or None where there is no such branch."""
        with errors(f"read {branch}"):
            try:
                return str(self._repo.get_git_ref(f"heads/{branch}").object.sha)
            except UnknownObjectException:
                return None

    def _write(self, query: str, content: dict[str, Any], what: str) -> dict[str, Any]:
        self.writes += 1
        return self.graphql(query, {"input": content}, what)

    def graphql(self, query: str, variables: dict[str, Any], what: str = "read the repository") -> dict[str, Any]:
        """The data of a query's answer. Raises ExternalError."""
        with errors(what):
            _, answer = self._github.requester.graphql_query(query, variables)
        data: dict[str, Any] = answer["data"]
        return data

    def open_pull(self, branch: str, title: str, body: str, labels: list[str]) -> PullRequest:
        """Open a pull request; where there is one already (another run was faster), that one."""
        title, body = hide(title), hide(body)
        with errors(f"open a pull request for {branch}"):
            try:
                self.writes += 1
                pull = self._repo.create_pull(base="main", head=branch, title=title, body=body)
            except GithubException as error:
                listed = self._repo.get_pulls(state="open", head=f"{self.owner}:{branch}")
                pulls = [pull for pull in listed if self._is_own(pull)]
                if error.status != 422 or not pulls:
                    raise
                pull = pulls[0]
            if labels:
                self.writes += 1
                pull.add_to_labels(*labels)
        return pull

    def edit_pull(self, pull: PullRequest, title: str, body: str, labels: list[str]) -> bool:
        """Write title, body and labels where they differ. Returns whether they did."""
        title, body = hide(title), hide(body)
        present = {label.name for label in pull.labels}
        missing = [name for name in labels if name not in present]
        differs = pull.title != title or (pull.body or "").replace("\r\n", "\n") != body
        with errors(f"edit #{pull.number}"):
            if differs:
                self.writes += 1
                pull.edit(title=title, body=body)
            if missing:
                self.writes += 1
                pull.add_to_labels(*missing)
        return differs or bool(missing)

    def comment_once(self, pull: PullRequest, marker: str, text: str) -> bool:
        """Comment unless a comment with this marker is there. Returns whether it was written."""
        with errors(f"comment on #{pull.number}"):
            for is_last in (False, True):
                if any(marker in (comment.body or "") for comment in pull.get_issue_comments()):
                    return is_last  # the answer to the first was lost, and it is there
                self.writes += 1
                try:
                    pull.create_issue_comment(f"{hide(text)}\n\n{marker}")
                    break
                except requests.RequestException:
                    if is_last:
                        raise
        return True

    def sticky_comment(
        self, pull: PullRequest, marker: str, text: str | None
    ) -> Literal["written", "updated", "unchanged", "removed", "nothing"]:
        """Keep one comment of ours with this marker at `text`; None takes it away. Nobody else's is touched."""
        text = text and hide(text)
        with errors(f"comment on #{pull.number}"):
            # A person can write the marker too; only a bot's comment is ours.
            ours = [c for c in pull.get_issue_comments() if (c.body or "").startswith(marker) and c.user.type == "Bot"]
            if text is None:
                for comment in ours:
                    self.writes += 1
                    comment.delete()
                return "removed" if ours else "nothing"
            if not ours:
                self.writes += 1
                pull.create_issue_comment(text)
                return "written"
            if ours[0].body.replace("\r\n", "\n") == text:
                return "unchanged"
            self.writes += 1
            ours[0].edit(text)
            return "updated"

    def close_pull(self, pull: PullRequest, label: str) -> None:
        """Close a pull request, labelled first so that everyone sees that no person declined it."""
        with errors(f"close #{pull.number}"):
            self.writes += 2
            pull.add_to_labels(label)
            pull.edit(state="closed")

    def disarm(self, pull: PullRequest) -> bool:
        """Take back GitHub's auto-merge, whoever armed it. Returns whether it was armed."""
        if not pull.raw_data.get("auto_merge"):
            return False
        self._write(_DISARM, {"pullRequestId": pull.raw_data["node_id"]}, f"auto-merge of #{pull.number}")
        return True

    def merge(self, pull: PullRequest, head: str) -> bool:
        """Squash and merge a pull request if it still stands at `head`. Returns whether GitHub's rules let it.

        Raises RaceError where the branch moved meanwhile.
        """
        with errors(f"merge #{pull.number}"):
            try:
                self.writes += 1
                return bool(pull.merge(sha=head, merge_method="squash").merged)
            except GithubException as error:
                if error.status == 409:
                    raise RaceError(f"GitHub: #{pull.number} is no longer at {head[:12]}; the next run looks") from None
                if error.status == 405:
                    return False
                raise

    def signed_by_github(self, sha: str) -> bool:
        """Whether GitHub itself made this commit and vouches for its signature.

        It does so for what an App or a person makes through its API or pages, whatever author they name: no more than
        that it was made there is proved.
        """
        with errors(f"read {sha[:12]}"):
            commit = self._repo.get_git_commit(sha)
            return bool(commit.verification.verified) and commit.committer.email == GITHUB_COMMITTER

    def passed(self, sha: str) -> bool:
        """Whether the required checks passed on a commit: GitHub Actions' own and our statuses."""
        with errors(f"read the checks of {sha[:12]}"):
            commit = self._repo.get_commit(sha)
            states = {status.context: status.state for status in commit.get_combined_status().statuses}
            runs = [run for run in commit.get_check_runs(check_name=CHECK) if run.app.id == ACTIONS_APP]
        # Any workflow can bring a job of that name, so each of them has to have passed.
        checked = bool(runs) and all(run.conclusion == "success" for run in runs)
        return checked and all(states.get(name) == "success" for name in STATUSES)

    def status(self, sha: str, context: str, state: str, description: str) -> bool:
        """Set a commit status where it is not so yet. Returns whether it was written.

        The same words of somebody else do not count: the ruleset takes the status from our App alone.
        """
        listed = self.call("GET", f"/commits/{sha}/statuses?per_page=100")
        with errors(f"status of {sha[:12]}"):
            newest = next((status for status in listed if status["context"] == context), None)
            same = newest and (newest["state"], newest["description"]) == (state, description)
            if same and newest and (newest["creator"] or {}).get("login") == self.login:
                return False
            words = {"state": state, "description": description, "context": context}
            made = self.call("POST", f"/statuses/{sha}", words)
            return bool(made["state"])
