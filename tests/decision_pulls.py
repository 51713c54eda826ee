"""The rows of docs/images-decisions.md that a run of the bot writes: what becomes of its pull requests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from gitops.images import edit
from gitops.manifests.image import Image
from tests.attacks.github_world import protect
from tests.decision_world import FREEZES, POLICIES, STAGING, DecisionWorld, RunCase, Told, told
from tests.fakes.github_repository import BOT, GITHUB
from tests.image_planner import NAME, digest

Policy = dict[str, Any]
Act = Callable[[DecisionWorld], object]
SEMVER: Policy = {"semver": {}}
AUTO: Policy = {"semver": {}, "auto-merge": True}
EDGE: Policy = {"digest": {"tag": "stable"}}
BRANCH = "bump/mogle/staging"
BY_BOT = "Bump\n\nMade-By: gitops"
FROZEN = "freezes:\n  - {name: exam, from: 2026-11-25T00:00, to: 2099-01-01T00:00, time-zone: UTC}\n"


def then(*acts: Act) -> Callable[[DecisionWorld], Told]:
    """A run proposes it as #1, then that happens, and another run tells of staging."""

    def done(world: DecisionWorld) -> Told:
        protect(world.github, "main")
        world.bump()
        for act in acts:
            act(world)
        return told(world, "mogle/staging")

    return done


def at_first(*acts: Act, label: str = "mogle/staging") -> Callable[[DecisionWorld], Told]:
    """That is so before the first run."""

    def done(world: DecisionWorld) -> Told:
        for act in acts:
            act(world)
        return told(world, label)

    return done


def case(says: str, own: Policy, done: Callable[[DecisionWorld], Told], **others: Policy) -> RunCase:
    """Of staging's policy."""
    return RunCase(says, {"staging": own, **others}, done)


def passes(world: DecisionWorld) -> None:
    world.passes()


def newer(world: DecisionWorld) -> None:
    world.has("3.0.0 30d, 3.1.0 2d, 3.2.0 1d")


def draft(world: DecisionWorld) -> None:
    world.pull().draft = True


def opposed(world: DecisionWorld) -> None:
    world.pull().opposed.add("teacher")


def disabled(world: DecisionWorld) -> None:
    world.pull().happens("AutoMergeDisabledEvent", "student")


def armed(world: DecisionWorld) -> None:
    world.pull().auto_merge = True


def no_freeze_status(world: DecisionWorld) -> None:
    world.github.statuses[world.pull().last_head].clear()
    world.passes()


def by_hand(kind: str) -> Act:
    """The pull request of a command that a person gave."""
    return lambda world: world.opens(f"{kind}/mogle/staging", {"overlays/mogle/staging/hold.yaml": b"x"})


def reverted(world: DecisionWorld) -> None:
    path = STAGING.kustomization
    back = edit.replace(world.file(path), path, Image(NAME, "3.0.0", digest("3.0.0")))
    world.opens("revert-7-bump/mogle/staging", {path: back})


def went_on(world: DecisionWorld) -> None:
    """Staging took 3.0.1 a while ago, from 3.0.0."""
    world.has("3.0.0 30d, 3.0.1 9d, 3.1.0 2d")
    world.pin(STAGING, "3.0.1", "9d")


MERGES = [
    case("nothing is open", AUTO, at_first()),
    case("its checks run", AUTO, then()),
    case("its checks passed before anybody armed auto-merge", AUTO, then(passes)),
    case("its checks passed, and the policy leaves the merge to people", SEMVER, then(passes)),
    case("its checks passed, the status freeze is missing", AUTO, then(no_freeze_status)),
    case("it is a draft, its checks passed", AUTO, then(draft, passes)),
    case("a review asks for changes, its checks passed", AUTO, then(opposed, passes)),
    case("a person disabled auto-merge, its checks passed", AUTO, then(disabled, passes)),
    case("a person armed auto-merge, then something newer came", AUTO, then(armed, newer)),
    case("something newer came", SEMVER, then(newer)),
    case("a rollback by hand is open, #1 is armed", AUTO, then(passes, by_hand("rollback"), armed)),
    case("a hold by hand is open", SEMVER, then(by_hand("hold"))),
    case("a promotion by hand is open", SEMVER, then(by_hand("promote"))),
    case("GitHub's button Revert opened a way back", AUTO, at_first(went_on, reverted)),
    case("main changed the file meanwhile", SEMVER, then(lambda world: annotated(world))),
    case(
        "the policy lost auto-merge, its checks passed", AUTO, then(lambda world: world.policy(staging=SEMVER), passes)
    ),
]


