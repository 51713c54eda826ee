"""The rows of docs/images-decisions.md that a run writes: groups, further images, faults, and what is done by hand."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from itertools import chain, repeat
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from gitops.clients.registries.ecr import Ecr
from gitops.ground.budget import Budget
from gitops.ground.errors import ExternalError, GitopsError
from gitops.images import adopt, bump, by_hand, rollback
from gitops.repository.pulls import Outcome
from tests.decision_pulls import (
    AUTO,
    BRANCH,
    BY_BOT,
    FROZEN,
    SEMVER,
    Act,
    Policy,
    at_first,
    case,
    changes,
    closes,
    edited,
    then,
)
from tests.decision_world import (
    FREEZES,
    OTHER,
    POLICIES,
    PROD,
    STAGING,
    WIDE,
    DecisionWorld,
    RunCase,
    Told,
    done,
    stable,
    told,
)
from tests.fakes.github import Fault
from tests.fakes.github_repository import BOT, GITHUB
from tests.image_planner import NAME, NOW, SERVICE, digest

PROMOTE: Policy = {"promote": {"from": "staging", "soak": "1d"}}
UMBRELLA = f"overlays/{OTHER}"
OWNER = 'team: community\ncontact: "#mogle-dev"\ndescription: Umbrellas\n'


def grouped(way: str | None) -> Act:
    text = "open-pull-requests-limit: 10\n" + (f"group: {way}\n" if way else "")
    return lambda world: world.write(WIDE, text)


def of_one_team(world: DecisionWorld) -> None:
    """umbrella is of mogle's team, and its staging goes by version."""
    world.github.commit(
        "main",
        {f"{UMBRELLA}/owner.yaml": OWNER.encode(), f"{UMBRELLA}/images.yaml": b"staging: {semver: {}}\n"},
        "Umbrellas are of community",
        when=NOW.isoformat(),
    )


def group_of(
    says: str, way: str, *acts: Act, first: Act = lambda world: None, label: str = "mogle/staging", **own: Policy
) -> RunCase:
    """A group proposes it as #1, then that happens, and another run tells of one member."""

    def told_of(world: DecisionWorld) -> Told:
        grouped(way)(world)
        first(world)
        world.bump()
        for act in acts:
            act(world)
        return told(world, label)

    return RunCase(says, own or {"staging": SEMVER, "prod": SEMVER}, told_of)


def way_back(world: DecisionWorld) -> None:
    world.opens("rollback/mogle/prod", {"overlays/mogle/prod/hold.yaml": b"x"})


def declined_alone(world: DecisionWorld) -> None:
    """Before there were groups staging's own pull request was closed."""
    grouped(None)(world)
    world.policy(staging=SEMVER)
    world.bump()
    world.closes()
    world.policy(staging=SEMVER, prod=SEMVER)
    grouped("service")(world)


GROUPS = [
    group_of("by service: nothing is open", "service", lambda world: None),
    group_of("by service: staging merges by itself, prod does not", "service", staging=AUTO, prod=SEMVER),
    group_of("by team: two services of a team", "team", first=of_one_team),
    group_of("a person closed it", "service", closes()),
    group_of("a person closed it, and its marker was edited", "service", closes(), edited(title=True)),
    group_of("a rollback of one member is open", "service", way_back, label="mogle/prod"),
    group_of("a rollback of one member is open: the other", "service", way_back),
    group_of("one member was declined before: the other", "service", first=declined_alone, label="mogle/prod"),
    group_of("the policy of one member is gone: the other", "service", lambda world: world.policy(staging=SEMVER)),
    group_of("the grouping ended", "service", grouped(None)),
    group_of(
        "one who looks like the bot changed another team's overlay",
        "team",
        changes("overlays/benefit/staging/kustomization.yaml", message=BY_BOT, by_bot=True),
        first=of_one_team,
    ),
]


