"""People: they merge image updates of prod in office hours of Seoul, are away, and now and then do what a bot does
not expect.

`by_hand` counts all that they did to a bot's pull request or instead of a bot: what is not in `ALLOWED` no year
should need.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

import yaml

from gitops.repository import services as catalogue
from tests.conftest import commit_all
from tests.fakes.github_repository import Pull
from tests.fakes.github_rulesets import Actor
from tests.year.clock import DAY, HOUR, MINUTE, SEOUL, in_office
from tests.year.events import Events
from tests.year.files import Files
from tests.year.plan import Act, Away, Span
from tests.year.world import YearWorld

# When a team looks at its pull requests, in Seoul.
LOOKS = (10.5, 14.0, 17.0)
# What a person is there for, or what this simulation had them do.
ALLOWED = {"prod image", "intervention", "mended", "controller's key", "freezes"}
# A rotation that waits so long for its merge is merged by whoever sees it: a year should have none.
PATIENCE = 20 * HOUR


@dataclass
class People:
    """`by_hand`: how often, by what. `touched`: the pull requests to which a person did what a bot must live with,
    and `mended`: when somebody put that right.
    """

    world: YearWorld
    events: Events
    files: Files
    draw: random.Random
    by_hand: Counter[str] = field(default_factory=Counter)
    touched: dict[int, tuple[Act, datetime]] = field(default_factory=dict)
    mended: dict[int, datetime] = field(default_factory=dict)
    opened: dict[int, datetime] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._teams = {service.name: service.owner.team for service in catalogue.services(self.world.whole)}
        self._handles = {name: team.github for name, team in catalogue.teams(self.world.whole).items()}
        self._waiting = list(self.world.plan.interventions)
        self._key: datetime | None = None

    def begin(self) -> None:
        """Every look of the year; and the freezes, which are written down some days before they begin."""
        day = self.world.plan.begin
        while day < self.world.plan.end:
            midnight = day.astimezone(SEOUL).replace(hour=0, minute=0, second=0)
            for hour in LOOKS:
                moment = midnight + hour * HOUR + self.draw.randrange(25) * MINUTE
                if in_office(moment):
                    self.events.when(moment, self.look)
            day += DAY
        for freeze in self.world.plan.freezes:
            self.events.when(freeze.begin - DAY, self._write_freezes)

    def renew(self) -> None:
        """The controller has a new key: somebody of the platform seals anew within their next hours at work."""
        self.world.renew_key()
        self._key = self.world.clock.now

    # -- a look

    def look(self) -> None:
        """What people see at a time of the day."""
        now = self.world.clock.now
        if self.world.plan.is_away(Away.GITHUB, now):
            return
        for number, pull in list(self.world.github.pulls.items()):
            if pull.state == "open":
                self._see(number, pull)
            elif number in self.touched and self.touched[number][0] is Act.CLOSE:
                self._regret(number, pull)
        if self._key:
            self._seal_anew()

    def _see(self, number: int, pull: Pull) -> None:
        now = self.world.clock.now
        self.opened.setdefault(number, now)
        kind, _, overlay = pull.head.partition("/")
        if kind not in ("bump", "oauth"):
            return
        if number in self.touched:
            if now - self.touched[number][1] > DAY:
                self._take_over(number, pull)
            return
        if self._meddles(number, pull):
            return
        is_prod_image = kind == "bump" and overlay.endswith("/prod")
        is_late = kind == "oauth" and now - self.opened[number] > PATIENCE
        if is_prod_image and not self._absent(pull) and self.draw.random() < 0.8:
            self.merge(number, "prod image")
        elif is_late:
            self.merge(number, "rotation")

    def notice(self, number: int) -> None:
        """A pull request was opened just now: whoever sees it at once may do what a bot does not expect."""
        if in_office(self.world.clock.now):
            self.events.when(self.world.clock.now + 2 * MINUTE, lambda: self._at_once(number))

    def _at_once(self, number: int) -> None:
        pull = self.world.github.pulls[number]
        if pull.state == "open" and not self.world.plan.is_away(Away.GITHUB, self.world.clock.now):
            self._meddles(number, pull)

    def _meddles(self, number: int, pull: Pull) -> bool:
        """Whether this is the pull request to which something is done that the plan has."""
        kind, now = pull.head.partition("/")[0], self.world.clock.now
        due = next((act for act in self._waiting if act.kind == kind and act.moment <= now), None)
        if due:
            self._waiting.remove(due)
            self._intervene(number, pull, due.what)
        return due is not None

    def _absent(self, pull: Pull) -> bool:
        team = self._team(pull)
        return team in self.world.plan.away and self.world.plan.away[team].covers(self.world.clock.now)

    def _team(self, pull: Pull) -> str:
        return self._teams.get(pull.head.split("/")[1], "platform")

    def merge(self, number: int, why: str) -> bool:
        """Approve and press the button, which GitHub's rules may refuse. Some press "Create a merge commit"."""
        github, pull = self.world.github, self.world.github.pulls[number]
        github.rules.approve(number, "colleague", *self._handles.values())
        reason = github.rules.refuses_merge(pull, Actor("student"))
        if reason or github.conflicts(pull):
            self.refused[reason.partition("\n")[0] or "conflict"] += 1
            return False
        github.merge(number, user="student", method="merge" if self.draw.random() < 0.3 else "squash")
        self.by_hand[why] += 1
        return True

    # -- what a bot does not expect

    def _intervene(self, number: int, pull: Pull, what: Act) -> None:
        github = self.world.github
        self.touched[number] = (what, self.world.clock.now)
        self.by_hand["intervention"] += 1
        if what is Act.CLOSE:
            pull.state = "closed"
            return
        head = pull.last_head
        path = f"overlays/{pull.head.partition('/')[2]}/kustomization.yaml"
        content = self.files.read(head, path) or b""
        if what is Act.COMMIT:
            github.commit(pull.head, {path: content + b"# A word of a person.\n"}, "A word")
        else:
            tree = github.git("merge-tree", "--write-tree", "main", head).splitlines()[0]
            message = github.git("show", "-s", "--format=%B", head)
            who = {"GIT_AUTHOR_NAME": "student", "GIT_AUTHOR_EMAIL": "student@example.com"}
            who |= {"GIT_COMMITTER_NAME": "student", "GIT_COMMITTER_EMAIL": "student@example.com"}
            made = github.git("commit-tree", tree, "-p", "main", stdin=message.encode(), env=who)
            github.git("update-ref", f"refs/heads/{pull.head}", made)
        github.settle()

    def _take_over(self, number: int, pull: Pull) -> None:
        """The bot has said that it leaves it to people: they merge it, or delete the branch where that cannot be."""
        if self.merge(number, "mended"):
            self.mended[number] = self.world.clock.now
        elif self.world.clock.now - self.touched[number][1] > 2 * DAY:
            pull.state = "closed"
            pull.labels.append("withdrawn")
            self.world.github.git("update-ref", "-d", f"refs/heads/{pull.head}")
            self.world.github.settle()
            self._mend(number)

    def _regret(self, number: int, pull: Pull) -> None:
        """docs/runbooks/oauth.md: the label `withdrawn`, and the bot opens a new one. A closed image stays declined."""
        is_declined = pull.head.startswith("oauth/") and pull.merged_at is None and "withdrawn" not in pull.labels
        if is_declined and self.world.clock.now - self.touched[number][1] > 18 * HOUR:
            pull.labels.append("withdrawn")
            self._mend(number)

    def _mend(self, number: int) -> None:
        self.mended[number] = self.world.clock.now
        self.by_hand["mended"] += 1

    # -- the platform's own

    def _write_freezes(self) -> None:
        """A pull request with the windows that come, which somebody of the platform has reviewed before."""
        now, head = self.world.clock.now, self.world.whole.root / ".github/freezes.yaml"
        text = head.read_text().partition("freezes:")[0]
        coming = [span for span in self.world.plan.freezes if span.end > now and span.begin < now + 3 * DAY]
        listed = [_entry(number, span) for number, span in enumerate(coming, 1)]
        body = yaml.safe_dump({"freezes": listed}, sort_keys=False)
        self.world.github.commit("main", {".github/freezes.yaml": (text + body).encode()}, "A freeze comes")
        self.by_hand["freezes"] += 1

    def _seal_anew(self) -> None:
        """docs/runbooks/secrets.md, "The controller has a new key"; by a pull request with the required checks."""
        if not in_office(self.world.clock.now):
            return
        branch = f"reseal-{self.world.clock.now:%Y%m%d%H%M}"
        self.world.pull()
        ran = self.world.run("secrets", "reseal")
        if ran.code:
            return
        self._key = None
        commit_all(self.world.checkout, "Seal anew")
        self.world.github.git("fetch", "--quiet", str(self.world.checkout.root), f"+HEAD:refs/heads/{branch}")
        number = len(self.world.github.pulls) + 1
        head = self.world.github.head(branch) or ""
        self.world.github.pulls[number] = Pull(number, branch, "main", "Seal anew", "", "student", last_head=head)
        self.events.when(self.world.clock.now + 40 * MINUTE, lambda: self._merge_seals(number))

    def _merge_seals(self, number: int) -> None:
        """Where a rotation was faster, begin again."""
        pull = self.world.github.pulls[number]
        if not self.merge(number, "controller's key"):
            pull.state = "closed"
            self._key = self.world.clock.now


def _entry(number: int, span: Span) -> dict[str, object]:
    begin, end = (moment.astimezone(SEOUL).replace(tzinfo=None, microsecond=0) for moment in (span.begin, span.end))
    return {"name": f"window {number}", "from": begin, "to": end, "time-zone": "Asia/Seoul"}