def annotated(world: DecisionWorld) -> None:
    """A person writes a note far from the image."""
    world.write(STAGING.kustomization, b"# A note.\n" + world.file(STAGING.kustomization))


def updated(solved: bytes = b"") -> Act:
    """The button Update branch, once main has a note in the file; `solved`: what a person changed in the merge."""

    def act(world: DecisionWorld) -> None:
        github, path, head = world.github, STAGING.kustomization, world.github.head(BRANCH) or ""
        annotated(world)
        tree = github.git("merge-tree", "--write-tree", head, "main").splitlines()[0]
        content = github.git("show", f"{tree}:{path}").encode() + b"\n" + solved
        parents = [head, github.head("main") or ""]
        student = ("student", "student@example.com")
        github.commit(BRANCH, {path: content}, "Merge main", student, GITHUB, parents=parents, signed=True)
        world.pin(STAGING, "3.1.0")

    return act


def changes(path: str, content: bytes = b"# mine\n", message: str = "Mine", *, by_bot: bool = False) -> Act:
    """A commit on the branch, of a person or of one who looks like the bot."""

    def act(world: DecisionWorld) -> None:
        who: dict[str, Any] = {"author": BOT, "committer": GITHUB, "signed": True} if by_bot else {}
        world.github.commit(world.pull().head, {path: content}, message, **who)

    return act


def held(world: DecisionWorld) -> None:
    text = 'tag: "3.0.0"\nreason: "exams"\nuntil: 2099-01-01T00:00:00+00:00\n'
    world.write("overlays/mogle/staging/hold.yaml", text)


def followed(text: str) -> Act:
    """What the registry has now of the tag that is followed."""
    return lambda world: world.has(text)


def followed_first(*acts: Act) -> Callable[[DecisionWorld], Told]:
    """Staging follows `stable`, which moved from A to B; then that happens."""

    def done(world: DecisionWorld) -> Told:
        path = STAGING.kustomization
        world.write(path, edit.replace(world.file(path), path, Image(NAME, "stable", digest("A"))))
        world.has("stable=B 1d, -=A 9d")
        return then(*acts)(world)

    return done


TAKEN_AWAY = [
    case("the environment lost its policy", AUTO, then(armed, lambda world: world.policy(prod=SEMVER))),
    case("images.yaml is gone", SEMVER, then(lambda world: world.write(POLICIES, None))),
    case("the policy became narrower", SEMVER, then(lambda world: world.policy(staging={"semver": {"range": "<3"}}))),
    case(
        "images.yaml has a slip of syntax: it may have a policy",
        SEMVER,
        then(lambda w: w.write(POLICIES, "staging: {")),
    ),
    case("a person brought it to main by hand", SEMVER, then(lambda world: world.pin(STAGING, "3.1.0"))),
    case("main got a hold", SEMVER, then(held)),
    case("Update branch, then main has it", SEMVER, then(updated())),
    case("Update branch with a change of a person, then main has it", SEMVER, then(updated(b"# mine\n"))),
    case("a person committed to the branch", SEMVER, then(changes(STAGING.kustomization))),
    case(
        "one who looks like the bot changed another file",
        SEMVER,
        then(changes("overlays/mogle/staging/ingress.yaml", message=BY_BOT, by_bot=True)),
    ),
    case("the followed tag went back to what runs", EDGE, followed_first(followed("stable=A 9d, -=B 1d"))),
    case("the followed tag was moved on", EDGE, followed_first(followed("stable=C 1h, -=B 1d, -=A 9d"))),
    case(
        "the policy followed a tag, and goes by version now",
        EDGE,
        followed_first(lambda world: world.policy(staging=SEMVER)),
    ),
    case("the registry shows nothing at all any more", SEMVER, then(lambda world: world.has(""))),
    case(
        "the registry does not answer any more",
        SEMVER,
        then(lambda world: world.has("", fault="ECR answered ServerException")),
    ),
]


