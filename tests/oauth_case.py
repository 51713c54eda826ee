"""One whole rotation, from the day on which 42 shows a next secret to the next one, which takes the old secret along.

`run_case` makes it happen and writes down what happened; each promise is asked of the record afterwards.
"""

from __future__ import annotations

import base64
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from gitops.oauth.model import rotation_id
from gitops.oauth.state import KEEP
from tests import leaks
from tests.fakes.github import GitHub
from tests.oauth_troubles import KILLS, ONLY_WHEN_VERIFYING, TROUBLES, Case, Kill, Trouble
from tests.oauth_world import BRANCH, ID, OVERLAY, RotationWorld

# From a merge until the last old pod is gone: Argo CD's webhook, the pods' start, their preStop sleep.
ROLLOUT = timedelta(minutes=2)
HOUR = timedelta(hours=1)


@dataclass
class Record:
    """What happened in a case.

    Of each run: its exit code and what it told Slack, or what it printed. `stages`: what was printed in each stage
    after the merge. `late`: it is merged after 42's switch, on purpose. `late_run`: the run before such a merge.
    `alone`: pull requests that would clean up and nothing else. `left`: the generations that the next rotation left.
    """

    late: bool
    proposal: tuple[int, str] = (1, "")
    proposal_output: str = ""
    proposed: int = 0
    late_run: tuple[int, str] | None = None
    merged_at: datetime | None = None
    merged_is_shown: bool = False
    stages: dict[str, str] = field(default_factory=dict)
    next_message: str = ""
    alone: int = 0
    left: int = 0
    last_state: str = ""
    last_advice: str = ""
    last_is_accepted: bool = False
    names_its_secret: bool = False
    unheard_troubles: int = 0

    @property
    def has_proposal(self) -> bool:
        """Whether there is the one pull request that a person can merge."""
        return self.proposal[0] == 0 and self.proposed == 1


def proposes_the_next_secret(record: Record) -> str:
    return "" if record.has_proposal else f"no pull request: {record.proposal[1] or record.proposal_output}"


def deploys_what_42_shows(record: Record) -> str:
    return "" if record.merged_is_shown else "main deploys what 42 does not show"


def says_each_stage(record: Record) -> str:
    """Of a late merge it says something else: the secret has ended."""
    if record.late:
        return ""
    missing = [f"not {stage}: {output}" for stage, output in record.stages.items() if stage not in output]
    return "; ".join(missing)


def cleans_up_with_the_next_rotation(record: Record) -> str:
    if record.alone:
        return f"{record.alone} pull requests for a clean-up alone"
    return "" if record.left == 2 else f"{record.left} generations after the next rotation: {record.next_message}"


def ends_at_rest(record: Record) -> str:
    at_rest = record.last_state == "CONFIRMED"
    return "" if at_rest else f"in the end {record.last_state}: {record.last_advice}"


def ends_with_an_accepted_secret(record: Record) -> str:
    return "" if record.last_is_accepted else "main deploys what 42 refuses"


def records_the_secret_that_it_deploys(record: Record) -> str:
    return "" if record.names_its_secret else "the record is of another secret"


# Each says what was found where it was not kept. A case that breaks one of these has lost a rotation.
PROMISES: tuple[Callable[[Record], str], ...] = (
    proposes_the_next_secret,
    deploys_what_42_shows,
    says_each_stage,
    cleans_up_with_the_next_rotation,
    ends_at_rest,
    ends_with_an_accepted_secret,
    records_the_secret_that_it_deploys,
)


def broken_promises(record: Record) -> str:
    return "; ".join(f"{promise.__name__}: {broken}" for promise in PROMISES if (broken := promise(record)))


def unheard(record: Record) -> int:
    """How many faults a person had to hear of and did not."""
    expired = record.late_run is None or (record.late_run[0] != 0 and "EXPIRED" in record.late_run[1])
    return record.unheard_troubles + (0 if expired else 1)


@dataclass(frozen=True)
class Result:
    """How a case ended. `gap`: seconds in which a web service had no accepted secret."""

    kill: str
    trouble: str
    lost: str = ""
    duplicates: int = 0
    silent: int = 0
    leaks: tuple[str, ...] = ()
    gap: float = 0.0
    control: bool = False