def with_migrate(policy: bool) -> Act:
    """A second image in staging, an init container, which may have a policy of its own."""

    def act(world: DecisionWorld) -> None:
        path = STAGING.kustomization
        patch = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n"
        patch += "spec: {template: {spec: {initContainers: [{name: migrate, image: migrate}]}}}\n"
        text = world.file(path).decode().replace("patches:\n", "patches:\n  - path: migrate.yaml\n")
        pin = 'newName: 111122223333.dkr.ecr.ap-northeast-2.amazonaws.com/migrate, newTag: "3.0.0", digest: '
        text += f"  - {{name: migrate, {pin}{digest('3.0.0')}}}\n"
        world.write(path.replace("kustomization", "migrate"), patch)
        world.write(path, text)
        world.policy(staging={**SEMVER, **({"images": {"migrate": SEMVER}} if policy else {})})

    return act


FURTHER = [
    case(
        "a sidecar or an init container with a policy",
        SEMVER,
        at_first(with_migrate(True), label="mogle/staging migrate"),
    ),
    case("one without a policy", SEMVER, at_first(with_migrate(False), label="mogle/staging migrate")),
    case(
        "one was closed: the other",
        SEMVER,
        at_first(with_migrate(True), lambda world: world.bump(), closes(), label="mogle/staging migrate"),
    ),
]


def line(path: str, old: str, new: str) -> Act:
    """A slip in a file."""

    def act(world: DecisionWorld) -> None:
        text = world.file(path).decode()
        assert old in text
        world.write(path, text.replace(old, new, 1))

    return act


def denied(world: DecisionWorld) -> None:
    """umbrella's repository is denied to the bot."""
    of_one_team(world)
    denies = boto3.client("ecr", region_name="ap-northeast-2", aws_access_key_id="x", aws_secret_access_key="x")
    asked = Ecr()
    with Stubber(denies) as stub, pytest.MonkeyPatch.context() as patch:
        stub.add_client_error("describe_images", "AccessDeniedException")
        patch.setattr(asked, "_client", lambda _: denies)
        with pytest.raises(ExternalError) as refused:
            asked.listing(NAME.replace(SERVICE, OTHER))
    world.memory.refused[OTHER] = refused.value


def fault(kind: int | str, *, path: str, after: bool = False, times: int = 99, skip: int = 0) -> Act:
    return lambda world: world.github.faults.append(Fault("POST", path, kind, times=times, after=after, skip=skip))


def branch(name: str) -> Act:
    return lambda world: world.github.commit(name, {"README.md": b"x"}, "Mine", parent=world.github.head("main"))


def late(world: DecisionWorld) -> Told:
    moments = chain([0.0], repeat(3600.0))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bump, "Budget", partial(Budget, clock=lambda: next(moments)))
        return told(world, "mogle/staging")


def faster(world: DecisionWorld) -> None:
    """Another run moves the branch between this one's look and its commit."""
    world.has("3.0.0 30d, 3.1.0 2d, 3.2.0 1d")

    def moves() -> None:
        main = world.github.head("main")
        world.github.commit(BRANCH, {STAGING.kustomization: b"x"}, BY_BOT, BOT, GITHUB, signed=True, parent=main)

    world.github.faults.append(Fault("POST", "mutation Refs", lambda: moves(), skip=1))


def withdrawn_in_the_dark(world: DecisionWorld) -> Told:
    """The policy is narrower, and GitHub's answer to the comment that says so is lost."""
    world.bump()
    world.policy(staging={"semver": {"range": "<3"}})
    fault("reset", path="comments$", after=True, times=1)(world)
    made = told(world, "mogle/staging")
    return Told(f"{made.did}; comments: {len(world.pull().comments)}", made.why)


BOTH = {"staging": SEMVER, "prod": SEMVER}
PIN = "- name: app\n"


def broken(world: DecisionWorld) -> None:
    world.write(PROD.kustomization, "images: [\n")


