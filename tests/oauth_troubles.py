"""What can go wrong with a rotation, and how a person mends it: the rows and columns of tests/oauth_matrix.py."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from tests.fakes.github import Fault as GitHubFault
from tests.fakes.intra42 import Fault
from tests.oauth_world import BRANCH, ID, RotationWorld, certificate_of, hide_values, private_key

Hook = Callable[["Case"], None]


@dataclass(frozen=True)
class Kill:
    """After which transition a run dies: in which phase, at which request, and whether that one was answered."""

    phase: str
    host: str
    path: str
    skip: int = 0
    after: bool = False


@dataclass
class Case:
    """One rotation. `told`: whether the run with the fault spoke up; None where nobody need know."""

    world: RotationWorld
    folder: Path
    secrets: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    undo: list[Callable[[], None]] = field(default_factory=list)
    key: rsa.RSAPrivateKey = field(default_factory=private_key)
    duplicates: int = 0

    def run(self) -> tuple[int, str]:
        """One run, and whatever it said. Two pull requests or two work branches at any time are duplicates."""
        told = len(self.world.slack.messages)
        done = self.world.run("oauth", "rotate", "mogle")
        said = "\n".join(self.world.slack.messages[told:])
        self.texts += [done.out, done.err, said]
        self._count()
        return done.code, said

    def killed(self, kill: Kill) -> None:
        """One run that dies at a request."""
        victim: list[subprocess.Popen[str]] = []

        def shoot() -> None:
            victim[0].kill()

        if kill.host == "42":
            fault = Fault(kill.path, shoot, skip=kill.skip, after=kill.after)
            self.world.intra.faults.insert(0, fault)
        else:
            github_fault = GitHubFault(".*", kill.path, shoot, skip=kill.skip, after=kill.after)
            self.world.github.faults.insert(0, github_fault)
        victim.append(self.world.start("oauth", "rotate", "mogle", GITOPS_42_DEADLINE="20"))
        out, err = victim[0].communicate(timeout=90)
        self.texts += [out, err]
        assert victim[0].returncode == -9, f"{kill}: the run ended with {victim[0].returncode}: {err}"
        self._count()

    def _count(self) -> None:
        self.duplicates += max(0, len(self.world.open()) - 1)

    def lift(self) -> None:
        """A person mends it."""
        self.world.intra.faults.clear()
        self.world.github.faults.clear()
        for mend in reversed(self.undo):
            mend()
        self.undo.clear()


@dataclass(frozen=True)
class Trouble:
    """What else goes wrong. `when`: in which phase; `needs`: whether a person must be told."""

    hook: Hook
    needs: bool = True
    when: str = "due"


def _nothing(case: Case) -> None:
    return


def _status(kind: int | str) -> Hook:
    def hook(case: Case) -> None:
        case.world.intra.faults += [Fault("/oauth/token", kind, times=99)]

    return hook


def _wrong_secret(case: Case) -> None:
    app = case.world.intra.apps[ID]
    assert app.next
    kept = app.accepted.pop(app.next)
    case.undo.append(lambda: app.accepted.__setitem__(str(app.next), kept))


def _anothers_secret(case: Case) -> None:
    app = case.world.intra.apps[ID]
    neighbour = next(app for app in case.world.intra.apps.values() if app.id != ID)
    right = app.next
    app.next = neighbour.current
    case.undo.append(lambda: setattr(app, "next", right))


def _changed_between(case: Case) -> None:
    app = case.world.intra.apps[ID]

    def change() -> None:
        if app.next:
            app.accepted.pop(app.next)
        case.secrets.append(case.world.intra.show_next(ID))

    # Where the branch carries it already nothing is verified: then it changes before the run.
    if case.world.open() or case.world.github.head(BRANCH):
        change()
    else:
        case.world.intra.faults += [Fault("POST /oauth/token", change, skip=1)]


def _layout(case: Case) -> None:
    case.world.intra.layout = hide_values
    case.undo.append(lambda: setattr(case.world.intra, "layout", lambda text: text))


def _otp(case: Case) -> None:
    case.world.intra.sessions.clear()
    case.world.intra.otp = True
    case.undo.append(lambda: setattr(case.world.intra, "otp", False))


def _repin(case: Case, pem: bytes, **more: str) -> None:
    good = case.world.file("clusters/seoul/sealed-secrets.pem")
    case.world.pin(pem, **more)
    case.undo.append(lambda: case.world.pin(good))


def _foreign_certificate(case: Case) -> None:
    _repin(case, certificate_of(rsa.generate_private_key(65537, 2048)), fingerprint="ab" * 32)


def _expired_certificate(case: Case) -> None:
    _repin(case, certificate_of(case.key, days=-1, begins=-9))


def _renewed_key(case: Case) -> None:
    """Between seal and merge the controller has a new key, which is pinned."""
    case.run()
    case.key = rsa.generate_private_key(65537, 2048)
    case.world.pin(certificate_of(case.key))


def _pull_exists(case: Case) -> None:
    case.run()


def _pull_closed(case: Case) -> None:
    case.run()
    [number] = case.world.open()
    pull = case.world.github.pulls[number]
    pull.state = "closed"
    case.undo.append(lambda: setattr(pull, "state", "open"))


def _human_commit(case: Case) -> None:
    case.run()
    head = case.world.github.head(BRANCH)
    case.world.github.commit(BRANCH, {"README.md": b"by hand"}, "By hand")

    def back() -> None:
        case.world.github.git("update-ref", f"refs/heads/{BRANCH}", str(head))

    case.undo.append(back)


def _push_race(case: Case) -> None:
    """Another run moves the branch while this one makes its commit."""
    app = case.world.intra.apps[ID]
    if app.next:
        app.accepted.pop(app.next)
    case.secrets.append(case.world.intra.show_next(ID))

    def race() -> None:
        main = case.world.github.head("main")
        bot = ("GitHub", "noreply@github.com")
        case.world.github.commit(
            BRANCH, {"overlays/mogle/prod/x": b"y"}, "Other\n\nMade-By: gitops", committer=bot, parent=main, signed=True
        )

    case.world.github.faults += [GitHubFault("POST", "mutation Commit", race)]


def _two_at_once(case: Case) -> None:
    second = case.folder / "second"
    words = ("oauth", "rotate", "mogle")
    clones = (case.world.checkout, case.world.clone(second))
    runs = [case.world.start(*words, folder=checkout.root, GITOPS_42_DEADLINE="20") for checkout in clones]
    for run in runs:
        case.texts += run.communicate(timeout=90)
        case._count()


def _skew(case: Case) -> None:
    case.world.intra.skew = timedelta(hours=-9)


def _argo_says(state: str) -> Hook:
    """What GitHub was told last of what is merged."""
    return lambda case: case.world.argo_says(state)


def _argo_is_away(case: Case) -> None:
    """It never said anything, as on the first day."""
    deployments = case.world.github.deployments
    kept = list(deployments.kept)
    deployments.kept.clear()
    case.undo.append(lambda: deployments.kept.extend(kept))


TROUBLES: dict[str, Trouble] = {
    "none": Trouble(_nothing, needs=False),
    "429": Trouble(_status(429)),
    "500": Trouble(_status(500)),
    "timeout": Trouble(_status("slow")),
    "reset mid-body": Trouble(_status("cut")),
    "wrong secret": Trouble(_wrong_secret),
    "another application's secret": Trouble(_anothers_secret),
    "secret changed between fetch and verify": Trouble(_changed_between, needs=False),
    "layout changed": Trouble(_layout),
    "one-time code asked": Trouble(_otp),
    "certificate of another cluster": Trouble(_foreign_certificate),
    "certificate expired": Trouble(_expired_certificate),
    "controller key renewed between seal and merge": Trouble(_renewed_key, needs=False),
    "pull request exists": Trouble(_pull_exists, needs=False),
    "pull request closed unmerged": Trouble(_pull_closed),
    "pull request has human commits": Trouble(_human_commit),
    "push race": Trouble(_push_race, needs=False),
    "two runs at once": Trouble(_two_at_once, needs=False),
    "merge after the switch": Trouble(_nothing, when="late"),
    "clock skew": Trouble(_skew, needs=False),
    # OutOfSync, or its comparison Unknown: Argo CD says nothing of what it does not sync.
    "not synced": Trouble(_nothing, when="deliver"),
    "sync failed": Trouble(_argo_says("error"), when="deliver"),
    "Degraded": Trouble(_argo_says("failure"), when="deliver"),
    # The SealedSecret or the Deployment is Progressing.
    "Secret not opened, or pods not rolled": Trouble(_argo_says("in_progress"), when="deliver"),
    "Argo CD away": Trouble(_argo_is_away, when="deliver"),
}
# A PR that already carries the secret needs neither 42's token nor the certificate: then there is nothing to be told.
ONLY_WHEN_VERIFYING = {"wrong secret", "another application's secret"}


# The first token is for what is deployed, the second for the next one.
KILLS: dict[str, Kill | None] = {
    "none": None,
    "DUE": Kill("due", "42", f"GET /oauth/applications/{ID}"),
    "FETCHED": Kill("due", "42", "POST /oauth/token", skip=1),
    "VERIFIED": Kill("due", "42", "GET /oauth/token/info", skip=1, after=True),
    "SEALED": Kill("due", "github", "mutation Refs"),
    "committed": Kill("due", "github", "mutation Commit", after=True),
    "branch moved": Kill("due", "github", "mutation Refs", skip=1, after=True),
    "PR_OPEN": Kill("due", "github", "POST .*/pulls$", after=True),
    "MERGED": Kill("MERGED", "42", f"GET /oauth/applications/{ID}", after=True),
    # After a late merge the pods hold what 42 does not show any more: no token is asked for.
    "SYNCED": Kill("SYNCED", "42", f"GET /oauth/applications/{ID}", after=True),
    "CONFIRMED": Kill("CONFIRMED", "42", "POST /oauth/token"),
    "RETIRED": Kill("RETIRED", "github", "mutation Commit", after=True),
}