def bad(result: Result) -> bool:
    """Whether a case broke a promise. Seconds without an accepted secret are allowed after a late merge alone."""
    late = TROUBLES[result.trouble].when == "late"
    return bool(result.lost or result.duplicates or result.silent or result.leaks or (result.gap and not late))


def run_case(kill_name: str, trouble_name: str, template: Path, *, plant: bool = False) -> Result:
    """One case. `template`: a bare repository in which the deployed secret is known. `plant`: leak on purpose."""
    kill, trouble = KILLS[kill_name], TROUBLES[trouble_name]
    with _prepared(template) as case, leaks.Watch() as watch:
        rotation = _Rotation(case, kill, trouble, trouble_name)
        rotation.propose()
        rotation.merge()
        rotation.deliver()
        rotation.retire()
        record = rotation.record
        leaked, control = _leaks(case, watch, plant=plant)
        return Result(
            kill_name,
            trouble_name,
            broken_promises(record),
            case.duplicates,
            unheard(record),
            tuple(leaked),
            rotation.gap(),
            control,
        )


@contextmanager
def _prepared(template: Path) -> Iterator[Case]:
    """A GitHub, a 42 and a Slack of its own, on the day on which 42 shows a next secret; its temporary files too."""
    folder = Path(tempfile.mkdtemp(prefix="case-"))
    (folder / "tmp").mkdir()
    github = GitHub(Path(shutil.copytree(template, folder / "origin.git")))
    world = RotationWorld(github, folder / "checkout", known=True)
    app = world.intra.apps[ID]
    world.intra.advance(app.switch - world.intra.shows_before - world.intra.now + timedelta(hours=1))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", str(folder / "tmp"))
            patch.setenv("TMPDIR", str(folder / "tmp"))
            yield Case(world, folder, secrets=[app.current, str(app.next)])
    finally:
        world.close()
        github.close()
        shutil.rmtree(folder, ignore_errors=True)