strange = line(PROD.kustomization, PIN, f"{PIN}    x: !!bool maybe\n")


def slip(says: str, act: Act, label: str = f"{OTHER}/staging") -> RunCase:
    """A file of mogle cannot be read."""
    return RunCase(says, BOTH, at_first(of_one_team, act, label=label))


FAULTS = [
    RunCase("another repository is denied: this one", BOTH, at_first(denied)),
    RunCase("another repository is denied: that one", BOTH, at_first(denied, label=f"{OTHER}/staging")),
    slip("prod's kustomization has a slip of syntax: its staging", broken, label="mogle/staging"),
    slip("prod's kustomization has a slip of syntax: another service", broken),
    slip("images.yaml has a slip of syntax: another service", lambda world: world.write(POLICIES, "staging: {")),
    case(
        "an entry of images without a name",
        SEMVER,
        at_first(line(STAGING.kustomization, PIN, f"- newTag: nameless\n  {PIN}")),
    ),
    slip("a strange YAML tag in prod's entry: its staging", strange, label="mogle/staging"),
    slip("a strange YAML tag in prod's entry: another service", strange),
    case("a person's branch named `work`", SEMVER, at_first(branch("work"))),
    case("a person's branch named as a folder of ours", SEMVER, at_first(branch(f"{BRANCH}/mine"))),
    case("GitHub takes no more requests for 50 minutes", SEMVER, at_first(fault("quota", path="mutation"))),
    RunCase("the same, of one that comes after", BOTH, at_first(fault("quota", path="mutation"))),
    case("GitHub asks for a pause of 50 minutes", SEMVER, at_first(fault("pause", path="mutation"))),
    case("the run's time is over", SEMVER, late),
    case("the answer to its opening is lost", SEMVER, at_first(fault("reset", path="pulls$", after=True, times=1))),
    case("the answer to its comment is lost", SEMVER, withdrawn_in_the_dark),
    case("GitHub fails for a moment", SEMVER, at_first(fault(500, path="pulls$", times=1))),
    case("another run was faster", SEMVER, then(faster)),
]


def asked(ask: Callable[[DecisionWorld], Outcome], *acts: Act) -> Callable[[DecisionWorld], Told]:
    """A person's command: what it opened, or why it refused."""

    def result(world: DecisionWorld) -> Told:
        for act in acts:
            act(world)
        try:
            outcome = ask(world)
        except GitopsError as error:
            return Told("refused", stable(str(error)))
        made = world.github.pulls[outcome.number or 0]
        return Told(f"{done(world, outcome)}; its status freeze: {world.freeze_of(made.number)}", stable(outcome.why))

    return result


def back(world: DecisionWorld) -> Outcome:
    until = NOW + timedelta(days=7)
    given: dict[str, Any] = {"to": None, "reason": "it fails", "until": until}
    return rollback.rollback(world.checkout, world.hub, world.registry, PROD, **given)[0]


def hold(world: DecisionWorld) -> Outcome:
    until = NOW + timedelta(days=7)
    return by_hand.hold(world.checkout, world.hub, STAGING, tag=None, reason="exams", until=until)[0]


def unhold(world: DecisionWorld) -> Outcome:
    return by_hand.unhold(world.checkout, world.hub, STAGING)[0]


def promote(world: DecisionWorld) -> Outcome:
    given: dict[str, Any] = {"source": "staging", "target": "prod", "now": NOW}
    made = by_hand.promote(world.checkout, world.hub, world.registry, "mogle", **given)
    return Outcome(made.outcome.action, made.outcome.number, why=f"by hand, as it would wait: {made.skipped}")


def ran(*tags: str) -> Act:
    """What prod ran after 3.0.0, each for a day."""

    def act(world: DecisionWorld) -> None:
        world.has(", ".join(["3.0.0 30d", *(f"{tag} 9d" for tag in tags)]))
        for number, tag in enumerate(tags):
            world.pin(PROD, tag, f"{len(tags) - number}d")

    return act


