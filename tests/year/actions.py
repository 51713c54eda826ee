"""GitHub Actions: every workflow of ours at its moments, its commands in this process.

A schedule of every quarter of an hour starts 35,000 runs a year, of which nearly all find what the one before left.
Such a run is left out where all that its command reads is as the last run left it, unless that failed and told of it,
and no moment has passed at which time alone matters: it ends as the last one did. A sample of these runs is done all
the same: `unquiet` has those that wrote something, and must stay empty.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.conftest import Ran
from tests.fakes.github import TOKEN
from tests.fakes.github_deployments import ARGOCD_NAME
from tests.fakes.github_rulesets import BOT_APP
from tests.frozen import ROOT
from tests.year.clock import MINUTE
from tests.year.conditions import WAITS
from tests.year.events import Events
from tests.year.plan import Away
from tests.year.verdict import Verdicts
from tests.year.workflow import Command, Workflow
from tests.year.world import WORKFLOW_TOKEN, YearWorld

# What these do, at AWS or in a comment, is no part of a year's promises; instead of `seals` a person seals anew. The
# status that `freeze` sets at once, images.yaml and gate.yaml set a little later.
LEFT_OUT = {"build.yaml", "cluster.yaml", "comment.yaml", "freeze.yaml", "seals.yaml"}
# From a push until check.yaml has ended, and from there until gate.yaml has.
CHECK, GATE = 7 * MINUTE, 3 * MINUTE
# Of the runs that would find nothing new, this part is done all the same; more where the run before has written.
SAMPLE, AFTER_WRITING = 0.02, 0.15
# What a command reads, as something that is equal as long as that is the same; with the words that it is given.
Fingerprint = Callable[[], object]


@dataclass
class Last:
    """What the last run of a command left to be read. `wrote`: it changed something there, or said something."""

    left: object
    code: int
    wrote: bool
    when: datetime


@dataclass
class Actions:
    """`fingerprints`: by a command's first words. `wakes`: moments of each command at which time alone matters."""

    world: YearWorld
    events: Events
    verdicts: Verdicts
    draw: random.Random
    fingerprints: dict[str, Fingerprint]
    runs: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    sampled: Counter[str] = field(default_factory=Counter)
    unquiet: list[str] = field(default_factory=list)
    failed: Counter[str] = field(default_factory=Counter)
    wakes: dict[str, list[datetime]] = field(default_factory=dict)
    # When each pull request came and went, and which check of which commit was red.
    opened: dict[int, datetime] = field(default_factory=dict)
    closed: dict[int, datetime] = field(default_factory=dict)
    red: dict[str, str] = field(default_factory=dict)
    red_main: list[datetime] = field(default_factory=list)
    after_run: list[Callable[[Command, Ran], None]] = field(default_factory=list)
    _last: dict[str, Last] = field(default_factory=dict)
    _checked: dict[int, str] = field(default_factory=dict)
    _mains: int = 0

    def __post_init__(self) -> None:
        files = sorted((ROOT / ".github/workflows").glob("*.yaml"))
        self.workflows = [Workflow.read(file) for file in files if file.name not in LEFT_OUT]

    def begin(self) -> None:
        """Every schedule from now on."""
        for workflow in self.workflows:
            for cron in workflow.crons:
                self._next(workflow, cron.after(self.world.clock.now), cron.after)

    def wake(self, command: str, moment: datetime) -> None:
        """From this moment on a run of a command may find something else, though nothing happened."""
        self.wakes.setdefault(command, []).append(moment)

    # -- what starts a run

    def _next(self, workflow: Workflow, moment: datetime, after: Callable[[datetime], datetime]) -> None:
        # GitHub starts a schedule some minutes late, as it likes.
        late = self.draw.randrange(8) * MINUTE
        self.events.when(moment + late, lambda: self._scheduled(workflow))
        self.events.when(moment, lambda: self._next(workflow, after(moment), after))

    def _scheduled(self, workflow: Workflow) -> None:
        if self._away(Away.ACTIONS):
            return
        began = self.world.clock.text()
        if workflow.file == "check.yaml":
            self._check_main(workflow)
            return
        result = self._run(workflow, {"github.event_name": "schedule", "github.ref": "refs/heads/main"}, scheduled=True)
        self.world.github.workflow_runs.setdefault(workflow.file, []).append((began, result))

    def look(self) -> None:
        """See what moved on GitHub: a head of a pull request, and main, start check.yaml."""
        pulls, now = self.world.github.pulls, self.world.clock.now
        for number in range(len(self.opened) + 1, len(pulls) + 1):
            self.opened[number] = now
            # For how long it may wait for its merge.
            for command in self.fingerprints:
                self.wake(command, now + WAITS + MINUTE)
        for number in sorted(self.opened.keys() - self.closed.keys()):
            pull = pulls[number]
            if pull.state != "open":
                self.closed[number] = now
            elif self._checked.get(number) != pull.last_head:
                self._checked[number] = pull.last_head
                self._start_check(number, pull.last_head)

    def _start_check(self, number: int, head: str) -> None:
        self.events.when(
            self.world.clock.now + CHECK + self.draw.randrange(5) * MINUTE, lambda: self._check(number, head)
        )

    def _check(self, number: int, head: str) -> None:
        pull = self.world.github.pulls[number]
        if pull.state != "open" or pull.last_head != head:
            return  # a newer commit has ended it
        if self._away(Away.ACTIONS) or self._away(Away.GITHUB):
            self._start_check(number, head)  # what waits in GitHub's queue runs once it is back
            return
        conclusion = "success" if self.verdicts.passes(head) else "failure"
        if conclusion == "failure":
            self.red[head] = "check"
        self.world.github.rules.checked(head, "check", conclusion)
        self.ended(
            "check", {"event": "pull_request", "head_sha": head, "conclusion": conclusion, "head_branch": pull.head}
        )

    def _check_main(self, workflow: Workflow) -> None:
        """One in four: what came to main had passed the check before."""
        self._mains += 1
        if self._mains % 4:
            return
        conclusion = "success" if self.verdicts.main_passes() else "failure"
        if conclusion == "failure":
            self.red_main.append(self.world.clock.now)
        head = self.world.github.head("main") or ""
        self.ended(
            workflow.name, {"event": "schedule", "head_sha": head, "conclusion": conclusion, "head_branch": "main"}
        )

    def ended(self, name: str, run: dict[str, str]) -> None:
        """A run of a workflow has ended, which starts others."""
        github = self.world.github
        number = len(github.finished) + 1
        github.finished[number] = (run["head_sha"], run["conclusion"], run["event"], run["head_branch"])
        facts: dict[str, Any] = {f"github.event.workflow_run.{key}": text for key, text in run.items()}
        facts |= {"github.event_name": "workflow_run", "github.event.workflow_run.id": str(number)}
        for workflow in self.workflows:
            if name in workflow.after:
                self._later(GATE, workflow, facts)

    def _later(self, span: timedelta, workflow: Workflow, facts: dict[str, Any]) -> None:
        self.events.when(self.world.clock.now + span, lambda: self._follow(workflow, facts))

    def _follow(self, workflow: Workflow, facts: dict[str, Any]) -> None:
        if self._away(Away.ACTIONS):
            self._later(10 * MINUTE, workflow, facts)
            return
        result = self._run(workflow, facts, scheduled=False)
        head, branch = facts["github.event.workflow_run.head_sha"], facts["github.event.workflow_run.head_branch"]
        own = {"event": "workflow_run", "head_sha": head, "conclusion": result, "head_branch": branch}
        self.ended(workflow.name, own)
        self._tell_of_statuses(head, branch)

    def _tell_of_statuses(self, head: str, branch: str) -> None:
        """Of main's verdict, the one that starts something (gate.yaml sets it)."""
        statuses = [entry for entry in self.world.github.statuses.get(head, []) if entry["context"] == "main-gate"]
        facts: dict[str, Any] = {"github.event_name": "status", "github.event.branches.*.name": [branch]}
        for status in statuses[-1:]:
            facts |= {f"github.event.{name}": status[name] for name in ("context", "state")}
            for workflow in self.workflows:
                if workflow.hears_statuses and not self._away(Away.ACTIONS):
                    self._run(workflow, facts, scheduled=False)

    # -- a run

    def _run(self, workflow: Workflow, facts: dict[str, Any], *, scheduled: bool) -> str:
        facts = {**self._facts(), **facts}
        results = []
        for job in workflow.jobs:
            name = f"needs.{job.name}.result"
            if not job.starts(facts):
                facts[name] = "skipped"
                continue
            facts[name] = "success"
            for command in job.commands(facts):
                if facts[name] == "failure" and not command.after_failure:
                    continue
                if self._code(command, scheduled=scheduled):
                    facts[name] = "failure"
            results.append(facts[name])
        return "failure" if "failure" in results else "success"

    def _facts(self) -> dict[str, Any]:
        """What expressions name. The token of a step is the bot's App's; the workflow's own is another."""
        credentials = {f"secrets.{name}": text for name, text in self.world.credentials.items()}
        variables = {"vars.ARGOCD_APP": ARGOCD_NAME, "vars.BOT_APP_ID": str(BOT_APP), "vars.BOT_CLIENT_ID": "bot"}
        tokens = {"steps.app.outputs.token": TOKEN, "github.token": WORKFLOW_TOKEN}
        return {**credentials, **variables, **tokens, "github.repository": self.world.github.name}

    def _code(self, command: Command, *, scheduled: bool) -> int:
        """The exit code of a command, or 0 where it would find nothing new."""
        words = command.words
        if words[0] == "check":
            return 0 if self.verdicts.passes(words[words.index("--head") + 1]) else 1
        name = " ".join(words[:2])
        fingerprint = self.fingerprints.get(name)
        is_quiet = scheduled and fingerprint is not None and self._is_quiet(name, fingerprint())
        if is_quiet and self.draw.random() >= (AFTER_WRITING if self._last[name].wrote else SAMPLE):
            self.left_out[name] += 1
            return self._last[name].code
        before = self._written()
        env = {key: text for key, text in command.env.items() if text}
        if name.startswith("images"):
            env |= {key: text for key, text in self.world.credentials.items() if key.startswith("AWS_")}
        ran = self.world.run(*words, **env)
        wrote = self._written() != before
        self.runs[name] += 1
        self.failed[name] += ran.code != 0
        if is_quiet:
            self.sampled[name] += 1
            if wrote:
                self.unquiet.append(f"{self.world.clock.now:%Y-%m-%d %H:%M} {' '.join(words)}: {ran.out}{ran.err}")
        left = fingerprint() if fingerprint else None
        self._last[name] = Last(left, ran.code, wrote, self.world.clock.now)
        for deed in self.after_run:
            deed(command, ran)
        self.look()
        return ran.code

    def _is_quiet(self, name: str, seen: object) -> bool:
        last = self._last.get(name)
        # What fails and says so says so again; what fails for others to see fails alike.
        if last is None or (last.code and last.wrote) or last.left != seen:
            return False
        now = self.world.clock.now
        coming = [moment for moment in self.wakes.get(name, []) if moment > last.when]
        self.wakes[name] = coming
        return all(moment > now for moment in coming)

    def _written(self) -> tuple[int, int]:
        return len(self.world.github.writes), len(self.world.slack.messages)

    def _away(self, what: Away) -> bool:
        return self.world.plan.is_away(what, self.world.clock.now)
