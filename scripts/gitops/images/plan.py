"""What each overlay should run next: read from main, the registry and history. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from gitops.clients import argocd
from gitops.clients.ecr import Candidate, CredentialsError, Registry, Repository
from gitops.ground.checkout import Checkout
from gitops.ground.errors import GitopsError, InputError
from gitops.images import cosign, edit, hold, policy
from gitops.images.policy import Policy, Promote
from gitops.images.select import Decision, Verdict, decide
from gitops.manifests.image import Image
from gitops.repository import services as model
from gitops.repository.history import History, Version

PARALLEL = 8
Closed = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Target:
    """One overlay with a policy, as main has it. `path`: of its kustomization.yaml in the repository."""

    service: str
    environment: str
    policy: Policy
    pin: edit.Pin
    path: str
    hold: hold.Hold | None

    @property
    def branch(self) -> str:
        """The one branch of its pull request."""
        return f"bump/{self.service}/{self.environment}"


@dataclass(frozen=True)
class Plan:
    """What was found for one overlay. `winner` is None where nothing is to change, for the reason in `note`.

    `sure`: whether "nothing to change" is an answer, so that an open pull request has lost its reason.
    """

    service: str
    environment: str
    target: Target | None = None
    verdicts: tuple[Verdict, ...] = ()
    winner: Image | None = None
    pushed: datetime | None = None
    note: str = ""
    alert: str = ""
    error: GitopsError | None = None
    sure: bool = False
    runs_since: datetime | None = None


def targets(base: Checkout, names: Sequence[str]) -> tuple[list[Target], list[Plan]]:
    """Every overlay with a policy, and those whose files cannot be used. Raises InputError for an unknown service."""
    services = {service.name: service for service in model.services(base)}
    if unknown := [name for name in names if name not in services]:
        raise InputError(f"service {unknown[0]!r}: does not exist; there are: {', '.join(sorted(services))}")
    found, broken = [], []
    for name in names or services:
        try:
            policies = policy.read(base, services[name].folder)
        except InputError as error:
            broken.append(Plan(name, "*", error=error))
            continue
        for environment, each in policies.items():
            folder = services[name].folder / environment
            file = folder / "kustomization.yaml"
            path = base.relative(file)
            try:
                pin = edit.read(file.read_bytes(), path)
                found.append(Target(name, environment, each, pin, path, hold.read(base, folder)))
            except InputError as error:
                broken.append(Plan(name, environment, error=error))
    return found, broken


def make(
    base: Checkout, history: History, registry: Registry, wanted: Sequence[Target], now: datetime, closed: Closed
) -> list[Plan]:
    """The plan of every target. `closed`: what a person declined on a branch. Raises CredentialsError."""
    repositories: dict[str, Repository | GitopsError] = {}
    for target in wanted:
        if not target.policy.promote:
            repositories[target.pin.image.name] = _parse(target.pin.image.name)
    readable = [each for each in repositories.values() if isinstance(each, Repository)]
    listings = dict(zip(readable, _parallel(registry.listing, readable), strict=True))

    def one(target: Target) -> Plan:
        try:
            if target.policy.promote:
                by_name = {(each.service, each.environment): each for each in wanted}
                return _promotion(base, history, registry, target, by_name, now, closed)
            repository = repositories[target.pin.image.name]
            listing = listings[repository] if isinstance(repository, Repository) else repository
            if isinstance(listing, GitopsError) or isinstance(repository, GitopsError):
                raise listing if isinstance(listing, GitopsError) else InputError("unreadable")
            return _selection(base, history, registry, target, repository, listing, closed)
        except CredentialsError:
            raise
        except GitopsError as error:
            return Plan(target.service, target.environment, target, error=error)

    with ThreadPoolExecutor(PARALLEL) as pool:
        return [_held(plan, now) for plan in pool.map(one, wanted)]


def _parse(name: str) -> Repository | GitopsError:
    try:
        return Repository.parse(name)
    except InputError as error:
        return error


def _parallel(
    call: Callable[[Repository], list[Candidate]], repositories: Sequence[Repository]
) -> list[list[Candidate] | GitopsError]:
    def guarded(repository: Repository) -> list[Candidate] | GitopsError:
        try:
            return call(repository)
        except CredentialsError:
            raise
        except GitopsError as error:
            return error

    with ThreadPoolExecutor(PARALLEL) as pool:
        return list(pool.map(guarded, repositories))


def _held(plan: Plan, now: datetime) -> Plan:
    target = plan.target
    if plan.error or target is None or target.hold is None or now >= target.hold.until:
        return plan
    until = target.hold.until.isoformat(timespec="minutes")
    alert = plan.alert
    if target.hold.tag != target.pin.image.tag:
        alert = f"held on {target.hold.tag}, but {target.pin.image.tag} runs"
    note = f"held on {target.hold.tag} until {until}: {target.hold.reason}"
    return replace(plan, winner=None, note=note, alert=alert, sure=True)


def _selection(
    base: Checkout,
    history: History,
    registry: Registry,
    target: Target,
    repository: Repository,
    listing: Sequence[Candidate],
    closed: Closed,
) -> Plan:
    pin = target.pin
    refused = [*hold.taken_back(target.policy, hold.pins(history, target.path, pin.entry))]
    plan = Plan(target.service, target.environment, target)

    def choose() -> Decision:
        return decide(target.policy, listing, tag=pin.image.tag, digest=pin.image.digest, refused=refused)

    decision = choose()
    if decision.ranked:
        # Asked of GitHub only where there is something to propose.
        refused += closed(target.branch)
        decision = choose()
    verdicts = list(decision.verdicts)
    sure = bool(listing) and any(
        not verdict.why or verdict.why.startswith(("not newer", "held")) for verdict in verdicts
    )
    for candidate in decision.ranked:
        why = _unfit(base, registry, repository, target, candidate.digest)
        if not why:
            winner = Image(pin.image.name, candidate.tag, candidate.digest)
            return replace(
                plan,
                verdicts=tuple(verdicts),
                winner=winner,
                pushed=candidate.pushed,
                note=decision.note,
                alert=decision.alert,
            )
        at = next(n for n, verdict in enumerate(verdicts) if verdict.candidate is candidate)
        verdicts[at] = Verdict(candidate, why)
    note = decision.note or "no newer candidate passes its checks"
    return replace(plan, verdicts=tuple(verdicts), note=note, alert=decision.alert, sure=sure)


def _unfit(base: Checkout, registry: Registry, repository: Repository, target: Target, digest: str) -> str:
    """Why an image must not run, by its own manifest and signature; empty where it may."""
    details = registry.details(repository, digest)
    if details is None:
        return "the registry has no manifest for it"
    if missing := [each for each in target.policy.platforms if each not in details.platforms]:
        return f"not built for {', '.join(missing)}"
    if target.policy.cosign_key:
        file = base.overlays / target.service / target.policy.cosign_key
        key = cosign.load_key(file, base.relative(file))
        return cosign.why_not(registry, repository, digest, key)
    return ""


def _promotion(
    base: Checkout,
    history: History,
    registry: Registry,
    target: Target,
    by_name: dict[tuple[str, str], Target],
    now: datetime,
    closed: Closed,
) -> Plan:
    way = target.policy.promote
    assert way is not None  # noqa: S101 - the caller looked
    plan = Plan(target.service, target.environment, target)
    source = by_name.get((target.service, way.from_))
    if source is None:
        raise InputError(f"{target.service}/{target.environment}: {way.from_}, which it promotes from, cannot be read")
    if source.pin.image.name != target.pin.image.name:
        raise InputError(
            f"{target.path}:{target.pin.line}: runs {target.pin.image.name}, but promotes from {source.path}, which "
            f"runs {source.pin.image.name}; both must name one repository"
        )
    ran = hold.pins(history, source.path, source.pin.entry)
    refused = {*hold.taken_back(source.policy, ran)}
    refused |= {*hold.taken_back(source.policy, hold.pins(history, target.path, target.pin.entry))}
    at, why = _soaked(ran, way, now, refused)
    if at is None:
        return replace(plan, note=why, sure=True)
    since, winner = ran[at]
    current = next((n for n, (_, image) in enumerate(ran) if image.digest == target.pin.image.digest), None)
    if current is not None and current <= at:
        note = "runs what was promoted last" if current == at else "runs a newer one than has soaked"
        return replace(plan, note=f"{note}; {why}".rstrip("; "), sure=True)
    if {winner.tag, winner.digest} & {*closed(target.branch)}:
        return replace(plan, note=f"held: a person declined {winner.tag}", sure=True)
    if at == 0 and (unhealthy := argo_objection(history, source, winner)):
        return replace(plan, note=unhealthy, sure=True)
    if why := _unfit(base, registry, Repository.parse(winner.name), target, winner.digest):
        return replace(plan, note=f"{winner.tag}: {why}", alert=f"{winner.tag} ran in {way.from_}: {why}")
    return replace(
        plan, winner=winner, runs_since=since.when, note=f"ran in {way.from_} since {since.when.isoformat()}"
    )


def _soaked(
    ran: Sequence[tuple[Version, Image]], way: Promote, now: datetime, refused: set[str]
) -> tuple[int | None, str]:
    """The newest image that ran for the whole soak time and that nobody took back."""
    why = f"{way.from_} has not run any for {policy.spell(way.soak)}"
    until = now
    for at, (version, image) in enumerate(ran):
        if image.tag in refused or image.digest in refused:
            why = f"{image.tag} was taken back in {way.from_}"
        elif until - version.when >= way.soak:
            return at, "" if at == 0 else f"{ran[0][1].tag} has not run in {way.from_} for {policy.spell(way.soak)}"
        until = version.when
    return None, why


def argo_objection(history: History, source: Target, image: Image) -> str:
    """Why Argo CD does not vouch for what an overlay runs; empty where it does, or where no Argo CD is to be asked.
    Raises ExternalError.
    """
    application = f"{source.service}-{source.environment}"
    answer = argocd.ask(application)
    if answer is None:
        return ""
    if (answer.sync, answer.health) != ("Synced", "Healthy"):
        return f"{application} is {answer.sync} and {answer.health}, not Synced and Healthy"
    # Synced means that the cluster is what this commit says.
    with history.lock:
        content = history.content(answer.revision, source.path)
    if content is None or edit.read(content, source.path, source.pin.entry).image != image:
        return f"{application} does not run {image.tag}@{image.digest[:19]} yet"
    return ""