def merged(world: DecisionWorld) -> None:
    back(world)
    world.github.merge(1, when=NOW)


def lost(text: str) -> Act:
    return lambda world: world.has(text)


def frozen(world: DecisionWorld) -> None:
    world.write(FREEZES, FROZEN)


def staged(world: DecisionWorld) -> None:
    world.pin(STAGING, "3.1.0")


def arm(world: DecisionWorld) -> None:
    world.has("3.0.0 30d, 3.1.0 2d", platforms={"3.1.0": "linux/arm64"})
    world.pin(STAGING, "3.1.0")


def kept(world: DecisionWorld) -> None:
    hold(world)
    world.github.merge(1, when=NOW)


BOTH_WAYS = {"staging": SEMVER, "prod": PROMOTE}
BY_HAND = [
    RunCase("`rollback`: prod ran 3.0.0, 3.1.0", BOTH_WAYS, asked(back, ran("3.1.0"))),
    RunCase("`rollback` in a freeze", BOTH_WAYS, asked(back, ran("3.1.0"), frozen)),
    RunCase("`rollback` again: prod ran 3.0.0, 3.1.0, 3.2.0", BOTH_WAYS, asked(back, ran("3.1.0", "3.2.0"), merged)),
    RunCase(
        "`rollback`, and the registry lost the last but one",
        BOTH_WAYS,
        asked(back, ran("3.1.0", "3.2.0"), lost("3.0.0 30d, 3.2.0 9d")),
    ),
    RunCase("`rollback`, and the registry lost all that ran", BOTH_WAYS, asked(back, ran("3.1.0"), lost("3.1.0 9d"))),
    RunCase(
        "`rollback`, and the registry does not answer",
        BOTH_WAYS,
        asked(back, ran("3.1.0"), lambda world: setattr(world.memory, "look", unanswered)),
    ),
    RunCase("`hold`", BOTH_WAYS, asked(hold)),
    RunCase("`hold`, where it is held so already", BOTH_WAYS, asked(hold, kept)),
    RunCase("`hold` in an overlay with two images that may be meant", BOTH_WAYS, asked(hold, with_migrate(True))),
    RunCase("`unhold`", BOTH_WAYS, asked(unhold, kept)),
    RunCase("`unhold`, where nothing is held", BOTH_WAYS, asked(unhold)),
    RunCase("`promote`, an hour after staging got it", BOTH_WAYS, asked(promote, staged)),
    RunCase("`promote` of what is not built for prod's platform", BOTH_WAYS, asked(promote, arm)),
]


def unanswered(*_: object, **__: object) -> None:
    """The registry is away."""
    raise ExternalError("the registry does not answer")


def adopted(old: str, new: str) -> Callable[[DecisionWorld], Told]:
    """An entry in which that stands otherwise, as an overlay has it that came from elsewhere."""

    def result(world: DecisionWorld) -> Told:
        file = world.checkout.root / STAGING.kustomization
        changed = re.sub(old, new, file.read_text(), flags=re.MULTILINE)
        assert changed != file.read_text()
        file.write_text(changed)
        try:
            made = adopt.adopt(world.checkout, world.registry, ["mogle"], dry_run=True)
        except GitopsError as error:
            return Told("refused", stable(str(error).split("\n")[0]))
        return Told("; ".join(f"{own.entry}: {own.image}" for own in made) or "nothing", "")

    return result


ADOPTED = [
    RunCase("a tag alone", {}, adopted("^    digest: .*\n", "")),
    RunCase("a digest alone", {}, adopted("^    newTag: .*\n", "")),
    RunCase("no newName", {}, adopted("^    newName: .*\n", "")),
    RunCase("no version at all", {}, adopted("^    (newTag|digest): .*\n", "")),
    RunCase("a tag that the registry has not", {}, adopted("newTag: .*\n    digest: .*", 'newTag: "2.0.0"')),
]
