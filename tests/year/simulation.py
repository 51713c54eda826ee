"""One simulation: everything put together, run to its end and scored."""

from __future__ import annotations

import importlib.util
import itertools
import json
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from io import StringIO
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from gitops.images import policy as policies
from gitops.manifests.overlay import Overlay
from gitops.oauth import model
from gitops.oauth.state import KEEP, Stage
from gitops.repository import services as catalogue
from tests import guard
from tests.conftest import Ran
from tests.fakes.github import TOKEN
from tests.fakes.github_repository import Pull
from tests.fakes.intra42 import PASSWORD, App
from tests.frozen import ROOT, platform
from tests.year import conditions, drawing, plan, score
from tests.year.actions import Actions
from tests.year.clock import DAY, HOUR, MINUTE, Clock, Cron, simulated
from tests.year.cluster import Cluster, Running
from tests.year.conditions import Condition, Message
from tests.year.events import Events
from tests.year.files import Files
from tests.year.needles import Needles
from tests.year.people import ALLOWED, People
from tests.year.plan import Plan
from tests.year.reads import Reads
from tests.year.score import Score
from tests.year.verdict import Verdicts
from tests.year.workflow import Command
from tests.year.world import YearWorld

_WATCH = "overlays/oauth-watch/prod"
# Of 42's access tokens, which open what their secret opens for two hours, so many are looked for.
_TOKENS = 300