class _Rotation:
    """The steps of a case, in their order. A run is killed in the kill's phase, and the run after it is in trouble."""

    def __init__(self, case: Case, kill: Kill | None, trouble: Trouble, trouble_name: str) -> None:
        self.case, self.kill, self.trouble, self.trouble_name = case, kill, trouble, trouble_name
        self.world = case.world
        self.app = self.world.intra.apps[ID]
        self.first = self.app.current
        self.record = Record(late=trouble.when == "late")

    def propose(self) -> None:
        """42 shows a next secret."""
        self._killed_run("due")
        if self.trouble.when == "due":
            self._troubled_run()
        self.case.run()
        self.record.proposal = self.case.run()
        self.record.proposal_output = self.case.texts[-2]
        self.record.proposed = len(self.world.open())

    def merge(self) -> None:
        """In time, or late: after the old secret has ended."""
        if self.record.late:
            self._to_the_switch(self.world.intra.overlap)
            self.record.late_run = self.case.run()
        self.record.merged_at = self.world.intra.now
        self.before = self.world.github.head("main")
        if self.record.has_proposal:
            self.world.merge(delivered=False, ago=timedelta(hours=2) if self.trouble.when == "deliver" else timedelta())
        self.record.merged_is_shown = self._deployed() in (self.app.next, self.app.current)

    def deliver(self) -> None:
        """Argo CD has not looked yet; then it syncs; then the pods run. Or it does not, for hours."""
        if self.trouble.when == "deliver":
            self._troubled_run()
        for stage, health, revision in (
            ("MERGED", "success", self.before),
            ("SYNCED", "in_progress", None),
            ("CONFIRMED", "success", None),
        ):
            self.world.argo_says(health, revision)
            self._killed_run(stage)
            self.case.run()
            if stage == "CONFIRMED" or self.trouble.when != "deliver":
                self.record.stages[stage] = self.case.texts[-3]

    def retire(self) -> None:
        """42 switches; the old secret ends, and what remembers it goes with the next rotation."""
        if not self.record.late:
            self._to_the_switch()
        self.case.run()
        self.world.intra.advance(KEEP + timedelta(hours=15))
        self.case.run()
        self.record.alone = len(self.world.open())
        self.world.intra.advance(self.app.switch - self.world.intra.shows_before - self.world.intra.now + HOUR)
        self._killed_run("RETIRED")
        _, self.record.next_message = self.case.run()
        if len(self.world.open()) == 1:
            self.world.merge()
        self.record.left = sum("/sealedsecret-oauth-42-" in path for path in self.world.tree("main", OVERLAY))
        row = self.world.status()
        self.record.last_state, self.record.last_advice = row["state"], row["next"]
        value = self._deployed()
        self.record.last_is_accepted = self.world.intra.accepts(ID, value)
        record = self.world.application().deployed.record
        self.record.names_its_secret = record is not None and record.rotation == rotation_id(ID, SecretStr(value))

    def gap(self) -> float:
        """Seconds from the end of the first secret until the last pod that held it was gone."""
        ended = self.app.accepted[self.first][1]
        if ended is None or self.record.merged_at is None:
            return 0.0
        return max(0.0, (self.record.merged_at + ROLLOUT - ended).total_seconds())

    def _deployed(self) -> str:
        return self.world.opened("main", key=self.case.key)

    def _to_the_switch(self, later: timedelta = timedelta()) -> None:
        self.world.intra.advance(self.app.switch - self.world.intra.now + later + timedelta(hours=1))

    def _killed_run(self, phase: str) -> None:
        if self.kill and self.kill.phase == phase:
            self.case.killed(self.kill)

    def _troubled_run(self) -> None:
        """A run in trouble, which must be heard of where a person is needed; then the person mends it."""
        self.trouble.hook(self.case)
        carried = self.world.github.head(BRANCH) is not None
        code, message = self.case.run()
        not_noticed = self.trouble_name in ONLY_WHEN_VERIFYING and carried and code == 0
        if self.trouble.needs and not not_noticed and not (code and message):
            self.record.unheard_troubles += 1
        self.case.lift()


def _leaks(case: Case, watch: leaks.Watch, *, plant: bool) -> tuple[list[str], bool]:
    """Where a value stands that must not; and whether the same search finds what is planted."""
    world = case.world
    patterns = leaks.patterns({*case.secrets, *world.intra.seen, *(world.intra.apps[ID].accepted)})
    if not plant:
        return _search(case, watch, patterns), False
    value = case.secrets[-1]
    encoded = base64.b64encode(b"x" + value.encode()).decode()
    (case.folder / "tmp/left.txt").write_text(encoded)
    case.texts.append(f"log: {value[20:40]}")
    world.github.commit("planted", {"x": value.encode().hex().encode()}, "Planted", parent=world.github.head("main"))
    watch.processes.add((f"curl\0https://x/?s={value[30:50]}".encode(), b""))
    hits = _search(case, watch, patterns)
    kinds = {hit.partition(" ")[0].rstrip(":") for hit in hits}
    return [], kinds >= {"file", "text", "git", "process"}


def _search(case: Case, watch: leaks.Watch, patterns: leaks.Patterns) -> list[str]:
    world = case.world
    hits: list[str] = []
    for number, text in enumerate(case.texts):
        hits += [f"text {number}: {hit}" for hit in leaks.search("log", text.encode(), patterns)]
    pulls = ["\n".join([pull.title, pull.body, *pull.comments]) for pull in world.github.pulls.values()]
    sent = "\n".join([*pulls, *world.slack.messages, *world.github.bodies, *world.github.requests])
    hits += [f"text: {hit}" for hit in leaks.search("pull requests, Slack, requests", sent.encode(), patterns)]
    hits += [f"git {hit}" for hit in leaks.in_git(world.github.git_dir, patterns)]
    for folder in (world.checkout.root, case.folder / "tmp", case.folder / "second"):
        hits += [f"file {hit}" for hit in leaks.in_files(folder, patterns)]
    for process in watch.seen:
        hits += [f"process {hit}" for hit in leaks.search("cmdline, environ", process, patterns)]
    return hits