def reopened(world: DecisionWorld) -> None:
    world.closes()
    world.bump()
    world.pull().state = "open"


def swept(world: DecisionWorld) -> None:
    """Somebody deletes the branch, by which GitHub closes #1."""
    world.github.git("update-ref", "-d", f"refs/heads/{BRANCH}")
    world.github.settle("student")


def undeclined(world: DecisionWorld) -> None:
    from gitops.images import by_hand as commands

    commands.undecline(world.checkout, world.hub, "mogle", "staging")


def edited(*, title: bool = False) -> Act:
    """Somebody takes the bot's marker out of the text, and changes the title."""

    def act(world: DecisionWorld) -> None:
        world.pull().body = "No."
        world.pull().title = "No" if title else world.pull().title

    return act


def closes(login: str = "student", seconds: float | None = None) -> Act:
    return lambda world: world.closes(login, seconds)


CLOSED = [
    case("a person closed it", AUTO, then(closes())),
    case("a person closed it, and deleted its branch after", SEMVER, then(closes(seconds=40))),
    case("its branch was deleted in a clean-up", SEMVER, then(swept)),
    case("a bot for stale pull requests closed it", SEMVER, then(closes("stale[bot]"))),
    case("closed, and reopened", SEMVER, then(reopened)),
    case("closed, and something newer came", SEMVER, then(closes(), newer)),
    case("closed, and `gitops images undecline`", SEMVER, then(closes(), undeclined)),
    case("closed, and its marker edited", SEMVER, then(closes(), edited(title=True))),
    case("closed, its branch deleted, its marker edited", SEMVER, then(closes(seconds=40), edited())),
    case("closed, its branch deleted, marker and title edited", SEMVER, then(closes(seconds=40), edited(title=True))),
    case("open, and its marker edited", SEMVER, then(edited())),
]


def freezes(*, starts: timedelta) -> Act:
    """A window that begins so long from now, which is what the status goes by."""
    start = datetime.now(UTC) + starts
    text = f"freezes:\n  - {{name: x, from: {start:%Y-%m-%dT%H:%M}, to: 2099-01-01T00:00, time-zone: UTC}}\n"
    return lambda world: world.write(FREEZES, text)


def with_status(done: Callable[[DecisionWorld], Told]) -> Callable[[DecisionWorld], Told]:
    """What is said of the status as well."""

    def also(world: DecisionWorld) -> Told:
        before = done(world)
        return Told(f"{before.did}; its status freeze: {world.freeze_of(max(world.github.pulls))}", before.why)

    return also


def limited(number: int) -> Act:
    return lambda world: world.write(".github/images.yaml", f"open-pull-requests-limit: {number}\n")


WAITS = [
    case("no window is near", SEMVER, with_status(at_first())),
    case("a window begins in 40 minutes", SEMVER, with_status(at_first(freezes(starts=timedelta(minutes=40))))),
    case("a freeze, nothing is open", SEMVER, at_first(lambda world: world.write(FREEZES, FROZEN))),
    case("a freeze, #1 is open and its checks passed", AUTO, then(passes, lambda world: world.write(FREEZES, FROZEN))),
    case("as many are open as may be (open-pull-requests-limit)", SEMVER, at_first(limited(1)), prod=SEMVER),
    RunCase(
        "the same, of the one that came first",
        {"staging": SEMVER, "prod": SEMVER},
        at_first(limited(1), label="mogle/prod"),
    ),
]