@dataclass
class Simulation:
    """`run` it; then `score` it, and draw its `picture`."""

    world: YearWorld
    events: Events
    live: bool
    messages: list[Message] = field(default_factory=list)
    states: dict[str, list[tuple[datetime, str]]] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)

    def __post_init__(self) -> None:
        seed = self.world.plan.seed
        self.files = Files(self.world.github.git_dir)
        self.cluster = Cluster(self.world, self.events, self.files)
        self.verdicts = Verdicts(self.world, self.live, random.Random(seed + 1))
        reads = Reads(self.world, self.cluster, self.files)
        fingerprints = dict(reads.fingerprints())
        self.actions = Actions(self.world, self.events, self.verdicts, random.Random(seed + 2), fingerprints)
        self.people = People(self.world, self.events, self.files, random.Random(seed + 3))
        self.actions.after_run.append(self._note_states)
        # (overlay, its Secret, when that came to main): every rotation.
        self.merges: list[tuple[Overlay, str, datetime]] = []
        self._main = ""
        self._noticed = 0
        self._told: dict[Overlay, tuple[str, str]] = {}

    def close(self) -> None:
        self.verdicts.close()
        self.files.close()

    @property
    def plan(self) -> Plan:
        return self.world.plan

    def run(self) -> None:
        """From the plan's beginning to its end."""
        self.cluster.begin()
        self._main = self.files.head()
        self.actions.begin()
        self.people.begin()
        for moment, service in self.plan.pushes:
            self.events.when(moment, lambda service=service: self.world.push(service))  # type: ignore[misc]
        for moment in self.plan.renewals:
            self.events.when(moment, self.people.renew)
        for app in self.world.intra.apps.values():
            self._wake(app)
        for moment in self._edges():
            self.events.when(moment, self._nothing)  # the world is brought to it
        self._watch_next()
        self.events.until(self.plan.end, self.world.set, self._see)

    def _edges(self) -> Iterator[datetime]:
        for outage in self.plan.outages:
            yield from (outage.begin, outage.end)
        for app in self.world.intra.apps.values():
            moment = app.switch - self.world.intra.shows_before
            while moment < self.plan.end:
                yield from (moment, moment + self.world.intra.shows_before)
                moment += 14 * DAY

    def _nothing(self) -> None:
        """That time passes is enough."""

    def _wake_behind(self, app: App) -> None:
        state = next(state for state in self._with_42() if state.application == app.id)
        if state.held[-1].value != app.next:
            self.actions.wake("oauth rotate", self.world.clock.now)

    def _wake(self, app: App) -> None:
        """When a rotation is another by time alone: 42's page names a day, read as early as anywhere on Earth."""
        switch = app.switch
        while switch < self.plan.end + 14 * DAY:
            page = switch.replace(hour=0, minute=0, second=0, microsecond=0) - 14 * HOUR
            for span in (7 * DAY, -KEEP):
                self.actions.wake("oauth rotate", page - span)
            # Nearer to the end nothing is said of what is ahead already.
            for span in (3 * DAY, DAY, timedelta()):
                self.events.when(page - span, lambda app=app: self._wake_behind(app))  # type: ignore[misc]
            switch += 14 * DAY

    def _see(self) -> None:
        """What was moved just now."""
        self._hear()
        main = self.files.head()
        if main != self._main:
            self._main = main
            self._see_merge(main)
            self.cluster.look()
        self.actions.look()
        for number in range(self._noticed + 1, len(self.actions.opened) + 1):
            self.people.notice(number)
        self._noticed = len(self.actions.opened)
        for overlay, state in self.cluster.running.items():
            if overlay.environment == "staging" and state.told != self._told.get(overlay):
                # An image has soaked a day after its pods were ready, at the earliest.
                self._told[overlay] = state.told
                self.actions.wake("images bump", self.world.clock.now + DAY + MINUTE)
                self.actions.wake("images bump", self.world.clock.now + 11 * MINUTE)

    def _see_merge(self, main: str) -> None:
        """What time alone will make of it."""
        now = self.world.clock.now
        latest = {overlay: secret for overlay, secret, _ in self.merges}
        for overlay, state in self.cluster.running.items():
            secret = self.files.secret(main, overlay) if state.application else ""
            if secret != latest.get(overlay, state.secret):
                self.merges.append((overlay, secret, now))
                # For how long it may take to the pods.
                for command, span in itertools.product(("oauth rotate", "oauth deliver"), (HOUR, 2 * HOUR)):
                    self.actions.wake(command, now + span)

    def _note_states(self, command: Command, ran: Ran) -> None:
        """What `gitops oauth rotate` says of each overlay."""
        if command.words[:2] != ("oauth", "rotate"):
            return
        for line in ran.out.splitlines():
            name = line.partition(" ")[0]
            state = next((stage.value for stage in Stage if re.search(rf" {stage.value}( |$)", line)), "")
            if "/" in name and state:
                self.states.setdefault(name, []).append((self.world.clock.now, state))

    def _hear(self) -> None:
        """What Slack was told since, with the moment."""
        for form in self.world.slack.forms[len(self.messages) :]:
            self.messages.append(Message(self.world.clock.now, form.get("channel", ""), form["text"]))

    # -- the CronJob that watches the schedules from the cluster

    def _watch_next(self) -> None:
        # The frozen platform has a stand-in: to copy the program and what starts it, and no more.
        with guard.allowed(True):
            self._watch_file.write_bytes((ROOT / _WATCH / "watch.py").read_bytes())
            manifest = yaml.safe_load((ROOT / _WATCH / "cronjob.yaml").read_text())
        cron = Cron.parse(manifest["spec"]["schedule"])
        container = manifest["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]
        given = {entry["name"]: entry["value"] for entry in container["env"] if "value" in entry}
        self._schedule_watch(cron, given)

    def _schedule_watch(self, cron: Cron, given: dict[str, str]) -> None:
        def look() -> None:
            self._watch(given)
            self._schedule_watch(cron, given)

        self.events.when(cron.after(self.world.clock.now), look)

    @property
    def _watch_file(self) -> Path:
        return self.world.folder / "watch.py"

    @cached_property
    def _watcher(self) -> ModuleType:
        spec = importlib.util.spec_from_file_location("watch_of_the_year", self._watch_file)
        assert spec
        assert spec.loader
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        vars(module)["datetime"] = simulated(self.world.clock)
        return module

    def _watch(self, given: dict[str, str]) -> None:
        """The program of the cluster, as its manifest starts it."""
        env = {**given, **self.world.environment, **self.world.slack.environment, "GITHUB_TOKEN": TOKEN}
        out = StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(out):
            for name, text in {
                **env,
                "SLACK_CHANNEL": given["SLACK_CHANNEL"],
                "GITHUB_REPOSITORY": self.world.github.name,
            }.items():
                patch.setenv(name, text)
            self._watcher.main()
        self.world.log.append(("watch", out.getvalue()))

    # -- what came of it

    def score(self) -> Score:
        """Everything counted. Searching for secrets in all that was written takes a while."""
        github, end, intra = self.world.github, self.plan.end, self.world.intra
        pulls = list(github.pulls.values())
        own = [(intra.apps[state.application or ""], state.held) for state in self._with_42()]
        lost = list(itertools.chain.from_iterable(score.lost(app, held, self.plan, end) for app, held in own))
        gaps = [score.without(app, held, self.plan, end) for app, held in own]
        red = score.red(pulls, self.actions.red, self.people.touched)
        doubled = [*score.duplicates(pulls), *score.used_twice(str(github.git_dir))]
        silent = score.untold(self.expected(), self.messages)
        leaked = self._leaks()
        wrong = [f"a run that was held for quiet wrote: {text}" for text in self.actions.unquiet]
        wrong += [f"{count} by hand: {what}" for what, count in self.people.by_hand.items() if what not in ALLOWED]
        wrong += ["a check was another than that of its shape"] * self.verdicts.contradicted
        named = [f"lost: shown {window.shown:%Y-%m-%d %H:%M}, over {window.ends:%Y-%m-%d %H:%M}" for window in lost]
        return Score(
            rotations=sum(len(score.rotated(app, held)) for app, held in own),
            bumps=sum(bool(pull.merged_at) and pull.head.startswith("bump/") for pull in pulls),
            lost=len(lost),
            without_secret_s=round(sum(gap.seconds for gap in gaps)),
            excused_s=round(sum(gap.excused for gap in gaps)),
            red_by_bot=len(red),
            by_hand=sum(self.people.by_hand.values()),
            duplicates=len(doubled),
            untold=len(silent),
            leaks=len(leaked),
            details=tuple(wrong),
            faults=(*named, *red, *doubled, *silent, *leaked, *wrong),
        )

    def _with_42(self) -> list[Running]:
        return [state for state in self.cluster.running.values() if state.application]

    def expected(self) -> list[Condition]:
        """All that concerned a person."""
        return [
            *conditions.of_plan(self.plan),
            *self._undelivered(),
            *self._waiting(),
            *self._declined(),
            *self._ending(),
            *map(conditions.red_main, self.actions.red_main),
        ]

    def _undelivered(self) -> Iterator[Condition]:
        for index, (overlay, secret, merged) in enumerate(self.merges):
            held = [period.since for period in self.cluster.running[overlay].held if period.secret == secret]
            later = [moment for own, _, moment in self.merges[index + 1 :] if own == overlay]
            yield conditions.undelivered(self.plan, str(overlay), merged, min([*held, *later, self.plan.end]))

    def _oauth_pulls(self) -> list[Pull]:
        pulls = self.world.github.pulls.values()
        return [pull for pull in pulls if pull.head.startswith("oauth/") and pull.number in self.actions.opened]

    def _waiting(self) -> Iterator[Condition]:
        for pull in self._oauth_pulls():
            end = self.actions.closed.get(pull.number, self.plan.end)
            yield conditions.waits(self.plan, pull.head.removeprefix("oauth/"), self.actions.opened[pull.number], end)

    def _declined(self) -> Iterator[Condition]:
        for pull in self._oauth_pulls():
            if pull.number in self.people.touched:
                _, begin = self.people.touched[pull.number]
                end = self.people.mended.get(pull.number, self.plan.end)
                yield conditions.declined(self.plan, pull.head.removeprefix("oauth/"), begin, end)

    def _ending(self) -> Iterator[Condition]:
        """42 refuses what runs in three days, and no pod holds what comes after it."""
        for state in self._with_42():
            app = self.world.intra.apps[state.application or ""]
            for window in score.windows(app)[1:]:
                begin = (window.switch or app.switch + self.world.intra.overlap) - self.world.intra.overlap - 3 * DAY
                held = [period.since for period in state.held if period.value == window.value]
                end = min([*held, self.plan.end])
                if begin < end:
                    yield conditions.at_risk(self.plan, str(state.overlay), begin, end)

    def _leaks(self) -> list[str]:
        """Places in which a secret stands: of all objects of git, of what was said and of what was printed."""
        github, intra = self.world.github, self.world.intra
        values = itertools.chain.from_iterable(app.accepted for app in intra.apps.values())
        tokens = [value for value in intra.seen if not value.startswith("s-s4t2")][-_TOKENS:]
        needles = Needles([*values, *tokens, PASSWORD])
        words = ["git", "--git-dir", str(github.git_dir), "cat-file", "--batch-all-objects", "--batch", "--buffer"]
        objects = subprocess.run(words, capture_output=True, check=True).stdout
        said = json.dumps(self.world.slack.forms)
        pulls = "\n".join(
            f"{pull.title}\n{pull.body}\n{pull.comments}\n{pull.labels}" for pull in github.pulls.values()
        )
        texts = {"git": objects, "Slack": said.encode(), "pull requests": pulls.encode()}
        texts["what GitHub was asked"] = "\n".join(github.bodies).encode()
        issues = github.issues.issues.values()
        texts["issues"] = "\n".join(f"{issue.title}\n{issue.body}\n{issue.labels}" for issue in issues).encode()
        texts["statuses"] = json.dumps(github.statuses).encode()
        texts["deployments"] = json.dumps(github.deployments.statuses).encode()
        texts["output"] = "\n".join(itertools.chain.from_iterable(self.world.log)).encode()
        hits: list[str] = []
        for where, content in texts.items():
            hits += needles.search(where, content)
        return hits

    def picture(self, line: str) -> drawing.Picture:
        """The year, drawn."""
        rows = []
        for state in self._with_42():
            app = self.world.intra.apps[state.application or ""]
            hindrances = [it for it in self.plan.hindrances if it.application == state.application]
            rows.append(
                drawing.Row(
                    str(state.overlay),
                    state.held,
                    score.windows(app)[1:],
                    [(it.begin, it.end, str(it.what)) for it in hindrances],
                    self.states.get(str(state.overlay), []),
                    score.without(app, state.held, self.plan, self.plan.end).seconds,
                )
            )
        return drawing.Picture(self.plan, rows, self.messages, line)


@contextmanager
def simulation(
    folder: Path, span: timedelta, *, seed: int, live: bool, change: Callable[[Plan], Plan] = lambda own: own
) -> Iterator[Simulation]:
    """One that has not begun yet, of a span. `live`: its checks run the live tests too. `change`: of its plan."""
    applications = [application.id for application in model.applications(platform(), [])[0]]
    services = [service.name for service in catalogue.services(platform()) if policies.read(platform(), service.folder)]
    teams = sorted({service.owner.team for service in catalogue.services(platform())})
    own = change(plan.make(seed, span, sorted(applications), services, teams))
    clock = Clock(own.begin)
    with clock.installed():
        world = YearWorld(folder, clock, own)
        year = Simulation(world, Events(clock), live)
        try:
            yield year
        finally:
            year.close()
            world.close()
